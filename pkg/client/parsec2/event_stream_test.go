package parsec2_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// network is a listener without sockets, so that time can be that of synctest.
type network struct {
	conns     chan net.Conn
	closed    chan struct{}
	closeOnce sync.Once
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.conns:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	n.closeOnce.Do(func() { close(n.closed) })
	return nil
}

func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "network"} }

func (n *network) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.conns <- far:
		return near, nil
	case <-n.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inBubble runs test with a client of a server of handler, in the time of
// synctest.
func inBubble(t *testing.T, handler func(t *testing.T) http.Handler, test func(t *testing.T, c *parsec2.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		link := &network{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: handler(t)}
		go func() { _ = server.Serve(link) }()
		c := parsec2.New(clearAddress(t, "server.test"), client.Options{DialContext: link.DialContext, Now: atReference})
		test(t, c)
		c.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
}

// subscription goes through the handshake and events_subscribe.
func subscription(ctx context.Context, peer *websocket.Conn, t *testing.T) {
	welcome(ctx, peer, t)
	if request := receive(ctx, peer); request != nil && request["cmd"] != "events_subscribe" {
		t.Errorf("request %v", request)
	}
	send(ctx, peer, wire.Field{Key: "status", Value: "ok"})
}

// sendEvent answers an events_listen, and is false when the client has left.
func sendEvent(ctx context.Context, peer *websocket.Conn, t *testing.T, event protocol.Event) bool {
	request := receive(ctx, peer)
	if request == nil {
		return false
	}
	if !reflect.DeepEqual(request, map[any]any{"cmd": "events_listen", "wait": true}) {
		t.Errorf("request %v", request)
	}
	message := must(wire.AppendMap(nil, []wire.Field{
		{Key: "status", Value: "ok"}, {Key: "event", Value: event.EventName()},
	}, event))
	return peer.Write(ctx, websocket.MessageBinary, message) == nil
}

func TestEvents(t *testing.T) {
	realm := parsec.RealmID(parsec.NewUUID())
	deletion := reference
	events := []protocol.Event{
		&protocol.PingedEvent{Ping: "x"},
		&protocol.MessageReceivedEvent{Index: 1},
		&protocol.RealmRolesUpdatedEvent{RealmID: realm, Role: parsec.RoleReader},
		&protocol.RealmRolesUpdatedEvent{RealmID: realm},
		&protocol.RealmVlobsUpdatedEvent{RealmID: realm, Checkpoint: 2, SourceID: parsec.VlobID(realm), SourceVersion: 3},
		&protocol.RealmMaintenanceStartedEvent{RealmID: realm, EncryptionRevision: 2},
		&protocol.RealmMaintenanceFinishedEvent{RealmID: realm, EncryptionRevision: 2},
		&protocol.RealmArchivingUpdatedEvent{RealmID: realm, Configuration: protocol.ArchivingConfiguration{
			Type: parsec.ArchivingDeletionPlanned, DeletionDate: &deletion,
		}},
		&protocol.InviteStatusChangedEvent{Token: parsec.InvitationToken(realm), Status: parsec.InvitationReady},
		&protocol.PKIEnrollmentUpdatedEvent{},
	}
	inBubble(t, func(t *testing.T) http.Handler {
		return scripted(t, func(ctx context.Context, peer *websocket.Conn) {
			subscription(ctx, peer, t)
			for _, event := range events {
				sendEvent(ctx, peer, t, event)
			}
			receive(ctx, peer)
			receive(ctx, peer) // until the client leaves
		})
	}, func(t *testing.T, c *parsec2.Client) {
		stream, err := c.Events(t.Context(), alice(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range events {
			if got := <-stream.Notifications(); !reflect.DeepEqual(got, parsec2.Notification{Event: want}) {
				t.Errorf("event %#v, want %#v", got.Event, want)
			}
		}
		stream.Close()
		if !errors.Is(stream.Err(), context.Canceled) {
			t.Errorf("error %v", stream.Err())
		}
	})
}

// TestEventsReconnect has a server that is lost and refuses three times.
func TestEventsReconnect(t *testing.T) {
	inBubble(t, func(t *testing.T) http.Handler {
		var connections atomic.Int32
		webSocket := scripted(t, func(ctx context.Context, peer *websocket.Conn) {
			subscription(ctx, peer, t)
			if connections.Load() == 1 {
				receive(ctx, peer)
				return // without a close frame
			}
			sendEvent(ctx, peer, t, &protocol.MessageReceivedEvent{Index: 7})
			receive(ctx, peer)
			receive(ctx, peer)
		})
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if number := connections.Add(1); number > 1 && number < 5 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			webSocket.ServeHTTP(w, r)
		})
	}, func(t *testing.T, c *parsec2.Client) {
		start := time.Now()
		stream, err := c.Events(t.Context(), alice(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := <-stream.Notifications(); !got.Reconnected || got.Event != nil {
			t.Errorf("notification %v", got)
		}
		if elapsed := time.Since(start); elapsed != (1+2+4+8)*time.Second {
			t.Errorf("reconnected after %s", elapsed)
		}
		if got := <-stream.Notifications(); got.Reconnected || !reflect.DeepEqual(got.Event, &protocol.MessageReceivedEvent{Index: 7}) {
			t.Errorf("notification %v", got)
		}
		stream.Close()
	})
}

func TestEventsRefusedHandshakeIsFinal(t *testing.T) {
	inBubble(t, func(t *testing.T) http.Handler {
		var connections atomic.Int32
		return scripted(t, func(ctx context.Context, peer *websocket.Conn) {
			if connections.Add(1) == 1 {
				subscription(ctx, peer, t)
				receive(ctx, peer)
				_ = peer.Close(websocket.StatusNormalClosure, "")
				return
			}
			sendChallenge(ctx, peer, t)
			receive(ctx, peer)
			send(ctx, peer, wire.Field{Key: "handshake", Value: "result"}, wire.Field{Key: "result", Value: "revoked_device"})
		})
	}, func(t *testing.T, c *parsec2.Client) {
		stream, err := c.Events(t.Context(), alice(t))
		if err != nil {
			t.Fatal(err)
		}
		if got, open := <-stream.Notifications(); open {
			t.Errorf("notification %v", got)
		}
		if refusal, ok := errors.AsType[*parsec2.HandshakeError](stream.Err()); !ok || refusal.Result != "revoked_device" {
			t.Errorf("error %v", stream.Err())
		}
	})
}

func TestEventsFirstHandshakeRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) http.Handler {
		return scripted(t, func(ctx context.Context, peer *websocket.Conn) {
			sendChallenge(ctx, peer, t)
			receive(ctx, peer)
			send(ctx, peer, wire.Field{Key: "handshake", Value: "result"}, wire.Field{Key: "result", Value: "bad_identity"})
		})
	}, func(t *testing.T, c *parsec2.Client) {
		_, err := c.Events(t.Context(), alice(t))
		if _, ok := errors.AsType[*parsec2.HandshakeError](err); !ok {
			t.Errorf("error %v", err)
		}
	})
}

