package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/export"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/sleep"
)

const (
	// readers is how many blocks are read at the same time.
	readers = 10
	// patience is how many rounds in a row may fail without having read a block.
	patience = 5
	// firstPause is that after the first of them. The next ones are twice as long, up
	// to longestPause.
	firstPause   = 7500 * time.Millisecond
	longestPause = time.Minute
)

// wantedBlock is one whose data is not in the file.
type wantedBlock struct {
	place    int64
	id       parsec.BlockID
	size     int64
	checksum *blockstore.Checksum
	// data is nil until it is read.
	data []byte
}

// data writes the bytes of the blocks, in any order.
func (e *Export) data(ctx context.Context) error {
	if err := e.countData(ctx); err != nil {
		return err
	}
	for last := int64(0); ; {
		wanted, err := e.nextBlocks(ctx, last)
		if err != nil {
			return err
		}
		if len(wanted) == 0 {
			break
		}
		if err := e.addData(ctx, wanted); err != nil {
			return err
		}
		last = wanted[len(wanted)-1].place
	}
	return e.file.Change(ctx, func(tx *export.Tx) error { return tx.Execute("UPDATE info SET blocks_data_export_done = 1") })
}

// countData tells what is in the file already.
func (e *Export) countData(ctx context.Context) error {
	return e.file.Change(ctx, func(tx *export.Tx) error {
		var items int
		var bytes int64
		err := tx.Read("SELECT count(*), coalesce(sum(b.size), 0) FROM block_data d JOIN block b ON b.sequential_id = d.block", nil, &items, &bytes)
		if err == nil {
			e.Advance(items, bytes)
		}
		return err
	})
}

// nextBlocks returns blocks after a place whose data is not in the file, of about a
// batch of bytes, at least one if there is one.
func (e *Export) nextBlocks(ctx context.Context, after int64) (wanted []wantedBlock, err error) {
	var next wantedBlock
	var id []byte
	bytes := int64(0)
	err = e.file.Change(ctx, func(tx *export.Tx) error {
		return tx.Each(`
SELECT b.sequential_id, b.block_id, b.size FROM block b
WHERE b.sequential_id > ? AND NOT EXISTS (SELECT 1 FROM block_data d WHERE d.block = b.sequential_id)
ORDER BY b.sequential_id LIMIT ?`, []any{after, blocksAtOnce}, []any{&next.place, &id, &next.size}, func() error {
			bytes += next.size
			if len(wanted) == 0 || bytes <= bytesAtOnce {
				next.id = parsec.BlockID(id)
				wanted = append(wanted, next)
			}
			return nil
		})
	})
	if err != nil || len(wanted) == 0 {
		return nil, err
	}
	ids := make([]parsec.BlockID, len(wanted))
	for i := range wanted {
		ids[i] = wanted[i].id
	}
	checksums, err := e.source.Checksums(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i := range wanted {
		wanted[i].checksum = checksums[i]
	}
	return wanted, nil
}

// addData adds the data of blocks, but for those that are lost.
func (e *Export) addData(ctx context.Context, wanted []wantedBlock) error {
	lost, failure := e.read(ctx, wanted)
	if len(lost) > 0 && failure == nil {
		failure = e.source.Check(ctx)
	}
	items, bytes := 0, int64(0)
	err := e.file.Change(ctx, func(tx *export.Tx) error { // Also what was read before a failure.
		for i := range wanted {
			if wanted[i].data == nil {
				continue
			}
			if err := tx.Execute("INSERT INTO block_data VALUES (?, ?)", wanted[i].place, wanted[i].data); err != nil {
				return err
			}
			items, bytes = items+1, bytes+wanted[i].size
		}
		return nil
	})
	if err != nil {
		return errors.Join(failure, err)
	}
	e.Advance(items, bytes)
	if failure != nil {
		return failure
	}
	for _, block := range lost {
		e.Lost(block)
	}
	return nil
}

// read reads blocks in rounds, until each is read or lost. It ends with the failure of a
// block once several rounds in a row have read nothing.
func (e *Export) read(ctx context.Context, wanted []wantedBlock) (lost []parsec.BlockID, err error) {
	left := make([]*wantedBlock, len(wanted))
	for i := range wanted {
		left[i] = &wanted[i]
	}
	for failed, pause := 0, firstPause; ; {
		round := e.readRound(ctx, left)
		lost = append(lost, round.lost...)
		if err := ctx.Err(); err != nil {
			return lost, err
		}
		if len(round.failed) == 0 {
			return lost, nil
		}
		if len(round.failed) < len(left) {
			failed, pause = 0, firstPause
		}
		if failed++; failed == patience {
			return lost, round.failure
		}
		if err := sleep.For(ctx, pause); err != nil {
			return lost, err
		}
		left, pause = round.failed, min(2*pause, longestPause)
	}
}

// round is what came of reading blocks once.
type round struct {
	lost   []parsec.BlockID
	failed []*wantedBlock
	// failure is that of the last of those that failed.
	failure error
}

func (e *Export) readRound(ctx context.Context, blocks []*wantedBlock) (r round) {
	failures := make([]error, len(blocks))
	var reading errgroup.Group
	reading.SetLimit(readers)
	for i, block := range blocks {
		reading.Go(func() error {
			data := make([]byte, block.size)
			if failures[i] = e.Blocks.Read(ctx, e.source.Organization, block.id, block.checksum, data); failures[i] == nil {
				block.data = data
			}
			return nil
		})
	}
	_ = reading.Wait() // The failures are kept.
	for i, err := range failures {
		switch {
		case errors.Is(err, blockstore.ErrNotFound):
			r.lost = append(r.lost, blocks[i].id)
		case err != nil:
			r.failed, r.failure = append(r.failed, blocks[i]), fmt.Errorf("read block %s: %w", blocks[i].id, err)
		}
	}
	return r
}
