package rules

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/netip"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// bootstrapTokenBytes is the size of a bootstrap token before its hexadecimal
// form (docs/protocol/types.md §1).
const bootstrapTokenBytes = 32

// Administrator is whoever gave the administration token.
type Administrator struct {
	// Address is where the request came from.
	Address netip.Addr
}

// OrganizationChange is what an administrator gives of an organization; nil is
// not given (docs/protocol/administration.md §2 and §4).
type OrganizationChange struct {
	// Expiration is the form of API 1, Expired that of REST: expired from now
	// on, or not expired; one that is as asked already stays as it is.
	Expiration                 *Expiration
	Expired                    *bool
	UserProfileOutsiderAllowed *bool
	ActiveUsersLimit           *UsersLimit
	MinimumArchivingPeriod     *uint64
}

// Expiration is a date, nil for never.
type Expiration struct{ Date *parsec.DateTime }

// UsersLimit is a number, nil for no limit.
type UsersLimit struct{ Users *uint64 }

func (c *OrganizationChange) apply(organization *Organization, now parsec.DateTime) {
	if c.Expiration != nil {
		organization.ExpirationDate = c.Expiration.Date
	}
	if c.Expired != nil && *c.Expired != organization.Expired(now) {
		organization.ExpirationDate = nil
		if *c.Expired {
			organization.ExpirationDate = &now
		}
	}
	if c.UserProfileOutsiderAllowed != nil {
		organization.UserProfileOutsiderAllowed = *c.UserProfileOutsiderAllowed
	}
	if c.ActiveUsersLimit != nil {
		organization.ActiveUsersLimit = c.ActiveUsersLimit.Users
	}
	if c.MinimumArchivingPeriod != nil {
		organization.MinimumArchivingPeriod = *c.MinimumArchivingPeriod
	}
}

// CreateOrganization creates an organization, or replaces one that is not
// bootstrapped, and gives its bootstrap token. What is not given has the
// settings of new organizations.
func (r *Rules) CreateOrganization(ctx context.Context, by Administrator, id parsec.OrganizationID, given OrganizationChange) (token string, err error) {
	now := r.now()
	created := r.newOrganization(id, now)
	created.BootstrapToken = newBootstrapToken()
	given.apply(&created, now)
	err = r.store.Update(ctx, Scope{Organization: id, LockOrganization: true}, func(tx Tx) error {
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
	if err != nil {
		return "", err
	}
	r.audit(ctx, by, "create_organization", id, slog.GroupAttrs("after", organizationSettings(&created)...))
	return created.BootstrapToken, nil
}

func newBootstrapToken() string {
	token := make([]byte, bootstrapTokenBytes)
	rand.Read(token) // never fails
	return hex.EncodeToString(token)
}

// UpdateOrganization changes what is given. It refuses an organization that
// does not exist.
func (r *Rules) UpdateOrganization(ctx context.Context, by Administrator, id parsec.OrganizationID, given OrganizationChange) error {
	now := r.now()
	var before, after Organization
	err := r.store.Update(ctx, Scope{Organization: id, LockOrganization: true}, func(tx Tx) error {
		stored, found := tx.Organization()
		if !found {
			return errOrganizationNotFound
		}
		before, after = *stored, *stored
		given.apply(&after, now)
		putOrganization(tx, &before, after)
		return nil
	})
	if err != nil {
		return err
	}
	r.auditChange(ctx, by, "update_organization", id, organizationSettings(&before), organizationSettings(&after))
	return nil
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

// AdministrationCreate is CreateOrganization in the form of API 1.
func (r *Rules) AdministrationCreate(ctx context.Context, by Administrator, request *protocol.AdministrationCreateRequest) (*protocol.AdministrationCreateReply, error) {
	token, err := r.CreateOrganization(ctx, by, request.OrganizationID, OrganizationChange{Expiration: &Expiration{request.ExpirationDate}})
	if err != nil {
		return nil, err
	}
	return &protocol.AdministrationCreateReply{BootstrapToken: token, ExpirationDate: request.ExpirationDate}, nil
}

// AdministrationUpdate is UpdateOrganization in the form of API 1.
func (r *Rules) AdministrationUpdate(ctx context.Context, by Administrator, request *protocol.AdministrationUpdateRequest) (*protocol.AdministrationUpdateReply, error) {
	given := OrganizationChange{UserProfileOutsiderAllowed: request.UserProfileOutsiderAllowed}
	if date := request.ExpirationDate; date == nil || *date != protocol.Unchanged {
		given.Expiration = &Expiration{date}
	}
	if err := r.UpdateOrganization(ctx, by, request.OrganizationID, given); err != nil {
		return nil, err
	}
	return &protocol.AdministrationUpdateReply{}, nil
}

// AdministrationStatus tells the state of an organization
// (docs/protocol/administration.md §2).
func (r *Rules) AdministrationStatus(ctx context.Context, _ Administrator, request *protocol.AdministrationStatusRequest) (*protocol.AdministrationStatusReply, error) {
	organization, err := r.existingOrganization(ctx, request.OrganizationID)
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
func (r *Rules) AdministrationStats(ctx context.Context, _ Administrator, request *protocol.AdministrationStatsRequest) (*protocol.AdministrationStatsReply, error) {
	statistics, err := r.StatisticsOf(ctx, request.OrganizationID)
	if err != nil {
		return nil, err
	}
	active, revoked := statistics.Users()
	return &protocol.AdministrationStatsReply{
		Users:        active + revoked,
		DataSize:     statistics.DataSize,
		MetadataSize: statistics.MetadataSize,
		Workspaces:   statistics.Realms,
	}, nil
}
