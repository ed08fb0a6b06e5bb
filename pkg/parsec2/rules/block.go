package rules

import (
	"cmp"
	"context"
	"errors"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

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
	// Exists reports whether the block is created in the organization.
	Exists bool
	// Reserved reports whether the upload holds the block now. When neither
	// Exists nor Reserved, and the realm is found, another upload does.
	Reserved bool
}

// BlockUpload reserves the id of a block for the one command that uploads it.
type BlockUpload = blockstore.Upload

var (
	errBlockNotFound    = protocol.Refuse(protocol.StatusNotFound, "No such block.")
	errBlockExists      = protocol.Refuse(protocol.StatusAlreadyExists, "This block already exists.")
	errBlockUnavailable = protocol.Refuse(protocol.StatusTimeout, "The block store is not available.")
)

// BlockCreate stores an immutable block (docs/protocol/commands.md §7).
func (r *Rules) BlockCreate(ctx context.Context, author *Author, request *protocol.BlockCreateRequest) (*protocol.EmptyReply, error) {
	creation := &blockCreation{rules: r, author: author, request: request, now: r.now()}
	err := r.blocks.Create(ctx, author.Organization, request.BlockID, r.store.NewUploadToken(), request.Block, creation)
	if err != nil {
		return nil, refuseBlock(err)
	}
	return &protocol.EmptyReply{}, nil
}

// blockCreation is one block_create on its way.
type blockCreation struct {
	rules   *Rules
	author  *Author
	request *protocol.BlockCreateRequest
	now     parsec.DateTime
}

// check applies the table of block_create but for its last row; realm is nil if
// it is not found.
func (c *blockCreation) check(realm *Realm, exists bool) error {
	if realm == nil {
		return errRealmNotFound
	}
	if err := cmp.Or(
		realm.checkNotDeleted(c.now),
		realm.checkNotArchived(),
		realm.checkNoMaintenance(),
		realm.Member.checkWriter(),
	); err != nil {
		return err
	}
	if exists {
		return errBlockExists
	}
	return nil
}

// Reserve implements blockstore.Creation. The author is checked again when the
// block is confirmed.
func (c *blockCreation) Reserve(ctx context.Context, upload BlockUpload, now parsec.DateTime) (reserved bool, err error) {
	facts, err := c.rules.store.ReserveBlock(ctx, c.author.Organization, c.author.User(), c.request.RealmID, upload, now)
	if err != nil {
		return true, err
	}
	return facts.Reserved, c.check(facts.Realm, facts.Exists)
}

// Confirm implements blockstore.Creation, unless what allowed the upload has
// changed since.
func (c *blockCreation) Confirm(ctx context.Context, confirmed BlockUpload, checksum *blockstore.Checksum) error {
	scope := Scope{Realm: c.request.RealmID, Block: c.request.BlockID, By: RealmData}
	return c.rules.updateAt(ctx, c.author, c.now, scope, func(tx Tx) error {
		realm, _ := tx.Realm()
		exists, upload := tx.Block()
		if err := c.check(realm, exists); err != nil {
			return err
		}
		if upload == nil || upload.Token != confirmed.Token {
			return errBlockUnavailable
		}
		tx.CreateBlock(Block{
			ID:        c.request.BlockID,
			Realm:     c.request.RealmID,
			Author:    c.author.Device,
			Size:      uint64(len(c.request.Block)),
			CreatedOn: c.now,
			Checksum:  checksum,
		})
		return nil
	})
}

// Release implements blockstore.Creation.
func (c *blockCreation) Release(ctx context.Context, upload BlockUpload) error {
	return c.rules.store.ReleaseBlock(ctx, c.author.Organization, upload.ID, upload.Token)
}

// BlockRead reads a block (docs/protocol/commands.md §7) into what room returns
// for its size in bytes, such as the place for it in a reply.
func (r *Rules) BlockRead(ctx context.Context, author *Author, request *protocol.BlockReadRequest, room func(size uint64) ([]byte, error)) error {
	realm, block, found, err := r.store.Block(ctx, author.Organization, author.User(), request.BlockID)
	if err != nil {
		return err
	}
	if !found {
		return errBlockNotFound
	}
	if err := realm.checkRead(r.now()); err != nil {
		return err
	}
	into, err := room(block.Size)
	if err != nil {
		return err
	}
	return refuseBlock(r.blocks.Read(ctx, author.Organization, block.ID, block.Checksum, into))
}

// refuseBlock has the refusal of what the block store has failed.
func refuseBlock(err error) error {
	switch {
	case errors.Is(err, blockstore.ErrNotFound):
		return errBlockNotFound
	case errors.Is(err, blockstore.ErrUnavailable):
		return errBlockUnavailable
	default:
		return err
	}
}

// BlockReader reads what the store knows of blocks, with their realm.
type BlockReader interface {
	// Block reads the metadata and the realm of a block.
	Block(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.BlockID) (*Realm, *Block, bool, error)
}

// BlockUploads reserves the ids of blocks for the commands that upload them.
type BlockUploads interface {
	// NewUploadToken returns a token for one upload of this process.
	NewUploadToken() parsec.UUID
	// ReserveBlock reads what block_create needs for a user, and, when the
	// realm is found and the block neither exists nor is reserved by an upload
	// that does not yield (BlockUpload.YieldsTo), reserves the block for upload.
	// It is one step: of several reservations at once one holds.
	ReserveBlock(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, realm parsec.RealmID, upload BlockUpload, now parsec.DateTime) (BlockReservation, error)
	// ReleaseBlock ends the reservation that has the token, if there is one.
	ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error
}

// BlockTx is for blocks.
type BlockTx interface {
	// Block reports whether the block of the scope exists in the organization,
	// and its upload under way, nil if none.
	Block() (exists bool, upload *BlockUpload)
	// CreateBlock stores the metadata of the block of the scope, in place of
	// its upload.
	CreateBlock(block Block)
}
