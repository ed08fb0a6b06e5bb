package server

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// lastChunk is the end of an answer in chunks.
const lastChunk = "0\r\n\r\n"

// streamConn is the client of a stream on a connection that was taken out of net/http,
// which keeps a goroutine with its stack and some 20 KiB of buffers for each request.
// The goroutine that runs watch owns it; another one sends.
type streamConn struct {
	stream *OpenStream
	conn   net.Conn
	// chunked is of HTTP/1.1. The connection of an older client ends with the stream.
	chunked bool
	// reusable reports whether the connection serves another request.
	reusable bool
	// early is what the client sent after its request.
	early []byte
	// first is where early is read to, one byte: the memory of a connection without
	// request is for its goroutine to have.
	first [1]byte
}

// takeOut takes the connection of a request out of net/http, once the head of the
// answer is sent, and returns nil if that is impossible. Over HTTP/2 a connection
// carries more than the stream. A request with a body may not be read yet, as far as
// net/http alone knows.
func (s *OpenStream) takeOut(w http.ResponseWriter, r *http.Request) *streamConn {
	if r.ProtoMajor != 1 || r.ContentLength != 0 {
		return nil
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	chunked := r.ProtoAtLeast(1, 1)
	taken := &streamConn{
		stream: s, conn: conn, chunked: chunked,
		reusable: chunked && !r.Close && !headerHasToken(w.Header(), "Connection", "close"), // as the client was told
	}
	if n := buffered.Reader.Buffered(); n > 0 {
		early, _ := buffered.Peek(n) // which is there
		taken.early = append([]byte(nil), early...)
	}
	return taken
}

func (c *streamConn) send(message StreamMessage) error {
	if !c.chunked {
		message = message.text()
	}
	_, err := c.conn.Write(message)
	return err
}

func (c *streamConn) finish() error {
	if !c.chunked {
		return nil
	}
	_, err := c.conn.Write([]byte(lastChunk))
	return err
}

// release has watch go on.
func (c *streamConn) release() {
	_ = c.conn.SetReadDeadline(time.Now()) // else watch has ended already
}

func (c *streamConn) cut() { cutConn(c.conn) }

// watch ends the stream when its client is gone, waits for its end, and then serves
// the next request.
func (c *streamConn) watch() {
	defer c.stream.server.leave(c.stream)
	if len(c.early) == 0 {
		awaitInput(c.conn)
		n, _ := c.conn.Read(c.first[:])
		c.early = c.first[:n]
		if n == 0 {
			c.stream.cut() // unless it is over
		}
	}
	<-c.stream.done
	if !c.reusable || c.stream.cutOff || !c.awaitRequest() || !c.stream.server.serveAgain(withEarly(c.conn, c.early)) {
		c.conn.Close()
	}
}

// awaitRequest reports whether the client sends another request, which has the time
// that it has on every connection. Meanwhile the connection is small.
func (c *streamConn) awaitRequest() bool {
	connections := &c.stream.server.connections
	connections.track(c.conn, http.StateIdle)
	defer connections.track(c.conn, http.StateHijacked)
	if len(c.early) == 0 {
		if c.conn.SetReadDeadline(time.Now().Add(c.stream.server.options.IdleTimeout)) != nil {
			return false
		}
		n, _ := c.conn.Read(c.first[:])
		c.early = c.first[:n]
	}
	return len(c.early) > 0 && c.conn.SetDeadline(time.Time{}) == nil
}

// serveAgain has net/http serve a connection, and reports whether it does: it does
// not when it ends.
func (s *Server) serveAgain(conn net.Conn) bool {
	once := &singleListener{conn: conn}
	_ = s.http.Serve(once) // which ends after one connection, or before
	return once.conn == nil
}

// singleListener accepts one connection. One goroutine uses it.
type singleListener struct{ conn net.Conn }

// Accept implements net.Listener.
func (l *singleListener) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, net.ErrClosed
	}
	conn := l.conn
	l.conn = nil
	return conn, nil
}

// Close implements net.Listener. The connection is for its owner to close.
func (*singleListener) Close() error { return nil }

// Addr implements net.Listener.
func (*singleListener) Addr() net.Addr { return nil }

// cutConn closes a connection without waiting for the peer, which TLS would do to say
// that it ends.
func cutConn(conn net.Conn) {
	if encrypted, isTLS := conn.(interface{ NetConn() net.Conn }); isTLS {
		conn = encrypted.NetConn()
	}
	conn.Close()
}

// earlyConn is a connection of which something was read already.
type earlyConn struct {
	net.Conn
	early []byte
}

// withEarly returns a connection that gives what was read of it once more.
func withEarly(conn net.Conn, early []byte) net.Conn {
	switch c := conn.(type) {
	case *earlyConn:
		c.early = early
		return c
	case *earlyTLS:
		c.early = early
		return c
	case *tls.Conn:
		return &earlyTLS{earlyConn{c, early}, c}
	default:
		return &earlyConn{c, early}
	}
}

// Read implements net.Conn.
func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.early)
	c.early = c.early[n:]
	return n, nil
}

// CloseWrite is for net/http, which has a client read an answer before it closes.
func (c *earlyConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// track is a hook of http.Server. The path of a request is not in its first byte.
func (c *earlyConn) track(state http.ConnState) {
	if mended, ok := c.Conn.(*escapesConn); ok && len(c.early) <= 1 {
		mended.track(state)
	}
}

// earlyTLS is an earlyConn in TLS. It tells net/http so.
type earlyTLS struct {
	earlyConn
	encrypted *tls.Conn
}

// ConnectionState is for net/http.
func (c *earlyTLS) ConnectionState() tls.ConnectionState { return c.encrypted.ConnectionState() }

// NetConn returns the connection below TLS.
func (c *earlyTLS) NetConn() net.Conn { return c.encrypted.NetConn() }
