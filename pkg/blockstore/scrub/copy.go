package scrub

import (
	"context"
	"fmt"

	"parsec-server/pkg/blockstore"
)

// Target is where blocks are copied to.
type Target struct {
	// Store writes, and Array are its nodes.
	Store blockstore.Store
	Array *blockstore.Array
	// DryRun writes nothing.
	DryRun bool
	// Copied is told of each block that is written, or would be. It is called
	// one at a time.
	Copied func(blockstore.Block)
}

// Copy writes every block of source that target does not have, and overwrites
// nothing that is not the block. It returns the last block before which all are
// done.
func Copy(ctx context.Context, walk *Walk, source blockstore.Store, target Target) (last *blockstore.Block, err error) {
	if err := source.Ready(ctx); err != nil {
		return walk.After, err
	}
	if err := target.Array.Ready(ctx); err != nil {
		return walk.After, err
	}
	c := &copying{Walk: walk, source: source, target: target}
	return walk.pages(ctx, func(ctx context.Context, blocks []blockstore.Block) error {
		presences, err := target.Array.Survey(ctx, blocks)
		if err != nil {
			return err
		}
		var incomplete []blockstore.Block
		for i, block := range blocks {
			switch presences[i] {
			case blockstore.Complete:
				walk.advance(block)
			case blockstore.Contradicted:
				walk.report(Finding{
					Problem: Contradicted, Organization: block.Organization, Block: block.ID,
					Detail: "there is something else under its name, which is not overwritten",
				})
				walk.advance(block)
			default:
				incomplete = append(incomplete, block)
			}
		}
		return walk.each(ctx, incomplete, c.copy)
	})
}

type copying struct {
	*Walk
	source  blockstore.Store
	target  Target
	silence silence
}

func (c *copying) copy(ctx context.Context, block blockstore.Block) error {
	if !c.target.DryRun {
		err := c.transfer(ctx, block)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			c.report(Finding{Problem: Uncopied, Organization: block.Organization, Block: block.ID, Detail: err.Error()})
			return c.silence.add(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target.Copied(block)
	return nil
}

func (c *copying) transfer(ctx context.Context, block blockstore.Block) error {
	data := make([]byte, block.Size)
	if err := c.source.Read(ctx, block.Organization, block.ID, block.Checksum, data); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if err := c.target.Store.Create(ctx, block.Organization, block.ID, data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
