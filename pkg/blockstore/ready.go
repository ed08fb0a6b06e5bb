package blockstore

import (
	"context"
	"time"

	"parsec-server/pkg/outage"
	"parsec-server/pkg/sleep"
)

// initCommand is what operators create a bucket or a container with.
const initCommand = "parsec backend blockstore init"

const (
	firstReadyPause = time.Second
	maxReadyPause   = 30 * time.Second
	// readyPeriod is between two looks at a store that is ready.
	readyPeriod = 15 * time.Second
	// readyLimit bounds each look.
	readyLimit = 10 * time.Second
)

// Initializer is a store that can create what it keeps blocks in, or a
// decorator of any store.
type Initializer interface {
	// Init creates the bucket or the container, on each node, unless it
	// exists.
	Init(ctx context.Context) error
}

// Init creates what store keeps blocks in, if there is such a thing.
func Init(ctx context.Context, store Store) error {
	if initializer, creates := store.(Initializer); creates {
		return initializer.Init(ctx)
	}
	return nil
}

// Watch looks after a store. Its methods are safe for concurrent use.
type Watch struct {
	store Store
	// found is told what the looks find.
	found *outage.Dependency
}

// NewWatch looks at nothing until Run, which tells found.
func NewWatch(store Store, found *outage.Dependency) *Watch {
	return &Watch{store: store, found: found}
}

// Run looks at the store until ctx is done: every 15 seconds while it is ready,
// and again after 1 to 30 seconds while it is not.
func (w *Watch) Run(ctx context.Context) {
	for pause := firstReadyPause; ; {
		err := w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		next := readyPeriod
		if err != nil {
			w.found.Lost(ctx, err)
			next, pause = pause, min(2*pause, maxReadyPause)
		} else {
			w.found.Back(ctx)
			pause = firstReadyPause
		}
		if sleep.For(ctx, next) != nil {
			return
		}
	}
}

func (w *Watch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	return w.store.Ready(ctx)
}
