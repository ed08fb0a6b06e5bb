package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstPause is the wait after a connection that could not be accepted,
	// doubled after each other up to lastPause.
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
	// warnInterval is the least time between two lines of the log about it.
	warnInterval = 10 * time.Second
	// A socket whose queue is about to be lost waits until nothing has come for
	// queueSilence, more than what proxies need to say that they have connected, and
	// for queueLimit at most: then those ask again that asked in vain.
	queueSilence  = 50 * time.Millisecond
	queueInterval = 5 * time.Millisecond
	queueLimit    = time.Second
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
	// accepted counts connections.
	accepted atomic.Int64
	// ending reports that no connection begins any more.
	ending atomic.Bool
}

// Listen opens a TCP socket on an address, host:port.
func Listen(ctx context.Context, address string, logger *slog.Logger) (*Socket, error) {
	var network net.ListenConfig
	network.SetMultipathTCP(false) // its sockets have no minimal TTL, see endQueue
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
			s.accepted.Add(1)
			if tcp, isTCP := conn.(*net.TCPConn); isTCP && s.ending.Load() {
				hearAgain(tcp)
			}
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

// endQueue has no connection begin any more, and waits until Accept has returned those
// that had: to close the socket would reset them, and a proxy takes that for the end
// of its request. Who asks for another one is refused at the second attempt, or finds
// the next process.
func (s *Socket) endQueue() {
	listener, isTCP := s.Listener.(*net.TCPListener)
	if !isTCP {
		return
	}
	s.ending.Store(true)
	if !beginNothing(listener) {
		return
	}
	ticker := time.NewTicker(queueInterval)
	defer ticker.Stop()
	begun := time.Now()
	accepted, since := s.accepted.Load(), begun
	for time.Since(since) < queueSilence && time.Since(begun) < queueLimit {
		<-ticker.C
		if now := s.accepted.Load(); now != accepted || hasQueue(listener) {
			accepted, since = now, time.Now()
		}
	}
}

// Close has Accept return net.ErrClosed, now and later.
func (s *Socket) Close() error { return s.close() }
