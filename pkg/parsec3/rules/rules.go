package rules

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/blake2b"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// generation is what these rules bind organizations to.
const generation = organization.Parsec3

// Abort is an answer to a command that is an HTTP status, not a reply
// (docs/protocol/v5/commands.md §3 and §4).
type Abort int

// The aborts, by their HTTP status.
const (
	OrganizationNotFound Abort = 404
	WrongGeneration      Abort = 422 // the organization is of API 1 to 3
	OrganizationExpired  Abort = 460
	UnknownDevice        Abort = 403
	BadSignature         Abort = UnknownDevice // they must look alike
	UserRevoked          Abort = 461
	UserFrozen           Abort = 462
	MustAcceptTOS        Abort = 463
	TokenTaken           Abort = 415 // of what a client draws at random: no reply says so
	TokenExpired         Abort = 498
	InvitationUnknown    Abort = 403
	InvitationOver       Abort = 410

	// UploadInDoubt has a client try an upload again, which an answer would end
	// (docs/protocol/v5/quirks.md §11).
	UploadInDoubt Abort = 503
	// TooMany refuses more of what is bounded for want of a status: a client is offline
	// meanwhile, and its user may try again.
	TooMany Abort = UploadInDoubt
)

func (a Abort) Error() string { return fmt.Sprintf("aborted with status %d", int(a)) }

// ErrOldClient is of what clients of before API 5.2 cannot do: its answer is 422, with
// the versions of this generation (docs/protocol/v5/invite.md §4).
var ErrOldClient = errors.New("the client is too old")

// Options are the settings of the rules.
type Options struct {
	organization.Founding
	// BlockStore is whether blocks can be stored and read, as who watches knows; nil if
	// nobody does.
	BlockStore *outage.Dependency
	// DeviceFileProtection is how clients are advised to protect the keys of devices
	// (docs/protocol/v5/types.md §4); nil is no advice.
	DeviceFileProtection []string
	// OpenBao is where clients keep the keys of devices, nil for nowhere.
	OpenBao *protocol.OpenBaoConfig
	// CryptpadServerURL is where clients edit documents together, "" for nowhere.
	CryptpadServerURL string
	// SCWS is nil for a server whose web application uses no smart cards.
	SCWS *SCWS
	// Debug has pings of authenticated devices reach the streams of their
	// organization.
	Debug bool
	// Patience is how long commands are held that clients cannot have refused; 0 is
	// outage.Patience.
	Patience time.Duration
	// TrustedRoots are those of the PKI that enrollments are signed in: with them the
	// server verifies chains and signatures. Nil is for none: then it looks at their
	// form alone (docs/protocol/v5/enrollment.md §1.2).
	TrustedRoots *x509.CertPool
	// GreetingPatience is how long a step of a greeting waits for the other side's; 0 is
	// 800 ms.
	GreetingPatience time.Duration
	// Accounts are whether there are any; "" is protocol.AccountDisabled.
	Accounts protocol.AccountConfig
	// MailLimit bounds the e-mails about accounts.
	MailLimit MailLimit
	// Secret is one that every instance has, and no database.
	Secret []byte
	// OnlineStatus tells whoever comes by an invitation which greeters have a stream of
	// events.
	OnlineStatus bool
	// Mailer sends e-mails; nil where none is sent.
	Mailer Mailer
}

// maxHeld bounds the commands that are held at the same time. What they have sent is
// bounded by the server.
const maxHeld = 4096

// Webhooks calls out of the server. No transaction is open meanwhile.
type Webhooks interface {
	// AskVlob and AskKeyRotation ask a sequester service once whether something may
	// be written: nil once accepted, a *protocol.Refusal when the service refuses it,
	// or does not answer.
	AskVlob(ctx context.Context, service SequesterService, question *VlobQuestion) error
	AskKeyRotation(ctx context.Context, service SequesterService, question *KeyRotationQuestion) error
	// Bootstrapped announces a new organization, in the background.
	Bootstrapped(organization parsec.OrganizationID, device parsec3.DeviceID, label parsec3.DeviceLabel, human parsec.HumanHandle)
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
	// holder is for what clients cannot have refused.
	holder outage.Holder
	// history is what streams resume from.
	history *history
	// queued and overflows are what QueuedEvents and EventOverflows return.
	queued, overflows atomic.Int64
	// uploads are those that may have failed.
	uploads *failedUploads
	// tokens are those of the requests of a moment ago.
	tokens verifiedTokens
	// greetings are the attempts that this instance has seen lately.
	greetings *greetings
	// turns are of those who speak in greeting attempts.
	turns turns
	// presence is nil where nobody is told who is online.
	presence *presence
	// heldSteps counts those that wait for the other side's.
	heldSteps atomic.Int64
	// invitationMails bounds what the mailer is asked for.
	invitationMails invitationMails
	// mails are those that are sent in the background.
	mails *postbox
	// codeKey is that of the hashes of codes.
	codeKey [blake2b.Size256]byte
}

