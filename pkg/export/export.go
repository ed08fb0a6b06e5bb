package export

import (
	"context"
	"errors"
	"fmt"

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

// Source is a realm for a service.
type Source interface {
	// Versions gives the next copies, at most a number, after a checkpoint.
	Versions(ctx context.Context, after uint64, most int) ([]rules.ExportedVersion, error)
	// Blocks gives next blocks after one, and the last one that was looked at;
	// done is true once there is no more.
	Blocks(ctx context.Context, after parsec.BlockID) (blocks []rules.ExportedBlock, last parsec.BlockID, done bool, err error)
	// Certificates gives those that there are now, among them those of every
	// author that the other methods gave before.
	Certificates(ctx context.Context) (rules.ExportedCertificates, error)
}

// Export is a realm on its way into a file.
type Export struct {
	Source       Source
	Organization parsec.OrganizationID
	Blocks       blockstore.Store
	File         *File
	// Advance is told of versions and blocks that are in the file, and of the
	// bytes of the blocks; Lost of a block that the store does not have. They
	// are called one at a time.
	Advance func(items int, bytes int64)
	Lost    func(parsec.BlockID)
}

// Run writes what the file does not have yet.
func (e *Export) Run(ctx context.Context) error {
	if err := e.versions(ctx); err != nil {
		return err
	}
	if err := e.blocks(ctx); err != nil {
		return err
	}
	// They come last: those of all authors are there then.
	certificates, err := e.Source.Certificates(ctx)
	if err != nil {
		return err
	}
	return e.File.setCertificates(ctx, certificates)
}

func (e *Export) versions(ctx context.Context) error {
	last, err := e.File.lastCheckpoint(ctx)
	if err != nil {
		return err
	}
	for {
		versions, err := e.Source.Versions(ctx, last, atOnce)
		if err != nil || len(versions) == 0 {
			return err
		}
		if err := e.File.addVersions(ctx, versions); err != nil {
			return err
		}
		last = versions[len(versions)-1].Checkpoint
		e.Advance(len(versions), 0)
	}
}

func (e *Export) blocks(ctx context.Context) error {
	var after parsec.BlockID // No block has the id zero.
	for {
		blocks, last, done, err := e.Source.Blocks(ctx, after)
		if err != nil {
			return err
		}
		for len(blocks) > 0 {
			some := blocks[:min(atOnce, len(blocks))]
			if err := e.copyBlocks(ctx, some); err != nil {
				return err
			}
			blocks = blocks[len(some):]
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
		has, err := e.File.hasBlock(ctx, block.ID)
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
			err := e.Blocks.Read(readingCtx, e.Organization, block.ID, block.Checksum, read)
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
	if err := e.File.addBlocks(ctx, wanted, data); err != nil {
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
