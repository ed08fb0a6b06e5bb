package parsec2_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/pipes"
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

// pipedFixture returns a fixture over pipes, inside of a bubble of synctest.
func pipedFixture(t *testing.T, network *pipes.Network, changes ...func(*testkit.InstanceOptions)) *fixture {
	t.Helper()
	f := newFixture(t, append(changes, func(options *testkit.InstanceOptions) {
		options.Listener = lifecycle.NewSocket(network, slog.New(slog.DiscardHandler))
		options.Store = func(_ testing.TB, bus *event.Bus) rules.Store { return memory.New(organizations.New(bus)) }
	})...)
	f.ctx = t.Context() // time passes quickly here
	f.client = parsec2.New(f.Address, client.Options{Now: f.clock.Now, DialContext: network.Dial})
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
				network := pipes.New()
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
				longest, seen := network.Silence(since)
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
		f := pipedFixture(t, pipes.New())
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
		network := pipes.New()
		f := pipedFixture(t, network)
		f.connect("alice@dev1")
		ended := f.logs.next("connection ended")
		network.Lose()
		select {
		case <-ended:
		case <-time.After(3 * time.Minute):
			t.Error("the connection stays open")
		}
	})
}
