package parsec2_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	wing "parsec-server/pkg/server/parsec2"
	"parsec-server/pkg/wire"
)

// unfinished sends a request with the beginning of a body of size bytes.
func (f *fixture) unfinished(method, target string, size int, begun []byte, headers ...string) *rawConn {
	f.t.Helper()
	raw := f.dialTCP()
	length := "Content-Length: " + strconv.Itoa(size)
	if size < 0 {
		length = "Transfer-Encoding: chunked"
	}
	head := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/msgpack\r\n" + length + "\r\n"
	for _, header := range headers {
		head += header + "\r\n"
	}
	_, err := raw.conn.Write(append([]byte(head+"\r\n"), begun...))
	f.ok(err)
	return raw
}

// answer reads an HTTP answer.
func (r *rawConn) answer() *http.Response {
	r.f.t.Helper()
	response, err := http.ReadResponse(r.read, nil)
	r.f.ok(err)
	_, err = io.ReadAll(response.Body)
	r.f.ok(err)
	return response
}

// named returns the headers of a device whose signature is not known to be
// wrong before the end of the body.
func named(device string) []string {
	return []string{
		"Authorization: PARSEC-SIGN-ED25519", "Author: " + base64.StdEncoding.EncodeToString([]byte(device)),
		"Signature: " + base64.StdEncoding.EncodeToString(make([]byte, 64)),
	}
}

func withTrustedLoopback(options *testkit.InstanceOptions) {
	options.Server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// A body that never comes ends its connection on every route, also when the
// route does not read it, and whatever is missing.
func TestBodyThatNeverComes(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) { options.Server.BodyTimeout = 50 * time.Millisecond })
	for _, item := range []struct {
		method, target string
		status         int
		headers        []string
	}{
		{"GET", "/ws", 400, upgradeHeaders()},
		{"GET", "/anonymous/CoolOrg", 200, nil},
		{"POST", "/anonymous/CoolOrg", 408, nil},
		{"POST", "/authenticated/CoolOrg", 408, named("alice@dev1")},
		{"POST", "/authenticated/CoolOrg", 401, nil},
		{"POST", "/invited/CoolOrg", 408, []string{"Invitation-Token: " + pendingToken.String()}},
		{"POST", "/invited/CoolOrg", 415, nil},
		{"GET", "/authenticated/CoolOrg/events", 406, nil},
	} {
		for name, body := range map[string]struct {
			size  int
			begun string
		}{"nothing": {10, ""}, "a part": {1000, "\x81"}, "a part of much": {1 << 20, "\x81"}, "chunked": {-1, "5\r\n"}} {
			t.Run(item.method+" "+item.target+" "+strconv.Itoa(item.status)+" "+name, func(t *testing.T) {
				f := &fixture{Instance: f.Instance, t: t, ctx: f.ctx}
				raw := f.unfinished(item.method, item.target, body.size, []byte(body.begun), item.headers...)
				response := raw.answer()
				tooLarge := item.status == 408 && body.size > wing.MaxStrangerBytes && response.StatusCode == http.StatusRequestEntityTooLarge
				if response.StatusCode != item.status && !tooLarge {
					t.Errorf("HTTP %d, want %d", response.StatusCode, item.status)
				}
				if _, err := raw.read.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("the connection goes on: %v", err)
				}
			})
		}
	}
}

// What is wrong with the head of a request is told whatever its body.
func TestHeadIsCheckedBeforeTheBody(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) { options.Server.BodyTimeout = 50 * time.Millisecond })
	revoked, expired := must(parsec.ParseOrganizationID("Revoked")), must(parsec.ParseOrganizationID("Expired"))
	f.populate(revoked, organizationSetup{
		Devices: map[string]string{"alice@dev1": "alice_dev1", "bob@dev1": "bob_dev1"}, RevokedUsers: []string{"alice"}, FrozenUsers: []string{"bob"},
	})
	f.populate(expired, organizationSetup{Devices: map[string]string{"alice@dev1": "alice_dev1"}, Expired: true})
	for _, item := range []struct {
		target  string
		headers []string
		status  int
	}{
		{"/authenticated/Unknown", named("alice@dev1"), 404},
		{"/authenticated/Expired", named("alice@dev1"), 460},
		{"/authenticated/CoolOrg", nil, 401},
		{"/authenticated/CoolOrg", named("nobody@dev1"), 401},
		{"/authenticated/Revoked", named("alice@dev1"), 461},
		{"/authenticated/Revoked", named("bob@dev1"), 462},
		{"/authenticated/CoolOrg", append(named("alice@dev1"), "Api-Version: 9.0"), 422},
		{"/anonymous/Unknown", nil, 404},
		{"/anonymous/Expired", nil, 460},
		{"/invited/CoolOrg", []string{"Invitation-Token: " + parsec.NewUUID().String()}, 404},
	} {
		response := f.unfinished("POST", item.target, 1000, []byte{0x81}, item.headers...).answer()
		if response.StatusCode != item.status {
			t.Errorf("%s %q: HTTP %d, want %d", item.target, item.headers, response.StatusCode, item.status)
		}
	}
}

