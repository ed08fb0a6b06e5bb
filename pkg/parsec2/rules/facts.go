package rules

import (
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
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
	// SequesterAuthorityCertificate is nil when not sequestered, and
	// SequesterVerifyKeyDER the RSA key inside it.
	SequesterAuthorityCertificate []byte
	SequesterVerifyKeyDER         []byte
	CreatedOn                     parsec.DateTime
	BootstrappedOn                *parsec.DateTime
}

// Bootstrapped tells whether the organization has its first user.
func (o *Organization) Bootstrapped() bool { return o.RootVerifyKey != nil }

// Expired tells whether the organization is closed at the instant now.
func (o *Organization) Expired(now parsec.DateTime) bool {
	return o.ExpirationDate != nil && *o.ExpirationDate <= now
}

// Sequestered tells whether vlobs need copies for sequester services.
func (o *Organization) Sequestered() bool { return o.SequesterAuthorityCertificate != nil }

// User is a user as stored.
type User struct {
	ID          parsec.UserID
	Profile     parsec.UserProfile
	HumanHandle parsec.HumanHandle
	// Certificate and RedactedCertificate are byte-identical to what the
	// certifier sent. Without redacted form both are the same.
	Certificate         []byte
	RedactedCertificate []byte
	// Certifier is zero for the first user, signed by the root key.
	Certifier parsec.DeviceID
	CreatedOn parsec.DateTime
	// Revocation is nil for an active user. A stored revocation counts at
	// once, even dated in the near future.
	Revocation *Revocation
	Frozen     bool
}

// Revocation is the end of a user.
type Revocation struct {
	Certificate []byte
	Certifier   parsec.DeviceID
	On          parsec.DateTime
}

// Device is a device as stored; its owner is in its id.
type Device struct {
	ID                  parsec.DeviceID
	Label               parsec.DeviceLabel
	VerifyKey           parsec.VerifyKey
	Certificate         []byte
	RedactedCertificate []byte
	// Certifier is zero for the first device, signed by the root key.
	Certifier parsec.DeviceID
	CreatedOn parsec.DateTime
}

// Realm is the state of a realm and what it knows of the user who asks
// (docs/protocol/commands.md §1.7).
type Realm struct {
	ID parsec.RealmID
	// EncryptionRevision is already the new one during a reencryption.
	EncryptionRevision uint64
	Maintenance        Maintenance
	Archiving          Archiving
	// Checkpoint is the index of the last entry of the change log, 0 if none.
	Checkpoint uint64
	// Member is the user who asks, or the author of the transaction.
	Member Member
}

// Maintenance is what a realm undergoes; its zero value is none.
type Maintenance struct {
	Type      parsec.MaintenanceType
	StartedOn parsec.DateTime
	StartedBy parsec.DeviceID
}

// Archiving is the latest archiving certificate of a realm; the zero value
// stands for none.
type Archiving struct {
	Type         parsec.ArchivingType
	DeletionDate *parsec.DateTime
	ConfiguredOn parsec.DateTime
	ConfiguredBy parsec.DeviceID
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

// Vlob is the head of a vlob.
type Vlob struct {
	ID    parsec.VlobID
	Realm parsec.RealmID
	// Version is the latest one, and Timestamp its date.
	Version   uint32
	Timestamp parsec.DateTime
}

// VlobVersion is one stored version of a vlob, an atom.
type VlobVersion struct {
	Version   uint32
	Blob      []byte
	Author    parsec.DeviceID
	Timestamp parsec.DateTime
	// AuthorRoleCertifiedOn is the date of the latest role certificate of the
	// author's user in the realm, as of the reading.
	AuthorRoleCertifiedOn parsec.DateTime
}

// Block is the metadata of a block.
type Block struct {
	ID        parsec.BlockID
	Realm     parsec.RealmID
	Author    parsec.DeviceID
	Size      uint64
	CreatedOn parsec.DateTime
	// Checksum is nil for a block that was created before checksums were kept.
	Checksum *blockstore.Checksum
}

// BlockReservation is what block_create needs to begin.
type BlockReservation struct {
	// Realm is as the user sees it, nil if it is not found.
	Realm *Realm
	// Exists tells that the block is created in the organization.
	Exists bool
	// Reserved tells that the upload holds the block now. When neither Exists
	// nor Reserved, and the realm is found, another upload does.
	Reserved bool
}

// BlockUpload reserves the id of a block for the one command that uploads its
// bytes: a block store keeps the last bytes that it was given. It is not
// visible to readers.
type BlockUpload struct {
	ID parsec.BlockID
	// Token is that of the command, of Store.NewUploadToken.
	Token parsec.UUID
	// Until is when the command has surely ended: another may replace it.
	Until parsec.DateTime
}

// RoleCertificate is one entry of a realm's list of role certificates.
type RoleCertificate struct {
	Realm       parsec.RealmID
	User        parsec.UserID
	Role        parsec.RealmRole
	Certificate []byte
	Author      parsec.DeviceID
	CertifiedOn parsec.DateTime
}

// Message is one message for a user.
type Message struct {
	Recipient parsec.UserID
	// Index is its position from 1 in the recipient's list.
	Index     uint64
	Sender    parsec.DeviceID
	Timestamp parsec.DateTime
	Body      []byte
}

// SequesterService is a sequester service as stored
// (docs/protocol/administration.md §6).
type SequesterService struct {
	ID          parsec.SequesterServiceID
	Label       string
	Certificate []byte
	// WebhookURL is "" for a storage service.
	WebhookURL string
	CreatedOn  parsec.DateTime
	DisabledOn *parsec.DateTime
}

// Invitation is an invitation of API 2 and 3 (docs/protocol/invite.md §1).
type Invitation struct {
	Token parsec.InvitationToken
	Type  parsec.InvitationType
	// Greeter is the creator.
	Greeter parsec.UserID
	// Greeters are in order of their ids, each with a conduit: the creator, or
	// the recipients of the claimer's Shamir recovery.
	Greeters []InvitationGreeter
	// ClaimerEmail is for USER, and Claimer for SHAMIR_RECOVERY.
	ClaimerEmail string
	Claimer      parsec.UserID
	CreatedOn    parsec.DateTime
	DeletedOn    *parsec.DateTime
	// DeletedReason is "" until the invitation is deleted.
	DeletedReason protocol.InvitationDeletedReason
}

// InvitationGreeter is one whom the claimer may meet.
type InvitationGreeter struct {
	User parsec.UserID
	// Revoked and Owes are as of the reading; stores do not keep them. Owes is
	// Conduit.Owes of the claimer.
	Revoked, Owes bool
}

// InvitationV1 is an invitation of API 1, to the user or the device of its
// key (docs/protocol/commands.md §9).
type InvitationV1 struct {
	Creator   parsec.DeviceID
	CreatedOn parsec.DateTime
}

// InviteeV1 is who an API 1 invitation is for: either a user or a device.
type InviteeV1 struct {
	User   parsec.UserID
	Device parsec.DeviceID
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
