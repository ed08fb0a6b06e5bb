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

// VlobUpdateRequest stores the next version of a vlob.
type VlobUpdateRequest struct {
	EncryptionRevision uint64                               `wire:"encryption_revision"`
	VlobID             parsec.VlobID                        `wire:"vlob_id"`
	Timestamp          parsec.DateTime                      `wire:"timestamp"`
	Version            uint32                               `wire:"version"`
	Blob               []byte                               `wire:"blob"`
	SequesterBlob      map[parsec.SequesterServiceID][]byte `wire:"sequester_blob,nullable,optional"`
}

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

// VlobPollChangesReply holds the last version of each vlob changed.
type VlobPollChangesReply struct {
	Changes           map[parsec.VlobID]uint32 `wire:"changes"`
	CurrentCheckpoint uint64                   `wire:"current_checkpoint"`
}

// changeBytes and versionBytes are more than what an item of these maps takes,
// in bytes: an id and a number, and a number, a date and a device.
const (
	changeBytes  = 24
	versionBytes = 96
)

// Size implements rpc.Sized.
func (r *VlobReadReply) Size() int { return len(r.Blob) }

// Size implements rpc.Sized.
func (r *VlobPollChangesReply) Size() int { return len(r.Changes) * changeBytes }

// Size implements rpc.Sized.
func (r *VlobListVersionsReply) Size() int { return len(r.Versions) * versionBytes }
