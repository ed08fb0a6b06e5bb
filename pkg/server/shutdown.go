package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Shutdown accepts nothing more and ends every connection: idle and waiting
// ones at once, the others when their command is finished, WebSockets with a
// going-away close frame; clients connect again by themselves. When ctx is
// done the rest is cut.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.endOfLasting()
	s.mu.Unlock()
	for _, wing := range s.wings {
		wing.Drain()
	}
	defer time.AfterFunc(CloseTimeout, s.silent.close).Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if s.http.Shutdown(ctx) != nil {
			_ = s.http.Close()
		}
		s.work.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		s.cancelCommands()
		for _, wing := range s.wings {
			wing.Cut()
		}
		<-ended
	}
	s.cancelCommands()
}

// IsDraining reports whether the server has begun to end.
func (s *Server) IsDraining() bool { return s.lasting.Err() != nil }

// silentConns are connections whose first request has not come, whole as far as
// its headers. net/http would have a shutdown wait seconds for them.
type silentConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// track is a hook of http.Server.
func (c *silentConns) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateNew {
		c.conns[conn] = struct{}{}
	} else {
		delete(c.conns, conn)
	}
}

func (c *silentConns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		conn.Close()
	}
}
