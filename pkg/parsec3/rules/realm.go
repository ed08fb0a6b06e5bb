package rules

import (
	"cmp"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
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

var (
	errRealmNotFound    = protocol.Refuse(protocol.StatusRealmNotFound)
	errRealmDeleted     = protocol.Refuse(protocol.StatusRealmDeleted)
	errRealmArchived    = protocol.Refuse(protocol.StatusRealmArchived)
	errAuthorNotAllowed = protocol.Refuse(protocol.StatusAuthorNotAllowed)
)

// RealmCreate creates the realm of a certificate by which its author becomes OWNER
// (docs/protocol/v5/commands.md §9.2).
func (r *Rules) RealmCreate(ctx context.Context, author *Author, request *protocol.RealmCreateRequest) (*protocol.RealmCreateReply, error) {
	now := r.now()
	role, invalid := checkOwnership(author, now, request.RealmRoleCertificate)
	err := r.update(ctx, author, now, realmScope(role.RealmID, role.Timestamp, invalid), func(tx Tx, user *User) error {
		if user.Profile == parsec.ProfileOutsider {
			return errAuthorNotAllowed
		}
		if invalid != nil {
			return invalid
		}
		if realm, exists := tx.Realm(); exists {
			return realm.refuse(protocol.StatusRealmAlreadyExists)
		}
		if err := checkGreater(role.Timestamp, tx.Topics().Common); err != nil {
			return err
		}
		tx.CreateRealm(author.User, signedBy(author, role.Timestamp, request.RealmRoleCertificate))
		emitRole(tx, author, role)
		return nil
	})
	return &protocol.RealmCreateReply{}, err
}

// RealmRename names a realm (docs/protocol/v5/commands.md §9.6).
func (r *Rules) RealmRename(ctx context.Context, author *Author, request *protocol.RealmRenameRequest) (*protocol.RealmRenameReply, error) {
	now := r.now()
	name, err := certificate.LoadRealmName(request.RealmNameCertificate, author.VerifyKey, author.Device)
	invalid := checkCertificate(now, name.Timestamp, err)
	err = r.update(ctx, author, now, realmScope(name.RealmID, name.Timestamp, invalid), func(tx Tx, _ *User) error {
		if invalid != nil {
			return invalid
		}
		realm, err := ownedRealm(tx)
		if err != nil {
			return err
		}
		if err := realm.checkKeyIndex(name.KeyIndex); err != nil {
			return err
		}
		if request.InitialNameOrFail && realm.Named {
			return realm.refuse(protocol.StatusInitialNameAlreadyExists)
		}
		if err := checkGreater(name.Timestamp, tx.Topics().Common, realm.Timestamp); err != nil {
			return err
		}
		tx.NameRealm(signedBy(author, name.Timestamp, request.RealmNameCertificate))
		emitRealmCertificate(tx, author, realm.ID, name.Timestamp)
		return nil
	})
	return &protocol.RealmRenameReply{}, err
}

// checkCertificate refuses a certificate that did not load, or whose date is out of the
// window.
func checkCertificate(now, date parsec.DateTime, failure error) error {
	if failure != nil {
		return errInvalidCertificate
	}
	return checkBallpark(now, date)
}

// realmScope is for what may grow the topic of a realm at a date. Invalid is why its
// certificate is refused, nil if it is good: nothing is locked for a bad one.
func realmScope(realm parsec.RealmID, date parsec.DateTime, invalid error) Scope {
	if invalid != nil {
		return Scope{}
	}
	return Scope{Common: Shared, Realm: realm, RealmLock: Exclusive, Date: date}
}

// existingRealm returns the realm of the scope, unless it is not there or deleted.
func existingRealm(tx Tx) (*Realm, error) {
	realm, found := tx.Realm()
	if !found {
		return nil, errRealmNotFound
	}
	return realm, realm.checkNotDeleted()
}

// ownedRealm is existingRealm for what only an OWNER may do.
func ownedRealm(tx Tx) (*Realm, error) {
	realm, err := existingRealm(tx)
	if err == nil && realm.Role != parsec.RoleOwner {
		err = errAuthorNotAllowed
	}
	return realm, err
}

// writableRealm is existingRealm for whoever writes data.
func writableRealm(tx Tx) (*Realm, error) {
	realm, err := existingRealm(tx)
	if err != nil {
		return nil, err
	}
	return realm, realm.checkWritable()
}

// checkWritable wants data of a realm that is not deleted to be the user's to write.
func (r *Realm) checkWritable() error {
	if r.archived() {
		return errRealmArchived
	}
	if !r.Role.Writes() {
		return errAuthorNotAllowed
	}
	return nil
}

// checkReading applies the rows that the tables of reads of data begin with; realm is
// nil if it is not found.
func (r *Rules) checkReading(standing Standing, realm *Realm) error {
	if err := checkStanding(standing.Organization, standing.User, r.now()); err != nil {
		return err
	}
	if realm == nil {
		return errRealmNotFound
	}
	return cmp.Or(realm.checkNotDeleted(), realm.checkMember())
}

func (r *Realm) checkNotDeleted() error {
	if r.Deleted {
		return errRealmDeleted
	}
	return nil
}

// checkMember wants the user who asks to have a role.
func (r *Realm) checkMember() error {
	if r.Role == parsec.RoleNone {
		return errAuthorNotAllowed
	}
	return nil
}

// checkKeyIndex wants the index of the current key; that of a realm without
// rotation is 0.
func (r *Realm) checkKeyIndex(index uint64) error {
	if index != r.KeyIndex {
		return r.refuse(protocol.StatusBadKeyIndex)
	}
	return nil
}

// archived reports whether no data may be written.
func (r *Realm) archived() bool {
	return r.Archiving == parsec.ArchivingArchived || r.Archiving == parsec.ArchivingDeletionPlanned
}

// refuse returns a refusal with the date of the realm's topic.
func (r *Realm) refuse(status protocol.Status) error {
	return protocol.RefuseAsOfRealm(status, r.Timestamp)
}

// emitRealmCertificate tells of a certificate that gives and takes no role.
func emitRealmCertificate(tx Tx, author *Author, realm parsec.RealmID, timestamp parsec.DateTime) {
	tx.Emit(event.Event{Organization: author.Organization, Body: notice.RealmCertificate{
		ID: notice.NewID(), Timestamp: timestamp, Realm: realm, User: author.User,
	}})
}

// RealmReader reads realms.
type RealmReader interface {
	// KeysBundle reads the keys bundle of a rotation, and the author's user's
	// latest access to it. The realm is nil if it is not found; the bundle is nil
	// if there is no such rotation, the access if the user has none; neither is
	// nil for having no bytes.
	KeysBundle(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, keyIndex uint64) (Standing, *Realm, KeysBundle, error)
}

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
	// RealmEnd reads what decides whether the realm of the scope may be deleted, nil
	// if there is none.
	RealmEnd(ctx context.Context) (*organization.RealmEnd, error)

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
	// bundles and accesses count no more and go, if not at once then soon; its
	// certificates stay.
	MarkRealmDeleted()
}
