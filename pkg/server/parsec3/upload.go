package parsec3

import (
	"context"
	"errors"
	"net/http"
	"time"

	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
)

// The upload of a new entry does not survive a failure in the client
// (docs/protocol/v5/quirks.md §11): while the state is out of reach it is held, and
// what fails all the same is remembered.

const (
	// heldBytes is about what a held request costs, in bytes: its buffers, and no
	// body. It is of what strangers may make the server hold, as nobody knows who
	// sends it.
	heldBytes = 16 << 10
	// tellPeriod is the time between two looks at what others must be told.
	tellPeriod = time.Second
)

// errNotServing refuses a request that cannot run, as the server knows already.
var errNotServing = errors.New("no command can run now")

// isOutage reports whether an error is of a state that may be back later.
func isOutage(err error) bool {
	return errors.Is(err, outage.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// upload is a request that may be one of a new entry.
type upload struct {
	hold outage.Hold
	// place is what the request takes while it is held, nil before.
	place *server.Share
	// device is that of the token, which is not verified yet.
	device parsec3.DeviceID
	// lost reports that the connection was lost before the answer.
	lost bool
	// end tells the rules that the request has ended.
	end func()
}

// beginUpload has the request held if it is an upload, until endUpload.
func (call *httpCall) beginUpload() {
	call.upload = &upload{hold: call.wing.uploads.Begin(), end: call.wing.rules.BeginUpload()}
}

// endUpload is called after the answer. It does nothing for what is no upload.
func (call *httpCall) endUpload() {
	if u := call.upload; u != nil {
		call.tellUpload()
		u.hold.End()
		u.place.Release()
		u.end()
	}
}

// lose is called when the connection was lost before the answer.
func (u *upload) lose() {
	if u != nil {
		u.lost = true
	}
}

// standing reads who sends the request. An upload is held while that is out of
// reach; whether its token is good is not known then.
func (call *httpCall) standing(device parsec3.DeviceID) (rules.Standing, error) {
	if call.upload != nil {
		call.upload.device = device
		if !call.wing.server.Serving() && !call.mayWait() {
			return rules.Standing{}, errNotServing
		}
	}
	for {
		standing, err := call.lookForStanding(device)
		if !isOutage(err) || !call.wait() {
			return standing, err
		}
	}
}

func (call *httpCall) lookForStanding(device parsec3.DeviceID) (rules.Standing, error) {
	ctx, cancel := context.WithTimeout(call.ctx, rules.AdmissionLimit)
	defer cancel()
	if call.attempt != nil {
		return call.wing.rules.GreeterStanding(ctx, call.organization, device, *call.attempt)
	}
	return call.wing.rules.Standing(ctx, call.organization, device)
}

// awaitRoom waits for room for a body, longer for that of an upload.
func (call *httpCall) awaitRoom(held *server.Share, size int) error {
	for {
		err := held.Await(call.ctx, size)
		if err == nil || !call.wait() {
			return err
		}
	}
}

// wait pauses before another try of what an upload needs, and reports false if there
// is none.
func (call *httpCall) wait() bool { return call.mayWait() && call.upload.hold.Wait(call.ctx) }

// mayWait reports whether the request is of a command that is held, and has a place
// among those. The rest of its body waits in the connection.
func (call *httpCall) mayWait() bool {
	u := call.upload
	if u == nil {
		return false
	}
	if u.place != nil {
		return true
	}
	if !heldCommands[call.opening.command()] {
		return false
	}
	place := call.wing.server.StrangersShare(call.address)
	if place.Grow(heldBytes) != nil {
		return false
	}
	u.place = place
	return true
}

// tellUpload remembers the upload of a new entry that has failed: its client looks
// for the entry in a moment.
func (call *httpCall) tellUpload() {
	u := call.upload
	if !u.lost && call.status < http.StatusInternalServerError && call.status != http.StatusBadRequest {
		return // a bad request is what a lost connection leaves of a body
	}
	if form := call.opening.command(); form == protocol.VlobCreate.Form || form == protocol.BlockCreate.Form {
		call.wing.rules.UploadFailed(call.organization, u.device)
	}
}

// heldCommands are those that are held.
var heldCommands = map[*rpc.Form]bool{protocol.VlobCreate.Form: true, protocol.VlobUpdate.Form: true, protocol.BlockCreate.Form: true}
