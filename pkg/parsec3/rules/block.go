package rules

import (
	"context"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Block is the metadata of a block.
type Block struct {
	ID       parsec.BlockID
	Realm    parsec.RealmID
	KeyIndex uint64
	Author   parsec3.DeviceID
	// Size is in bytes.
	Size      uint64
	CreatedOn parsec.DateTime
	// Checksum is nil for a block whose store needs none.
	Checksum *blockstore.Checksum
}

// BlockUpload reserves the id of a block for the one command that uploads it, with a
// token of Store.NewUploadToken.
type BlockUpload = blockstore.Upload

// BlockReader reads the metadata of blocks.
type BlockReader interface {
	// ReadBlock reads the block and the realm that is asked for it, nil for what
	// is not found. A block of another realm is not found.
	ReadBlock(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, block parsec.BlockID) (Standing, *Realm, *Block, error)
}

// BlockUploads keeps the reservations of blocks.
type BlockUploads interface {
	// NewUploadToken returns a token by which every store knows whether the
	// process that reserves a block still lives.
	NewUploadToken() parsec.UUID
	// ReleaseBlock ends the reservation of an upload that failed, if it is still
	// there.
	ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, upload BlockUpload) error
}

// BlockTx is for blocks.
type BlockTx interface {
	// Block reports whether the block of the scope exists in the organization,
	// and its upload under way, nil if none.
	Block() (exists bool, upload *BlockUpload)
	// UploadIsDead reports whether the process of the upload has ended, as far as
	// the store can know.
	UploadIsDead() bool
	// ReserveBlock reserves the block of the scope in the realm of the scope, in
	// place of another upload of it. When another transaction reserves or creates
	// it first, in any realm of the organization, the rule runs again.
	ReserveBlock(upload BlockUpload)
	// CreateBlock stores the metadata of the block of the scope in the realm of
	// the scope, in place of its upload.
	CreateBlock(block Block)
}
