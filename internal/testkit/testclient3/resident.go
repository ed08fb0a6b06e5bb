package testclient3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// ErrStopped is wrapped by the errors of a Resident that an official client would
// not survive: a loop of it ends until the next login
// (docs/protocol/v5/quirks.md).
var ErrStopped = errors.New("an official client stops here")

// How far ahead of the date that a server asks for the next try is dated
// (docs/protocol/v5/commands.md §5).
const (
	aheadVlob      = 100 * time.Millisecond
	aheadRealm     = 250 * time.Millisecond
	aheadCommon    = 500 * time.Millisecond
	aheadArchiving = time.Millisecond
)

// retryPause is between two tries of what failed by HTTP
// (docs/protocol/v5/quirks.md §1).
const retryPause = 3 * time.Second

// Resident is a device whose owner is logged in. It behaves as an official client
// of its kind: it verifies whatever it is told, and ends where that ends. It may be
// used by several goroutines.
type Resident struct {
	Device *client3.Device
	client *client3.Client
	rpc    *client3.RPC
	pause  func(context.Context, time.Duration) error

	mu        sync.Mutex
	knowledge *Knowledge
	keys      map[parsec.RealmID]*Keys
	// access is that to the last keys bundle of each realm, for who gets a role.
	access map[parsec.RealmID]Access
	// polling is held by the one poll of certificates at a time.
	polling sync.Mutex

	stopping sync.Once
	stopped  chan struct{}
	err      error // set before stopped is closed
}

