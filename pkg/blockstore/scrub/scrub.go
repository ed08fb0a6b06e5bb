// Package scrub checks, mends, copies and cleans the block store of a
// deployment, beside its servers. docs/blockstore.md is its operators' side.
//
// All of it walks through the blocks that the database knows, or the objects
// that the nodes list, a page at a time, and can go on where it has ended:
// memory does not grow with the number of blocks.
package scrub

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

const (
	// pageBlocks is how many blocks are looked at between two positions.
	pageBlocks = 1000
	// workers is how many blocks are read at once.
	workers = 8
	// maxUnreadable ends a walk: a node is down, and says the same of each
	// block, after its time limit.
	maxUnreadable = 100
)

// Index is the database, as far as blocks go.
type Index interface {
	// Blocks returns the next blocks after one, at most a number; nil is before
	// all. Those of an organization are in one piece and in order.
	Blocks(ctx context.Context, after *blockstore.Block, most int) ([]blockstore.Block, error)
}

// Problem is what a finding is about: a fault of a copy or chunk, or one of the
// following.
type Problem string

// The problems of blocks as a whole, and of objects.
const (
	// Lost blocks cannot be given to any client.
	Lost Problem = "lost"
	// Unclear blocks have copies or chunks that contradict one another.
	Unclear Problem = "unclear"
	// Uncopied blocks could not be read or written.
	Uncopied Problem = "uncopied"
	// Contradicted blocks have something else under their name where they
	// should be copied to.
	Contradicted Problem = "contradicted"
	// Orphan objects belong to no block.
	Orphan Problem = "orphan"
	// Undeleted objects are orphans that could not be deleted.
	Undeleted Problem = "undeleted"
)

// Problems are all of them, those of copies and chunks first.
var Problems = []Problem{
	Problem(blockstore.Missing), Problem(blockstore.Wrong), Problem(blockstore.Unreadable),
	Unclear, Lost, Uncopied, Contradicted, Orphan, Undeleted,
}

// Finding is something that is not as it should be.
type Finding struct {
	Problem      Problem
	Organization parsec.OrganizationID
	Block        parsec.BlockID
	// Node is empty for a block as a whole.
	Node   string
	Detail string
	// Done reports whether it has been mended, or deleted.
	Done bool
}

// Walk is what goes through blocks. Its functions are called one at a time.
type Walk struct {
	Index Index
	// After is where to begin; nil for the first block.
	After *blockstore.Block
	// Report is told of each finding.
	Report func(Finding)
	// Advance is told of blocks that are done, and of their bytes.
	Advance func(blocks, bytes int64)
	// Reached is told of the last block before which all are done.
	Reached func(blockstore.Block)

	mu sync.Mutex
}

// pages calls visit with the blocks of an organization, a part at a time. It
// returns the last block before which all are done.
func (w *Walk) pages(ctx context.Context, visit func(context.Context, []blockstore.Block) error) (last *blockstore.Block, err error) {
	for last = w.After; ; {
		page, err := w.Index.Blocks(ctx, last, pageBlocks)
		if err != nil || len(page) == 0 {
			return last, err
		}
		for len(page) > 0 {
			run := 1
			for run < len(page) && page[run].Organization == page[0].Organization {
				run++
			}
			if err := visit(ctx, page[:run]); err != nil {
				return last, err
			}
			last = &page[run-1]
			w.Reached(*last)
			page = page[run:]
		}
	}
}

// each works on blocks, several at once.
func (w *Walk) each(ctx context.Context, blocks []blockstore.Block, work func(context.Context, blockstore.Block) error) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, block := range blocks {
		if working.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := work(working, block); err != nil {
				return err
			}
			w.advance(block)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (w *Walk) advance(blocks ...blockstore.Block) {
	var bytes int64
	for _, block := range blocks {
		bytes += block.Size
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Advance(int64(len(blocks)), bytes)
}

func (w *Walk) report(finding Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Report(finding)
}

// silence counts what could not be read or written.
type silence struct {
	mu    sync.Mutex
	count int
}

// add fails once there is too much of it.
func (s *silence) add(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if s.count > maxUnreadable {
		return fmt.Errorf("more than %d failures, the last one: %w", maxUnreadable, err)
	}
	return nil
}
