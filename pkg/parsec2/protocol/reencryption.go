package protocol

import (
	"fmt"

	"parsec-server/pkg/parsec"
)

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

// RealmFinishReencryptionRequest closes the reencryption.
type RealmFinishReencryptionRequest struct {
	RealmID            parsec.RealmID `wire:"realm_id"`
	EncryptionRevision uint64         `wire:"encryption_revision"`
}

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

// Size implements rpc.Sized.
func (r *VlobGetReencryptionBatchReply) Size() int {
	size := 0
	for i := range r.Batch {
		size += int(r.Batch[i].Size())
	}
	return size
}
