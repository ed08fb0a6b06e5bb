package rules

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/throttle"
)

// ErrSessionOver means that the author may not act any more: its user is
// revoked or frozen, or its organization expired, since it was authenticated.
// There is no status for it: the connection closes without reply.
var ErrSessionOver = errors.New("the author may not act any more")

// Options are the settings of the rules.
type Options struct {
	organization.Founding
	// BlockStore is whether blocks can be stored and read, as who watches knows; nil if
	// nobody does.
	BlockStore *outage.Dependency
	// Elapsed is a clock that is never set, from any instant on, which limits
	// how often something is tried; the system's if nil.
	Elapsed func() time.Duration
	// Mailer sends e-mails; nil for none.
	Mailer Mailer
}

// Webhooks calls out of the server. No transaction is open meanwhile.
type Webhooks interface {
	// Sequester hands the copy of a vlob to a webhook service: nil once
	// accepted, a *protocol.Refusal when the service refuses it or fails.
	Sequester(ctx context.Context, organization parsec.OrganizationID, service SequesterService, blob []byte) error
	// Bootstrapped announces a new organization, in the background.
	Bootstrapped(organization parsec.OrganizationID, device Device, human parsec.HumanHandle)
}

// Rules runs the commands. Its methods are safe for concurrent use. A reply that
// comes with an error means nothing.
type Rules struct {
	store    Store
	blocks   blockstore.Gate
	bus      *event.Bus
	webhooks Webhooks
	now      func() parsec.DateTime
	options  Options
	logger   *slog.Logger
	// pings are those that others are told of.
	pings *throttle.Keyed[pinger]
	// reveals are tokens of Shamir recoveries that are tried.
	reveals *throttle.Keyed[revealKey]

	// queued counts the events that wait for clients, overflows the sessions
	// ended because too many did.
	queued, overflows atomic.Int64

	presencesMu sync.Mutex
	// presences are the connections of claimers that these rules hold.
	presences map[parsec.UUID]struct{}
}

// New returns rules whose events come from bus, which the store publishes
// to, and whose clock is now.
func New(store Store, blocks blockstore.Store, bus *event.Bus, webhooks Webhooks, now func() parsec.DateTime, logger *slog.Logger, options Options) *Rules {
	return &Rules{
		store: store, blocks: blockstore.Gate{Store: blocks, Now: now, Logger: logger, Outage: options.BlockStore},
		bus: bus, webhooks: webhooks, now: now, options: options, logger: logger,
		pings:     throttle.NewKeyed[pinger](toldPings, pingInterval, maxPingers, options.Elapsed),
		reveals:   throttle.NewKeyed[revealKey](freeReveals, revealPause, maxReveals, options.Elapsed),
		presences: map[parsec.UUID]struct{}{},
	}
}

// Author is an authenticated device, as it was when authenticated.
type Author struct {
	Organization parsec.OrganizationID
	Device       parsec.DeviceID
	Profile      parsec.UserProfile
	VerifyKey    parsec.VerifyKey
	// API is the version that the client announced.
	API parsec.APIVersion
	// Connection names what a session comes by; zero for a single request.
	Connection parsec.UUID
}

// User returns the author's user.
func (a *Author) User() parsec.UserID { return a.Device.User() }

// Anonymous is a client of an organization that may not exist yet.
type Anonymous struct {
	Organization parsec.OrganizationID
	API          parsec.APIVersion
}

// update runs rule in a transaction of the author, once the author is checked
// again under the transaction's locks (docs/protocol/commands.md §1.6).
func (r *Rules) update(ctx context.Context, author *Author, scope Scope, rule func(tx Tx, now parsec.DateTime) error) error {
	now := r.now()
	return r.updateAt(ctx, author, now, scope, func(tx Tx) error { return rule(tx, now) })
}

// updateAt is update for a command that has read the clock already: it checks
// a certificate first, or needs several transactions.
func (r *Rules) updateAt(ctx context.Context, author *Author, now parsec.DateTime, scope Scope, rule func(Tx) error) error {
	scope.Organization, scope.Author = author.Organization, author.Device
	return r.store.Update(ctx, scope, func(tx Tx) error {
		organization, found := tx.Organization()
		user, known := tx.Author()
		if !found || !known || user.Revocation != nil || user.Frozen || organization.Expired(now) {
			return ErrSessionOver
		}
		return rule(tx)
	})
}

// Ready returns why commands cannot run, in words that anybody may read, nil if
// they can. Blocks do not count: without their store everything else goes on.
// After an outage.ErrNoRoom those that change nothing do.
func (r *Rules) Ready(ctx context.Context) error { return r.store.Ready(ctx) }