func TestEventsUnknownEventIsFinal(t *testing.T) {
	inBubble(t, func(t *testing.T) http.Handler {
		return scripted(t, func(ctx context.Context, peer *websocket.Conn) {
			subscription(ctx, peer, t)
			receive(ctx, peer)
			send(ctx, peer, wire.Field{Key: "status", Value: "ok"}, wire.Field{Key: "event", Value: "of.the_future"})
			receive(ctx, peer)
		})
	}, func(t *testing.T, c *parsec2.Client) {
		stream, err := c.Events(t.Context(), alice(t))
		if err != nil {
			t.Fatal(err)
		}
		for got := range stream.Notifications() {
			t.Errorf("notification %v", got)
		}
		if !errors.Is(stream.Err(), client.ErrProtocol) {
			t.Errorf("error %v", stream.Err())
		}
	})
}

// TestEventsProbe has a server that answers two probes, and not the third.
func TestEventsProbe(t *testing.T) {
	const probes = 3
	inBubble(t, func(t *testing.T) http.Handler {
		var running sync.WaitGroup
		t.Cleanup(running.Wait)
		var connections atomic.Int32
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Done()
			received := 0
			peer, err := websocket.Accept(w, r, &websocket.AcceptOptions{
				OnPingReceived: func(context.Context, []byte) bool {
					received++
					return received < probes
				},
			})
			if err != nil {
				t.Errorf("accept: %v", err)
				return
			}
			defer peer.CloseNow()
			first := connections.Add(1) == 1
			subscription(t.Context(), peer, t)
			receive(t.Context(), peer)
			receive(t.Context(), peer) // until the client leaves
			if first && received != probes {
				t.Errorf("%d probes", received)
			}
		})
	}, func(t *testing.T, c *parsec2.Client) {
		start := time.Now()
		stream, err := c.Events(t.Context(), alice(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := <-stream.Notifications(); !got.Reconnected {
			t.Errorf("notification %v", got)
		}
		// Three silences, the wait for the last pong, the first reconnection.
		if elapsed := time.Since(start); elapsed != (probes+1)*29*time.Second+time.Second {
			t.Errorf("lost after %s", elapsed)
		}
		stream.Close()
	})
}

func TestEventsEndWithTheContext(t *testing.T) {
	inBubble(t, func(t *testing.T) http.Handler {
		return scripted(t, func(ctx context.Context, peer *websocket.Conn) {
			subscription(ctx, peer, t)
			sendEvent(ctx, peer, t, &protocol.MessageReceivedEvent{Index: 1})
			receive(ctx, peer)
			receive(ctx, peer)
		})
	}, func(t *testing.T, c *parsec2.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := c.Events(ctx, alice(t))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the event has come, and nobody takes it
		cancel()
		synctest.Wait()
		if got, open := <-stream.Notifications(); open {
			t.Errorf("notification %v", got)
		}
		if !errors.Is(stream.Err(), context.Canceled) {
			t.Errorf("error %v", stream.Err())
		}
	})
}
