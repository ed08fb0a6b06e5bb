package blockstore

import (
	"context"
	"log/slog"
	"time"

	"parsec-server/pkg/backend"
)

// initCommand is what operators create a bucket or a container with.
const initCommand = "parsec backend blockstore init"

const (
	firstReadyPause = time.Second
	maxReadyPause   = 30 * time.Second
)

// Initializer is a store that can create what it keeps blocks in, or a
// decorator of any store.
type Initializer interface {
	// Init creates the bucket or the container, on each node, unless it
	// exists.
	Init(ctx context.Context) error
}

// Init creates what store keeps blocks in, if there is such a thing.
func Init(ctx context.Context, store backend.BlockStore) error {
	if initializer, creates := store.(Initializer); creates {
		return initializer.Init(ctx)
	}
	return nil
}

// AwaitReady logs why store cannot serve until it can or ctx is done: at once,
// then after pauses from 1 to 30 seconds.
func AwaitReady(ctx context.Context, store backend.BlockStore, logger *slog.Logger) {
	waited := false
	for pause := firstReadyPause; ; pause = min(2*pause, maxReadyPause) {
		err := store.Ready(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if waited {
				logger.InfoContext(ctx, "block store ready")
			}
			return
		}
		waited = true
		logger.ErrorContext(ctx, "block store not ready", slog.Any("error", err))
		if !wait(ctx, pause) {
			return
		}
	}
}

// wait returns false if ctx is done before the duration has passed.
func wait(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
