package bench

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// probeTimeout bounds the answer of a connection that is asked whether it is
// alive.
const probeTimeout = 10 * time.Second

// idle opens the connections, holds them for the duration, and counts those
// that still answer. A connection that cannot be opened is counted as an
// error.
func (b *bench) idle(ctx context.Context) (*Report, error) {
	request, err := wire.AppendMap(nil, eventsListenHead, &protocol.EventsListenRequest{Wait: true})
	if err != nil {
		return nil, err
	}
	start := time.Now()
	b.inParallel(func(w *worker) { w.openIdle(ctx, request) })
	report := b.report(time.Since(start))
	hold, cancel := context.WithTimeout(ctx, b.options.Duration)
	defer cancel()
	<-hold.Done()
	alive := b.countAlive(context.WithoutCancel(ctx))
	report.Alive = &alive
	return report, nil
}

// inParallel does something with every worker, a few at a time.
func (b *bench) inParallel(do func(*worker)) {
	var group errgroup.Group
	group.SetLimit(openings)
	for _, w := range b.workers {
		group.Go(func() error {
			do(w)
			return nil
		})
	}
	_ = group.Wait() // none fails
}

// openIdle opens a connection that waits for events, unless ctx is done.
func (w *worker) openIdle(ctx context.Context, request []byte) {
	if ctx.Err() != nil || !w.bench.take() {
		return
	}
	opening, cancel := context.WithTimeout(ctx, preparationTimeout)
	defer cancel()
	start := time.Now()
	err := w.subscribe(opening)
	if err == nil {
		err = w.conn.Send(opening, request)
	}
	switch {
	case err == nil:
		w.succeed(time.Since(start))
	case ctx.Err() == nil:
		w.fail(err)
	}
}

// countAlive asks every connection.
func (b *bench) countAlive(ctx context.Context) int {
	var alive atomic.Int64
	b.inParallel(func(w *worker) {
		if w.conn == nil {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		if w.conn.Probe(ctx) == nil {
			alive.Add(1)
		}
	})
	return int(alive.Load())
}
