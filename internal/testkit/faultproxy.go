package testkit

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"parsec-server/pkg/sleep"
)

// Fault is what a FaultProxy does to the answers of a server. The zero value
// does nothing.
type Fault struct {
	// Reset resets connections when they are opened, or when data arrives.
	Reset bool
	// Silent takes requests, and passes nothing on: the network has lost the
	// other side.
	Silent bool
	// Latency is added to each part of an answer.
	Latency time.Duration
	// BytesPerSecond is how fast answers pass; 0 is no limit.
	BytesPerSecond int
	// CutAfter closes a connection after so many bytes of answers; 0 never.
	CutAfter int
}

// FaultProxy stands between a client and a server, over TCP.
type FaultProxy struct {
	listener net.Listener
	target   string
	ctx      context.Context
	running  sync.WaitGroup

	mu          sync.Mutex
	fault       Fault
	connections map[net.Conn]struct{}
}

const faultProxyPartBytes = 32 << 10

// StartFaultProxy passes connections on to target until the test ends.
func StartFaultProxy(t testing.TB, target string) *FaultProxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	proxy := &FaultProxy{listener: listener, target: target, ctx: ctx, connections: make(map[net.Conn]struct{})}
	proxy.running.Go(proxy.accept)
	t.Cleanup(func() {
		cancel()
		listener.Close()
		proxy.CloseConnections()
		proxy.running.Wait()
	})
	return proxy
}

// StandInFor returns an address of the proxy that replaces one of the server.
func StandInFor(t testing.TB, address string) (proxy *FaultProxy, replaced string) {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatalf("address of the server: %v", err)
	}
	proxy = StartFaultProxy(t, parsed.Host)
	parsed.Host = proxy.listener.Addr().String()
	return proxy, parsed.String()
}

// Set has a fault begin, for open connections too.
func (p *FaultProxy) Set(fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

func (p *FaultProxy) current() Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

// CloseConnections closes those that are open.
func (p *FaultProxy) CloseConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for connection := range p.connections {
		connection.Close()
	}
}

func (p *FaultProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.current().Reset {
			reset(client)
			continue
		}
		server, err := (&net.Dialer{}).DialContext(p.ctx, "tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.running.Go(func() { p.serve(client, server) })
	}
}

// serve passes a connection on until either side ends it.
func (p *FaultProxy) serve(client, server net.Conn) {
	p.keep(client, server)
	defer p.forget(client, server)
	var requests sync.WaitGroup
	requests.Go(func() {
		defer server.Close()
		p.pass(server, client, client, false)
	})
	p.pass(client, server, client, true)
	client.Close()
	requests.Wait()
}

// keep has CloseConnections close both, now if the test has ended.
func (p *FaultProxy) keep(connections ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, connection := range connections {
		p.connections[connection] = struct{}{}
		if p.ctx.Err() != nil {
			connection.Close()
		}
	}
}

func (p *FaultProxy) forget(connections ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, connection := range connections {
		connection.Close()
		delete(p.connections, connection)
	}
}

// pass copies what arrives, with the fault of the moment.
func (p *FaultProxy) pass(to, from, client net.Conn, answers bool) {
	part := make([]byte, faultProxyPartBytes)
	passed := 0
	for {
		n, err := from.Read(part)
		fault := p.current()
		switch {
		case fault.Reset:
			reset(client)
			return
		case fault.Silent:
			n = 0
		case answers:
			n = p.impair(fault, n, passed)
		}
		passed += n
		if _, failed := to.Write(part[:n]); failed != nil || err != nil {
			return
		}
		if answers && fault.CutAfter > 0 && passed >= fault.CutAfter {
			return
		}
	}
}

// impair waits as the fault says and returns the number of bytes to pass.
func (p *FaultProxy) impair(fault Fault, n, passed int) int {
	if fault.CutAfter > 0 {
		n = min(n, max(fault.CutAfter-passed, 0))
	}
	pause := fault.Latency
	if fault.BytesPerSecond > 0 {
		pause += time.Duration(n) * time.Second / time.Duration(fault.BytesPerSecond)
	}
	if pause > 0 {
		_ = sleep.For(p.ctx, pause) // The proxy may end.
	}
	return n
}

// reset closes a connection without the usual goodbye.
func reset(connection net.Conn) {
	_ = connection.(*net.TCPConn).SetLinger(0) // It fails for what is closed already.
	connection.Close()
}
