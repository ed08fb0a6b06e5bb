package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// errNoEvent is an update that a listener was not told of in time.
var errNoEvent = errors.New("an event did not come")

// Writer updates what listeners are told of.
type Writer interface {
	// Prepare makes what is updated.
	Prepare(ctx context.Context) error
	// Update does it once.
	Update(ctx context.Context) error
}

// Listener is told of updates.
type Listener interface {
	// Subscribe begins to listen.
	Subscribe(ctx context.Context) error
	// Listen calls told at each update, until ctx ends or nothing more can come: then
	// the error says why.
	Listen(ctx context.Context, told func()) error
}

// round is what the writer and the listeners share.
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

// Fanout has a writer update each time that every listener was told of the previous
// update. There is a listener for each meter. Those that end are left out.
func (r *Run) Fanout(ctx context.Context, writer Writer, listener func(i int) Listener) (*Report, error) {
	preparing, cancel := context.WithTimeout(ctx, PreparationTimeout)
	err := writer.Prepare(preparing)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("prepare the writer: %w", err)
	}
	if err := r.Prepare(ctx, func(ctx context.Context, i int) error { return listener(i).Subscribe(ctx) }); err != nil {
		return nil, err
	}
	running, operations, end := r.Begin(ctx)
	defer end()
	listening, stopListening := context.WithCancel(operations)
	shared := &round{start: time.Now(), told: make(chan news, 2*len(r.Meters))}
	var listeners sync.WaitGroup
	for i, meter := range r.Meters {
		listeners.Go(func() { r.listen(listening, shared, listener(i), meter) })
	}
	left := len(r.Meters)
	for update := uint64(1); left > 0 && running.Err() == nil && r.Take() && err == nil; update++ {
		shared.sent.Store(int64(time.Since(shared.start)))
		if err = writer.Update(operations); err == nil {
			left, err = shared.await(operations, update, left)
		}
	}
	elapsed := time.Since(shared.start)
	stopListening()
	listeners.Wait()
	report := r.Report(elapsed)
	switch {
	case errors.Is(err, errNoEvent):
		report.Errors[errNoEvent.Error()]++
	case err != nil:
		report.Errors[r.NameOf(err)]++
	}
	return report, nil
}

// listen measures what one listener is told.
func (r *Run) listen(ctx context.Context, shared *round, listener Listener, meter *Meter) {
	updates := uint64(0)
	err := listener.Listen(ctx, func() {
		meter.Succeed(time.Since(shared.start) - time.Duration(shared.sent.Load()))
		updates++
		shared.tell(ctx, news{updates, false})
	})
	if err != nil && ctx.Err() == nil {
		meter.Fail(r.NameOf(err))
	}
	shared.tell(ctx, news{updates, true})
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

// tell waits no longer than ctx: then the writer has ended.
func (r *round) tell(ctx context.Context, told news) {
	select {
	case r.told <- told:
	case <-ctx.Done():
	}
}
