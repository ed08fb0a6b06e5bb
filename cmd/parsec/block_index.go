package main

import (
	"context"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// blockIndex is what a generation knows of the blocks of all organizations.
type blockIndex interface {
	// Blocks is that of scrub.Index, and BlocksSize the bytes of all of them.
	Blocks(ctx context.Context, after *blockstore.Block, most int) ([]blockstore.Block, error)
	BlocksSize(ctx context.Context) (int64, error)
	// AddChecksum stores the checksum that block has, unless there is one by now.
	AddChecksum(ctx context.Context, block blockstore.Block) error
	// The others are those of scrub.Registry. What another generation knows is
	// stray.
	StrayBlocks(ctx context.Context, blocks []blockstore.Block) (stray, foreign []bool, err error)
	HoldBlock(ctx context.Context, block blockstore.Block, token parsec.UUID, until parsec.DateTime) (held bool, err error)
	ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error
}

// blocksOfAll is the index of every generation. It goes through the blocks of one
// after the other.
type blocksOfAll struct {
	organizations organization.Store
	// of has one for each generation, that of the first also for organizations that
	// are of none.
	of []generationBlocks
	// database is what all of them stand on.
	database *database.Database
}

type generationBlocks struct {
	blockIndex
	generation organization.Generation
}

// place returns that of the index of an organization.
func (b *blocksOfAll) place(ctx context.Context, id parsec.OrganizationID) (int, error) {
	stored, found, err := b.organizations.Organization(ctx, id)
	if err != nil || !found {
		return 0, err
	}
	for i := range b.of {
		if b.of[i].generation == stored.Bound() {
			return i, nil
		}
	}
	return 0, nil
}

// Blocks implements scrub.Index.
func (b *blocksOfAll) Blocks(ctx context.Context, after *blockstore.Block, most int) ([]blockstore.Block, error) {
	place := 0
	if after != nil {
		var err error
		if place, err = b.place(ctx, after.Organization); err != nil {
			return nil, err
		}
	}
	for _, index := range b.of[place:] {
		if blocks, err := index.Blocks(ctx, after, most); err != nil || len(blocks) > 0 {
			return blocks, err
		}
		after = nil
	}
	return nil, nil
}

func (b *blocksOfAll) blocksSize(ctx context.Context) (total int64, err error) {
	for _, index := range b.of {
		size, err := index.BlocksSize(ctx)
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}

func (b *blocksOfAll) addChecksum(ctx context.Context, block blockstore.Block) error {
	place, err := b.place(ctx, block.Organization)
	if err != nil {
		return err
	}
	return b.of[place].AddChecksum(ctx, block)
}

// StrayBlocks implements scrub.Registry.
func (b *blocksOfAll) StrayBlocks(ctx context.Context, blocks []blockstore.Block) (stray, foreign []bool, err error) {
	for i, index := range b.of {
		strayHere, foreignHere, err := index.StrayBlocks(ctx, blocks)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			stray, foreign = strayHere, foreignHere
			continue
		}
		for j := range blocks {
			stray[j], foreign[j] = stray[j] && strayHere[j], foreign[j] && foreignHere[j]
		}
	}
	return stray, foreign, nil
}

// HoldBlock implements scrub.Registry. While a backup is made it holds none: the backup
// may name a block that is unknown by now, and has yet to read its object.
func (b *blocksOfAll) HoldBlock(ctx context.Context, block blockstore.Block, token parsec.UUID, until parsec.DateTime) (held bool, err error) {
	if saving, err := b.database.IsSaved(ctx); err != nil || saving {
		return false, err
	}
	place, err := b.place(ctx, block.Organization)
	if err != nil {
		return false, err
	}
	return b.of[place].HoldBlock(ctx, block, token, until)
}

// ReleaseBlock implements scrub.Registry.
func (b *blocksOfAll) ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error {
	place, err := b.place(ctx, organization)
	if err != nil {
		return err
	}
	return b.of[place].ReleaseBlock(ctx, organization, block, token)
}
