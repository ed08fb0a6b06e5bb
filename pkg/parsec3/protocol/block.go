package protocol

import "parsec-server/pkg/parsec"

// BlockCreateRequest uploads an immutable block.
type BlockCreateRequest struct {
	BlockID  parsec.BlockID `wire:"block_id"`
	RealmID  parsec.RealmID `wire:"realm_id"`
	KeyIndex uint64         `wire:"key_index"`
	Block    []byte         `wire:"block"`
}

// BlockCreateReply has no field.
type BlockCreateReply struct{}

// BlockReadRequest names a block of a realm.
type BlockReadRequest struct {
	BlockID parsec.BlockID `wire:"block_id"`
	RealmID parsec.RealmID `wire:"realm_id"`
}

// BlockReadReply is what was uploaded, and the date that the certificates of who
// reads it must reach.
type BlockReadReply struct {
	Block                           []byte          `wire:"block"`
	KeyIndex                        uint64          `wire:"key_index"`
	NeededRealmCertificateTimestamp parsec.DateTime `wire:"needed_realm_certificate_timestamp"`
}
