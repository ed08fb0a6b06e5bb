package parsec2_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// refused reports whether the upgrade of an address is refused.
func (f *fixture) refusedUpgrade(address string) bool {
	f.t.Helper()
	_, response := f.tryUpgrade("/ws", append(upgradeHeaders(), "X-Forwarded-For: "+address)...)
	return response.StatusCode == http.StatusServiceUnavailable
}

// Anonymous and invited connections count until they end, authenticated ones do
// not.
func TestStrangersCountUntilTheyEnd(t *testing.T) {
	for name, connect := range map[string]func(f *fixture) *parsec2.Conn{
		"anonymous": (*fixture).connectAnonymous,
		"invited":   func(f *fixture) *parsec2.Conn { return f.connectInvited() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(options *testkit.InstanceOptions) { options.Parsec2.MaxUnauthenticatedPerAddress = 2 })
			f.connect("alice@dev1")
			f.connect("alice@dev1")
			first := connect(f)
			connect(f)
			_, err := f.client.Dial(f.ctx)
			f.wantStatus(err, http.StatusServiceUnavailable)
			first.CloseNow()
			for f.refusedUpgrade("") {
				f.ok(f.ctx.Err()) // the server has to notice
			}
		})
	}
}

// An IPv6 network is one visitor, as for the throttle.
func TestNetworksAreCounted(t *testing.T) {
	f := newFixture(t, withTrustedLoopback, func(options *testkit.InstanceOptions) { options.Parsec2.MaxUnauthenticatedPerAddress = 2 })
	for i, item := range []struct {
		address string
		refused bool
	}{
		{"2001:db8::1", false}, {"2001:db8::2", false}, {"2001:db8::3", true}, {"2001:db8:0:0:ffff::", true},
		{"2001:db8:0:1::1", false}, {"192.0.2.1", false}, {"192.0.2.2", false}, {"192.0.2.1", false}, {"192.0.2.1", true},
	} {
		if got := f.refusedUpgrade(item.address); got != item.refused {
			t.Errorf("%d: %s: refused %t", i, item.address, got)
		}
	}
}

// visitorsOf makes room for a number of WebSockets that are not authenticated.
func visitorsOf(count int) func(options *testkit.InstanceOptions) {
	return func(options *testkit.InstanceOptions) { options.Server.Memory = int64(count) * 16 << 10 * 8 }
}

// Who holds handshakes open keeps nobody out: the oldest one goes.
func TestOldestHandshakeGoes(t *testing.T) {
	const room = 4
	f := newFixture(t, withTrustedLoopback, visitorsOf(room))
	var held []*rawConn
	for i := range room + 2 {
		held = append(held, f.upgradeRaw(fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i)))
		held[i].readFrame() // the challenge
	}
	for i, raw := range held[:2] {
		if _, _, err := raw.tryReadFrame(); err == nil {
			t.Errorf("handshake %d is still there", i)
		}
	}
	f.wantPong(f.connect("alice@dev1")) // costs the third
	for i, raw := range held[3:] {
		raw.writeFrame(opBinary, true, []byte("nonsense"))
		if _, result := raw.readFrame(); decodeMap(t, result)["result"] != "bad_protocol" {
			t.Errorf("handshake %d: %v", 3+i, decodeMap(t, result))
		}
	}
}

// So with strangers that have settled; they cost no handshake its place.
func TestOldestStrangerGoes(t *testing.T) {
	const room = 4
	f := newFixture(t, visitorsOf(room))
	oldest := f.connectAnonymous()
	for range room - 1 {
		f.connectInvited()
	}
	f.wantPong(oldest)
	newest := f.connectAnonymous()
	f.await(oldest.Done())
	f.wantPong(newest)
	f.wantPong(f.connect("alice@dev1"))
}

// Strangers that say nothing are ended, people who fill in forms are not.
func TestSilentStrangersAreEnded(t *testing.T) {
	f := newFixture(t)
	g := newGate()
	f.Parsec2.SetHandler(protocol.UserClaim.Form, g.rule)
	anonymous, waiting, invited, member := f.connectAnonymous(), f.connectAnonymous(), f.connectInvited(), f.connect("alice@dev1")
	f.ok(waiting.Send(f.ctx, claim()))
	f.await(g.entered)
	look := func(after time.Duration) {
		for f.Parsec2.Running() > 1 { // a reply comes before the end of its command
			f.ok(f.ctx.Err())
		}
		f.Parsec2.Look(time.Now().Add(after))
	}
	look(4 * time.Minute)
	f.wantPong(anonymous)
	look(6 * time.Minute)
	f.wantClosed(anonymous, websocket.StatusNormalClosure)
	f.wantPong(invited)
	look(25 * time.Minute)
	f.wantPong(invited)
	look(35 * time.Minute)
	f.wantClosed(invited, websocket.StatusNormalClosure)
	f.wantPong(member)
	close(g.opened)
	f.receive(waiting)
	f.wantPong(waiting)
}

// claim returns a user_claim whose fields are valid.
func claim() []byte {
	return message("user_claim", wire.Field{Key: "invited_user_id", Value: "zoe"}, wire.Field{Key: "encrypted_claim", Value: []byte("claim")})
}

