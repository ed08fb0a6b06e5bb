package rules

import (
	"cmp"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// Realm is the state of a realm and what it knows of the user who asks
// (docs/protocol/commands.md §1.7).
type Realm struct {
	ID parsec.RealmID
	// EncryptionRevision is already the new one during a reencryption.
	EncryptionRevision uint64
	Maintenance        Maintenance
	Archiving          Archiving
	// Deleted reports whether an operator deleted the realm for good, once its date was
	// reached.
	Deleted bool
	// Checkpoint is the index of the last entry of the change log, 0 if none.
	Checkpoint uint64
	// Member is the user who asks, or the author of the transaction.
	Member Member
}

// Member is what a realm knows of a user. A zero date is never: every date
// that passes the ballpark is later.
type Member struct {
	Role parsec.RealmRole
	// RoleCertifiedOn is the date of the latest role certificate of the user,
	// a removal included.
	RoleCertifiedOn parsec.DateTime
	// LastVlobUpdate is the latest date of the user's vlob writes,
	// LastRoleChange of the role certificates that it authored by
	// realm_update_roles, LastArchivingChange of its archiving certificates.
	LastVlobUpdate      parsec.DateTime
	LastRoleChange      parsec.DateTime
	LastArchivingChange parsec.DateTime
}

// RealmCreate creates the realm of a certificate by which its author becomes
// OWNER (docs/protocol/commands.md §6).
func (r *Rules) RealmCreate(ctx context.Context, author *Author, request *protocol.RealmCreateRequest) (*protocol.EmptyReply, error) {
	now := r.now()
	role, err := checkRealmCreate(author, now, request)
	if err != nil {
		return nil, err
	}
	err = r.updateAt(ctx, author, now, Scope{Realm: role.Realm, By: RealmExclusive}, func(tx Tx) error {
		if _, exists := tx.Realm(); exists {
			return errRealmExists
		}
		tx.CreateRealm(role.CertifiedOn)
		tx.AddRole(role)
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.RealmRolesUpdated{
			Realm: role.Realm, User: role.User, Role: role.Role,
		}})
		return nil
	})
	return &protocol.EmptyReply{}, err
}

// RealmStatus returns the maintenance of a realm (docs/protocol/commands.md
// §6).
func (r *Rules) RealmStatus(ctx context.Context, author *Author, request *protocol.RealmStatusRequest) (*protocol.RealmStatusReply, error) {
	realm, found, err := r.store.Realm(ctx, author.Organization, request.RealmID, author.User())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errRealmNotFound
	}
	if err := cmp.Or(realm.Member.checkReader(), realm.checkNotDeleted(r.now())); err != nil {
		return nil, err
	}
	reply := &protocol.RealmStatusReply{EncryptionRevision: realm.EncryptionRevision}
	if maintenance := realm.Maintenance; maintenance.Type != parsec.MaintenanceNone {
		reply.InMaintenance = true
		reply.MaintenanceType = maintenance.Type
		reply.MaintenanceStartedOn = &maintenance.StartedOn
		reply.MaintenanceStartedBy = maintenance.StartedBy
	}
	return reply, nil
}

// RealmStats sums up the data of a realm (docs/protocol/commands.md §6).
func (r *Rules) RealmStats(ctx context.Context, author *Author, request *protocol.RealmStatsRequest) (*protocol.RealmStatsReply, error) {
	realm, blocksSize, vlobsSize, found, err := r.store.RealmStatistics(ctx, author.Organization, request.RealmID, author.User())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errRealmNotFound
	}
	if err := cmp.Or(realm.Member.checkReader(), realm.checkNotDeleted(r.now())); err != nil {
		return nil, err
	}
	return &protocol.RealmStatsReply{BlocksSize: blocksSize, VlobsSize: vlobsSize}, nil
}

