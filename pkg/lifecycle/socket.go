package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// firstPause is the wait after a connection that could not be accepted,
	// doubled after each other up to lastPause.
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
	// warnInterval is the least time between two lines of the log about it.
	warnInterval = 10 * time.Second
)

// Socket is a listening socket that lives as long as its process: when a
// connection cannot be accepted, because there are no more descriptors or
// because of the network, it says so and tries again. Accept is for one
// goroutine.
type Socket struct {
	net.Listener
	logger *slog.Logger
	// closed is closed by Close.
	closed chan struct{}
	close  func() error
	warned time.Time
}

// Listen opens a TCP socket on an address, host:port.
func Listen(ctx context.Context, address string, logger *slog.Logger) (*Socket, error) {
	var network net.ListenConfig
	listener, err := network.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return NewSocket(listener, logger), nil
}

// NewSocket takes a listener over.
func NewSocket(listener net.Listener, logger *slog.Logger) *Socket {
	s := &Socket{Listener: listener, logger: logger, closed: make(chan struct{})}
	s.close = sync.OnceValue(func() error {
		close(s.closed)
		return listener.Close()
	})
	return s
}

// Accept waits for the next connection. Its only error is net.ErrClosed, after
// Close.
func (s *Socket) Accept() (net.Conn, error) {
	pause := firstPause
	for {
		conn, err := s.Listener.Accept()
		if err == nil {
			return conn, nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, net.ErrClosed
		}
		s.warn(err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.closed:
			timer.Stop()
			return nil, net.ErrClosed
		}
		pause = min(2*pause, lastPause)
	}
}

func (s *Socket) warn(err error) {
	if now := time.Now(); now.Sub(s.warned) >= warnInterval {
		s.warned = now
		s.logger.Warn("connections cannot be accepted", "error", err)
	}
}

// Close has Accept return net.ErrClosed, now and later.
func (s *Socket) Close() error { return s.close() }
