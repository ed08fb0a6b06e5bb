package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Realm is a realm as it is now (docs/protocol/v5/commands.md §7).
type Realm struct {
	ID parsec.RealmID
	// KeyIndex is that of the last key rotation, 0 before the first.
	KeyIndex uint64
	// Timestamp is the date of the last certificate of the realm's topic.
	Timestamp parsec.DateTime
	// LastVlob is the last date of a version of a vlob, zero for none.
	LastVlob parsec.DateTime
	// Checkpoint is the number of writes of vlobs.
	Checkpoint uint64
	// Named reports whether the realm has a name.
	Named bool
	// Archiving is the type of the last archiving certificate, AVAILABLE before
	// the first.
	Archiving parsec.ArchivingType
	Deleted   bool
	// Role is that of who asks.
	Role parsec.RealmRole
}

// Member is a user that has a role in a realm now.
type Member struct {
	User    parsec3.UserID
	Role    parsec.RealmRole
	Profile parsec.UserProfile
	Revoked bool
}

// KeyRotation is a new key of a realm.
type KeyRotation struct {
	KeyIndex   uint64
	KeysBundle []byte
	// Participants and Services have the access to the bundle of each.
	Participants map[parsec3.UserID][]byte
	Services     map[parsec.SequesterServiceID][]byte
}

// RealmReader reads realms.
type RealmReader interface {
	// KeysBundle reads the keys bundle of a rotation, and the author's user's
	// latest access to it. The realm is nil if it is not found; the bundle is nil
	// if there is no such rotation, the access if the user has none; neither is
	// nil for having no bytes.
	KeysBundle(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, keyIndex uint64) (Standing, *Realm, KeysBundle, error)
}

// KeysBundle is a keys bundle and one access to it.
type KeysBundle struct{ Bundle, Access []byte }

// RealmTx is for realms.
type RealmTx interface {
	// Realm returns the realm of the scope, with the role of the author's user;
	// false if there is none.
	Realm() (*Realm, bool)
	// RealmRole returns the role of a user in the realm of the scope.
	RealmRole(ctx context.Context, user parsec3.UserID) (parsec.RealmRole, error)
	// Members lists the users that have a role in the realm of the scope, revoked
	// ones included.
	Members(ctx context.Context) ([]Member, error)

	// CreateRealm creates the realm of the scope with its first role.
	CreateRealm(owner parsec3.UserID, certificate Certificate)
	// SetRole gives a user a role in the realm of the scope, or takes it. The
	// access, if it is not nil, is to the keys bundle of the last rotation.
	SetRole(user parsec3.UserID, role parsec.RealmRole, access []byte, certificate Certificate)
	// NameRealm names the realm of the scope.
	NameRealm(certificate Certificate)
	// RotateKey adds a key to the realm of the scope.
	RotateKey(rotation KeyRotation, certificate Certificate)
	// ArchiveRealm sets the archiving of the realm of the scope. The date is of
	// the deletion that is planned, nil for none.
	ArchiveRealm(archiving parsec.ArchivingType, deletion *parsec.DateTime, certificate Certificate)
	// MarkRealmDeleted deletes the realm of the scope: its vlobs, blocks, keys
	// bundles and accesses go, its certificates stay.
	MarkRealmDeleted()
}
