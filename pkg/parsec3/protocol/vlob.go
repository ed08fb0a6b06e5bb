package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// MaxVlobs is how many vlobs one VlobReadBatchRequest or VlobReadVersionsRequest
// may name.
const MaxVlobs = 1000

// VlobCreateRequest stores version 1 of a new vlob.
type VlobCreateRequest struct {
	RealmID   parsec.RealmID  `wire:"realm_id"`
	VlobID    parsec.VlobID   `wire:"vlob_id"`
	KeyIndex  uint64          `wire:"key_index"`
	Timestamp parsec.DateTime `wire:"timestamp"`
	Blob      []byte          `wire:"blob"`
}

// VlobCreateReply has no field.
type VlobCreateReply struct{}

// VlobUpdateRequest stores the next version of a vlob.
type VlobUpdateRequest struct {
	RealmID   parsec.RealmID  `wire:"realm_id"`
	VlobID    parsec.VlobID   `wire:"vlob_id"`
	KeyIndex  uint64          `wire:"key_index"`
	Timestamp parsec.DateTime `wire:"timestamp"`
	Version   uint32          `wire:"version"`
	Blob      []byte          `wire:"blob"`
}

// VlobUpdateReply has no field.
type VlobUpdateReply struct{}

// VlobReadBatchRequest names vlobs of a realm, as of a date, or their latest
// versions for nil.
type VlobReadBatchRequest struct {
	RealmID parsec.RealmID   `wire:"realm_id"`
	Vlobs   []parsec.VlobID  `wire:"vlobs"`
	At      *parsec.DateTime `wire:"at"`
}

// VlobReadBatchReply leaves out what there is not.
type VlobReadBatchReply struct{ VlobItems }

// VlobReadVersionsRequest names versions of vlobs of a realm.
type VlobReadVersionsRequest struct {
	RealmID parsec.RealmID `wire:"realm_id"`
	Items   []VlobNumber   `wire:"items"`
}

// VlobReadVersionsReply leaves out what there is not.
type VlobReadVersionsReply struct{ VlobItems }

// VlobNumber names a version of a vlob. It is an array on the wire.
type VlobNumber struct {
	_       struct{} `wire:",array"`
	Vlob    parsec.VlobID
	Version uint32
}

// VlobItems are versions of vlobs, and the dates that the certificates of who reads
// them must reach.
type VlobItems struct {
	Items                            []VlobItem      `wire:"items"`
	NeededCommonCertificateTimestamp parsec.DateTime `wire:"needed_common_certificate_timestamp"`
	NeededRealmCertificateTimestamp  parsec.DateTime `wire:"needed_realm_certificate_timestamp"`
}

// VlobItem is one version of a vlob. It is an array on the wire.
type VlobItem struct {
	_         struct{} `wire:",array"`
	Vlob      parsec.VlobID
	KeyIndex  uint64
	Author    parsec3.DeviceID
	Version   uint32
	CreatedOn parsec.DateTime
	Blob      []byte
}

// vlobItemBytes is the most that a VlobItem takes beside its blob, and vlobNumberBytes
// what a VlobNumber takes, in bytes.
const (
	vlobItemBytes   = 72
	vlobNumberBytes = 24
)

// Size implements rpc.Sized.
func (i *VlobItems) Size() int {
	size := 0
	for n := range i.Items {
		size += len(i.Items[n].Blob) + vlobItemBytes
	}
	return size
}

// VlobPollChangesRequest asks what changed since a checkpoint, 0 for all.
type VlobPollChangesRequest struct {
	RealmID        parsec.RealmID `wire:"realm_id"`
	LastCheckpoint uint64         `wire:"last_checkpoint"`
}

// VlobPollChangesReply has the last version of each vlob changed.
type VlobPollChangesReply struct {
	Changes           []VlobNumber `wire:"changes"`
	CurrentCheckpoint uint64       `wire:"current_checkpoint"`
}

// Size implements rpc.Sized.
func (r *VlobPollChangesReply) Size() int { return len(r.Changes) * vlobNumberBytes }
