package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// Reader gives the facts of one command, in one consistent snapshot a call.
// What does not exist is a false, not an error; the facts found so far are
// still given, so that rules can refuse in the order of their tables.
type Reader interface {
	OrganizationReader
	UserReader
	RealmReader
	VlobReader
	ShamirReader
	PKIReader
}

// OrganizationReader reads organizations and invitations.
type OrganizationReader interface {
	Organization(ctx context.Context, id parsec.OrganizationID) (*Organization, bool, error)
	// OrganizationStatistics does not scan the organization's data.
	OrganizationStatistics(ctx context.Context, id parsec.OrganizationID) (Statistics, error)
	// Survey sums up at most limit organizations, in byte order of their ids,
	// that come after one; the zero id comes before all. With at it leaves out
	// organizations created after that instant, counts what was there then, and
	// may scan the data; without, it does not.
	Survey(ctx context.Context, after parsec.OrganizationID, limit int, at *parsec.DateTime) ([]SurveyedOrganization, error)
	// SequesterServices lists all services in creation order.
	SequesterServices(ctx context.Context, organization parsec.OrganizationID) ([]SequesterService, error)
	// Invitation reads the organization and the invitation.
	Invitation(ctx context.Context, organization parsec.OrganizationID, token parsec.InvitationToken) (InvitationFacts, error)
	// Invitations lists the invitations that have this greeter and are not
	// deleted, oldest first, with the connections present at the instant now.
	Invitations(ctx context.Context, organization parsec.OrganizationID, greeter parsec.UserID, now parsec.DateTime) ([]PendingInvitation, error)
	// LapsedPresences lists invitations, not all if they are many, that have
	// connections whose leases have ended.
	LapsedPresences(ctx context.Context, now parsec.DateTime) ([]LapsedPresence, error)
	// InvitationV1 reads the invitation, and whether the invitee exists.
	InvitationV1(ctx context.Context, organization parsec.OrganizationID, invitee InviteeV1) (InvitationV1Facts, error)
}

// SurveyedOrganization is an organization, and what it holds.
type SurveyedOrganization struct {
	Organization Organization
	Statistics   Statistics
}

// InvitationFacts are nil for what does not exist.
type InvitationFacts struct {
	Organization *Organization
	Invitation   *Invitation
	// Greeter is the creator of the invitation.
	Greeter *User
	// Recovery is the current setup of the invitation's Claimer.
	Recovery *Recovery
}

// Recovery is a Shamir recovery as its owner sees it in an invitation.
type Recovery struct {
	Threshold uint64
	// Recipients are in order of their ids.
	Recipients []RecoveryRecipient
}

// RecoveryRecipient is a user who has shares of a recovery.
type RecoveryRecipient struct {
	User        parsec.UserID
	HumanHandle parsec.HumanHandle
	Shares      uint64
	Revoked     bool
}

// PendingInvitation is an invitation as its greeter sees it.
type PendingInvitation struct {
	Invitation Invitation
	// Ready tells that a claimer is connected.
	Ready bool
}

// LapsedPresence names an invitation.
type LapsedPresence struct {
	Organization parsec.OrganizationID
	Token        parsec.InvitationToken
}

// ConduitFacts are nil for what does not exist.
type ConduitFacts struct {
	InvitationFacts
	Conduit *Conduit
}

// InvitationV1Facts are nil for what does not exist.
type InvitationV1Facts struct {
	Invitation *InvitationV1
	// InviteeExists tells that the user or device is created, revoked or not.
	InviteeExists bool
}

// UserReader reads users, devices and messages.
type UserReader interface {
	// Authentication reads what a device's authentication needs.
	Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec.DeviceID) (AuthenticationFacts, error)
	// UserAndDevices reads a user, all its devices in creation order, and the
	// users and devices that lead from their certifiers to the root key
	// (docs/protocol/commands.md §4, trustchain).
	UserAndDevices(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID) (UserFacts, bool, error)
	// FindUsers lists the users that query.Select selects among all users of
	// the organization, with the number of matches.
	FindUsers(ctx context.Context, organization parsec.OrganizationID, query UserQuery) ([]User, uint64, error)
	// Users lists all users in byte order of their ids, without certificates.
	Users(ctx context.Context, organization parsec.OrganizationID) ([]User, error)
	// Messages lists the messages of user after the first offset ones, in order:
	// as many as have together at most so many bytes (protocol.Message), but at
	// least one whatever its size. left tells that there are more.
	Messages(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, offset, bytes uint64) (messages []Message, left bool, err error)
}

