package rules

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

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

// BlockUpload reserves the id of a block for the one command that uploads its
// bytes: a block store keeps the last bytes that it was given. It is not
// visible to readers.
type BlockUpload struct {
	ID parsec.BlockID
	// Token is that of the command, of Store.NewUploadToken.
	Token parsec.UUID
	// Until is when the command has surely ended.
	Until parsec.DateTime
}

// YieldsTo reports whether the upload, whose process may be known to be dead,
// may be taken over by another one of its block.
func (b *BlockUpload) YieldsTo(other BlockUpload, now parsec.DateTime, dead bool) bool {
	return dead || b.Until <= now || b.Token == other.Token
}

const (
	// blockUploadLimit bounds the upload of a block, together with the wait
	// for another upload of the same one.
	blockUploadLimit = time.Minute
	// blockUploadLease is how long an upload keeps its block: longer than
	// blockUploadLimit by more than the clocks of two instances may differ.
	blockUploadLease = 2 * time.Minute
	// blockUploadPoll is the time between two looks at another upload.
	blockUploadPoll = 50 * time.Millisecond
	// blockReleaseLimit bounds the clean-up after a failed upload.
	blockReleaseLimit = 10 * time.Second
)

var (
	errBlockNotFound    = protocol.Refuse(protocol.StatusNotFound, "No such block.")
	errBlockExists      = protocol.Refuse(protocol.StatusAlreadyExists, "This block already exists.")
	errBlockUnavailable = protocol.Refuse(protocol.StatusTimeout, "The block store is not available.")
)

// BlockCreate stores an immutable block (docs/protocol/commands.md §7).
//
// The block store keeps the last bytes that it was given, whoever wins. So the
// command first reserves the id in the store of facts, on which all instances
// agree, then uploads, then turns the reservation into metadata: nobody else
// uploads meanwhile, nor after. Whoever meets a reservation waits for its
// outcome, because the client takes already_exists for a success. The
// reservation of an instance that died ends at once where the store can know,
// and by its date.
func (r *Rules) BlockCreate(ctx context.Context, author *Author, request *protocol.BlockCreateRequest) (*protocol.BlockCreateReply, error) {
	creation := &blockCreation{author: author, request: request, now: r.now(), token: r.store.NewUploadToken()}
	limited, cancel := context.WithTimeout(ctx, blockUploadLimit)
	defer cancel()
	err := r.reserveBlock(limited, creation)
	if err == nil {
		err = r.uploadBlock(limited, creation)
	}
	if err == nil {
		err = r.confirmBlock(ctx, creation)
	}
	if err != nil {
		r.releaseBlock(ctx, creation)
		return nil, err
	}
	return &protocol.BlockCreateReply{}, nil
}

