package testclient3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/sleep"
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

const (
	// retryPause is between two tries of what failed by HTTP
	// (docs/protocol/v5/quirks.md §1).
	retryPause = 3 * time.Second
	// storePause comes before an upload is tried again that the block store could
	// not take (docs/protocol/v5/quirks.md §5).
	storePause = time.Minute
)

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
	// ended has the realms that nothing is sent to any more.
	ended map[parsec.RealmID]error
	// polling is held by the one poll of certificates at a time.
	polling sync.Mutex

	stopping sync.Once
	stopped  chan struct{}
	err      error // set before stopped is closed
}

// NewResident returns a device that has not asked the server for anything yet.
func NewResident(c *client3.Client, d *client3.Device) *Resident {
	return &Resident{
		Device: d, client: c, rpc: c.Authenticated(d), pause: sleep.For,
		knowledge: NewKnowledge(d),
		keys:      map[parsec.RealmID]*Keys{},
		access:    map[parsec.RealmID]Access{},
		ended:     map[parsec.RealmID]error{},
		stopped:   make(chan struct{}),
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

// stop records the first reason to end, and returns err as one.
func (r *Resident) stop(err error) error {
	err = fmt.Errorf("%w: %w", ErrStopped, err)
	r.stopping.Do(func() {
		r.err = err
		close(r.stopped)
	})
	return err
}

// Poll reads and verifies the certificates that are newer than what is known.
func (r *Resident) Poll(ctx context.Context) error {
	r.polling.Lock()
	defer r.polling.Unlock()
	known := r.Knowledge()
	next, err := r.learn(ctx, known)
	if err != nil {
		return err
	}
	if known.forgets(next) {
		if next, err = r.learn(ctx, NewKnowledge(r.Device)); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.knowledge = next
	r.mu.Unlock()
	return nil
}

// learn returns known with what is newer.
func (r *Resident) learn(ctx context.Context, known *Knowledge) (*Knowledge, error) {
	reply, err := client3.Call(ctx, r.rpc, protocol.CertificateGet, known.After())
	if err != nil {
		return nil, err
	}
	next, err := known.Learn(reply)
	if err != nil {
		return nil, r.stop(err)
	}
	return next, nil
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

// catchUp reads what a refusal says that the client does not know yet.
func (r *Resident) catchUp(ctx context.Context, realm parsec.RealmID, err error) error {
	refusal, _ := errors.AsType[*protocol.Refusal](err)
	last, ofRealm := refusal.Details.(*protocol.LastRealmDetails)
	if !ofRealm {
		return r.Poll(ctx)
	}
	return r.reach(ctx, realm, 0, last.Timestamp)
}

// certify sends what sign makes for a date, and again with a later one when the
// server asks for it, as official clients do: at once, and without limit.
func certify[Request, Reply any](ctx context.Context, r *Resident, command *rpc.Command[Request, Reply], ahead time.Duration, sign func(now parsec.DateTime) (*Request, error)) error {
	_, err := certifyFor(ctx, r, command, ahead, sign)
	return err
}

// certifyFor is certify for a reply.
func certifyFor[Request, Reply any](ctx context.Context, r *Resident, command *rpc.Command[Request, Reply], ahead time.Duration, sign func(now parsec.DateTime) (*Request, error)) (*Reply, error) {
	date := r.client.Now()
	for {
		request, err := sign(date)
		if err != nil {
			return nil, err
		}
		reply, err := client3.Call(ctx, r.rpc, command, request)
		refusal, refused := errors.AsType[*protocol.Refusal](err)
		if !refused || refusal.Status != protocol.StatusRequireGreaterTimestamp {
			return reply, err
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
