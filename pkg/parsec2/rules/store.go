package rules

import (
	"context"
	"errors"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// ErrUnavailable is, by errors.Is, what a store fails with when it cannot do now
// what it may do later: its database is out of reach, or was lost on the way,
// takes no writes, has no room left, or is busy for too long. Whether a change is
// made is not known when the database was lost while it was committed.
var ErrUnavailable = errors.New("the state is out of reach for now")

// ErrNoRoom is what Ready fails with while what is written does not fit on the
// disk of the database, and all can be read.
var ErrNoRoom = errors.New("the disk of the database is full")

// Store keeps the state of every organization. Each method of Reader is one
// consistent snapshot. A store copies the bytes that it is given, and callers
// do not change the bytes that it gives.
//
// storetest is the suite that every store passes.
type Store interface {
	Reader

	// Update runs rule on the facts that scope names, under its locks. When
	// rule returns nil, the effects queued on the transaction are applied and
	// its events published, in commit order, as one transaction; when it
	// returns an error, nothing is, and Update returns that error. A store may
	// run rule again, on fresh facts, when the transaction must be retried.
	Update(ctx context.Context, scope Scope, rule func(Tx) error) error

	// NewUploadToken gives a token for one upload of this process.
	NewUploadToken() parsec.UUID
	// ReserveBlock reads what block_create needs for a user, and, when the
	// realm is found and the block neither exists nor is reserved by another
	// upload beyond now, reserves the block for upload. It is one step: of
	// several reservations at once one holds. That of a process which the store
	// knows to be dead does not count.
	ReserveBlock(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, realm parsec.RealmID, upload BlockUpload, now parsec.DateTime) (BlockReservation, error)
	// ReleaseBlock ends the reservation that has the token, if there is one.
	ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error

	// TakeHeard reads what a side of a conduit waits for and, when the exchange
	// that it waits in has ended, makes the half's Heard its Taken; what it gives
	// is as before that. It is one step.
	TakeHeard(ctx context.Context, organization parsec.OrganizationID, key ConduitKey, side Side, exchange uint64) (ConduitFacts, error)
	// RenewPresences moves the leases of connections to until.
	RenewPresences(ctx context.Context, connections []parsec.UUID, until parsec.DateTime) error
	// ForgetConduits clears what the conduits hold of the invitations deleted at
	// the date or before.
	ForgetConduits(ctx context.Context, deleted parsec.DateTime) error

	// Publish delivers an event that comes with no change of state.
	Publish(ctx context.Context, event event.Event) error

	// Ready tells why the store cannot serve, in words that anybody may read,
	// nil if it can.
	Ready(ctx context.Context) error
}

// Scope names what a transaction works on. Locks are taken in this order:
// organization, realm, recipients (docs/protocol/commands.md §10).
type Scope struct {
	Organization parsec.OrganizationID
	// LockOrganization excludes every other transaction of the organization:
	// for users, devices, bootstrap, administration and sequester services.
	// Otherwise the organization's lock is shared.
	LockOrganization bool
	// Author gives Tx.Author, none if zero.
	Author parsec.DeviceID
	// Realm gives Tx.Realm, by its id or by that of one of its vlobs.
	Realm parsec.RealmID
	Vlob  parsec.VlobID
	// Block gives Tx.Block, with RealmData; none if zero.
	Block parsec.BlockID
	// Invitation excludes every other transaction on the invitation, and gives
	// Tx.Invitation; none if zero. With Greeter it gives Tx.Conduit.
	Invitation parsec.InvitationToken
	Greeter    parsec.UserID
	// By tells which of realm and vlob is given, and how the realm is locked.
	By RealmScope
}

// RealmScope tells how a transaction works on a realm.
type RealmScope uint8

const (
	// NoRealm leaves Tx.Realm without realm.
	NoRealm RealmScope = iota
	// RealmExclusive is for roles, archiving, maintenance and batches: it
	// excludes every other transaction on Scope.Realm.
	RealmExclusive
	// RealmData is for creating Scope.Block in Scope.Realm: it excludes
	// RealmExclusive, and other creations and reservations of the block once it
	// is reserved.
	RealmData
	// RealmVlobCreate is for creating Scope.Vlob in Scope.Realm: it excludes
	// RealmExclusive, other writes of vlobs in the realm, and other creations
	// of the vlob. It gives Tx.Vlob.
	RealmVlobCreate
	// RealmVlobUpdate is for updating Scope.Vlob; the realm is the vlob's. It
	// excludes what RealmVlobCreate does. It gives Tx.Vlob.
	RealmVlobUpdate
)

// Tx is a transaction: facts under lock, then effects that are queued until
// the rule returns. It is not safe for concurrent use. Facts that come with
// the scope cost nothing; the methods with a context ask the store, and do not
// see the effects queued. The users and devices that effects name exist, if
// only by an earlier effect of the same transaction; certifiers need not.
type Tx interface {
	OrganizationTx
	UserTx
	RealmTx
	VlobTx
	MessageTx
	InviteTx
	ShamirTx
	PKITx

	// Emit queues an event, published after the commit in the order of the
	// calls.
	Emit(event event.Event)
}

// OrganizationTx is for organizations and their sequester services.
type OrganizationTx interface {
	// Organization is that of the scope; false if there is none.
	Organization() (*Organization, bool)
	// PutOrganization creates or replaces that of the scope.
	PutOrganization(organization Organization)
	// SequesterServices lists all services in creation order. It is locked
	// against changes for the duration of the transaction.
	SequesterServices(ctx context.Context) ([]SequesterService, error)
	// PutSequesterService creates or replaces a service.
	PutSequesterService(service SequesterService)
}

// UserTx is for users and devices; its effects need LockOrganization.
type UserTx interface {
	// Author is the user of the scope's author; false if the device or user
	// does not exist.
	Author() (*User, bool)
	User(ctx context.Context, id parsec.UserID) (*User, bool, error)
	// UserByEmail is the user that is not revoked and has this e-mail.
	UserByEmail(ctx context.Context, email string) (*User, bool, error)
	Device(ctx context.Context, id parsec.DeviceID) (*Device, bool, error)
	// HumanTaken tells whether a user that is not revoked has this e-mail.
	HumanTaken(ctx context.Context, email string) (bool, error)
	// ActiveUsers counts the users that are not revoked, and among them the
	// administrators that are neither frozen.
	ActiveUsers(ctx context.Context) (users, administrators uint64, err error)

	// CreateUser creates a user that is neither revoked nor frozen.
	CreateUser(user User)
	CreateDevice(device Device)
	RevokeUser(id parsec.UserID, revocation Revocation)
	FreezeUser(id parsec.UserID, frozen bool)
}

// RealmTx is for realms; its effects need RealmExclusive.
type RealmTx interface {
	// Realm is that of the scope; false if there is none. Its Member is the
	// author's user.
	Realm() (*Realm, bool)
	// Member is what the realm of the scope knows of another user.
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
	// StartMaintenance sets the maintenance and adds one to the encryption
	// revision.
	StartMaintenance(maintenance Maintenance)
	// FinishMaintenance clears the maintenance; the revision stays.
	FinishMaintenance()

	// ReencryptionProgress counts the versions of the previous revision, and
	// those saved in the current one.
	ReencryptionProgress(ctx context.Context) (total, done uint64, err error)
	// SaveReencrypted stores the items that are versions of the previous
	// revision of this realm and not saved yet, and gives the progress after
	// it. It is the one effect that is done at once.
	SaveReencrypted(ctx context.Context, items []protocol.ReencryptionItem) (total, done uint64, err error)
}

// VlobTx is for vlobs and blocks.
type VlobTx interface {
	// Vlob is that of the scope; false if there is none in the organization.
	Vlob() (*Vlob, bool)
	// WriteVlob stores a version of the scope's vlob in the scope's realm at
	// the current revision, with its sequester copies, appends the entry
	// checkpoint to the realm's log (the realm's checkpoint + 1), and raises
	// the author's LastVlobUpdate.
	WriteVlob(version VlobVersion, checkpoint uint64, sequester map[parsec.SequesterServiceID][]byte)
	// Block tells whether the block of the scope exists in the organization,
	// and its upload under way, nil if none.
	Block() (exists bool, upload *BlockUpload)
	// CreateBlock stores the metadata of the block of the scope, in place of
	// its upload.
	CreateBlock(block Block)
}

// MessageTx is for messages.
type MessageTx interface {
	// MessageCounts locks the lists of the recipients, in order of their ids,
	// and gives the number of messages in each.
	MessageCounts(ctx context.Context, recipients []parsec.UserID) (map[parsec.UserID]uint64, error)
	AddMessage(message Message)
}

// InviteTx is for invitations.
type InviteTx interface {
	InvitationV1(ctx context.Context, invitee InviteeV1) (*InvitationV1, bool, error)
	// PutInvitationV1 creates or replaces the invitation.
	PutInvitationV1(invitee InviteeV1, invitation InvitationV1)
	DeleteInvitationV1(invitee InviteeV1)

	// Invitation is that of the scope; false if there is none.
	Invitation() (*Invitation, bool)
	// Conduit is that of the scope's invitation and greeter; false if there is
	// none.
	Conduit() (*Conduit, bool)
	// PendingInvitation finds the oldest invitation that is not deleted, of
	// this type, greeter and claimer's e-mail. LockOrganization keeps others
	// from coming.
	PendingInvitation(ctx context.Context, kind parsec.InvitationType, greeter parsec.UserID, claimerEmail string) (*Invitation, bool, error)
	// Recovery reads what a SHAMIR_RECOVERY invitation of the claimer depends
	// on. LockOrganization keeps it from changing.
	Recovery(ctx context.Context, claimer parsec.UserID) (RecoveryFacts, error)
	// Presences counts the connections present in the scope's invitation whose
	// leases last beyond now, but for one.
	Presences(ctx context.Context, now parsec.DateTime, but parsec.UUID) (uint64, error)

	// PutInvitation creates the invitation of its token, with the conduits of
	// its greeters, or replaces it; its greeters stay.
	PutInvitation(invitation Invitation)
	// PutConduit replaces the conduit of the scope.
	PutConduit(conduit Conduit)
	// MarkReceived sets Received in the conduits of the scope's invitation where
	// the claimer spoke last through the connection.
	MarkReceived(connection parsec.UUID)
	// AddPresence adds a connection to the scope's invitation, with a lease.
	AddPresence(connection parsec.UUID, until parsec.DateTime)
	// RemovePresence removes a connection, if it is there.
	RemovePresence(connection parsec.UUID)
	// DropPresences removes the connections of the scope's invitation whose
	// leases have ended.
	DropPresences(now parsec.DateTime)
}

// RecoveryFacts are nil for what does not exist.
type RecoveryFacts struct {
	Claimer *User
	// Setup is the current one.
	Setup *ShamirSetup
	// Invitation is that which is not deleted; its claimer has at most one.
	Invitation *Invitation
}

// ShamirTx is for Shamir recoveries; its effects need LockOrganization.
type ShamirTx interface {
	// ActiveAmong counts the distinct users that exist and are not revoked.
	ActiveAmong(ctx context.Context, users []parsec.UserID) (int, error)
	// ShamirRevealTokenUsed tells whether any setup has the token, current or
	// not.
	ShamirRevealTokenUsed(ctx context.Context, token parsec.UUID) (bool, error)
	// EndShamirSetup leaves the owner without current setup; it is kept.
	EndShamirSetup(owner parsec.UserID)
	// CreateShamirSetup makes the current setup of its owner, who has none, if
	// only by an earlier effect.
	CreateShamirSetup(setup ShamirSetup)
}

// PKITx is for PKI enrollments; its effects need LockOrganization.
type PKITx interface {
	PKIEnrollment(ctx context.Context, id parsec.EnrollmentID) (*PKIEnrollment, bool, error)
	// LatestPKIEnrollment is the last one submitted with the certificate, among
	// those that are SUBMITTED or ACCEPTED.
	LatestPKIEnrollment(ctx context.Context, certificate []byte) (*PKIEnrollment, bool, error)
	// SubmittedPKIBytes sums PKIEnrollment.Bytes of those that are SUBMITTED.
	SubmittedPKIBytes(ctx context.Context) (uint64, error)

	// SubmitPKIEnrollment adds an enrollment that is SUBMITTED.
	SubmitPKIEnrollment(enrollment PKIEnrollment)
	// DecidePKIEnrollment ends an enrollment that is SUBMITTED. What its
	// submitter sent becomes empty unless decision.KeepsSubmission.
	DecidePKIEnrollment(id parsec.EnrollmentID, decision PKIDecision)
}
