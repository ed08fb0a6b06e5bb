package memory

import (
	"cmp"
	"context"
	"slices"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// NewUploadToken implements rules.BlockUploads.
func (s *Store) NewUploadToken() parsec.UUID { return parsec.NewUUID() }

// ReserveBlock implements rules.BlockUploads.
func (s *Store) ReserveBlock(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, realm parsec.RealmID, upload rules.BlockUpload, now parsec.DateTime) (rules.BlockReservation, error) {
	o, err := s.lock(ctx, organization)
	defer o.Unlock()
	var facts rules.BlockReservation
	var found bool
	facts.Realm, found = o.realms[realm].seenBy(user)
	_, facts.Exists = o.blocks[upload.ID]
	if present, taken := o.uploads[upload.ID]; found && !facts.Exists && (!taken || present.YieldsTo(upload, now, false)) {
		o.uploads[upload.ID] = upload
		facts.Reserved = true
	}
	return facts, err
}

// ReleaseBlock implements rules.BlockUploads.
func (s *Store) ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error {
	o, err := s.lock(ctx, organization)
	defer o.Unlock()
	if o.uploads[block].Token == token {
		delete(o.uploads, block)
	}
	return err
}

// Block implements rules.BlockReader.
func (s *Store) Block(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.BlockID) (*rules.Realm, *rules.Block, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	block, found := o.blocks[id]
	if !found {
		return nil, nil, false, err
	}
	r, _ := o.realms[block.Realm].seenBy(user)
	return r, &block, true, err
}

// Blocks implements rules.BlockIndex: organizations are in order of their ids.
func (s *Store) Blocks(ctx context.Context, after *blockstore.Block, most int) ([]blockstore.Block, error) {
	var blocks []blockstore.Block
	for id, cell := range s.Cells() {
		cell.RLock()
		for _, block := range stateOf(cell).blocks {
			listed := blockstore.Block{Organization: id, ID: block.ID, Size: int64(block.Size), Checksum: block.Checksum}
			if after == nil || inOrder(*after, listed) < 0 {
				blocks = append(blocks, listed)
			}
		}
		cell.RUnlock()
	}
	slices.SortFunc(blocks, inOrder)
	return blocks[:min(most, len(blocks))], ctx.Err()
}

func inOrder(a, b blockstore.Block) int {
	return cmp.Or(cmp.Compare(a.Organization.String(), b.Organization.String()), cmp.Compare(a.ID.String(), b.ID.String()))
}

// BlocksSize implements rules.BlockIndex.
func (s *Store) BlocksSize(ctx context.Context) (size int64, err error) {
	for _, cell := range s.Cells() {
		cell.RLock()
		size += int64(stateOf(cell).dataSize)
		cell.RUnlock()
	}
	return size, ctx.Err()
}

// AddChecksum implements rules.BlockIndex.
func (s *Store) AddChecksum(ctx context.Context, block blockstore.Block) error {
	o, err := s.lock(ctx, block.Organization)
	defer o.Unlock()
	if known, found := o.blocks[block.ID]; found && known.Checksum == nil {
		known.Checksum = block.Checksum
		o.blocks[block.ID] = known
	}
	return err
}

// StrayBlocks implements rules.BlockIndex.
func (s *Store) StrayBlocks(ctx context.Context, blocks []blockstore.Block) (stray, foreign []bool, err error) {
	for _, block := range blocks {
		cell, exists := s.Cell(block.Organization)
		cell.RLock()
		o := stateOf(cell)
		_, known := o.blocks[block.ID]
		_, uploaded := o.uploads[block.ID]
		cell.RUnlock()
		stray, foreign = append(stray, exists && !known && !uploaded), append(foreign, !exists)
	}
	return stray, foreign, ctx.Err()
}

// HoldBlock implements rules.BlockIndex.
func (s *Store) HoldBlock(ctx context.Context, block blockstore.Block, token parsec.UUID, until parsec.DateTime) (held bool, err error) {
	err = s.Update(ctx, rules.Scope{Organization: block.Organization, Block: block.ID}, func(on rules.Tx) error {
		_, exists := on.Organization()
		known, upload := on.Block()
		if held = exists && !known && upload == nil; held {
			on.(*tx).organization.uploads[block.ID] = rules.BlockUpload{ID: block.ID, Token: token, Until: until}
		}
		return nil
	})
	return held, err
}

// Block implements rules.BlockTx.
func (t *tx) Block() (exists bool, upload *rules.BlockUpload) {
	_, exists = t.organization.blocks[t.scope.Block]
	if under, found := t.organization.uploads[t.scope.Block]; found {
		upload = &under
	}
	return exists, upload
}

// CreateBlock implements rules.BlockTx.
func (t *tx) CreateBlock(block rules.Block) {
	_, exists := t.organization.blocks[block.ID]
	allowed := t.scope.By == rules.RealmData && t.realm != nil && block.Realm == t.scope.Realm &&
		block.ID == t.scope.Block && !exists
	t.Queue("CreateBlock", allowed, func() {
		delete(t.organization.uploads, block.ID)
		t.organization.blocks[block.ID] = block
		t.realm.blocksSize += block.Size
		t.organization.dataSize += block.Size
	})
}
