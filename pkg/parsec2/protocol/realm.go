package protocol

import (
	"fmt"

	"parsec-server/pkg/parsec"
)

// ArchivingConfiguration tells whether a realm may be written, or when it
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

// RealmCreateReply has no field.
type RealmCreateReply struct{}

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

// RealmUpdateRolesReply has no field.
type RealmUpdateRolesReply struct{}

// RealmUpdateArchivingRequest changes the archiving of a realm.
type RealmUpdateArchivingRequest struct {
	ArchivingCertificate []byte `wire:"archiving_certificate"`
}

// RealmUpdateArchivingReply has no field.
type RealmUpdateArchivingReply struct{}

// RealmStartReencryptionRequest opens the next encryption revision.
type RealmStartReencryptionRequest struct {
	RealmID               parsec.RealmID           `wire:"realm_id"`
	EncryptionRevision    uint64                   `wire:"encryption_revision"`
	Timestamp             parsec.DateTime          `wire:"timestamp"`
	PerParticipantMessage map[parsec.UserID][]byte `wire:"per_participant_message"`
}

// Validate bounds the messages, which are kept for ever.
func (r *RealmStartReencryptionRequest) Validate() error {
	for participant, body := range r.PerParticipantMessage {
		if len(body) > maxMessageBody {
			return fmt.Errorf("per_participant_message: %s: more than %d bytes", participant, maxMessageBody)
		}
	}
	return nil
}

// RealmStartReencryptionReply has no field.
type RealmStartReencryptionReply struct{}

// RealmFinishReencryptionRequest closes the reencryption.
type RealmFinishReencryptionRequest struct {
	RealmID            parsec.RealmID `wire:"realm_id"`
	EncryptionRevision uint64         `wire:"encryption_revision"`
}

// RealmFinishReencryptionReply has no field.
type RealmFinishReencryptionReply struct{}

// VlobGetReencryptionBatchRequest asks for at most Size items left.
type VlobGetReencryptionBatchRequest struct {
	RealmID            parsec.RealmID `wire:"realm_id"`
	EncryptionRevision uint64         `wire:"encryption_revision"`
	Size               uint64         `wire:"size"`
}

// VlobGetReencryptionBatchReply is empty when none is left.
type VlobGetReencryptionBatchReply struct {
	Batch []ReencryptionItem `wire:"batch"`
}

// ReencryptionItem is one version of one vlob.
type ReencryptionItem struct {
	VlobID  parsec.VlobID `wire:"vlob_id"`
	Version uint32        `wire:"version"`
	Blob    []byte        `wire:"blob"`
}

// ReencryptionItemBytes is more than what an item takes in a message beside its
// blob, in bytes.
const ReencryptionItemBytes = 64

// Size is at least the length of the item in a message, in bytes.
func (i *ReencryptionItem) Size() uint64 { return uint64(len(i.Blob)) + ReencryptionItemBytes }

// VlobSaveReencryptionBatchRequest saves reencrypted items.
type VlobSaveReencryptionBatchRequest struct {
	RealmID            parsec.RealmID     `wire:"realm_id"`
	EncryptionRevision uint64             `wire:"encryption_revision"`
	Batch              []ReencryptionItem `wire:"batch"`
}

// VlobSaveReencryptionBatchReply counts versions: all, and reencrypted.
type VlobSaveReencryptionBatchReply struct {
	Total uint64 `wire:"total"`
	Done  uint64 `wire:"done"`
}