// NewResident returns a device that has not asked the server for anything yet.
func NewResident(c *client3.Client, d *client3.Device) *Resident {
	return &Resident{
		Device: d, client: c, rpc: c.Authenticated(d), pause: pause,
		knowledge: NewKnowledge(d),
		keys:      map[parsec.RealmID]*Keys{},
		access:    map[parsec.RealmID]Access{},
		stopped:   make(chan struct{}),
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RPC returns what sends the commands of the device.
func (r *Resident) RPC() *client3.RPC { return r.rpc }

// Knowledge returns what is verified so far. Nobody changes it.
func (r *Resident) Knowledge() *Knowledge {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.knowledge
}

// Stopped is closed when an official client would have ended one of its loops; Err
// says why.
func (r *Resident) Stopped() <-chan struct{} { return r.stopped }

// Err returns why the resident stopped, nil while it has not.
func (r *Resident) Err() error {
	select {
	case <-r.stopped:
		return r.err
	default:
		return nil
	}
}

// stop records the first reason to end, and returns err.
func (r *Resident) stop(err error) error {
	r.stopping.Do(func() {
		r.err = fmt.Errorf("%w: %w", ErrStopped, err)
		close(r.stopped)
	})
	return err
}

// Poll reads and verifies the certificates that are newer than what is known.
func (r *Resident) Poll(ctx context.Context) error {
	r.polling.Lock()
	defer r.polling.Unlock()
	return r.poll(ctx)
}

func (r *Resident) poll(ctx context.Context) error {
	known := r.Knowledge()
	reply, err := client3.Call(ctx, r.rpc, protocol.CertificateGet, known.After())
	if err != nil {
		return err
	}
	next, err := known.Learn(reply)
	if err != nil {
		return r.stop(err)
	}
	r.mu.Lock()
	r.knowledge = next
	r.mu.Unlock()
	return nil
}

// reach polls once if the certificates do not reach dates that a reply names. If
// they do not then either, the client fails with an internal error.
func (r *Resident) reach(ctx context.Context, realm parsec.RealmID, common, ofRealm parsec.DateTime) error {
	reached := func() bool {
		knownCommon, knownRealm := r.Knowledge().Dates(realm)
		return knownCommon >= common && knownRealm >= ofRealm
	}
	if reached() {
		return nil
	}
	if err := r.Poll(ctx); err != nil {
		return err
	}
	if !reached() {
		return r.stop(incoherent("certificates up to %s and %s are needed, and not served", common, ofRealm))
	}
	return nil
}

// Listen follows the stream of events until ctx is done, or until an official
// client would stop: then that is why the resident stops. It calls heard with each
// message, once what the message tells of is read.
func (r *Resident) Listen(ctx context.Context, heard func(client3.Message)) error {
	last := ""
	for attempt := 0; ; attempt++ {
		err := r.follow(ctx, &last, func(message client3.Message) {
			attempt = 0
			heard(message)
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.Err() != nil:
			return r.Err()
		case errors.Is(err, io.EOF): // A clean end: at once, on the same connection.
			continue
		case !isPassing(err):
			return r.stop(fmt.Errorf("stream of events: %w", err))
		}
		if err := r.pause(ctx, reconnection(attempt)); err != nil {
			return err
		}
	}
}

// reconnection is the wait before another try to open a stream.
func reconnection(attempt int) time.Duration {
	waits := [...]time.Duration{0, time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}
	return waits[min(attempt, len(waits)-1)]
}

// isPassing reports whether a client takes an error for one that passes: it is
// "offline", and tries again.
func isPassing(err error) bool {
	failure, answered := errors.AsType[*client.HTTPError](err)
	if !answered {
		_, refused := errors.AsType[*protocol.Refusal](err)
		return !refused && !errors.Is(err, client.ErrProtocol) && !errors.Is(err, ErrIncoherent)
	}
	switch failure.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, statusMustAcceptTOS:
		return true
	default:
		return false
	}
}

const statusMustAcceptTOS = 463

// follow opens one stream and reads it to its end.
func (r *Resident) follow(ctx context.Context, last *string, heard func(client3.Message)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.rpc.Events(ctx, *last)
	if err != nil {
		return err
	}
	defer stream.Close()
	for first := true; ; first = false {
		message, err := stream.Next()
		if err != nil {
			return err
		}
		if _, config := message.Event.(*protocol.OrganizationConfigEvent); config != first {
			return fmt.Errorf("%w: the first event of a stream is %T", client.ErrProtocol, message.Event)
		}
		if message.ID != "" {
			*last = message.ID
		}
		if err := r.hear(ctx, message); err != nil && !isPassing(err) {
			return err
		}
		heard(message)
	}
}

// hear reads what a message tells of.
func (r *Resident) hear(ctx context.Context, message client3.Message) error {
	var realm parsec.RealmID
	var common, ofRealm parsec.DateTime
	switch told := message.Event.(type) {
	case nil:
		return r.Poll(ctx)
	case *protocol.CommonCertificateEvent:
		common = told.Timestamp
	case *protocol.RealmCertificateEvent:
		realm, ofRealm = told.RealmID, told.Timestamp
	case *protocol.SequesterCertificateEvent:
		return r.Poll(ctx)
	case *protocol.VlobEvent:
		realm, common, ofRealm = told.RealmID, told.LastCommonCertificateTimestamp, told.LastRealmCertificateTimestamp
	default:
		return nil
	}
	return r.reach(ctx, realm, common, ofRealm)
}

// certify sends what sign makes for a date, and again with a later one when the
// server asks for it, as official clients do: at once, and without limit.
func certify[Request, Reply any](ctx context.Context, r *Resident, command *rpc.Command[Request, Reply], ahead time.Duration, sign func(now parsec.DateTime) (*Request, error)) error {
	date := r.client.Now()
	for {
		request, err := sign(date)
		if err != nil {
			return err
		}
		_, err = client3.Call(ctx, r.rpc, command, request)
		refusal, refused := errors.AsType[*protocol.Refusal](err)
		if !refused || refusal.Status != protocol.StatusRequireGreaterTimestamp {
			return err
		}
		asked := refusal.Details.(*protocol.RequireGreaterTimestampDetails).StrictlyGreaterThan
		date = max(r.client.Now(), asked.Add(ahead))
	}
}

// isRefused reports whether an error is a refusal of one of the statuses.
func isRefused(err error, statuses ...protocol.Status) bool {
	refusal, refused := errors.AsType[*protocol.Refusal](err)
	return refused && slices.Contains(statuses, refusal.Status)
}

// AddUser creates a user, and returns its first device.
func (r *Resident) AddUser(ctx context.Context, person client3.Person, profile parsec.UserProfile) (device *client3.Device, err error) {
	err = certify(ctx, r, protocol.UserCreate, aheadCommon, func(now parsec.DateTime) (request *protocol.UserCreateRequest, err error) {
		device, request, err = r.Device.NewUser(person, profile, now)
		return request, err
	})
	return device, err
}

// AddDevice creates another device of the user.
func (r *Resident) AddDevice(ctx context.Context, label parsec3.DeviceLabel) (device *client3.Device, err error) {
	err = certify(ctx, r, protocol.DeviceCreate, aheadCommon, func(now parsec.DateTime) (request *protocol.DeviceCreateRequest, err error) {
		device, request, err = r.Device.NewDevice(label, now)
		return request, err
	})
	return device, err
}

// SetProfile changes the profile of another user. One that the user has already is
// fine.
func (r *Resident) SetProfile(ctx context.Context, user parsec3.UserID, profile parsec.UserProfile) error {
	err := certify(ctx, r, protocol.UserUpdate, aheadCommon, func(now parsec.DateTime) (*protocol.UserUpdateRequest, error) {
		return UpdateProfile(r.Device, user, profile, now)
	})
	if isRefused(err, protocol.StatusUserNoChanges) {
		err = nil
	}
	return r.polledAfter(ctx, err)
}

// Revoke revokes another user. One that is revoked already is fine.
func (r *Resident) Revoke(ctx context.Context, user parsec3.UserID) error {
	err := certify(ctx, r, protocol.UserRevoke, aheadCommon, func(now parsec.DateTime) (*protocol.UserRevokeRequest, error) {
		return RevokeUser(r.Device, user, now)
	})
	if isRefused(err, protocol.StatusUserAlreadyRevoked) {
		err = nil
	}
	return r.polledAfter(ctx, err)
}

// polledAfter polls once something has succeeded: an author learns of its own
// certificates that way.
func (r *Resident) polledAfter(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return r.Poll(ctx)
}
