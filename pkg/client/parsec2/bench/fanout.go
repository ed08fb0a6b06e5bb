package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec2/protocol"
)

// errNoEvent is an update that a listener was not told of in time.
var errNoEvent = errors.New("an event did not come")

// round is what the writer and the listeners of the workload Fanout share.
type round struct {
	start time.Time
	// sent is when the last update was sent, after start.
	sent atomic.Int64
	// told has room for one event of each listener, and its end.
	told chan news
}

// news is what a listener tells the writer.
type news struct {
	// updates is how many the listener was told of so far.
	updates uint64
	// ended reports whether there will be no more.
	ended bool
}

// fanout has a writer update a vlob each time that every listener was told of
// the previous update. The author's device is not told of its own updates: the
// listeners use other devices.
func (l *load) fanout(ctx context.Context) (*bench.Report, error) {
	writer := newWorker(l, 0)
	defer writer.Close()
	for i, listener := range l.workers {
		listener.device = l.devices[1+i%(len(l.devices)-1)]
	}
	if err := prepareWriter(ctx, writer); err != nil {
		return nil, err
	}
	if err := l.Prepare(ctx, func(ctx context.Context, i int) error { return l.workers[i].subscribe(ctx) }); err != nil {
		return nil, err
	}
	running, operations, end := l.Begin(ctx)
	defer end()
	listening, stopListening := context.WithCancel(operations)
	r := &round{start: time.Now(), told: make(chan news, 2*len(l.workers))}
	var listeners sync.WaitGroup
	for _, listener := range l.workers {
		listeners.Go(func() { listener.listen(listening, r) })
	}
	var err error
	left := len(l.workers)
	for update := uint64(1); left > 0 && running.Err() == nil && l.Take() && err == nil; update++ {
		r.sent.Store(int64(time.Since(r.start)))
		if err = writer.updateVlob(operations); err == nil {
			left, err = r.await(operations, update, left)
		}
	}
	elapsed := time.Since(r.start)
	stopListening()
	listeners.Wait()
	report := l.Report(elapsed)
	switch {
	case errors.Is(err, errNoEvent):
		report.Errors[errNoEvent.Error()]++
	case err != nil:
		report.Errors[nameOf(err)]++
	}
	return report, nil
}

func prepareWriter(ctx context.Context, writer *worker) error {
	ctx, cancel := context.WithTimeout(ctx, bench.PreparationTimeout)
	defer cancel()
	if err := writer.storeVlobs(ctx); err != nil {
		return fmt.Errorf("prepare the writer: %w", err)
	}
	return nil
}

// await waits until each of the listeners was told of an update or has ended,
// and returns how many are left.
func (r *round) await(ctx context.Context, update uint64, listeners int) (left int, err error) {
	left = listeners
	for waiting := listeners; waiting > 0; {
		select {
		case told := <-r.told:
			if told.ended {
				left--
			}
			if !told.ended || told.updates < update {
				waiting--
			}
		case <-ctx.Done():
			return left, errNoEvent
		}
	}
	return left, nil
}

// subscribe opens the connection of a listener.
func (w *worker) subscribe(ctx context.Context) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	_, err := parsec2.Call(ctx, w.conn, protocol.EventsSubscribe, &protocol.EventsSubscribeRequest{})
	return err
}

// listen takes events until ctx ends or the connection is lost.
func (w *worker) listen(ctx context.Context, r *round) {
	updates := uint64(0)
	defer func() { r.tell(ctx, news{updates, true}) }()
	for {
		event, err := parsec2.EventsListen(ctx, w.conn, &protocol.EventsListenRequest{Wait: true})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.fail(err)
			return
		}
		// The creations, which are version 1, are of the preparation.
		if update, ok := event.(*protocol.RealmVlobsUpdatedEvent); ok && update.SourceVersion > 1 {
			w.Succeed(time.Since(r.start) - time.Duration(r.sent.Load()))
			updates++
			r.tell(ctx, news{updates, false})
		}
	}
}

// tell waits no longer than ctx: then the writer has ended.
func (r *round) tell(ctx context.Context, told news) {
	select {
	case r.told <- told:
	case <-ctx.Done():
	}
}
