package parsec2_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/lifecycle"
	organizations "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec2/memory"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// maxSilence is the longest that nothing passes over a connection that lasts
// (docs/protocol/transport.md §4): proxies cut after 50 s and more.
const maxSilence = 30 * time.Second

// pipes is a network inside of the process, whose time is that of the test.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}

	// lost means that nothing of clients arrives any more.
	lost atomic.Bool

	mu sync.Mutex
	// passed are the times when the server sent something, by connection.
	passed map[net.Conn][]time.Time
}

func newPipes() *pipes {
	return &pipes{dialled: make(chan net.Conn), closed: make(chan struct{}), passed: map[net.Conn][]time.Time{}}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dialled:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

// Addr implements net.Listener.
func (*pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6777} }

// dial is for the transports of clients.
func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
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

// silence returns the longest silence of a connection that is there since and
// until now.
func (p *pipes) silence(since time.Time) (longest time.Duration, connections int) {
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

// pipedFixture returns a fixture over pipes, inside of a bubble of synctest.
func pipedFixture(t *testing.T, network *pipes, changes ...func(*testkit.InstanceOptions)) *fixture {
	t.Helper()
	f := newFixture(t, append(changes, func(options *testkit.InstanceOptions) {
		options.Listener = lifecycle.NewSocket(network, slog.New(slog.DiscardHandler))
		options.Store = func(_ testing.TB, bus *event.Bus) rules.Store { return memory.New(organizations.New(bus)) }
	})...)
	f.ctx = t.Context() // time passes quickly here
	f.client = parsec2.New(f.Address, client.Options{Now: f.clock.Now, DialContext: network.dial})
	t.Cleanup(f.client.Close)
	return f
}

// TestSilence has clients that say nothing come at any time.
func TestSilence(t *testing.T) {
	for name, connect := range map[string]func(f *fixture){
		"idle": func(f *fixture) {
			f.connect("alice@dev1")
		},
		"waiting for events": func(f *fixture) {
			f.send(f.listen("alice@dev1").conn, "events_listen")
		},
		"invited": func(f *fixture) {
			f.connectInvited()
		},
		"event stream": func(f *fixture) {
			stream := f.stream("alice@dev1", api3)
			go func() { _, _ = stream.Next() }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newPipes()
				f := pipedFixture(t, network, func(options *testkit.InstanceOptions) {
					options.Server.EventStreamKeepAlive = maxSilence
				})
				const connections = 12
				for range connections {
					connect(f)
					<-time.After(7 * time.Second)
				}
				since := time.Now()
				<-time.After(5 * time.Minute)
				longest, seen := network.silence(since)
				if longest > maxSilence || seen != connections {
					t.Errorf("silent for %s on one of %d connections", longest, seen)
				}
			})
		})
	}
}

// TestBusyPeerIsNotCut has a peer whose pongs the server cannot read: a command
// runs, and the next one has come.
func TestBusyPeerIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := pipedFixture(t, newPipes())
		g := newGate()
		f.Parsec2.SetHandler(protocol.OrganizationStats.Form, g.rule)
		conn := f.connect("alice@dev1")
		f.send(conn, "organization_stats")
		<-g.entered
		f.send(conn, "ping")
		<-time.After(5 * time.Minute)
		close(g.opened)
		if reply := f.receive(conn); reply["status"] != "ok" {
			t.Errorf("reply %v", reply)
		}
	})
}

// TestDeadPeerIsCut has a peer vanish.
func TestDeadPeerIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		f := pipedFixture(t, network)
		f.connect("alice@dev1")
		ended := f.logs.next("connection ended")
		network.lost.Store(true)
		select {
		case <-ended:
		case <-time.After(3 * time.Minute):
			t.Error("the connection stays open")
		}
	})
}

// TestIdleConnectionsOutliveThoseOfProxies has a proxy send a request over a
// connection that it has not used for as long as it keeps one: Caddy 120 s,
// Heroku and Traefik 90 s.
func TestIdleConnectionsOutliveThoseOfProxies(t *testing.T) {
	for name, row := range map[string]struct {
		setting, idle time.Duration
		connections   int
	}{
		"default":             {0, 130 * time.Second, 1},
		"over":                {0, time.Hour, 2},
		"a setting":           {10 * time.Minute, 599 * time.Second, 1},
		"beyond that setting": {10 * time.Minute, 601 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newPipes()
				f := pipedFixture(t, network, func(options *testkit.InstanceOptions) { options.Server.IdleTimeout = row.setting })
				transport := &http.Transport{DialContext: network.dial}
				defer transport.CloseIdleConnections()
				for range 2 {
					request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.Address.HTTPOrigin()+"/healthz", nil)
					f.ok(err)
					answer, err := transport.RoundTrip(request)
					f.ok(err)
					_, _ = io.Copy(io.Discard, answer.Body)
					_ = answer.Body.Close()
					<-time.After(row.idle)
				}
				if _, connections := network.silence(time.Now()); connections != row.connections {
					t.Errorf("%d connections", connections)
				}
			})
		})
	}
}
