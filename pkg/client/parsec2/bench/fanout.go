package bench

import (
	"context"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec2/protocol"
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

// Subscribe opens the connection of a listener.
func (w *worker) Subscribe(ctx context.Context) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	_, err := parsec2.Call(ctx, w.conn, protocol.EventsSubscribe, &protocol.EventsSubscribeRequest{})
	return err
}

// Listen implements bench.Listener.
func (w *worker) Listen(ctx context.Context, told func()) error {
	for {
		event, err := parsec2.EventsListen(ctx, w.conn, &protocol.EventsListenRequest{Wait: true})
		if err != nil {
			return err
		}
		// The creations, which are version 1, are of the preparation.
		if update, ok := event.(*protocol.RealmVlobsUpdatedEvent); ok && update.SourceVersion > 1 {
			told()
		}
	}
}
