package bench

import (
	"context"
	"errors"
	"fmt"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

// vlobCount is how many vlobs each connection reads and updates in turn.
const vlobCount = 16

// worker is one connection, which HTTP opens again if the server closes it while
// idle, and what it does. The goroutine that runs it owns it, but for the counters
// of its Meter.
type worker struct {
	bench.Meter

	load   *load
	client *client3.Client
	device *client3.Device
	// rpc is nil before the connection is prepared, and once it is closed.
	rpc *client3.RPC
	// events are those of a listener.
	events *client3.Events
	// work is what a steady workload repeats.
	work  steadyWorkload
	realm parsec.RealmID
	vlobs [vlobCount]vlob
	block parsec.BlockID
	// turn counts operations, to choose the next vlob or command.
	turn int
	ids  bench.IDs

	// message is the buffer of every request; the requests are kept too.
	message     []byte
	createVlobs protocol.VlobCreateRequest
	updateVlobs protocol.VlobUpdateRequest
	readVlobs   protocol.VlobReadBatchRequest
	readVlob1   [1]parsec.VlobID
}

// vlob is what the next update needs to know.
type vlob struct {
	id      parsec.VlobID
	version uint32
}

// newClient returns a client of the source address whose turn it is.
func (l *load) newClient(index int) *client3.Client {
	dialers := l.options.Dialers()
	dialer := dialers[index%len(dialers)]
	return client3.New(l.options.Address, client3.LatestVersion, client.Options{TLS: l.options.TLS, DialContext: dialer.DialContext})
}

func newWorker(l *load, index int) *worker {
	return &worker{
		load:   l,
		client: l.newClient(index),
		device: l.devices[index%len(l.devices)],
		work:   steadyWorkloads[l.options.Workload],
		realm:  l.realm,
		turn:   index, // connections do not all send the same at the same time
		ids:    bench.NewIDs(),
	}
}

// connect has the connection open.
func (w *worker) connect(ctx context.Context) error {
	w.rpc = w.client.Authenticated(w.device)
	w.load.Open.Add(1)
	return w.ping(ctx)
}

// Close drops the connection, if there is one.
func (w *worker) Close() {
	if w.events != nil {
		_ = w.events.Close() // nobody reads it any more
		w.events = nil
	}
	if w.rpc != nil {
		w.client.Close()
		w.rpc = nil
		w.load.Open.Add(-1)
	}
}

// Prepare implements bench.Connection.
func (w *worker) Prepare(ctx context.Context) error { return w.work.prepare(w, ctx) }

// Operate implements bench.Connection.
func (w *worker) Operate(ctx context.Context) error { return w.work.operate(w, ctx) }

// Lost implements bench.Connection.
func (w *worker) Lost(err error) bool {
	_, refused := errors.AsType[*protocol.Refusal](err)
	return !refused
}

// send sends a command and checks the status of its reply, without decoding
// it. head has the name of the command; request is its fields.
func (w *worker) send(ctx context.Context, head []wire.Field, request any) error {
	var err error
	if w.message, err = wire.Microseconds.AppendMap(w.message[:0], head, request); err != nil {
		return err
	}
	reply, err := w.rpc.RoundTrip(ctx, w.message)
	if err != nil {
		return err
	}
	status, found := bench.StatusOf(reply)
	switch {
	case !found:
		return fmt.Errorf("%w: a reply has no status", client.ErrProtocol)
	case status != string(protocol.StatusOK):
		return protocol.Refuse(protocol.Status(status))
	default:
		return nil
	}
}
