package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// User is a user as it is now.
type User struct {
	ID          parsec3.UserID
	HumanHandle parsec.HumanHandle
	// Profile is the one of its last update.
	Profile   parsec.UserProfile
	CreatedOn parsec.DateTime
	// RevokedOn is nil for an active user.
	RevokedOn *parsec.DateTime
	Frozen    bool
	// TOSAcceptedOn is nil until the user accepts terms of service.
	TOSAcceptedOn *parsec.DateTime
}

// UserReader reads users.
type UserReader interface {
	// FrozenUsers lists the users that are frozen, by date of creation.
	FrozenUsers(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (Standing, []parsec3.UserID, error)
	// Users lists all users, by date of creation.
	Users(ctx context.Context, organization parsec.OrganizationID) ([]User, error)
}

// UserTx is for users.
type UserTx interface {
	// User returns a user, false if there is none.
	User(ctx context.Context, id parsec3.UserID) (*User, bool, error)
	// UserByEmail returns the user with an e-mail that is not revoked, false if
	// there is none.
	UserByEmail(ctx context.Context, email string) (*User, bool, error)
	// ActiveUsers counts those that are not revoked.
	ActiveUsers(ctx context.Context) (uint64, error)
	// Traces returns what the revocation of a user, and its change to OUTSIDER,
	// must follow (docs/protocol/v5/commands.md §8.4 and §8.5).
	Traces(ctx context.Context, id parsec3.UserID) (Traces, error)

	// CreateUser adds a user with its first device and their certificates, which
	// share one date.
	CreateUser(user User, certificate Certificate, device Device, deviceCertificate Certificate)
	// UpdateProfile sets the profile of a user.
	UpdateProfile(id parsec3.UserID, profile parsec.UserProfile, certificate Certificate)
	// RevokeUser revokes a user as of the certificate's date.
	RevokeUser(id parsec3.UserID, certificate Certificate)
	// FreezeUser keeps a user out, or lets it in again.
	FreezeUser(id parsec3.UserID, frozen bool)
	// AcceptTOS sets when a user accepted the terms of service.
	AcceptTOS(id parsec3.UserID, on parsec.DateTime)
}

// Traces are dates that a user has left in an organization; zero for none.
type Traces struct {
	// Realms is the last date of the topics of the realms where the user has a
	// role now, and of the vlobs in them.
	Realms parsec.DateTime
	// Signed is the last date of what the devices of the user have signed:
	// certificates and vlobs, in any realm.
	Signed parsec.DateTime
	// Shamir is the last date of the Shamir certificates whose owner or recipient
	// is the user.
	Shamir parsec.DateTime
	// Managing is the last date of the certificates that gave the user the role
	// OWNER or MANAGER, in realms that it has left too.
	Managing parsec.DateTime
}