// TestAnonymousEndsWithTheOrganization has an organization expire, at once and
// at a date.
func TestAnonymousEndsWithTheOrganization(t *testing.T) {
	for name, cause := range map[string]func(f *fixture){
		"expired": func(f *fixture) { f.expire(0) },
		"expiring": func(f *fixture) {
			f.expire(50 * time.Millisecond)
			f.clock.Advance(time.Second) // the timers of sessions are of real time
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			anonymous := f.connectAnonymous()
			elsewhere, err := f.client.DialAnonymous(f.ctx, otherOrg, nil)
			f.ok(err)
			defer elsewhere.CloseNow()
			cause(f)
			f.wantClosed(anonymous, websocket.StatusNormalClosure)
			f.wantPong(elsewhere)
		})
	}
}

// TestStrangersMessagesCount has messages of strangers that do not end use up
// the budget: one more closes its connection, which may come again.
func TestStrangersMessagesCount(t *testing.T) {
	// A network has two buffers of 64 KiB.
	f := newFixture(t, func(options *testkit.InstanceOptions) { options.Server.Memory = 2 * 64 << 10 * 4 * 8 })
	hold := func() *rawConn {
		raw := f.upgradeRaw()
		raw.readFrame()
		raw.writeFrame(opBinary, true, must(wire.AppendMap(nil, []wire.Field{
			{Key: "handshake", Value: "answer"}, {Key: "type", Value: "anonymous"}, {Key: "client_api_version", Value: api1},
			{Key: "organization_id", Value: coolOrg}, {Key: "rvk", Value: nil},
		}, nil)))
		if _, result := raw.readFrame(); decodeMap(t, result)["result"] != "ok" {
			t.Fatalf("handshake: %v", decodeMap(t, result))
		}
		raw.writeFrame(opBinary, false, make([]byte, 20<<10))
		return raw
	}
	closed := make(chan struct{}, 3)
	held := []*rawConn{hold(), hold(), hold()}
	for _, raw := range held {
		go func() {
			if opcode, payload, err := raw.tryReadFrame(); err == nil && opcode == opClose && string(payload) == "\x03\xf5" {
				closed <- struct{}{} // 1013, try again later
			}
		}()
	}
	f.await(closed)
	f.wantPong(f.connectAnonymous())
	// Nor is there room for a long answer to a challenge.
	raw := f.upgradeRaw()
	raw.readFrame()
	raw.writeFrame(opBinary, false, make([]byte, 20<<10))
	raw.wantClose(uint16(websocket.StatusTryAgainLater))
}

// A message that does not end ends its connection, whoever sends it.
func TestMessageThatNeverEnds(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second // in which other messages are read, however slow the machine is
	f := newFixture(t, func(options *testkit.InstanceOptions) { options.Server.BodyTimeout = limit })
	bystander := f.connect("bob@dev1")
	raw := f.dialRaw("alice@dev1", api3)
	_, err := raw.conn.Write(appendFrame(nil, opBinary, true, make([]byte, 1000))[:500])
	f.ok(err)
	if _, err := io.Copy(io.Discard, raw.conn); f.ctx.Err() != nil {
		t.Errorf("the connection goes on: %v", err)
	}
	f.wantPong(bystander)
}

// TestStrangersAreLimited has what strangers write throttled over WebSocket as
// over HTTP; a bootstrap is where anybody may do it.
func TestStrangersAreLimited(t *testing.T) {
	const burst, interval = 100, 3 * time.Second
	bootstrap := message("organization_bootstrap", wire.Field{Key: "bootstrap_token", Value: ""},
		wire.Field{Key: "root_verify_key", Value: parsec.VerifyKey{}},
		wire.Field{Key: "user_certificate", Value: []byte("x")}, wire.Field{Key: "device_certificate", Value: []byte("x")})
	for name, item := range map[string]struct {
		request     []byte
		spontaneous bool
		limited     bool
	}{
		"user_claim": {claim(), false, true},
		"device_claim": {message("device_claim", wire.Field{Key: "invited_device_id", Value: "zoe@dev1"},
			wire.Field{Key: "encrypted_claim", Value: []byte("claim")}), false, true},
		"organization_bootstrap":             {bootstrap, false, false},
		"organization_bootstrap, by anybody": {bootstrap, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(options *testkit.InstanceOptions) { options.Rules.SpontaneousBootstrap = item.spontaneous })
			answer := func(context.Context) (any, error) { return &protocol.EmptyReply{}, nil }
			for _, command := range []*rpc.Form{protocol.UserClaim.Form, protocol.DeviceClaim.Form, protocol.OrganizationBootstrapV1.Form} {
				f.Parsec2.SetHandler(command, answer)
			}
			conns := []*parsec2.Conn{f.connectAnonymous(), f.connectAnonymous()}
			want := func(i int, status string) {
				t.Helper()
				conn := conns[i%len(conns)]
				f.ok(conn.Send(f.ctx, item.request))
				if reply := f.receive(conn); reply["status"] != status {
					t.Fatalf("request %d: %v, want %s", i, reply, status)
				}
			}
			beyond := map[bool]string{true: "too_many_requests", false: "ok"}[item.limited]
			for i := range burst {
				want(i, "ok")
			}
			want(burst, beyond)
			f.wantPong(conns[0])
			f.clock.Advance(interval)
			want(burst+1, "ok")
			want(burst+2, beyond)
		})
	}
}