// TestStrangersShareABudget fills the budget by bodies that do not end: of each
// network what is beyond its share is refused, then everything is.
func TestStrangersShareABudget(t *testing.T) {
	// A part of 8 of the memory, of which a network has a part of 4: three
	// buffers of 640 KiB.
	f := newFixture(t, withTrustedLoopback, func(options *testkit.InstanceOptions) {
		options.Server.Memory, options.Server.BodyTimeout = 64<<20, patience/4
	})
	const size, begun, networks, share = 900 << 10, 600 << 10, 4, 3
	refused := make(chan *http.Response, 2*networks*(share+1))
	begin := func(network int) *rawConn {
		t.Helper()
		raw := f.unfinished("POST", "/authenticated/CoolOrg", size, make([]byte, begun),
			append(named("alice@dev1"), fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", network))...)
		go func() {
			if response, err := http.ReadResponse(raw.read, nil); err == nil {
				refused <- response
			}
		}()
		return raw
	}
	wantRefused := func(count int) {
		t.Helper()
		for range count {
			select {
			case response := <-refused:
				if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
					t.Errorf("HTTP %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
				}
			case <-f.ctx.Done():
				t.Fatal("nothing is refused")
			}
		}
	}
	var held []*rawConn
	for network := range networks {
		for range share + 1 {
			held = append(held, begin(network))
		}
	}
	wantRefused(networks)
	held = append(held, begin(networks))
	wantRefused(1)
	// Small commands pass whatever is held.
	rpc := f.client.AuthenticatedRPC(f.device("alice@dev1"), api3)
	f.must(parsec2.Call(f.ctx, rpc, protocol.Ping, &protocol.PingRequest{Ping: "x"}))
	f.wantPong(f.connect("alice@dev1"))
	large := message("ping", wire.Field{Key: "ping", Value: strings.Repeat("x", begun)})
	_, err := rpc.RoundTrip(f.ctx, large)
	f.wantStatus(err, http.StatusServiceUnavailable)
	// What was held comes back with its end.
	for _, raw := range held {
		f.ok(raw.conn.Close())
	}
	for refused := new(client.HTTPError); errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable; {
		_, err = rpc.RoundTrip(f.ctx, large)
	}
	f.ok(err)
}

// Strangers need no large body.
func TestStrangersSendLittle(t *testing.T) {
	f := newFixture(t)
	for target, headers := range map[string][]string{"/anonymous/CoolOrg": nil, "/invited/CoolOrg": {"Invitation-Token: " + pendingToken.String()}} {
		ping := func(size int) int {
			body := message("ping", wire.Field{Key: "ping", Value: strings.Repeat("x", size)})
			return f.do(http.MethodPost, target, body, append(headers, "Content-Type: application/msgpack")...).StatusCode
		}
		if got := ping(wing.MaxStrangerBytes - 100); got != http.StatusOK {
			t.Errorf("%s: HTTP %d", target, got)
		}
		if got := ping(wing.MaxStrangerBytes); got != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, too long: HTTP %d", target, got)
		}
	}
}

// TestUsersShareABudget has a user hold its part by messages that do not end:
// the next one waits until one of them is gone, others do not.
func TestUsersShareABudget(t *testing.T) {
	// A part of 4 of the memory, of which a user has half: three ordinary
	// messages.
	f := newFixture(t, func(options *testkit.InstanceOptions) { options.Server.Memory = 32 << 20 })
	var held []*rawConn
	for range 3 {
		raw := f.dialRaw("bob@dev1", api3)
		raw.writeFrame(opBinary, false, make([]byte, 20<<10))
		raw.writeFrame(opPing, true, nil) // its pong tells that the message is being read
		raw.readFrame()
		held = append(held, raw)
	}
	large := message("ping", wire.Field{Key: "ping", Value: strings.Repeat("x", 100<<10)})
	waiting := f.connect("bob@dev1")
	f.ok(waiting.Send(f.ctx, large))
	answered := make(chan error, 1)
	go func() {
		_, err := waiting.Receive(f.ctx)
		answered <- err
	}()
	f.wantPong(f.connect("bob@dev1")) // small
	other := f.connect("alice@dev1")
	for range 100 { // meanwhile the fourth has come
		f.ok(other.Send(f.ctx, large))
		f.receive(other)
	}
	select {
	case err := <-answered:
		t.Fatalf("a fourth message is answered: %v", err)
	default:
	}
	f.ok(held[0].conn.Close())
	f.ok(<-answered)
}

// TestLargeRepliesWait has a user ask for many blocks at the same time: as many
// are read as it may hold.
func TestLargeRepliesWait(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) { options.Server.Memory = 32 << 20 })
	const most, count = 3, 20
	var running, highest atomic.Int64
	entered, leave := make(chan struct{}, count), make(chan struct{})
	f.Parsec2.SetHandler(protocol.BlockRead.Form, func(ctx context.Context) (any, error) {
		now := running.Add(1)
		defer running.Add(-1)
		for before := highest.Load(); now > before && !highest.CompareAndSwap(before, now); before = highest.Load() {
		}
		entered <- struct{}{}
		select {
		case <-leave:
			return &protocol.PingReply{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	outcomes := make(chan error, count)
	for range count {
		go func() {
			_, err := f.client.AuthenticatedRPC(f.device("bob@dev1"), api3).RoundTrip(f.ctx,
				message("block_read", wire.Field{Key: "block_id", Value: parsec.BlockID{}}))
			outcomes <- err
		}()
	}
	for range most {
		f.await(entered)
	}
	other := f.connect("alice@dev1")
	for range 10 * count { // meanwhile the others have come
		f.wantPong(other)
	}
	for range count - most {
		leave <- struct{}{}
		f.await(entered)
	}
	close(leave)
	for range count {
		f.ok(<-outcomes)
	}
	if highest.Load() > most {
		t.Errorf("%d replies at the same time, of %d that fit", highest.Load(), most)
	}
}
