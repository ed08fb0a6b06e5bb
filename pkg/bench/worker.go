package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

const (
	// vlobCount is how many vlobs each connection reads and updates in turn.
	vlobCount = 16
	// maxFailures in a row end a worker: nothing will work any more.
	maxFailures = 1000
	// reconnectionPause comes before each attempt to open a lost connection.
	reconnectionPause = 100 * time.Millisecond
)

// worker is one connection and what it does. The goroutine that runs it owns
// everything but the two counters.
type worker struct {
	bench  *bench
	client *parsec2.Client
	device *parsec2.Device
	// conn is nil before it is open, and while the worker has none.
	conn  *parsec2.Conn
	realm parsec.RealmID
	vlobs [vlobCount]vlob
	block parsec.BlockID
	// turn counts operations, to choose the next vlob or command.
	turn int
	// lastID is the id made last: its end is a counter.
	lastID parsec.UUID

	// message is the buffer of every request; the requests are kept too.
	message     []byte
	createVlobs protocol.VlobCreateRequest
	updateVlobs protocol.VlobUpdateRequest
	readVlobs   protocol.VlobReadRequest

	latency           histogram
	errors            map[string]uint64
	succeeded, failed atomic.Uint64
}

// vlob is what the next update needs to know.
type vlob struct {
	id      parsec.VlobID
	version uint32
}

func newWorker(b *bench, index int) *worker {
	return &worker{
		bench:  b,
		client: b.clients[index%len(b.clients)],
		device: b.devices[index%len(b.devices)],
		realm:  b.realm,
		turn:   index, // connections do not all send the same at the same time
		lastID: parsec.NewUUID(),
		errors: map[string]uint64{},
	}
}

// connect opens the connection of the worker.
func (w *worker) connect(ctx context.Context) error {
	conn, err := w.client.DialAuthenticated(ctx, w.device, w.bench.version)
	if err != nil {
		return err
	}
	w.conn = conn
	w.bench.open.Add(1)
	return nil
}

// close drops the connection, if there is one.
func (w *worker) close() {
	if w.conn == nil {
		return
	}
	w.conn.CloseNow()
	w.conn = nil
	w.bench.open.Add(-1)
}

// repeat does the operations of a workload until running ends; ctx is for
// those under way.
func (w *worker) repeat(running, ctx context.Context, work steadyWorkload) {
	for failures := 0; failures < maxFailures && running.Err() == nil && w.bench.take(); {
		start := time.Now()
		err := work.operate(w, ctx)
		if err == nil {
			w.succeed(time.Since(start))
			failures = 0
			continue
		}
		w.fail(err)
		failures++
		if _, refused := errors.AsType[*protocol.Refusal](err); refused || w.conn == nil {
			continue
		}
		// The connection is lost, or of no use any more.
		if !w.bench.options.Reconnect || !w.reconnect(running, work.prepare) {
			return
		}
	}
}

// reconnect prepares the worker anew, and tells whether it can go on.
func (w *worker) reconnect(running context.Context, prepare func(*worker, context.Context) error) bool {
	w.close()
	for range maxFailures {
		select {
		case <-time.After(reconnectionPause):
		case <-running.Done():
			return false
		}
		ctx, cancel := context.WithTimeout(running, preparationTimeout)
		err := prepare(w, ctx)
		cancel()
		if err == nil {
			return true
		}
		w.close()
		if running.Err() != nil {
			return false
		}
		w.fail(err)
	}
	return false
}

func (w *worker) succeed(latency time.Duration) {
	w.latency.record(latency)
	w.succeeded.Add(1)
}

func (w *worker) fail(err error) {
	w.errors[nameOf(err)]++
	w.failed.Add(1)
}

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

// okStatus comes after the first byte of an ok reply that begins with its
// status, as those of every known server do.
var okStatus = []byte("\xa6status\xa2ok")

// checkStatus returns a refusal for a status other than ok.
func checkStatus(reply []byte) error {
	if len(reply) > 0 && bytes.HasPrefix(reply[1:], okStatus) {
		return nil
	}
	status, found := wire.LookupString(reply, "status")
	if !found {
		return fmt.Errorf("%w: a reply has no status", client.ErrProtocol)
	}
	if status == string(protocol.StatusOK) {
		return nil
	}
	reason, _ := wire.LookupString(reply, "reason")
	return protocol.Refuse(protocol.Status(status), reason)
}

// newID makes an id cheaply: random at first, then the next number.
func (w *worker) newID() parsec.UUID {
	counter := w.lastID[8:]
	binary.BigEndian.PutUint64(counter, binary.BigEndian.Uint64(counter)+1)
	return w.lastID
}
