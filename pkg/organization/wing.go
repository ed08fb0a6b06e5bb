package organization

import (
	"context"
	"errors"

	"parsec-server/pkg/parsec"
)

// Wing is what one generation of the protocol knows of its organizations.
type Wing interface {
	// StatisticsOf returns the statistics of organizations, in the order given.
	// With at it counts what was there then: users, realms, versions and blocks
	// created until that instant, and of the users those revoked until then; it
	// may scan the data. Without, it does not.
	StatisticsOf(ctx context.Context, organizations []parsec.OrganizationID, at *parsec.DateTime) ([]Statistics, error)
	// People lists the users that administrators see, in order of creation: of API
	// 1 to 3 those that have a human handle, revoked ones included; of API 5 those
	// that are not revoked.
	People(ctx context.Context, organization parsec.OrganizationID) ([]User, error)
	// SetFrozen keeps a user out, or lets it in again; a user that is so
	// already is fine. The connections that the user has are closed, of API 1 to 3
	// either way. It returns the user as it was before, or ErrUserNotFound for one
	// that may not be frozen; of API 5 ErrUserRevoked for one that is chosen by its
	// id and revoked.
	SetFrozen(ctx context.Context, organization parsec.OrganizationID, choice UserChoice, frozen bool) (before User, err error)
	// BootstrapLink returns what clients of the generation bootstrap an organization
	// with, whose token an administrator made.
	BootstrapLink(location parsec.Location, token string) Link
}

// Link is an address for clients, and its form for e-mails, which the redirect route of
// the server turns back into it.
type Link struct{ URL, HTTPRedirection string }

// Wings are the wing of each generation.
type Wings map[Generation]Wing

// ErrOnlyParsec3 is returned for what organizations of API 1 to 3 do not have: sequester
// services that are managed next to running servers, one-time passwords.
var ErrOnlyParsec3 = errors.New("not an organization of Parsec 3")

// ofParsec3 returns the wing of an organization, as one that has what only Parsec 3 has. It
// returns what Find does, ErrNotFound for an organization that is not bootstrapped, and
// ErrOnlyParsec3.
func ofParsec3[W Wing](ctx context.Context, a *Administration, id parsec.OrganizationID) (wing W, err error) {
	found, err := a.Find(ctx, id)
	if err != nil {
		return wing, err
	}
	bound, is := a.wings[found.Bound()]
	if !is {
		return wing, ErrNotFound
	}
	if wing, is = bound.(W); !is {
		return wing, ErrOnlyParsec3
	}
	return wing, nil
}

// ErrUserNotFound is returned when no user can be frozen under that id or
// e-mail.
var ErrUserNotFound = errors.New("no such user, or it is revoked, or it has no human handle")

// ErrUserRevoked is returned when a user cannot be frozen because it is revoked,
// where that is told (docs/protocol/v5/administration.md §1.4).
var ErrUserRevoked = errors.New("the user is revoked")

// User is a user as an administrator sees it.
type User struct {
	ID          string
	HumanHandle parsec.HumanHandle
	Frozen      bool
}

// UserChoice names a user: by its id, or if Email is not nil by that.
type UserChoice struct {
	ID    string
	Email *string
}

// Statistics are sizes in bytes and numbers of objects. The size of a vlob
// counts each version once, as first uploaded; sequester copies and
// reencrypted copies are not counted.
type Statistics struct {
	DataSize     uint64
	MetadataSize uint64
	Realms       uint64
	// Active and Revoked count users by profile.
	Active  map[parsec.UserProfile]uint64
	Revoked map[parsec.UserProfile]uint64
}

// NewStatistics returns the statistics of an organization that holds nothing.
func NewStatistics() Statistics {
	return Statistics{Active: map[parsec.UserProfile]uint64{}, Revoked: map[parsec.UserProfile]uint64{}}
}

// Users counts users, frozen ones as active.
func (s *Statistics) Users() (active, revoked uint64) {
	for _, profile := range parsec.UserProfiles {
		active += s.Active[profile]
		revoked += s.Revoked[profile]
	}
	return active, revoked
}
