package protocol

import "parsec-server/pkg/parsec"

// VlobCreateRequest stores version 1 of a new vlob.
type VlobCreateRequest struct {
	RealmID            parsec.RealmID                       `wire:"realm_id"`
	EncryptionRevision uint64                               `wire:"encryption_revision"`
	VlobID             parsec.VlobID                        `wire:"vlob_id"`
	Timestamp          parsec.DateTime                      `wire:"timestamp"`
	Blob               []byte                               `wire:"blob"`
	SequesterBlob      map[parsec.SequesterServiceID][]byte `wire:"sequester_blob,nullable,optional"`
}

// VlobCreateReply has no field.
type VlobCreateReply struct{}

// VlobUpdateRequest stores the next version of a vlob.
type VlobUpdateRequest struct {
	EncryptionRevision uint64                               `wire:"encryption_revision"`
	VlobID             parsec.VlobID                        `wire:"vlob_id"`
	Timestamp          parsec.DateTime                      `wire:"timestamp"`
	Version            uint32                               `wire:"version"`
	Blob               []byte                               `wire:"blob"`
	SequesterBlob      map[parsec.SequesterServiceID][]byte `wire:"sequester_blob,nullable,optional"`
}

// VlobUpdateReply has no field.
type VlobUpdateReply struct{}

// VlobReadRequest selects a version by number, else by date, else the latest.
type VlobReadRequest struct {
	EncryptionRevision uint64           `wire:"encryption_revision"`
	VlobID             parsec.VlobID    `wire:"vlob_id"`
	Version            *uint32          `wire:"version,optional"`
	Timestamp          *parsec.DateTime `wire:"timestamp,optional"`
}

// VlobReadReply is one version of a vlob.
type VlobReadReply struct {
	Version                 uint32          `wire:"version"`
	Blob                    []byte          `wire:"blob"`
	Author                  parsec.DeviceID `wire:"author"`
	Timestamp               parsec.DateTime `wire:"timestamp"`
	AuthorLastRoleGrantedOn parsec.DateTime `wire:"author_last_role_granted_on"`
}

// VlobListVersionsRequest names a vlob.
type VlobListVersionsRequest struct {
	VlobID parsec.VlobID `wire:"vlob_id"`
}

// VlobListVersionsReply has every version.
type VlobListVersionsReply struct {
	Versions map[uint32]VersionInfo `wire:"versions"`
}

// VersionInfo is an array on the wire.
type VersionInfo struct {
	_         struct{} `wire:",array"`
	Timestamp parsec.DateTime
	Author    parsec.DeviceID
}

// VlobPollChangesRequest asks what changed since a checkpoint, 0 for all.
type VlobPollChangesRequest struct {
	RealmID        parsec.RealmID `wire:"realm_id"`
	LastCheckpoint uint64         `wire:"last_checkpoint"`
}

// VlobPollChangesReply gives the last version of each vlob changed.
type VlobPollChangesReply struct {
	Changes           map[parsec.VlobID]uint32 `wire:"changes"`
	CurrentCheckpoint uint64                   `wire:"current_checkpoint"`
}

// BlockCreateRequest uploads an immutable block.
type BlockCreateRequest struct {
	BlockID parsec.BlockID `wire:"block_id"`
	RealmID parsec.RealmID `wire:"realm_id"`
	Block   []byte         `wire:"block"`
}

// BlockCreateReply has no field.
type BlockCreateReply struct{}

// BlockReadRequest names a block.
type BlockReadRequest struct {
	BlockID parsec.BlockID `wire:"block_id"`
}

// BlockReadReply is what was uploaded.
type BlockReadReply struct {
	Block []byte `wire:"block"`
}