// blockCreation is one block_create on its way.
type blockCreation struct {
	author  *Author
	request *protocol.BlockCreateRequest
	now     parsec.DateTime
	// token is that of the reservation.
	token parsec.UUID
	// reserved reports whether the reservation may be there to release.
	reserved bool
	// checksum is that to keep of the block once it is uploaded, nil for none.
	checksum *blockstore.Checksum
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

// reserveBlock waits while another command uploads the block. The author is
// checked again when the block is confirmed.
func (r *Rules) reserveBlock(ctx context.Context, creation *blockCreation) error {
	ticker := time.NewTicker(blockUploadPoll)
	defer ticker.Stop()
	for {
		now := r.now() // The wait may have been long.
		upload := BlockUpload{ID: creation.request.BlockID, Token: creation.token, Until: now.Add(blockUploadLease)}
		facts, err := r.store.ReserveBlock(ctx, creation.author.Organization, creation.author.User(), creation.request.RealmID, upload, now)
		creation.reserved = err != nil || facts.Reserved
		if errors.Is(err, context.DeadlineExceeded) {
			return errBlockUnavailable
		}
		if err != nil {
			return err
		}
		if err := creation.check(facts.Realm, facts.Exists); err != nil {
			return err
		}
		if facts.Reserved {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return blockFailure(ctx)
		}
	}
}

// uploadBlock hands the bytes to the block store.
func (r *Rules) uploadBlock(ctx context.Context, creation *blockCreation) (err error) {
	creation.checksum, err = blockstore.Create(ctx, r.blocks, creation.author.Organization, creation.request.BlockID, creation.request.Block)
	if err == nil {
		return nil
	}
	r.logBlock(ctx, "block not stored", creation.author, creation.request.BlockID, err)
	return blockFailure(ctx)
}

// confirmBlock makes the block visible to readers, unless what allowed the
// upload has changed since.
func (r *Rules) confirmBlock(ctx context.Context, creation *blockCreation) error {
	request := creation.request
	scope := Scope{Realm: request.RealmID, Block: request.BlockID, By: RealmData}
	return r.updateAt(ctx, creation.author, creation.now, scope, func(tx Tx) error {
		realm, _ := tx.Realm()
		exists, upload := tx.Block()
		if err := creation.check(realm, exists); err != nil {
			return err
		}
		if upload == nil || upload.Token != creation.token {
			return errBlockUnavailable
		}
		tx.CreateBlock(Block{
			ID:        request.BlockID,
			Realm:     request.RealmID,
			Author:    creation.author.Device,
			Size:      uint64(len(request.Block)),
			CreatedOn: creation.now,
			Checksum:  creation.checksum,
		})
		return nil
	})
}

// releaseBlock ends a reservation early, so that the client may try again at
// once. The author may not act any more, and the command may be abandoned.
func (r *Rules) releaseBlock(ctx context.Context, creation *blockCreation) {
	if !creation.reserved {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), blockReleaseLimit)
	defer cancel()
	ticker := time.NewTicker(blockUploadPoll)
	defer ticker.Stop()
	for {
		err := r.store.ReleaseBlock(ctx, creation.author.Organization, creation.request.BlockID, creation.token)
		if err == nil {
			return
		}
		select {
		case <-ticker.C: // A database that restarts is soon back.
		case <-ctx.Done():
			r.logBlock(ctx, "block reserved until its upload expires", creation.author, creation.request.BlockID, err)
			return
		}
	}
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
	err = r.blocks.Read(ctx, author.Organization, block.ID, block.Checksum, into)
	if err == nil {
		return nil
	}
	r.logBlock(ctx, "block not read", author, request.BlockID, err)
	if errors.Is(err, blockstore.ErrNotFound) {
		return errBlockNotFound
	}
	return blockFailure(ctx)
}

// blockFailure returns what becomes of a command that the block store, or
// another upload, has failed: nothing when nobody waits for it any more.
func blockFailure(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return errBlockUnavailable
}

func (r *Rules) logBlock(ctx context.Context, message string, author *Author, id parsec.BlockID, err error) {
	r.logger.WarnContext(ctx, message,
		slog.String("organization", author.Organization.String()),
		slog.String("block", id.String()),
		slog.Any("error", err))
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

// BlockIndex is what the store knows of the blocks of every organization, for
// those who check and clean block stores beside the servers.
type BlockIndex interface {
	// Blocks returns the next blocks, at most a number, that come after one;
	// nil is before all. The blocks of an organization are together, in order
	// of their ids.
	Blocks(ctx context.Context, after *blockstore.Block, most int) ([]blockstore.Block, error)
	// BlocksSize returns the bytes of all blocks together.
	BlocksSize(ctx context.Context) (int64, error)
	// AddChecksum stores the checksum that block has, unless the store has one
	// of it by now.
	AddChecksum(ctx context.Context, block blockstore.Block) error
	// StrayBlocks reports for each block, whose size does not matter, whether
	// it is stray: of an organization of the store, and neither known to it nor
	// being uploaded; and whether it is foreign: of no organization of the
	// store.
	StrayBlocks(ctx context.Context, blocks []blockstore.Block) (stray, foreign []bool, err error)
	// HoldBlock keeps clients from uploading a block until a date, by a
	// reservation without realm, which BlockUploads.ReleaseBlock ends. It
	// returns false if the block is known or is being uploaded.
	HoldBlock(ctx context.Context, block blockstore.Block, token parsec.UUID, until parsec.DateTime) (held bool, err error)
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
