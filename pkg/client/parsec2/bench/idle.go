package bench

import (
	"context"
	"sync/atomic"
	"time"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// probeTimeout bounds the answer of a connection that is asked whether it is
// alive.
const probeTimeout = 10 * time.Second

// idle opens the connections, holds them for the duration, and counts those
// that still answer. A connection that cannot be opened is counted as an
// error.
func (l *load) idle(ctx context.Context) (*bench.Report, error) {
	request, err := wire.AppendMap(nil, eventsListenHead, &protocol.EventsListenRequest{Wait: true})
	if err != nil {
		return nil, err
	}
	start := time.Now()
	l.ForEach(func(i int) { l.workers[i].openIdle(ctx, request) })
	report := l.Report(time.Since(start))
	hold, cancel := context.WithTimeout(ctx, l.Duration)
	defer cancel()
	<-hold.Done()
	alive := l.countAlive(context.WithoutCancel(ctx))
	report.Alive = &alive
	return report, nil
}

// openIdle opens a connection that waits for events, unless ctx is done.
func (w *worker) openIdle(ctx context.Context, request []byte) {
	if ctx.Err() != nil || !w.load.Take() {
		return
	}
	opening, cancel := context.WithTimeout(ctx, bench.PreparationTimeout)
	defer cancel()
	start := time.Now()
	err := w.Subscribe(opening)
	if err == nil {
		err = w.conn.Send(opening, request)
	}
	switch {
	case err == nil:
		w.Succeed(time.Since(start))
	case ctx.Err() == nil:
		w.fail(err)
	}
}

// countAlive asks every connection.
func (l *load) countAlive(ctx context.Context) int {
	var alive atomic.Int64
	l.ForEach(func(i int) {
		w := l.workers[i]
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
