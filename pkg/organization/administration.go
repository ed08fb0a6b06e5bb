package organization

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/throttle"
)

// The refusals of an administration.
var (
	ErrBadToken      = errors.New("invalid administration token")
	ErrNotFound      = errors.New("no such organization")
	ErrAlreadyExists = errors.New("the organization already exists")
	// ErrAlreadyBootstrapped is of an organization that has its first user.
	ErrAlreadyBootstrapped = errors.New("the organization is bootstrapped already")
	// ErrReadOnly is of an administrator who may change nothing.
	ErrReadOnly = errors.New("the administration token may only read")
)

// bootstrapTokenBytes is the size of a bootstrap token before its hexadecimal
// form, which both generations read (docs/protocol/v5/overview.md, end).
const bootstrapTokenBytes = 16

// Options are the settings of an administration.
type Options struct {
	// Founding says what new organizations are like.
	Founding Founding
	// Token lets administrators in; nobody gets in if it is "".
	Token string
	// RereadToken returns the token that lets them in now, when it may have
	// been replaced; nil for never.
	RereadToken func() (string, error)
	// NamedTokens returns the tokens that let in more of them now, each with a name; nil
	// for none ever.
	NamedTokens func() ([]NamedToken, error)
	// Eraser erases what is deleted.
	Eraser Eraser
	// Elapsed is a clock that is never set, from any instant on, which limits
	// how often something is tried; the system's if nil.
	Elapsed func() time.Duration
}

// Administration is what administrators work with. Its methods are safe for
// concurrent use.
type Administration struct {
	store   Store
	wings   Wings
	now     func() parsec.DateTime
	options Options
	logger  *slog.Logger
	// attempts are wrong tokens.
	attempts *throttle.Throttle
	// token is the last one that could be read again.
	token atomic.Pointer[string]
	// named are the last ones that could be read, and unread what is in the log of why
	// they cannot be read now, nil for nothing.
	named  atomic.Pointer[[]NamedToken]
	unread atomic.Pointer[string]
	// history is held while statistics of the past are made.
	history chan struct{}
}

// New returns the administration of the organizations of a store. Each is asked
// of the wing of its generation.
func New(store Store, wings Wings, now func() parsec.DateTime, logger *slog.Logger, options Options) *Administration {
	a := &Administration{
		store: store, wings: wings, now: now, options: options, logger: logger,
		attempts: throttle.New(freeAttempts, attemptInterval, options.Elapsed),
		history:  make(chan struct{}, 1),
	}
	a.currentNamed() // What is read later may be broken.
	return a
}

// Administrator is whoever has sent an administration token.
type Administrator struct {
	// Name is that of its token.
	Name string
	// ReadOnly is for one that may change nothing.
	ReadOnly bool
	// Address is where the request came from.
	Address netip.Addr
}

// Find returns an organization, ErrNotFound or ErrBeingDeleted.
func (a *Administration) Find(ctx context.Context, id parsec.OrganizationID) (*Organization, error) {
	organization, found, err := a.store.Organization(ctx, id)
	if err == nil {
		err = there(organization, found)
	}
	if err != nil {
		return nil, err
	}
	return organization, nil
}

// Create creates an organization, or replaces one that is not bootstrapped, and
// returns its bootstrap token. What is nil has the settings of new
// organizations. It returns ErrAlreadyExists for an organization that is
// bootstrapped, and ErrBeingDeleted.
func (a *Administration) Create(ctx context.Context, by Administrator, id parsec.OrganizationID, given Change) (token string, err error) {
	now := a.now()
	created := a.options.Founding.New(id, now)
	created.BootstrapToken = newBootstrapToken()
	given.apply(&created, now)
	err = a.store.ChangeOrganization(ctx, id, func(tx Tx) error {
		stored, found := tx.Organization()
		if !found {
			stored = &Organization{}
		}
		switch {
		case stored.DeletedOn != nil:
			return ErrBeingDeleted
		case stored.Bootstrapped():
			return ErrAlreadyExists
		}
		put(tx, stored, created)
		return nil
	})
	if err != nil {
		return "", err
	}
	a.audit(ctx, by, "create_organization", id, slog.GroupAttrs("after", settings(&created)...))
	return created.BootstrapToken, nil
}

// BootstrapLink returns what clients of a generation bootstrap an organization with,
// false if no wing serves the generation.
func (a *Administration) BootstrapLink(generation Generation, location parsec.Location, token string) (Link, bool) {
	wing, found := a.wings[generation]
	if !found {
		return Link{}, false
	}
	return wing.BootstrapLink(location, token), true
}

func newBootstrapToken() string {
	token := make([]byte, bootstrapTokenBytes)
	rand.Read(token) // never fails
	return hex.EncodeToString(token)
}

// Update changes what is not nil. It returns ErrNotFound for an organization that
// does not exist, and ErrBeingDeleted.
func (a *Administration) Update(ctx context.Context, by Administrator, id parsec.OrganizationID, given Change) error {
	now := a.now()
	var before, after Organization
	err := a.store.ChangeOrganization(ctx, id, func(tx Tx) error {
		stored, found := tx.Organization()
		if err := there(stored, found); err != nil {
			return err
		}
		before, after = *stored, *stored
		given.apply(&after, now)
		put(tx, &before, after)
		return nil
	})
	if err != nil {
		return err
	}
	a.auditChange(ctx, by, "update_organization", id, settings(&before), settings(&after))
	return nil
}

// Users lists the users that have a human handle, revoked ones included, in
// order of creation. It returns ErrNotFound for an organization that does not
// exist (docs/protocol/administration.md §4).
func (a *Administration) Users(ctx context.Context, id parsec.OrganizationID) ([]User, error) {
	organization, err := a.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	wing, found := a.wings[organization.Bound()]
	if !found {
		return nil, nil
	}
	return wing.People(ctx, id)
}

// FreezeUser keeps a user out, or lets it in again; a user that is so already
// is fine. Either way the connections that the user has are closed. It returns
// the user, ErrUserNotFound for one that may not be frozen, and ErrNotFound for
// an organization that does not exist (docs/protocol/administration.md §4).
func (a *Administration) FreezeUser(ctx context.Context, by Administrator, id parsec.OrganizationID, choice UserChoice, frozen bool) (User, error) {
	organization, err := a.Find(ctx, id)
	if err != nil {
		return User{}, err
	}
	wing, found := a.wings[organization.Bound()]
	if !found {
		return User{}, ErrUserNotFound
	}
	user, err := wing.SetFrozen(ctx, id, choice, frozen)
	if err != nil {
		return User{}, err
	}
	before := []slog.Attr{slog.Bool("frozen", user.Frozen)}
	user.Frozen = frozen
	a.auditChange(ctx, by, "freeze_user", id, before, []slog.Attr{slog.Bool("frozen", frozen)}, slog.String("user", user.ID))
	return user, nil
}
