package parsec2_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

// gate is a rule that waits to be opened, whatever its context.
type gate struct{ entered, opened chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}, 1), make(chan struct{})} }

func (g *gate) rule(context.Context) (any, error) {
	g.entered <- struct{}{}
	<-g.opened
	return &protocol.OrganizationStatsReply{}, nil
}

// gated has the rule of organization_stats wait.
func gated(t *testing.T) (*fixture, *gate) {
	t.Helper()
	f, g := newFixture(t), newGate()
	f.Parsec2.SetHandler(protocol.OrganizationStats.Form, g.rule)
	return f, g
}

// Pings are answered while a command runs.
func TestPongWhileACommandRuns(t *testing.T) {
	f, g := gated(t)
	conn := f.connect("alice@dev1")
	f.send(conn, "organization_stats")
	f.await(g.entered)
	f.ok(conn.Probe(f.ctx))
	close(g.opened)
	if reply := f.receive(conn); reply["status"] != "ok" {
		t.Errorf("reply %v", reply)
	}
}

// A new message lets a command finish, unless it is one that waits.
func TestNewMessageWaitsForTheCommand(t *testing.T) {
	f, g := gated(t)
	conn := f.connect("alice@dev1")
	f.send(conn, "organization_stats")
	f.await(g.entered)
	f.send(conn, "ping", wire.Field{Key: "ping", Value: "next"})
	close(g.opened)
	if reply := f.receive(conn); reply["data_size"] == nil {
		t.Errorf("first reply %v", reply)
	}
	if reply := f.receive(conn); reply["pong"] != "next" {
		t.Errorf("second reply %v", reply)
	}
}

// A client that goes away abandons whatever command it waits for.
func TestEndOfStreamAbandonsTheCommand(t *testing.T) {
	f := newFixture(t)
	entered, abandoned := make(chan struct{}), make(chan struct{})
	f.Parsec2.SetHandler(protocol.OrganizationStats.Form, func(ctx context.Context) (any, error) {
		close(entered)
		<-ctx.Done()
		close(abandoned)
		return nil, ctx.Err()
	})
	conn := f.connect("alice@dev1")
	f.send(conn, "organization_stats")
	f.await(entered)
	conn.CloseNow()
	f.await(abandoned)
}

func TestFailureOfACommand(t *testing.T) {
	for _, item := range []struct {
		name string
		rule func(context.Context) (any, error)
		code websocket.StatusCode
		log  []string
		http int
	}{
		{"internal error", func(context.Context) (any, error) { return nil, errBroken }, websocket.StatusInternalError,
			[]string{`"level":"ERROR"`, errBroken.Error(), "organization_stats"}, http.StatusInternalServerError},
		{"panic", func(context.Context) (any, error) { panic("out of order") }, websocket.StatusInternalError,
			[]string{`"level":"ERROR"`, "out of order", "goroutine", "connection_test.go", "organization_stats"}, http.StatusInternalServerError},
		{"reply that does not encode", func(context.Context) (any, error) { return make(chan int), nil }, websocket.StatusInternalError,
			[]string{`"level":"ERROR"`, "organization_stats"}, http.StatusInternalServerError},
		{"session over", func(context.Context) (any, error) { return nil, rules.ErrSessionOver }, websocket.StatusNormalClosure, nil, http.StatusServiceUnavailable},
	} {
		t.Run(item.name, func(t *testing.T) {
			f := newFixture(t)
			f.Parsec2.SetHandler(protocol.OrganizationStats.Form, item.rule)
			conn, bystander := f.connect("alice@dev1"), f.connect("alice@dev1")
			f.send(conn, "organization_stats")
			f.wantClosed(conn, item.code)
			f.wantPong(bystander)
			log := f.logs.String()
			for _, text := range item.log {
				if !strings.Contains(log, text) {
					t.Errorf("the log does not tell %q", text)
				}
			}
			if item.log == nil && strings.Contains(log, `"level":"ERROR"`) {
				t.Error("the log holds an error")
			}
			_, err := parsec2.Call(f.ctx, f.client.AuthenticatedRPC(f.device("alice@dev1"), api3), protocol.OrganizationStats, nil)
			f.wantStatus(err, item.http)
		})
	}
}

