package protocol

import "parsec-server/pkg/parsec"

// BlockCreateRequest uploads an immutable block.
type BlockCreateRequest struct {
	BlockID parsec.BlockID `wire:"block_id"`
	RealmID parsec.RealmID `wire:"realm_id"`
	Block   []byte         `wire:"block"`
}

// BlockReadRequest names a block.
type BlockReadRequest struct {
	BlockID parsec.BlockID `wire:"block_id"`
}

// BlockReadReply is what was uploaded.
type BlockReadReply struct {
	Block []byte `wire:"block"`
}
