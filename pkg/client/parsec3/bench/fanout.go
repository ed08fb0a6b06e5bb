package bench

import (
	"context"
	"errors"
	"fmt"
	"io"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/client"
	"parsec-server/pkg/parsec3/protocol"
)

// fanout has a writer update a vlob. The author's device is not told of its own
// updates: the listeners use other devices.
func (l *load) fanout(ctx context.Context) (*bench.Report, error) {
	writer := newWorker(l, 0)
	defer writer.Close()
	for i, listener := range l.workers {
		listener.device = l.devices[1+i%(len(l.devices)-1)]
	}
	return l.Fanout(ctx, vlobWriter{writer}, func(i int) bench.Listener { return l.workers[i] })
}

// vlobWriter is the writer of the workload Fanout.
type vlobWriter struct{ *worker }

// Prepare implements bench.Writer.
func (w vlobWriter) Prepare(ctx context.Context) error { return w.storeVlobs(ctx) }

// Update implements bench.Writer.
func (w vlobWriter) Update(ctx context.Context) error { return w.updateVlob(ctx) }

// Subscribe opens the stream of a listener, and takes its first event.
func (w *worker) Subscribe(ctx context.Context) error {
	// ctx ends with the preparation, and the stream does not.
	opening, give := context.WithCancel(context.WithoutCancel(ctx))
	undo := context.AfterFunc(ctx, give)
	defer undo()
	w.rpc = w.client.Authenticated(w.device)
	w.load.Open.Add(1)
	events, err := w.rpc.Events(opening, "")
	if err != nil {
		return err
	}
	w.events = events
	message, err := events.Next()
	if err != nil {
		return err
	}
	if _, config := message.Event.(*protocol.OrganizationConfigEvent); !config {
		return fmt.Errorf("%w: the first event is %T", client.ErrProtocol, message.Event)
	}
	return nil
}

// Listen implements bench.Listener.
func (w *worker) Listen(ctx context.Context, told func()) error {
	events := w.events
	defer context.AfterFunc(ctx, func() { _ = events.Close() })() // what it waits for fails
	for {
		message, err := events.Next()
		if errors.Is(err, io.EOF) {
			return errStreamEnded
		}
		if err != nil {
			return err
		}
		// The creations, which are version 1, are of the preparation.
		if update, ok := message.Event.(*protocol.VlobEvent); ok && update.Version > 1 {
			told()
		}
	}
}
