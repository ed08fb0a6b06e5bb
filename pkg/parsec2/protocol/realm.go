package protocol

import (
	"fmt"

	"parsec-server/pkg/parsec"
)

// ArchivingConfiguration reports whether a realm may be written, or when it
// will be deleted.
type ArchivingConfiguration struct {
	Type parsec.ArchivingType `wire:"type"`
	// DeletionDate goes with DELETION_PLANNED only.
	DeletionDate *parsec.DateTime `wire:"deletion_date,optional,omitnil"`
}

// RealmCreateRequest creates the realm of a self-signed OWNER certificate.
type RealmCreateRequest struct {
	RoleCertificate []byte `wire:"role_certificate"`
}

// RealmStatusRequest names a realm.
type RealmStatusRequest struct {
	RealmID parsec.RealmID `wire:"realm_id"`
}

// RealmStatusReply is the maintenance of a realm.
type RealmStatusReply struct {
	InMaintenance        bool                   `wire:"in_maintenance"`
	MaintenanceType      parsec.MaintenanceType `wire:"maintenance_type,nullable"`
	MaintenanceStartedOn *parsec.DateTime       `wire:"maintenance_started_on,nullable"`
	MaintenanceStartedBy parsec.DeviceID        `wire:"maintenance_started_by,nullable"`
	EncryptionRevision   uint64                 `wire:"encryption_revision"`
}

// RealmStatsRequest names a realm.
type RealmStatsRequest struct {
	RealmID parsec.RealmID `wire:"realm_id"`
}

// RealmStatsReply is in bytes.
type RealmStatsReply struct {
	BlocksSize uint64 `wire:"blocks_size"`
	VlobsSize  uint64 `wire:"vlobs_size"`
}

// RealmGetRoleCertificatesRequest names a realm; Since is of old clients.
type RealmGetRoleCertificatesRequest struct {
	RealmID parsec.RealmID   `wire:"realm_id"`
	Since   *parsec.DateTime `wire:"since,optional"`
}

// RealmGetRoleCertificatesReply is in order of date.
type RealmGetRoleCertificatesReply struct {
	Certificates [][]byte `wire:"certificates"`
}

// RealmUpdateRolesRequest changes the role of another user.
type RealmUpdateRolesRequest struct {
	RoleCertificate  []byte `wire:"role_certificate"`
	RecipientMessage []byte `wire:"recipient_message,nullable,optional"`
}

// maxMessageBody bounds a message to a user: real ones have some KiB.
const maxMessageBody = 64 << 10

// Validate bounds the message, which is kept for ever.
func (r *RealmUpdateRolesRequest) Validate() error {
	if len(r.RecipientMessage) > maxMessageBody {
		return fmt.Errorf("recipient_message: more than %d bytes", maxMessageBody)
	}
	return nil
}

// RealmUpdateArchivingRequest changes the archiving of a realm.
type RealmUpdateArchivingRequest struct {
	ArchivingCertificate []byte `wire:"archiving_certificate"`
}

// ReencryptionItemBytes is more than what an item takes in a message beside its
// blob, in bytes.
const ReencryptionItemBytes = 64

// ArchivingConfigRequest has no field.
type ArchivingConfigRequest struct{}

// ArchivingConfigReply has one item per realm where the author has a role.
type ArchivingConfigReply struct {
	ArchivingConfig []RealmArchiving `wire:"archiving_config"`
}

// RealmArchiving is the archiving of one realm; date and author are absent
// when it was never configured.
type RealmArchiving struct {
	RealmID       parsec.RealmID         `wire:"realm_id"`
	ConfiguredOn  *parsec.DateTime       `wire:"configured_on,nullable"`
	ConfiguredBy  parsec.DeviceID        `wire:"configured_by,nullable"`
	Configuration ArchivingConfiguration `wire:"configuration"`
}

// Size implements rpc.Sized.
func (r *RealmGetRoleCertificatesReply) Size() int {
	size := 0
	for _, certificate := range r.Certificates {
		size += len(certificate) + binHead
	}
	return size
}