// RealmGetRoleCertificates returns every role certificate of a realm, even
// deleted (docs/protocol/commands.md §6).
func (r *Rules) RealmGetRoleCertificates(ctx context.Context, author *Author, request *protocol.RealmGetRoleCertificatesRequest) (*protocol.RealmGetRoleCertificatesReply, error) {
	realm, roles, found, err := r.store.RoleCertificates(ctx, author.Organization, request.RealmID, author.User())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errRealmNotFound
	}
	if err := realm.Member.checkReader(); err != nil {
		return nil, err
	}
	reply := &protocol.RealmGetRoleCertificatesReply{Certificates: make([][]byte, 0, len(roles))}
	for i := range roles {
		if request.Since == nil || roles[i].CertifiedOn > *request.Since {
			reply.Certificates = append(reply.Certificates, roles[i].Certificate)
		}
	}
	return reply, nil
}

// RealmReader reads realms, for a user: the Member of each realm. What a realm
// holds, certificates included, is read for users that have a role in it, and
// nothing of it for others, whom the rules refuse.
type RealmReader interface {
	Realm(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (*Realm, bool, error)
	// RealmStatistics sums the lengths of the blocks, and of all versions of
	// the vlobs as first uploaded, without scanning them.
	RealmStatistics(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (realm *Realm, blocksSize, vlobsSize uint64, found bool, err error)
	// RoleCertificates are in order of date, then of insertion.
	RoleCertificates(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (*Realm, []RoleCertificate, bool, error)
	// RealmsOf lists the realms where the user has a role.
	RealmsOf(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID) ([]Realm, error)
}

// RealmTx is for realms; its effects need RealmExclusive.
type RealmTx interface {
	// Realm returns the realm of the scope; false if there is none. Its Member
	// is the author's user.
	Realm() (*Realm, bool)
	// Member returns what the realm of the scope knows of another user.
	Member(ctx context.Context, user parsec.UserID) (Member, error)
	// Participants lists the users that have a role in the realm of the scope
	// and are not revoked.
	Participants(ctx context.Context) ([]parsec.UserID, error)

	// CreateRealm creates the realm of the scope: revision 1, no maintenance,
	// checkpoint 0.
	CreateRealm(createdOn parsec.DateTime)
	// AddRole appends a certificate and makes it the user's current role.
	AddRole(role RoleCertificate)
	// TouchRoleChange and TouchArchivingChange raise the user's dates to date
	// if it is later.
	TouchRoleChange(user parsec.UserID, date parsec.DateTime)
	TouchArchivingChange(user parsec.UserID, date parsec.DateTime)
	// AddArchiving appends a certificate and makes it the current one.
	AddArchiving(archiving Archiving, certificate []byte)
	// MarkRealmDeleted deletes the realm of the scope for good: its vlobs and blocks
	// count no more and go, if not at once then soon; its certificates stay.
	MarkRealmDeleted()
}

// The checks on realms (docs/protocol/commands.md §1.7 and §1.8). Each is one
// row of the tables of the commands, which compose them with cmp.Or in their
// own orders. They look at nothing but the facts that they are given.

var (
	errRealmNotFound         = protocol.Refuse(protocol.StatusNotFound, "No such realm.")
	errRealmExists           = protocol.Refuse(protocol.StatusAlreadyExists, "This realm already exists.")
	errRealmDeleted          = protocol.Refuse(protocol.StatusRealmDeleted, "The realm is deleted.")
	errRealmArchived         = protocol.Refuse(protocol.StatusRealmArchived, "The realm is archived.")
	errInMaintenance         = protocol.Refuse(protocol.StatusInMaintenance, "The realm is in maintenance.")
	errNotInMaintenance      = protocol.Refuse(protocol.StatusNotInMaintenance, "The realm is not in maintenance.")
	errBadEncryptionRevision = protocol.Refuse(protocol.StatusBadEncryptionRevision, "This is not the encryption revision of the realm.")
	errNoRole                = protocol.Refuse(protocol.StatusNotAllowed, "The author has no role in the realm.")
	errRoleTooLow            = protocol.Refuse(protocol.StatusNotAllowed, "The author's role in the realm is too low.")
)

// checkAfter is every rule of causality but C2.
func checkAfter(timestamp, last parsec.DateTime) error {
	if timestamp <= last {
		return protocol.RefuseRequireGreaterTimestamp(timestamp, last)
	}
	return nil
}

// checkNotBefore is rule C2 of causality.
func checkNotBefore(timestamp, last parsec.DateTime) error {
	if timestamp < last {
		return protocol.RefuseRequireGreaterTimestamp(timestamp, last)
	}
	return nil
}
