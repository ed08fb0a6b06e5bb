package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// listener is a subscribed device, on a connection of its own. The server
// keeps 100 events for it: tests make fewer between two calls.
type listener struct {
	w    *world
	name string
	// next waits for an event.
	next func(context.Context) (protocol.Event, error)
	// ended reports, after an error of next, whether the server has closed.
	ended func(error) bool
}

// listen must be accepted.
func (g generation) listen(w *world, device *parsec2.Device) *listener {
	w.t.Helper()
	l := &listener{w: w, name: device.ID.String()}
	if g.overHTTP {
		stream, err := w.client.AuthenticatedRPC(device, g.version).ServerSentEvents(w.ctx)
		if err != nil {
			w.t.Fatalf("listen as %s: %v", device.ID, err)
		}
		w.t.Cleanup(func() { _ = stream.Close() })
		l.next = func(context.Context) (protocol.Event, error) { return stream.Next() }
		l.ended = func(err error) bool { return errors.Is(err, io.EOF) }
		return l
	}
	conn := g.connect(w, device).conn
	ok(w, conn, protocol.EventsSubscribe, &protocol.EventsSubscribeRequest{})
	l.next = func(ctx context.Context) (protocol.Event, error) {
		return parsec2.EventsListen(ctx, conn, &protocol.EventsListenRequest{Wait: true})
	}
	l.ended = func(error) bool { return isClosed(w.ctx, conn) }
	return l
}

// until returns the events before the ping.
func (l *listener) until(ping string) []protocol.Event {
	l.w.t.Helper()
	var heard []protocol.Event
	for {
		event, err := l.next(l.w.ctx)
		if err != nil {
			l.w.t.Fatalf("%s listens: %v", l.name, err)
		}
		if pinged, isPing := event.(*protocol.PingedEvent); isPing && pinged.Ping == ping {
			return heard
		}
		heard = append(heard, event)
	}
}

// wantEnd waits until the server closes, telling nothing more.
func (l *listener) wantEnd() {
	l.w.t.Helper()
	if event, err := l.next(l.w.ctx); event != nil || !l.ended(err) {
		l.w.t.Errorf("%s hears %#v, %v at its end", l.name, event, err)
	}
}

// wantEnd waits until the server has closed the connection of the peer, if it
// has one.
func (p *peer) wantEnd() {
	p.w.t.Helper()
	if p.conn == nil {
		return
	}
	if !isClosed(p.w.ctx, p.conn) {
		p.w.t.Errorf("%s: %v", p.device.ID, p.conn.Err())
	}
}

// isClosed waits for the end of conn, and reports whether the server closed it
// as it closes those that may not go on.
func isClosed(ctx context.Context, conn *parsec2.Conn) bool {
	select {
	case <-conn.Done():
		return websocket.CloseStatus(conn.Err()) == websocket.StatusNormalClosure
	case <-ctx.Done():
		return false
	}
}

// audience is the listeners of an organization, and a device that pings them.
type audience struct {
	w         *world
	beacon    *peer
	listeners []*listener
}

// hears is what listeners hear, in order; those absent hear nothing.
type hears map[*listener][]protocol.Event

// expect fails unless all that the audience hears since the last call is want.
func (a *audience) expect(want hears) {
	a.w.t.Helper()
	fence := parsec.NewUUID().Hex()
	a.w.clock.Advance(time.Second) // so that the ping is told
	ok(a.w, a.beacon, protocol.Ping, &protocol.PingRequest{Ping: fence})
	for _, listener := range a.listeners {
		if got := listener.until(fence); !reflect.DeepEqual(got, want[listener]) {
			a.w.t.Errorf("%s hears %s, want %s", listener.name, describe(got), describe(want[listener]))
		}
	}
}

// leave takes listeners whose connection is closed out of the audience.
func (a *audience) leave(gone ...*listener) {
	a.listeners = slices.DeleteFunc(a.listeners, func(l *listener) bool { return slices.Contains(gone, l) })
}

func describe(events []protocol.Event) string {
	var text strings.Builder
	for _, event := range events {
		fmt.Fprintf(&text, "%s %+v, ", event.EventName(), event)
	}
	return "[" + strings.TrimSuffix(text.String(), ", ") + "]"
}
