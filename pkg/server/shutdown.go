package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/outage"
)

const (
	// streamPace is the time between the ends of two event streams whose clients
	// connect elsewhere, and streamSpread bounds that between the first and the last.
	streamPace   = 5 * time.Millisecond
	streamSpread = 3 * time.Second
	// waitingSilence is how long a connection must be silent to be ended, and
	// succeededSilence when a successor serves: requests that come over it until then
	// are the last. Who sends one while it ends meets the end. Between the parts of a
	// file a client is silent for its way to the server and back, most of a second by
	// satellite, and for as long as its machine takes.
	waitingSilence   = 2 * time.Second
	succeededSilence = 10 * time.Second
	sweepInterval    = 50 * time.Millisecond
)

// Ready implements lifecycle.Front. A database that takes no writes can be read.
func (s *Server) Ready(ctx context.Context) error {
	if err := s.awaitLook(ctx, probeLimit); !errors.Is(err, outage.ErrNoRoom) {
		return err
	}
	return nil
}

// Retire implements lifecycle.Front: /readyz says that the server stops, and each
// answer ends its connection.
func (s *Server) Retire(next lifecycle.Succession) {
	s.retired.Store(&next)
}

func (s *Server) isRetired() bool { return s.retired.Load() != nil }

// Shutdown ends every connection: event streams first, whose connections go on
// (docs/protocol/v5/quirks.md §11), the others when they are silent and their
// commands are finished, WebSockets with a going-away close frame; clients connect
// again by themselves. When ctx is done the rest is cut.
func (s *Server) Shutdown(ctx context.Context) {
	if !s.isRetired() {
		s.Retire(lifecycle.NoSuccessor)
	}
	next := *s.retired.Load()
	s.mu.Lock()
	s.endOfLasting()
	s.mu.Unlock()
	for _, wing := range s.wings {
		wing.Drain()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.http2.Shutdown(ctx) // it has no connections of its own
		s.streams.end(ctx, next)
		s.connections.drain(ctx, next, s.streams.areOpen)
		if s.http.Shutdown(ctx) != nil {
			_ = s.http.Close()
		}
		s.work.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		s.cancelCommands()
		s.streams.cut()
		s.connections.cut()
		for _, wing := range s.wings {
			wing.Cut()
		}
		<-ended
	}
	s.cancelCommands()
}

// IsDraining reports whether the server has begun to end.
func (s *Server) IsDraining() bool { return s.lasting.Err() != nil }

// configureHTTP2 has the server speak HTTP/2 in the name of another one, whose
// shutdown then says on all connections of HTTP/2 that no request is taken any more.
// Those of the server itself may end none that is idle before clients were told: a
// request may be on its way.
func (s *Server) configureHTTP2() {
	s.http2 = &http.Server{IdleTimeout: s.http.IdleTimeout, ReadHeaderTimeout: s.http.ReadHeaderTimeout, ErrorLog: s.http.ErrorLog}
	_ = s.http2.Serve(endedListener{}) // which configures it, and ends
	s.http.TLSNextProto = s.http2.TLSNextProto
}

// endedListener is closed.
type endedListener struct{}

func (endedListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (endedListener) Close() error              { return nil }
func (endedListener) Addr() net.Addr            { return nil }

// connections are those of net/http, with the instant since which each waits for a
// request, zero while it does not.
type connections struct {
	mu      sync.Mutex
	waiting map[net.Conn]time.Time
	// over reports whether none may wait any more.
	over bool
}

// track is a hook of http.Server.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		c.waiting[conn] = time.Now()
		if c.over {
			rawConn(conn).Close()
		}
	case http.StateActive:
		c.waiting[conn] = time.Time{}
	case http.StateHijacked, http.StateClosed:
		delete(c.waiting, conn)
	}
}

// drain ends the connections that wait for a request, once they were silent for a
// while, until there is no connection any more, or ctx is done. More of them may come
// while areOpen says so.
func (c *connections) drain(ctx context.Context, next lifecycle.Succession, areOpen func() bool) {
	silence := waitingSilence
	if next == lifecycle.PresentSuccessor {
		silence = succeededSilence
	}
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	begun := time.Now()
	for sweeps := time.Duration(0); ; sweeps++ {
		// A machine that is late here may be as late with what has been sent.
		late := time.Since(begun) - sweeps*sweepInterval
		if c.endSilent(silence+late) == 0 && !areOpen() {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// cut ends the connections that wait for a request, now and later: not all of them are
// of net/http.
func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for conn, since := range c.waiting {
		if !since.IsZero() {
			rawConn(conn).Close()
		}
	}
}

// endSilent returns how many connections are left.
func (c *connections) endSilent(silence time.Duration) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn, since := range c.waiting {
		if since.IsZero() || time.Since(since) < silence || hasSpoken(rawConn(conn), silence) {
			continue
		}
		delete(c.waiting, conn)
		// TLS would wait for a peer that does not read what it is told.
		rawConn(conn).Close()
	}
	return len(c.waiting)
}

// rawConn returns the connection below TLS.
func rawConn(conn net.Conn) net.Conn {
	if encrypted, isTLS := conn.(interface{ NetConn() net.Conn }); isTLS {
		return encrypted.NetConn()
	}
	if again, isAgain := conn.(*earlyConn); isAgain {
		return again.Conn
	}
	return conn
}