// AuthenticationFacts are nil for what does not exist.
type AuthenticationFacts struct {
	Organization *Organization
	Device       *Device
	User         *User
}

// UserFacts is a user with what verifies it.
type UserFacts struct {
	User    User
	Devices []Device
	// ChainDevices and ChainUsers are the devices of the trustchain and their
	// users, each once.
	ChainDevices []Device
	ChainUsers   []User
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
	// RoleChanges lists those of every realm, without certificates, in order of
	// date, those of one date and realm in order of insertion.
	RoleChanges(ctx context.Context, organization parsec.OrganizationID) ([]RoleCertificate, error)
	// RealmsOf lists the realms where the user has a role.
	RealmsOf(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID) ([]Realm, error)
	// ReencryptionBatch lists the versions selected of the previous revision
	// that are not saved in the current one.
	ReencryptionBatch(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection BatchSelection) (*Realm, []protocol.ReencryptionItem, bool, error)
}

// BatchSelection selects versions to reencrypt.
type BatchSelection struct {
	Realm parsec.RealmID
	// Role is that of the users for whom any is read.
	Role parsec.RealmRole
	// Items bounds their number, and Bytes the sum of their sizes
	// (protocol.ReencryptionItem): there are as many as fit, but at least one
	// whatever its size, unless Items is 0.
	Items, Bytes uint64
}

// VlobReader reads vlobs and blocks; what it reads of the realm comes with it.
// Vlobs are read for users that have a role in their realm, and nothing of them
// for others, whom the rules refuse.
type VlobReader interface {
	// ReadVlob reads the vlob's realm and the version selected among those
	// stored under encryptionRevision; the version is nil if there is none.
	ReadVlob(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection VlobSelection) (*Realm, *VlobVersion, bool, error)
	// VlobVersions lists every version once, without blobs.
	VlobVersions(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, vlob parsec.VlobID) (*Realm, []VlobVersion, bool, error)
	// Changes gives the latest version of each vlob that has an entry after
	// checkpoint in the realm's log, and Realm.Checkpoint of the same instant.
	Changes(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, realm parsec.RealmID, checkpoint uint64) (*Realm, map[parsec.VlobID]uint32, bool, error)
	// Block reads the metadata and the realm of a block.
	Block(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.BlockID) (*Realm, *Block, bool, error)
}

// VlobSelection selects a version by number, else the highest dated at or
// before Timestamp, else the latest.
type VlobSelection struct {
	Vlob               parsec.VlobID
	EncryptionRevision uint64
	Version            *uint32
	Timestamp          *parsec.DateTime
}

// ShamirReader reads Shamir recoveries.
type ShamirReader interface {
	// ShamirSetup is the current setup of its owner.
	ShamirSetup(ctx context.Context, organization parsec.OrganizationID, owner parsec.UserID) (*ShamirSetup, bool, error)
	// ShamirSetupsHeld lists the current setups that give shares to recipient,
	// in creation order.
	ShamirSetupsHeld(ctx context.Context, organization parsec.OrganizationID, recipient parsec.UserID) ([]ShamirHeld, error)
}

// PKIReader reads PKI enrollments.
type PKIReader interface {
	PKIEnrollment(ctx context.Context, organization parsec.OrganizationID, id parsec.EnrollmentID) (*PKIEnrollment, bool, error)
	// SubmittedPKIEnrollments lists those that are SUBMITTED, in order of
	// submission.
	SubmittedPKIEnrollments(ctx context.Context, organization parsec.OrganizationID) ([]PKIEnrollment, error)
}
