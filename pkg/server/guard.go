package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Idle connections keep their buffers, ten thousand of them as well, so these
// are small. What is longer bypasses them, at the cost of one more system call:
// a reply of a kilobyte fits, a request of that length does not.
const (
	readBufferBytes  = 1024
	writeBufferBytes = 2048
)

// progressBytes is how much of a write must pass within the write timeout.
const progressBytes = 64 << 10

// GuardedConn cuts a peer that stops reading, and knows when something last
// passed.
type GuardedConn struct {
	net.Conn
	writeTimeout time.Duration
	// heard and told are when the peer sent something, and when it last made
	// room for more, on the clock of guards.
	heard, told atomic.Int64
	// pace is the time limit for a part of the message that is read now, 0 between
	// messages; timed is how many bytes of the part are still to come.
	pace, timed atomic.Int64
	// limited reports whether there is a time limit for reading.
	limited atomic.Bool
}

// guardClock is the start of the clock of guards, which no step of the system's
// clock moves.
var guardClock = time.Now()

func onGuardClock(instant time.Time) int64 { return int64(instant.Sub(guardClock)) }

func (g *GuardedConn) Read(p []byte) (int, error) {
	if err := g.awaitPart(); err != nil {
		return 0, err
	}
	n, err := g.Conn.Read(p)
	if g.pace.Load() != 0 {
		g.timed.Store(max(g.timed.Load()-int64(n), 0))
	}
	g.heard.Store(onGuardClock(time.Now()))
	return n, err
}

func (g *GuardedConn) Write(p []byte) (int, error) {
	return writePieces(p, func(piece []byte) (int, error) {
		if err := g.SetWriteDeadline(time.Now().Add(g.writeTimeout)); err != nil {
			return 0, err
		}
		n, err := g.Conn.Write(piece)
		g.told.Store(onGuardClock(time.Now()))
		return n, err
	})
}

// writePieces writes p by pieces, each of which has a time limit of its own.
func writePieces(p []byte, write func(piece []byte) (int, error)) (int, error) {
	written := 0
	for {
		n, err := write(p[written:min(len(p), written+progressBytes)])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// Cut ends the connection without waiting for the peer.
func (g *GuardedConn) Cut() { cutConn(g.Conn) }

// SilentSince reports whether nothing passed since the instant.
func (g *GuardedConn) SilentSince(instant time.Time) bool {
	return g.told.Load() < onGuardClock(instant) && !g.HeardSince(instant)
}

// HeardSince reports whether the peer sent something since the instant.
func (g *GuardedConn) HeardSince(instant time.Time) bool {
	return g.heard.Load() >= onGuardClock(instant)
}

// BeginMessage has the message that is read now arrive in time: limit for each
// MiB of it.
func (g *GuardedConn) BeginMessage(limit time.Duration) {
	g.timed.Store(0)
	g.pace.Store(int64(limit))
}

// EndMessage lets the next message come whenever it comes.
func (g *GuardedConn) EndMessage() error {
	g.pace.Store(0)
	if !g.limited.Swap(false) { // it had arrived with its head
		return nil
	}
	return g.SetReadDeadline(time.Time{})
}

// pacedBytes is how much of a message must pass within its time limit.
const pacedBytes = 1 << 20

// awaitPart starts the time limit of the next part of a message.
func (g *GuardedConn) awaitPart() error {
	pace := time.Duration(g.pace.Load())
	if pace == 0 || g.timed.Load() > 0 {
		return nil
	}
	g.timed.Store(pacedBytes)
	g.limited.Store(true)
	return g.SetReadDeadline(time.Now().Add(pace))
}

// Guard returns a writer that upgrades w to a guarded connection.
func (s *Server) Guard(w http.ResponseWriter) *GuardedWriter {
	return &GuardedWriter{ResponseWriter: w, writeTimeout: s.options.WriteTimeout}
}

// GuardedWriter hands a guarded connection with small buffers to whoever
// hijacks it.
type GuardedWriter struct {
	http.ResponseWriter
	// Conn is the connection that was hijacked.
	Conn         *GuardedConn
	writeTimeout time.Duration
}

// Hijack implements http.Hijacker.
func (w *GuardedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if mended, ok := conn.(*escapesConn); ok {
		conn = mended.TCPConn // no request comes any more
	}
	w.Conn = &GuardedConn{Conn: conn, writeTimeout: w.writeTimeout}
	w.Conn.heard.Store(onGuardClock(time.Now()))
	// What the peer sent early stands in front of the connection, and in the
	// buffer of the reader, where the library looks for it.
	early := make([]byte, buffered.Reader.Buffered())
	if _, err := io.ReadFull(buffered.Reader, early); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	reader := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), w.Conn), max(readBufferBytes, len(early)))
	if _, err := reader.Peek(len(early)); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return w.Conn, bufio.NewReadWriter(reader, bufio.NewWriterSize(w.Conn, writeBufferBytes)), nil
}

// timedWriter cuts a client that stops reading an HTTP answer.
type timedWriter struct {
	http.ResponseWriter
	writeTimeout time.Duration
	// isStream reports whether the time limit of a write counts after it too.
	isStream bool
	// isLast reports whether the answer is the last of its connection.
	isLast func() bool
	// body is that of the request.
	body *timedBody
}

// WriteHeader implements http.ResponseWriter.
func (w timedWriter) WriteHeader(status int) {
	w.body.drain()
	if status != http.StatusSwitchingProtocols {
		w.endConnection()
	}
	w.allowTime()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w timedWriter) Write(p []byte) (int, error) {
	w.body.drain()
	w.endConnection()
	return writePieces(p, func(piece []byte) (int, error) {
		w.allowTime()
		return w.ResponseWriter.Write(piece)
	})
}

// FlushError has http.ResponseController send what was written. What is written next
// may come late.
func (w timedWriter) FlushError() error {
	w.allowTime()
	controller := http.NewResponseController(w.ResponseWriter)
	err := controller.Flush()
	if err == nil && w.isStream {
		err = controller.SetWriteDeadline(time.Time{})
	}
	return err
}

// endConnection is called before the head of the answer is written.
func (w timedWriter) endConnection() {
	if w.isLast() {
		w.Header().Set("Connection", "close") // HTTP/2 has a frame for it
	}
}

// Unwrap returns the writer whose methods http.ResponseController needs.
func (w timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w timedWriter) allowTime() {
	// A writer without deadlines is not on a network.
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.writeTimeout))
}
