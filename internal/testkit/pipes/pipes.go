// Package pipes is a network for tests about time: in a bubble of synctest
// hours of silence take no time.
package pipes

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Network is a network inside of the process, whose time is that of the test. It
// is the listener of its server, and Dial is for the transports of clients. Its
// zero value is not usable.
type Network struct {
	dialled chan net.Conn
	closed  chan struct{}

	// lost means that nothing of clients arrives any more.
	lost atomic.Bool

	mu sync.Mutex
	// passed are the times when the server sent something, by connection.
	passed map[net.Conn][]time.Time
}

// New returns a network without connections.
func New() *Network {
	return &Network{dialled: make(chan net.Conn), closed: make(chan struct{}), passed: map[net.Conn][]time.Time{}}
}

// Accept implements net.Listener.
func (p *Network) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dialled:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *Network) Close() error {
	close(p.closed)
	return nil
}

// Addr implements net.Listener.
func (*Network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6777} }

// Dial is for the transports of clients.
func (p *Network) Dial(context.Context, string, string) (net.Conn, error) {
	client, client2 := net.Pipe()
	server2, server := net.Pipe()
	p.mu.Lock()
	p.passed[client] = nil
	p.mu.Unlock()
	pump(client2, server2, func() bool { return !p.lost.Load() })
	pump(server2, client2, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.passed[client] = append(p.passed[client], time.Now())
		return true
	})
	p.dialled <- server
	return client, nil
}

// pump passes on what comes, unless pass says no, and buffers it.
func pump(from, to net.Conn, pass func() bool) {
	parts := make(chan []byte, 1000)
	go func() {
		defer close(parts)
		for {
			part := make([]byte, 4<<10)
			n, err := from.Read(part)
			if err != nil {
				return
			}
			if pass() {
				parts <- part[:n]
			}
		}
	}()
	go func() {
		defer to.Close()
		for part := range parts {
			_, _ = to.Write(part) // what is closed takes nothing
		}
	}()
}

// Lose has nothing of clients arrive any more.
func (p *Network) Lose() { p.lost.Store(true) }

// Silence returns the longest time between since and now in which the server sent
// nothing over one of the connections, and how many connections there were.
func (p *Network) Silence(since time.Time) (longest time.Duration, connections int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, times := range p.passed {
		last := since
		for _, passed := range append(times, time.Now()) {
			if passed.After(since) {
				longest = max(longest, passed.Sub(last))
				last = passed
			}
		}
	}
	return longest, len(p.passed)
}
