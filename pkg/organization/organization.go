// Package organization keeps which organizations exist, with what an
// administrator settles: settings, expiration, limits, bootstrap token. It
// serves every generation of the protocol. What only the generation of an
// organization knows (its users, what it holds) is asked of that generation's
// Wing.
package organization

import (
	"fmt"

	"parsec-server/pkg/event"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// Organization is an organization as stored
// (docs/protocol/administration.md §1).
type Organization struct {
	ID parsec.OrganizationID
	// BootstrapToken is "" for a spontaneous bootstrap.
	BootstrapToken string
	// RootVerifyKey is nil until the bootstrap.
	RootVerifyKey *parsec.VerifyKey
	// ExpirationDate is nil for an organization that does not expire. The
	// flag of later administration interfaces is a date in the past.
	ExpirationDate             *parsec.DateTime
	UserProfileOutsiderAllowed bool
	// ActiveUsersLimit is nil for no limit.
	ActiveUsersLimit *uint64
	// MinimumArchivingPeriod is in seconds.
	MinimumArchivingPeriod uint64
	// TOS are nil where users need not accept any; those of Parsec 2 never do.
	TOS *TOS
	// SequesterAuthorityCertificate is nil when not sequestered, and
	// SequesterVerifyKeyDER is the RSA key inside it.
	SequesterAuthorityCertificate []byte
	SequesterVerifyKeyDER         []byte
	CreatedOn                     parsec.DateTime
	BootstrappedOn                *parsec.DateTime
	// DeletedOn is since when the organization is being deleted (Deletions), nil if it
	// is not. It is expired, for good, and its name is taken until all is erased.
	DeletedOn *parsec.DateTime
	// Generation is what the bootstrap binds the organization to, 0 before. It is
	// also 0 where a server that knows no generations bootstrapped: use Bound.
	Generation Generation
	// Importing is while it comes from another server: it answers no client.
	Importing bool
}

// ErrImporting is what clients of an organization that is being imported are told: that
// it is out of reach, so that they come again.
var ErrImporting = fmt.Errorf("the organization is being imported: %w", outage.ErrUnavailable)

// TOS are terms of service: the address of the text in each language, never none
// (docs/protocol/v5/administration.md §1.2). Nobody changes them.
type TOS struct {
	PerLocaleURLs map[string]string
	UpdatedOn     parsec.DateTime
}

// Generation is a generation of the protocol, by the number of its product.
type Generation uint8

// The generations: Parsec2 of API 1 to 3, Parsec3 of API 5.
const (
	Parsec2 Generation = 2
	Parsec3 Generation = 3
)

// Bound returns the generation that the organization is bound to, 0 until its
// bootstrap.
func (o *Organization) Bound() Generation {
	if o.Generation == 0 && o.Bootstrapped() {
		return Parsec2
	}
	return o.Generation
}

// Bootstrapped reports whether the organization has its first user.
func (o *Organization) Bootstrapped() bool { return o.RootVerifyKey != nil }

// Expired reports whether the organization is closed at the instant now.
func (o *Organization) Expired(now parsec.DateTime) bool {
	return o.ExpirationDate != nil && *o.ExpirationDate <= now
}

// Sequestered reports whether vlobs need copies for sequester services.
func (o *Organization) Sequestered() bool { return o.SequesterAuthorityCertificate != nil }

// defaultMinimumArchivingPeriod is 30 days, in seconds
// (docs/protocol/administration.md §1).
const defaultMinimumArchivingPeriod = 30 * 24 * 3600

// Founding says how organizations come into being.
type Founding struct {
	// SpontaneousBootstrap lets anybody bootstrap an unknown organization.
	SpontaneousBootstrap bool
	// InitialActiveUsersLimit and InitialOutsiderAllowed are settings of new
	// organizations; a nil limit is none.
	InitialActiveUsersLimit *uint64
	InitialOutsiderAllowed  bool
	// InitialMinimumArchivingPeriod is in seconds; nil is 30 days.
	InitialMinimumArchivingPeriod *uint64
	// InitialTOS has the address of the terms of service in each language; empty is
	// none.
	InitialTOS map[string]string
}

// New returns an organization without bootstrap token, with the settings of
// new organizations.
func (f Founding) New(id parsec.OrganizationID, now parsec.DateTime) Organization {
	period := uint64(defaultMinimumArchivingPeriod)
	if f.InitialMinimumArchivingPeriod != nil {
		period = *f.InitialMinimumArchivingPeriod
	}
	return Organization{
		ID:                         id,
		UserProfileOutsiderAllowed: f.InitialOutsiderAllowed,
		ActiveUsersLimit:           f.InitialActiveUsersLimit,
		MinimumArchivingPeriod:     period,
		TOS:                        newTOS(f.InitialTOS, now),
		CreatedOn:                  now,
	}
}

// Spontaneous reports whether anybody may bootstrap the organization: it is
// nil, for one that does not exist, and the settings allow it.
func (f Founding) Spontaneous(stored *Organization) bool {
	return stored == nil && f.SpontaneousBootstrap
}

// Change is what an administrator changes of an organization; what is nil
// stays (docs/protocol/administration.md §2 and §4).
type Change struct {
	// Expiration is the form of API 1. Expired is that of REST: expired from
	// now on, or not expired; an organization that already is as asked stays
	// as it is.
	Expiration                 *Expiration
	Expired                    *bool
	UserProfileOutsiderAllowed *bool
	ActiveUsersLimit           *UsersLimit
	MinimumArchivingPeriod     *uint64
	// TOS replaces the terms of service, or removes them. It means nothing to an
	// organization of Parsec 2.
	TOS *TOSChange
}

// Expiration is a date, nil for never.
type Expiration struct{ Date *parsec.DateTime }

// UsersLimit is a number, nil for no limit.
type UsersLimit struct{ Users *uint64 }

// TOSChange is the address of the text in each language; empty is no terms: a client
// would show nothing to accept (docs/protocol/v5/administration.md §1.2).
type TOSChange struct{ PerLocaleURLs map[string]string }

func newTOS(perLocaleURLs map[string]string, now parsec.DateTime) *TOS {
	if len(perLocaleURLs) == 0 {
		return nil
	}
	return &TOS{PerLocaleURLs: perLocaleURLs, UpdatedOn: now}
}

func (c *Change) apply(organization *Organization, now parsec.DateTime) {
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
	if c.TOS != nil && organization.Bound() != Parsec2 {
		// Who has accepted the former terms has not accepted these, whatever the clocks of
		// two instances say.
		if former := organization.TOS; former != nil {
			now = max(now, former.UpdatedOn+1)
		}
		organization.TOS = newTOS(c.TOS.PerLocaleURLs, now)
	}
}

// put stores the organization, and emits what of it changes for who is connected.
func put(tx Tx, stored *Organization, changed Organization) {
	tx.PutOrganization(changed)
	if !parsec.Same(stored.ExpirationDate, changed.ExpirationDate) {
		tx.Emit(event.Event{
			Organization: changed.ID, Body: event.OrganizationExpiration{Date: changed.ExpirationDate},
		})
	}
	if stored.TOS != changed.TOS {
		tx.Emit(event.Event{Organization: changed.ID, Body: event.OrganizationTOSUpdated{}})
	}
}