// bigReply is more than what the system buffers of a connection hold.
func bigReply(context.Context) (any, error) {
	reply := &protocol.VlobGetReencryptionBatchReply{}
	for range 48 {
		reply.Batch = append(reply.Batch, protocol.ReencryptionItem{Blob: make([]byte, 1<<20)})
	}
	return reply, nil
}

// shortWrites makes a reader slow after a short while, in which a server that
// has little of its machine still writes to the others.
func shortWrites(options *testkit.InstanceOptions) {
	options.Server.WriteTimeout = 500 * time.Millisecond
}

func TestSlowReaderIsCut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWrites)
	f.Parsec2.SetHandler(protocol.OrganizationStats.Form, bigReply)
	slow, other := f.dialRaw("alice@dev1", api3), f.connect("bob@dev1")
	cut := f.logs.next("reply not delivered")
	slow.writeFrame(opBinary, true, message("organization_stats"))
	f.await(cut)
	if opcode, payload, err := slow.tryReadFrame(); err == nil {
		t.Errorf("frame %d of %d bytes in spite of all", opcode, len(payload))
	}
	f.wantPong(other)
}

func TestSlowReaderOfHTTPIsCut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWrites)
	f.Parsec2.SetHandler(protocol.Ping.Form, bigReply)
	cut := f.logs.next("reply not delivered")
	response := f.do(http.MethodPost, "/anonymous/CoolOrg", message("ping", wire.Field{Key: "ping", Value: "x"}),
		"Content-Type: application/msgpack")
	f.await(cut)
	if n, err := response.Body.Read(make([]byte, 1)); response.StatusCode != http.StatusOK || n != 1 {
		t.Errorf("HTTP %d, %d bytes, %v", response.StatusCode, n, err)
	}
}

func TestSilentPeerIsPinged(t *testing.T) {
	f := newFixture(t)
	raw := f.dialRaw("alice@dev1", api3)
	f.Parsec2.PingSilent(time.Now()) // not silent yet: a ping would come before the reply
	raw.writeFrame(opBinary, true, message("ping", wire.Field{Key: "ping", Value: "x"}))
	if opcode, _ := raw.readFrame(); opcode != opBinary {
		t.Fatalf("frame %d instead of the reply", opcode)
	}
	f.Parsec2.PingSilent(time.Now().Add(time.Hour))
	opcode, payload := raw.readFrame()
	if opcode != opPing {
		t.Fatalf("frame %d instead of the ping", opcode)
	}
	raw.writeFrame(opPong, true, payload)
	raw.writeFrame(opBinary, true, message("ping", wire.Field{Key: "ping", Value: "x"}))
	if opcode, _ := raw.readFrame(); opcode != opBinary {
		t.Errorf("frame %d instead of the reply", opcode)
	}
}

func TestProtocolErrors(t *testing.T) {
	f := newFixture(t)
	for name, frame := range map[string][]byte{
		"reserved bits":             {0x80 | 0x70 | opBinary, 0x80, 0, 0, 0, 0},
		"unknown opcode":            {0x80 | 0x3, 0x80, 0, 0, 0, 0},
		"continuation of nothing":   appendFrame(nil, opContinuation, true, []byte("x")),
		"message inside of another": appendFrame(appendFrame(nil, opBinary, false, []byte("x")), opBinary, true, []byte("x")),
		"fragmented ping":           appendFrame(nil, opPing, false, nil),
		"ping of 126 bytes":         appendFrame(nil, opPing, true, make([]byte, 126)),
	} {
		t.Run(name, func(t *testing.T) {
			f := f.with(t)
			raw := f.dialRaw("alice@dev1", api3)
			_, err := raw.conn.Write(frame)
			f.ok(err)
			raw.wantClose(uint16(websocket.StatusProtocolError))
		})
	}
	raw := f.dialRaw("alice@dev1", api3)
	_, err := raw.conn.Write([]byte{0x80 | opBinary, 1, 'x'}) // not masked
	f.ok(err)
	if opcode, _, err := raw.tryReadFrame(); err == nil && opcode != opClose {
		t.Errorf("frame %d answers a frame without mask", opcode)
	}
}

