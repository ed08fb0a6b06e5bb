package backend

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
)

// ErrUserNotFound tells that no user can be frozen under that id.
var ErrUserNotFound = errors.New("no such user, or it is revoked, or it has no human handle")

// bootstrapTokenBytes is the size of a bootstrap token before its hexadecimal
// form (docs/protocol/types.md §1).
const bootstrapTokenBytes = 32

// AdministrationCreate creates an organization, or replaces one that is not
// bootstrapped (docs/protocol/administration.md §2).
func (b *Backend) AdministrationCreate(ctx context.Context, request *protocol.AdministrationCreateRequest) (*protocol.AdministrationCreateReply, error) {
	token, err := b.createOrganization(ctx, request.OrganizationID, func(organization *Organization) {
		organization.ExpirationDate = request.ExpirationDate
	})
	if err != nil {
		return nil, err
	}
	return &protocol.AdministrationCreateReply{BootstrapToken: token, ExpirationDate: request.ExpirationDate}, nil
}

// createOrganization gives the bootstrap token. What configure does not change
// has the settings of new organizations.
func (b *Backend) createOrganization(ctx context.Context, id parsec.OrganizationID, configure func(*Organization)) (token string, err error) {
	created := b.newOrganization(id, b.now())
	created.BootstrapToken = newBootstrapToken()
	configure(&created)
	err = b.store.Update(ctx, Scope{Organization: id, LockOrganization: true}, func(tx Tx) error {
		stored, found := tx.Organization()
		if !found {
			stored = &Organization{}
		}
		if stored.Bootstrapped() {
			return protocol.Refuse(protocol.StatusAlreadyExists, "This organization already exists.")
		}
		putOrganization(tx, stored, created)
		return nil
	})
	return created.BootstrapToken, err
}

func newBootstrapToken() string {
	token := make([]byte, bootstrapTokenBytes)
	rand.Read(token) // never fails
	return hex.EncodeToString(token)
}

// AdministrationStatus tells the state of an organization
// (docs/protocol/administration.md §2).
func (b *Backend) AdministrationStatus(ctx context.Context, request *protocol.AdministrationStatusRequest) (*protocol.AdministrationStatusReply, error) {
	organization, err := b.existingOrganization(ctx, request.OrganizationID)
	if err != nil {
		return nil, err
	}
	return &protocol.AdministrationStatusReply{
		IsBootstrapped:             organization.Bootstrapped(),
		ExpirationDate:             organization.ExpirationDate,
		UserProfileOutsiderAllowed: organization.UserProfileOutsiderAllowed,
	}, nil
}

// AdministrationStats sums up an organization
// (docs/protocol/administration.md §2).
func (b *Backend) AdministrationStats(ctx context.Context, request *protocol.AdministrationStatsRequest) (*protocol.AdministrationStatsReply, error) {
	statistics, err := b.statistics(ctx, request.OrganizationID)
	if err != nil {
		return nil, err
	}
	active, revoked := statistics.users()
	return &protocol.AdministrationStatsReply{
		Users:        active + revoked,
		DataSize:     statistics.DataSize,
		MetadataSize: statistics.MetadataSize,
		Workspaces:   statistics.Realms,
	}, nil
}

// AdministrationUpdate changes the settings that the request gives
// (docs/protocol/administration.md §2).
func (b *Backend) AdministrationUpdate(ctx context.Context, request *protocol.AdministrationUpdateRequest) (*protocol.AdministrationUpdateReply, error) {
	err := b.updateOrganization(ctx, request.OrganizationID, func(organization *Organization) {
		if date := request.ExpirationDate; date == nil || *date != protocol.Unchanged {
			organization.ExpirationDate = date
		}
		if request.UserProfileOutsiderAllowed != nil {
			organization.UserProfileOutsiderAllowed = *request.UserProfileOutsiderAllowed
		}
	})
	if err != nil {
		return nil, err
	}
	return &protocol.AdministrationUpdateReply{}, nil
}

// updateOrganization refuses an organization that does not exist. change may
// be called again.
func (b *Backend) updateOrganization(ctx context.Context, id parsec.OrganizationID, change func(*Organization)) error {
	return b.store.Update(ctx, Scope{Organization: id, LockOrganization: true}, func(tx Tx) error {
		stored, found := tx.Organization()
		if !found {
			return errOrganizationNotFound
		}
		changed := *stored
		change(&changed)
		putOrganization(tx, stored, changed)
		return nil
	})
}

// putOrganization stores the organization and tells when its expiration
// changes.
func putOrganization(tx Tx, stored *Organization, changed Organization) {
	tx.PutOrganization(changed)
	if !sameDate(stored.ExpirationDate, changed.ExpirationDate) {
		tx.Emit(event.Event{
			Organization: changed.ID, Body: event.OrganizationExpiration{Date: changed.ExpirationDate},
		})
	}
}

func sameDate(a, b *parsec.DateTime) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// FreezeUser keeps a user out, or lets it in again; a user that is frozen
// already is fine. It returns ErrUserNotFound for a user that may not be
// frozen, and refuses an organization that does not exist
// (docs/protocol/administration.md §4).
func (b *Backend) FreezeUser(ctx context.Context, organization parsec.OrganizationID, id parsec.UserID, frozen bool) error {
	return b.store.Update(ctx, Scope{Organization: organization, LockOrganization: true}, func(tx Tx) error {
		if _, found := tx.Organization(); !found {
			return errOrganizationNotFound
		}
		user, found, err := tx.User(ctx, id)
		if err != nil {
			return err
		}
		if !found || user.Revocation != nil || user.HumanHandle == (parsec.HumanHandle{}) {
			return ErrUserNotFound
		}
		tx.FreezeUser(id, frozen)
		if frozen {
			tx.Emit(event.Event{Organization: organization, Body: event.UserFrozen{User: id}})
		}
		return nil
	})
}
