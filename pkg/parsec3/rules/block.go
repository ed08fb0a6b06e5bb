package rules

import (
	"context"
	"errors"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
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

var (
	errBlockExists      = protocol.Refuse(protocol.StatusBlockAlreadyExists)
	errBlockNotFound    = protocol.Refuse(protocol.StatusBlockNotFound)
	errStoreUnavailable = protocol.Refuse(protocol.StatusStoreUnavailable)
)

// BlockCreate stores an immutable block (docs/protocol/v5/commands.md §11.6). While the
// state is out of reach it is held, and tried again (docs/protocol/v5/quirks.md §11).
func (r *Rules) BlockCreate(ctx context.Context, author *Author, request *protocol.BlockCreateRequest) (*protocol.BlockCreateReply, error) {
	creation := &blockCreation{rules: r, author: author, request: request, now: r.now(), hold: r.holder.Begin()}
	defer creation.hold.End()
	err := r.blocks.Create(ctx, author.Organization, request.BlockID, r.store.NewUploadToken(), request.Block, creation)
	if err != nil {
		return nil, refuseBlock(err)
	}
	return &protocol.BlockCreateReply{}, nil
}

// blockCreation is one block_create on its way.
type blockCreation struct {
	rules   *Rules
	author  *Author
	request *protocol.BlockCreateRequest
	now     parsec.DateTime
	hold    outage.Hold
}

// update runs rule, again while the state is out of reach.
func (c *blockCreation) update(ctx context.Context, rule func(tx Tx) error) (again bool, err error) {
	scope := Scope{Common: Shared, Realm: c.request.RealmID, RealmLock: Shared, Block: &c.request.BlockID, Date: c.now}
	for ; ; again = true {
		err = c.rules.update(ctx, c.author, c.now, scope, func(tx Tx, _ *User) error { return rule(tx) })
		if !errors.Is(err, outage.ErrUnavailable) || !c.hold.Wait(ctx) {
			return again, err
		}
	}
}

// Reserve implements blockstore.Creation. It applies the table but for its last row.
func (c *blockCreation) Reserve(ctx context.Context, upload BlockUpload, now parsec.DateTime) (reserved bool, err error) {
	_, err = c.update(ctx, func(tx Tx) error {
		reserved = false
		realm, err := writableRealm(tx)
		if err != nil {
			return err
		}
		if err := realm.checkKeyIndex(c.request.KeyIndex); err != nil {
			return err
		}
		exists, present := tx.Block()
		if exists {
			return errBlockExists
		}
		if present == nil || present.YieldsTo(upload, now, tx.UploadIsDead()) {
			tx.ReserveBlock(upload)
			reserved = true
		}
		return nil
	})
	return reserved, err
}

// Confirm implements blockstore.Creation. The author may have lost the right to write
// since, or the key changed: a block means nothing before a vlob names it.
func (c *blockCreation) Confirm(ctx context.Context, confirmed BlockUpload, checksum *blockstore.Checksum) error {
	block := Block{
		ID:        c.request.BlockID,
		Realm:     c.request.RealmID,
		KeyIndex:  c.request.KeyIndex,
		Author:    c.author.Device,
		Size:      uint64(len(c.request.Block)),
		CreatedOn: c.now,
		Checksum:  checksum,
	}
	again, err := c.update(ctx, func(tx Tx) error {
		if _, err := existingRealm(tx); err != nil {
			return err
		}
		exists, upload := tx.Block()
		if exists {
			return errBlockExists
		}
		if upload == nil || upload.Token != confirmed.Token {
			return errStoreUnavailable
		}
		tx.CreateBlock(block)
		return nil
	})
	if again && errors.Is(err, errBlockExists) && c.isStored(ctx, &block) {
		return nil
	}
	return err
}

// isStored reports whether a block is there as this very command would store it: then
// the answer to a try of before was lost. Nobody else is told otherwise: clients take a
// block that exists for a success.
func (c *blockCreation) isStored(ctx context.Context, block *Block) bool {
	_, _, there, err := c.rules.store.ReadBlock(ctx, c.author.Organization, c.author.Device, block.Realm, block.ID)
	return err == nil && there != nil && there.Author == block.Author && there.CreatedOn == block.CreatedOn &&
		there.KeyIndex == block.KeyIndex && there.Size == block.Size
}

// Release implements blockstore.Creation.
func (c *blockCreation) Release(ctx context.Context, upload BlockUpload) error {
	return c.rules.store.ReleaseBlock(ctx, c.author.Organization, upload.ID, upload.Token)
}

// BlockRead reads a block (docs/protocol/v5/commands.md §11.6) into what room returns
// for its size in bytes, such as the place for it in a reply that has the other fields
// of head.
func (r *Rules) BlockRead(ctx context.Context, author *Author, request *protocol.BlockReadRequest, room func(head *protocol.BlockReadReply, size uint64) ([]byte, error)) error {
	standing, realm, block, err := r.store.ReadBlock(ctx, author.Organization, author.Device, request.RealmID, request.BlockID)
	if err != nil {
		return err
	}
	if err := r.checkReading(standing, realm); err != nil {
		return err
	}
	if block == nil {
		return errBlockNotFound
	}
	head := &protocol.BlockReadReply{KeyIndex: block.KeyIndex, NeededRealmCertificateTimestamp: realm.Timestamp}
	into, err := room(head, block.Size)
	if err != nil {
		return err
	}
	return refuseBlock(r.blocks.Read(ctx, author.Organization, block.ID, block.Checksum, into))
}

// refuseBlock has the refusal of what the block store has failed, or lost.
func refuseBlock(err error) error {
	if errors.Is(err, blockstore.ErrUnavailable) || errors.Is(err, blockstore.ErrNotFound) {
		return errStoreUnavailable
	}
	return err
}

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
	// ReleaseBlock ends the reservation that has the token, if there is one.
	ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error
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