func TestCloseIsEchoed(t *testing.T) {
	f := newFixture(t)
	raw := f.dialRaw("alice@dev1", api3)
	raw.writeFrame(opClose, true, binary.BigEndian.AppendUint16(nil, uint16(websocket.StatusNormalClosure)))
	raw.wantClose(uint16(websocket.StatusNormalClosure))
	if _, _, err := raw.tryReadFrame(); err == nil {
		t.Error("a frame comes after the close frame")
	}
}

func TestUnauthenticatedLimit(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) {
		options.Parsec2.MaxUnauthenticatedPerAddress = 2
		options.Server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	})
	limited := func(headers ...string) bool {
		_, response := f.tryUpgrade("/ws", append(upgradeHeaders(), headers...)...)
		if response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return response.StatusCode == http.StatusServiceUnavailable
	}
	// Accepted connections do not count.
	f.connect("alice@dev1")
	f.connect("alice@dev1")
	f.connect("alice@dev1")
	first := f.upgradeRaw()
	f.upgradeRaw()
	if !limited() {
		t.Error("a third connection is not limited")
	}
	if _, err := f.client.Dial(f.ctx); !errors.As(err, new(*client.HTTPError)) {
		t.Errorf("the client is told %v", err)
	}
	for _, item := range []struct {
		forwarded string
		limited   bool
	}{
		{"X-Forwarded-For: 192.0.2.1", false},
		{"X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.1.2.3", false},
		{"X-Forwarded-For: 203.0.113.9, 192.0.2.1", true}, // what the client claims to be does not count
		{"X-Forwarded-For: 203.0.113.9", false},
		{"X-Forwarded-For: ::ffff:192.0.2.1", true},
		{"X-Forwarded-For: 192.0.2.1, unknown", true}, // then the proxy's own, full too
		{"X-Forwarded-For: 2001:db8::1", false},
	} {
		if got := limited(item.forwarded); got != item.limited {
			t.Errorf("%s: limited %t", item.forwarded, got)
		}
	}
	// A refused handshake frees its place before the client is told, and
	// without waiting for the client to close.
	first.readFrame()
	first.writeFrame(opBinary, true, []byte("nonsense"))
	if _, result := first.readFrame(); decodeMap(t, result)["result"] != "bad_protocol" {
		t.Errorf("result %v", decodeMap(t, result))
	}
	if limited() {
		t.Error("the refused handshake still counts")
	}
}

func TestUntrustedProxyIsNotBelieved(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) { options.Parsec2.MaxUnauthenticatedPerAddress = 1 })
	f.upgradeRaw("X-Forwarded-For: 192.0.2.1")
	if _, response := f.tryUpgrade("/ws", append(upgradeHeaders(), "X-Forwarded-For: 192.0.2.2")...); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("HTTP %d", response.StatusCode)
	}
}

// TestConnectionsLeaveNothing opens and closes connections in every way: once
// the server is shut down, its goroutines are gone.
func TestConnectionsLeaveNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("connections", func(t *testing.T) {
		f := newFixture(t)
		for i := range 60 {
			raw := f.dialRaw("alice@dev1", api3)
			switch i % 4 {
			case 0: // vanishes
				_ = raw.conn.Close()
			case 1: // vanishes while waiting
				raw.writeFrame(opBinary, true, message("events_subscribe"))
				raw.writeFrame(opBinary, true, message("events_listen"))
				_ = raw.conn.Close()
			case 2: // closes
				raw.writeFrame(opClose, true, nil)
			case 3: // is closed by the server
			}
		}
		f.client.Close()
		grace, cancel := context.WithTimeout(f.ctx, time.Second) // the last ones do not answer the close frame
		defer cancel()
		f.Server.Shutdown(grace)
	})
	settling, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for settling.Err() == nil { // those that ended may not have left yet
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		runtime.Gosched()
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
}