// New returns rules whose events come from bus, which the store publishes to, and
// whose clock is now.
func New(store Store, blocks blockstore.Store, bus *event.Bus, webhooks Webhooks, now func() parsec.DateTime, logger *slog.Logger, options Options) *Rules {
	g := newGreetings(now, store.Lag)
	r := &Rules{
		store: tellingStore{store, g.record}, blocks: blockstore.Gate{Store: blocks, Now: now, Logger: logger, Outage: options.BlockStore},
		bus: bus, webhooks: webhooks, now: now, options: options, logger: logger,
		holder:  outage.Holder{Patience: cmp.Or(options.Patience, outage.Patience), Most: maxHeld},
		history: newHistory(), uploads: newFailedUploads(now),
		mails: newPostbox(options.Mailer, logger), codeKey: codeKeyOf(options.Secret),
		greetings: g, invitationMails: newInvitationMails(now),
	}
	if options.OnlineStatus {
		r.presence = newPresence(store, logger)
	}
	bus.Record(r.history.record)
	bus.Record(r.uploads.record)
	bus.Record(g.record)
	return r
}

// Founding returns how organizations come into being.
func (r *Rules) Founding() organization.Founding { return r.options.Founding }

// DeviceFileProtection returns how clients are advised to protect the keys of devices.
func (r *Rules) DeviceFileProtection() []string { return r.options.DeviceFileProtection }

// OpenBao returns where clients keep the keys of devices.
func (r *Rules) OpenBao() protocol.OpenBaoConfig {
	if r.options.OpenBao == nil {
		return protocol.OpenBaoConfig{Type: protocol.FeatureDisabled}
	}
	return *r.options.OpenBao
}

// Cryptpad returns where clients edit documents together.
func (r *Rules) Cryptpad() protocol.CryptpadConfig {
	if r.options.CryptpadServerURL == "" {
		return protocol.CryptpadConfig{Type: protocol.FeatureDisabled}
	}
	return protocol.CryptpadConfig{Type: protocol.FeatureEnabled, ServerURL: &r.options.CryptpadServerURL}
}

// Organizations returns the store of the organizations, whose changes hold here as soon as
// they are answered (docs/protocol/v5/transport.md §5).
func (r *Rules) Organizations() organization.Store { return r.store }

// Patience returns how long what clients cannot have refused is held.
func (r *Rules) Patience() time.Duration { return r.holder.Patience }

// Ready returns why commands cannot run, in words that anybody may read, nil if they
// can.
func (r *Rules) Ready(ctx context.Context) error { return r.store.Ready(ctx) }

// Author is an authenticated device.
type Author struct {
	Organization parsec.OrganizationID
	Device       parsec3.DeviceID
	User         parsec3.UserID
	VerifyKey    parsec.VerifyKey
	// API is the version that the client announced.
	API parsec.APIVersion
}

// Anonymous is a client of an organization that may not exist yet.
type Anonymous struct {
	Organization parsec.OrganizationID
	API          parsec.APIVersion
}

// update runs rule in a transaction of the author, once the author is checked
// under the locks of the transaction. Now is the instant at which the command
// began.
func (r *Rules) update(ctx context.Context, author *Author, now parsec.DateTime, scope Scope, rule func(tx Tx, user *User) error) error {
	scope.Organization, scope.Author = author.Organization, author.Device
	return r.store.Update(ctx, scope, func(tx Tx) error {
		stored, _ := tx.Organization()
		user, _ := tx.Author()
		if err := checkStanding(stored, user, now); err != nil {
			return err
		}
		return rule(tx, user)
	})
}

// updateAnonymous runs rule in a transaction for a stranger, once it is checked that the
// organization is there and open.
func (r *Rules) updateAnonymous(ctx context.Context, anonymous *Anonymous, now parsec.DateTime, scope Scope, rule func(tx Tx) error) error {
	scope.Organization = anonymous.Organization
	return r.store.Update(ctx, scope, func(tx Tx) error {
		stored, _ := tx.Organization()
		if err := checkOpen(stored, now); err != nil {
			return err
		}
		return rule(tx)
	})
}
