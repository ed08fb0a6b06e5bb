package blockstore

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxRepairs is how many repairs wait at most. Those beyond are left to
	// the next read of their block.
	maxRepairs = 32
	// repairLimit bounds one repair.
	repairLimit = 30 * time.Second
)

// repairs write copies and chunks again that reads have found missing or
// damaged, one at a time, behind the reads. A block that is read is complete
// and never changes, so that a repair cannot undo a write.
type repairs struct {
	logger  *slog.Logger
	queue   chan repair
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu sync.Mutex
	// waiting are the repairs in the queue and the one under way.
	waiting map[repairKey]struct{}
}

type repair struct {
	node *node
	key  key
	data []byte
}

type repairKey struct {
	node int
	key  key
}

func newRepairs(logger *slog.Logger) *repairs {
	ctx, cancel := context.WithCancel(context.Background())
	r := &repairs{
		logger:  logger,
		queue:   make(chan repair, maxRepairs),
		cancel:  cancel,
		waiting: make(map[repairKey]struct{}),
	}
	r.running.Go(func() { r.run(ctx) })
	return r
}

// close ends the repair under way and forgets those that wait.
func (r *repairs) close() {
	r.cancel()
	r.running.Wait()
}

// add has data, of which it keeps a copy, written to a node, unless that is
// planned already or too much is.
func (r *repairs) add(n *node, k key, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, planned := r.waiting[repairKey{n.index, k}]; planned || len(r.queue) == maxRepairs {
		return
	}
	r.waiting[repairKey{n.index, k}] = struct{}{}
	r.queue <- repair{n, k, bytes.Clone(data)} // Only add sends, and there is room.
}

func (r *repairs) run(ctx context.Context) {
	for {
		select {
		case next := <-r.queue:
			r.repair(ctx, next)
		case <-ctx.Done():
			return
		}
	}
}

func (r *repairs) repair(ctx context.Context, next repair) {
	limited, cancel := context.WithTimeout(ctx, repairLimit)
	defer cancel()
	err := next.node.store.Create(limited, next.key.organization, next.key.block, next.data)
	r.mu.Lock()
	delete(r.waiting, repairKey{next.node.index, next.key})
	r.mu.Unlock()
	switch {
	case err == nil:
		r.logger.InfoContext(ctx, "block repaired: it was missing or damaged", next.node.attribute(), next.key.attribute())
	case ctx.Err() == nil:
		next.node.writes.found.Failed(ctx, r.logger, "block not repaired", next.node.attribute(), next.key.attribute(), slog.Any("error", err))
	}
}
