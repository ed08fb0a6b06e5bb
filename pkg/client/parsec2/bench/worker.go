package bench

import (
	"context"
	"errors"
	"fmt"

	"parsec-server/pkg/bench"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// vlobCount is how many vlobs each connection reads and updates in turn.
const vlobCount = 16

// worker is one connection and what it does. The goroutine that runs it owns
// it, but for the counters of its Meter.
type worker struct {
	bench.Meter

	load   *load
	client *parsec2.Client
	device *parsec2.Device
	// conn is nil before it is open, and while the worker has none.
	conn *parsec2.Conn
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
	readVlobs   protocol.VlobReadRequest
}

// vlob is what the next update needs to know.
type vlob struct {
	id      parsec.VlobID
	version uint32
}

func newWorker(l *load, index int) *worker {
	return &worker{
		load:   l,
		client: l.clients[index%len(l.clients)],
		device: l.devices[index%len(l.devices)],
		work:   steadyWorkloads[l.options.Workload],
		realm:  l.realm,
		turn:   index, // connections do not all send the same at the same time
		ids:    bench.NewIDs(),
	}
}

// connect opens the connection of the worker.
func (w *worker) connect(ctx context.Context) error {
	conn, err := w.client.DialAuthenticated(ctx, w.device, w.load.version)
	if err != nil {
		return err
	}
	w.conn = conn
	w.load.Open.Add(1)
	return nil
}

// Close drops the connection, if there is one.
func (w *worker) Close() {
	if w.conn == nil {
		return
	}
	w.conn.CloseNow()
	w.conn = nil
	w.load.Open.Add(-1)
}

// Prepare implements bench.Connection.
func (w *worker) Prepare(ctx context.Context) error { return w.work.prepare(w, ctx) }

// Operate implements bench.Connection.
func (w *worker) Operate(ctx context.Context) error { return w.work.operate(w, ctx) }

// Lost implements bench.Connection. The workload Connect has no connection to
// lose between its operations.
func (w *worker) Lost(err error) bool {
	_, refused := errors.AsType[*protocol.Refusal](err)
	return !refused && w.conn != nil
}

func (w *worker) fail(err error) { w.Fail(nameOf(err)) }

// send sends a command and checks the status of its reply, without decoding
// it. head has the name of the command; request is its fields.
func (w *worker) send(ctx context.Context, head []wire.Field, request any) error {
	var err error
	if w.message, err = wire.AppendMap(w.message[:0], head, request); err != nil {
		return err
	}
	reply, err := w.conn.RoundTrip(ctx, w.message)
	if err != nil {
		return err
	}
	return checkStatus(reply)
}

// checkStatus returns a refusal for a status other than ok.
func checkStatus(reply []byte) error {
	status, found := bench.StatusOf(reply)
	if !found {
		return fmt.Errorf("%w: a reply has no status", client.ErrProtocol)
	}
	if status == string(protocol.StatusOK) {
		return nil
	}
	reason, _ := wire.LookupString(reply, "reason")
	return protocol.Refuse(protocol.Status(status), reason)
}
