package parsec2_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// echo answers pings of the protocol until the client leaves.
func echo(ctx context.Context, peer *websocket.Conn) {
	for {
		request := receive(ctx, peer)
		if request == nil {
			return
		}
		send(ctx, peer, wire.Field{Key: "status", Value: "ok"}, wire.Field{Key: "pong", Value: request["ping"]})
	}
}

func dial(t *testing.T, script func(ctx context.Context, peer *websocket.Conn)) *parsec2.Conn {
	t.Helper()
	c := serve(t, scripted(t, func(ctx context.Context, peer *websocket.Conn) {
		welcome(ctx, peer, t)
		script(ctx, peer)
	}))
	conn, err := c.DialAuthenticated(t.Context(), alice(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.CloseNow)
	return conn
}

func TestRequestsTakeTurns(t *testing.T) {
	conn := dial(t, echo)
	var calls sync.WaitGroup
	for i := range 20 {
		calls.Go(func() {
			text := fmt.Sprint(i)
			reply, err := parsec2.Call(t.Context(), conn, protocol.Ping, &protocol.PingRequest{Ping: text})
			if err != nil || reply.Pong != text {
				t.Errorf("ping %s: %v, %v", text, reply, err)
			}
		})
	}
	calls.Wait()
}

func TestCancelledRequestCloses(t *testing.T) {
	received := make(chan struct{})
	conn := dial(t, func(ctx context.Context, peer *websocket.Conn) {
		receive(ctx, peer)
		close(received)
		receive(ctx, peer) // until the client leaves
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-received
		cancel()
	}()
	if _, err := parsec2.Call(ctx, conn, protocol.Ping, &protocol.PingRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	<-conn.Done()
	if _, err := parsec2.Call(t.Context(), conn, protocol.Ping, &protocol.PingRequest{}); err == nil {
		t.Error("the connection lives on")
	}
}

func TestCancelledTurnKeepsTheConnection(t *testing.T) {
	received, answer := make(chan struct{}), make(chan struct{})
	conn := dial(t, func(ctx context.Context, peer *websocket.Conn) {
		receive(ctx, peer)
		close(received)
		<-answer
		send(ctx, peer, wire.Field{Key: "status", Value: "ok"}, wire.Field{Key: "pong", Value: "first"})
		echo(ctx, peer)
	})
	first := make(chan error)
	go func() {
		_, err := parsec2.Call(t.Context(), conn, protocol.Ping, &protocol.PingRequest{Ping: "first"})
		first <- err
	}()
	<-received
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := parsec2.Call(ctx, conn, protocol.Ping, &protocol.PingRequest{Ping: "second"}); !errors.Is(err, context.Canceled) {
		t.Errorf("second: %v", err)
	}
	close(answer)
	if err := <-first; err != nil {
		t.Errorf("first: %v", err)
	}
	if reply, err := parsec2.Call(t.Context(), conn, protocol.Ping, &protocol.PingRequest{Ping: "third"}); err != nil || reply.Pong != "third" {
		t.Errorf("third: %v, %v", reply, err)
	}
}

func TestIdleConnectionAnswersPings(t *testing.T) {
	answered := make(chan error, 1)
	dial(t, func(ctx context.Context, peer *websocket.Conn) {
		ctx = peer.CloseRead(ctx)
		answered <- peer.Ping(ctx)
	})
	if err := <-answered; err != nil {
		t.Errorf("server's ping: %v", err)
	}
}

func TestProbe(t *testing.T) {
	conn := dial(t, func(ctx context.Context, peer *websocket.Conn) { receive(ctx, peer) })
	if err := conn.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestClosedByServer(t *testing.T) {
	conn := dial(t, func(ctx context.Context, peer *websocket.Conn) {
		send(ctx, peer, wire.Field{Key: "status", Value: "ok"})
		_ = peer.Close(websocket.StatusGoingAway, "")
	})
	<-conn.Done()
	if code := websocket.CloseStatus(conn.Err()); code != websocket.StatusGoingAway {
		t.Errorf("closed with %v: %v", code, conn.Err())
	}
	// What came before the end is not lost.
	if _, err := conn.Receive(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := conn.Receive(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("error %v", err)
	}
}

func TestClosedByClient(t *testing.T) {
	left := make(chan error, 1)
	conn := dial(t, func(ctx context.Context, peer *websocket.Conn) {
		_, _, err := peer.Read(ctx)
		left <- err
	})
	if conn.Err() != nil {
		t.Errorf("open connection has error %v", conn.Err())
	}
	conn.Close()
	if err := <-left; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the server sees %v", err)
	}
	<-conn.Done()
	conn.Close() // again does nothing
}

func TestTextFromServer(t *testing.T) {
	conn := dial(t, func(ctx context.Context, peer *websocket.Conn) {
		_ = peer.Write(ctx, websocket.MessageText, []byte("hello"))
		receive(ctx, peer)
	})
	if _, err := conn.Receive(t.Context()); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("error %v", err)
	}
}

func TestRawMessages(t *testing.T) {
	type message struct {
		kind websocket.MessageType
		data []byte
	}
	got := make(chan message, 2)
	conn := dial(t, func(ctx context.Context, peer *websocket.Conn) {
		for range 2 {
			kind, data, _ := peer.Read(ctx)
			got <- message{kind, data}
		}
	})
	if err := conn.Send(t.Context(), []byte{0xC1}); err != nil {
		t.Fatal(err)
	}
	if err := conn.SendText(t.Context(), "text"); err != nil {
		t.Fatal(err)
	}
	if first := <-got; first.kind != websocket.MessageBinary || !bytes.Equal(first.data, []byte{0xC1}) {
		t.Errorf("first message %v", first)
	}
	if second := <-got; second.kind != websocket.MessageText || string(second.data) != "text" {
		t.Errorf("second message %v", second)
	}
}
