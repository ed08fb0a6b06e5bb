package scrub

import (
	"context"

	"parsec-server/pkg/blockstore"
)

// CheckOptions say how thorough a check is.
type CheckOptions struct {
	// Deep reads every copy and chunk. Otherwise those are read of the blocks
	// that the lists of the nodes show to be incomplete.
	Deep bool
	// Repair writes again what is missing or wrong, where the others say what
	// it should be.
	Repair bool
	// AddChecksum, unless it is nil, is given the checksums of blocks that have
	// none and are as they should be. It may be called from several goroutines
	// at once.
	AddChecksum func(context.Context, blockstore.Block) error
}

// Check finds the blocks whose copies or chunks are not all as they should be,
// and mends them if asked to. It returns the last block before which all are
// done.
func Check(ctx context.Context, walk *Walk, array *blockstore.Array, options CheckOptions) (last *blockstore.Block, err error) {
	if err := array.Ready(ctx); err != nil {
		return walk.After, err
	}
	c := &check{Walk: walk, array: array, options: options}
	return walk.pages(ctx, func(ctx context.Context, blocks []blockstore.Block) error {
		suspects := blocks
		if !options.Deep {
			presences, err := array.Survey(ctx, blocks)
			if err != nil {
				return err
			}
			suspects = nil
			for i, block := range blocks {
				if presences[i] == blockstore.Complete {
					walk.advance(block)
				} else {
					suspects = append(suspects, block)
				}
			}
		}
		return walk.each(ctx, suspects, c.examine)
	})
}

type check struct {
	*Walk
	array   *blockstore.Array
	options CheckOptions
	silence silence
}

func (c *check) examine(ctx context.Context, block blockstore.Block) error {
	diagnosis := c.array.Examine(ctx, block)
	if ctx.Err() != nil {
		return context.Cause(ctx) // Reads that were cut say nothing of the block.
	}
	for _, piece := range diagnosis.Pieces {
		if piece.Fault == blockstore.Unreadable {
			if err := c.silence.add(piece.Err); err != nil {
				return err
			}
		}
		finding := Finding{
			Problem:      Problem(piece.Fault),
			Organization: block.Organization,
			Block:        block.ID,
			Node:         c.array.NodeName(piece.Node),
			Detail:       piece.Err.Error(),
		}
		if piece.CanMend() && c.options.Repair {
			if err := c.array.Mend(ctx, block, piece); err == nil {
				finding.Done = true
			} else if err := c.silence.add(err); err != nil {
				return err
			} else {
				finding.Detail += "; not repaired"
			}
		}
		c.report(finding)
	}
	if block.Checksum == nil && diagnosis.Well() && c.options.AddChecksum != nil {
		block.Checksum = diagnosis.Checksum()
		return c.options.AddChecksum(ctx, block)
	}
	whole := Finding{Organization: block.Organization, Block: block.ID}
	switch {
	case diagnosis.Lost:
		whole.Problem, whole.Detail = Lost, "what there is does not give the block"
		c.report(whole)
	case diagnosis.Unclear:
		whole.Problem, whole.Detail = Unclear, "what nodes have does not fit together, and nothing tells which is right"
		c.report(whole)
	}
	return nil
}
