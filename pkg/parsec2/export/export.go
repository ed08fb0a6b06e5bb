// Package export writes a realm of API 1 to 3 into a file for a sequester service.
package export

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

const (
	// atOnce bounds what is held in memory, and done again after an end that
	// was not expected: the versions or blocks of one transaction.
	atOnce = 100
	// readers is how many blocks are read at the same time.
	readers = 8
)

// Export is a realm on its way into a file.
type Export struct {
	Blocks blockstore.Store
	// Advance is called with the versions and blocks that are in the file, and
	// with the bytes of the blocks; Lost with a block that the store does not
	// have. They are called one at a time.
	Advance func(items int, bytes int64)
	Lost    func(parsec.BlockID)

	source       *rules.RealmExport
	organization parsec.OrganizationID
	file         file
}

// Open opens the file of what is exported to go on with it, or creates it. The
// caller closes it.
func Open(ctx context.Context, path string, key rules.ExportKey, source *rules.RealmExport) (*Export, error) {
	opened, err := openFile(ctx, path, key, source.RootVerifyKey)
	if err != nil {
		return nil, err
	}
	return &Export{source: source, organization: key.Organization, file: opened}, nil
}

// Close ends the work on the file.
func (e *Export) Close() error { return e.file.Close() }

// Run writes what the file does not have yet.
func (e *Export) Run(ctx context.Context) error {
	if err := e.versions(ctx); err != nil {
		return err
	}
	if err := e.blocks(ctx); err != nil {
		return err
	}
	// They come last: those of all authors are there then.
	certificates, err := e.source.Certificates(ctx)
	if err != nil {
		return err
	}
	return e.file.change(ctx, func(b batch) { b.certificates(&certificates) })
}

func (e *Export) versions(ctx context.Context) error {
	last, err := e.file.lastVersion(ctx)
	if err != nil {
		return err
	}
	for {
		versions, err := e.source.Versions(ctx, last, atOnce)
		if err != nil || len(versions) == 0 {
			return err
		}
		err = e.file.change(ctx, func(b batch) {
			for i := range versions {
				b.version(&versions[i])
			}
		})
		if err != nil {
			return err
		}
		last = versions[len(versions)-1].Checkpoint
		e.Advance(len(versions), 0)
	}
}

func (e *Export) blocks(ctx context.Context) error {
	var after parsec.BlockID // No block has the id zero.
	for {
		blocks, last, done, err := e.source.Blocks(ctx, after)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(blocks, atOnce) {
			if err := e.copyBlocks(ctx, some); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
		after = last
	}
}

// copyBlocks reads those that the file does not have.
func (e *Export) copyBlocks(ctx context.Context, blocks []rules.ExportedBlock) error {
	var wanted []rules.ExportedBlock
	var bytes int64
	for _, block := range blocks {
		bytes += block.Size
		has, err := e.file.hasBlock(ctx, block.ID)
		if err != nil {
			return err
		}
		if !has {
			wanted = append(wanted, block)
		}
	}
	data := make([][]byte, len(wanted))
	reading, readingCtx := errgroup.WithContext(ctx)
	reading.SetLimit(readers)
	for i, block := range wanted {
		reading.Go(func() error {
			read := make([]byte, block.Size)
			err := e.Blocks.Read(readingCtx, e.organization, block.ID, block.Checksum, read)
			switch {
			case errors.Is(err, blockstore.ErrNotFound):
				return nil
			case err != nil:
				return fmt.Errorf("read block %s: %w", block.ID, err)
			default:
				data[i] = read
				return nil
			}
		})
	}
	if err := reading.Wait(); err != nil {
		return err
	}
	err := e.file.change(ctx, func(b batch) {
		for i, block := range wanted {
			if data[i] != nil {
				b.block(block, data[i])
			}
		}
	})
	if err != nil {
		return err
	}
	for i, block := range wanted {
		if data[i] == nil {
			e.Lost(block.ID)
		}
	}
	e.Advance(len(blocks), bytes)
	return nil
}
