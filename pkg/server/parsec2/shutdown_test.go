package parsec2_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/coder/websocket"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec2/protocol"
)

// shutdown begins a shutdown whose grace is that of the test; the channel is
// closed when it is over.
func (f *fixture) shutdown() <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		f.Server.Shutdown(f.ctx)
	}()
	return over
}

func TestShutdownClosesWhatWaits(t *testing.T) {
	f := newFixture(t)
	idle, waiting, invited, handshaking := f.connect("alice@dev1"), f.listen("bob@dev1"), f.connectInvited(), f.dial()
	f.receive(handshaking)
	stream := f.stream("bob@dev1", api3)
	f.send(waiting.conn, "events_listen")
	over := f.shutdown()
	f.wantClosed(idle, websocket.StatusGoingAway)
	f.wantClosed(waiting.conn, websocket.StatusGoingAway)
	f.wantClosed(invited, websocket.StatusGoingAway)
	f.wantClosed(handshaking, websocket.StatusGoingAway)
	if told, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream gives %v, %v", told, err)
	}
	f.await(over)
	if _, err := f.client.Dial(f.ctx); err == nil {
		t.Error("the port is still open")
	}
}

func TestShutdownFinishesWhatRuns(t *testing.T) {
	f, g := gated(t)
	idle, busy := f.connect("alice@dev1"), f.connect("bob@dev1")
	f.send(busy, "organization_stats")
	f.await(g.entered)
	type answer struct {
		reply *protocol.OrganizationStatsReply
		err   error
	}
	overHTTP := make(chan answer, 1)
	go func() {
		reply, err := parsec2.Call(f.ctx, f.client.AuthenticatedRPC(f.device("bob@dev1"), api3), protocol.OrganizationStats, nil)
		overHTTP <- answer{reply, err}
	}()
	f.await(g.entered)
	f.send(busy, "ping") // will not be handled
	over := f.shutdown()
	f.wantClosed(idle, websocket.StatusGoingAway)
	select {
	case <-over:
		t.Fatal("the shutdown waits for nothing")
	default:
	}
	close(g.opened)
	if reply := f.receive(busy); reply["status"] != "ok" {
		t.Errorf("reply %v", reply)
	}
	f.wantClosed(busy, websocket.StatusGoingAway)
	if answered := <-overHTTP; answered.err != nil {
		t.Error(answered.err)
	}
	f.await(over)
}

// What does not end within the grace is cut.
func TestShutdownGraceIsBounded(t *testing.T) {
	f := newFixture(t)
	entered := make(chan struct{}, 2)
	f.Parsec2.SetHandler(protocol.OrganizationStats.Form, func(ctx context.Context) (any, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	busy, deaf := f.connect("bob@dev1"), f.dialRaw("alice@dev1", api3) // deaf answers no close frame
	f.send(busy, "organization_stats")
	f.await(entered)
	overHTTP := make(chan error, 1)
	go func() {
		_, err := parsec2.Call(f.ctx, f.client.AuthenticatedRPC(f.device("bob@dev1"), api3), protocol.OrganizationStats, nil)
		overHTTP <- err
	}()
	f.await(entered)
	grace, endOfGrace := context.WithCancel(f.ctx)
	defer endOfGrace()
	over := make(chan struct{})
	go func() {
		defer close(over)
		f.Server.Shutdown(grace)
	}()
	deaf.wantClose(uint16(websocket.StatusGoingAway)) // before the end of the grace, however short
	endOfGrace()
	f.await(over)
	if _, err := busy.Receive(f.ctx); err == nil {
		t.Error("a reply came")
	}
	if err := <-overHTTP; err == nil {
		t.Error("a reply came over HTTP")
	}
}

// A shutdown at any moment of a connection ends.
func TestShutdownRacesWithConnections(t *testing.T) {
	for range 20 {
		f := newFixture(t)
		started := make(chan struct{})
		dialled := make(chan struct{})
		go func() {
			defer close(dialled)
			for i := range 10 {
				conn, err := f.client.DialAuthenticated(f.ctx, f.device("alice@dev1"))
				if i == 0 {
					close(started)
				}
				if err != nil {
					return
				}
				_ = conn.Send(f.ctx, message("events_listen"))
			}
		}()
		<-started
		grace, cancel := context.WithTimeout(f.ctx, patience)
		f.Server.Shutdown(grace)
		if grace.Err() != nil {
			t.Error("the grace period was not enough")
		}
		cancel()
		<-dialled
	}
}
