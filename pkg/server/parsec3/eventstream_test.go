package parsec3_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/testclient3"
	clientparsec3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/wire"
)

// stream reads the messages of an event stream as they are.
type stream struct {
	t        testing.TB
	response *http.Response
	lines    *bufio.Reader
}

// openStream opens the stream of a device, which resumes after an event: "" is none.
func (f *fixture) openStream(device *clientparsec3.Device, lastEventID string) *stream {
	f.t.Helper()
	r := f.newRequest(http.MethodGet, "/authenticated/CoolOrg/events", device)
	if lastEventID != "" {
		r.header.Set("Last-Event-Id", lastEventID)
	}
	response := f.open(r)
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("status %d", response.StatusCode)
	}
	return &stream{f.t, response, bufio.NewReader(response.Body)}
}

// message returns the next message, as its lines without the one that ends it.
func (s *stream) message() []string {
	s.t.Helper()
	var lines []string
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the stream ends: %v after %q", err, lines)
		}
		if line == "\n" {
			return lines
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
}

// event returns what the next message tells, and its id.
func (s *stream) event() (fields map[any]any, id string) {
	s.t.Helper()
	lines := s.message()
	data, hasData := strings.CutPrefix(lines[0], "data:")
	if len(lines) != 2 || !hasData {
		s.t.Fatalf("message %q", lines)
	}
	id, hasID := strings.CutPrefix(lines[1], "id:")
	if !hasID || len(id) != 32 {
		s.t.Fatalf("message %q", lines)
	}
	decoded := must(msgpack.DecodeProfile(wire.Microseconds, must(base64.StdEncoding.DecodeString(data))))
	return decoded.(map[any]any), id
}

// wantEvent wants the next message to be an event, and returns its id.
func (s *stream) wantEvent(name string) (id string) {
	s.t.Helper()
	fields, id := s.event()
	if fields["event"] != name || fields["status"] != "ok" {
		s.t.Fatalf("event %v, want %s", fields, name)
	}
	return id
}

// wantEnd wants the stream to end cleanly.
func (s *stream) wantEnd() {
	s.t.Helper()
	if rest, err := io.ReadAll(s.lines); err != nil || len(rest) > 0 {
		s.t.Errorf("the stream ends with %v after %q", err, rest)
	}
}

func (f *fixture) ping(text string) {
	f.t.Helper()
	f.ok(f.Store3.Publish(f.ctx, event.Event{Organization: coolOrg, Body: notice.Pinged{ID: notice.NewID(), Ping: text}}))
}

func TestStreamFraming(t *testing.T) {
	f := newFixture(t, func(o *testkit.GenerationsOptions) { o.Server.EventStreamKeepAlive = 30 * time.Second })
	s := f.openStream(f.bob, "")
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", "Api-Version": "5.6",
		"Server": "parsec/3",
	} {
		if got := s.response.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	first, _ := s.event()
	for key, want := range map[string]any{
		"status": "ok", "event": "ORGANIZATION_CONFIG", "user_profile_outsider_allowed": true, "active_users_limit": nil,
		"sse_keepalive_seconds": int64(30), "realm_minimum_archiving_period_before_deletion": int64(2592000),
	} {
		if got, found := first[key]; !found || got != want {
			t.Errorf("%s is %v, %t; want %v", key, got, found, want)
		}
	}
	if len(first) != 6 {
		t.Errorf("first event %v", first)
	}
	f.ping("hello")
	if told, _ := s.event(); told["event"] != "PINGED" || told["ping"] != "hello" {
		t.Errorf("event %v", told)
	}
}

// The bytes of a keep-alive, and none where there is no such.
func TestStreamKeepAlive(t *testing.T) {
	f := newFixture(t, func(o *testkit.GenerationsOptions) { o.Server.EventStreamKeepAlive = 10 * time.Millisecond })
	s := f.openStream(f.bob, "")
	if first, _ := s.event(); first["sse_keepalive_seconds"] != int64(1) {
		t.Errorf("first event %v", first)
	}
	for range 3 {
		if got := strings.Join(s.message(), "\n"); got != "event:keepalive\ndata:" {
			t.Errorf("keepalive %q", got)
		}
	}
	f = newFixture(t)
	if first, _ := f.openStream(f.bob, "").event(); first["sse_keepalive_seconds"] != nil {
		t.Errorf("first event %v", first)
	}
}

// A client that comes back with the last id misses nothing, or is told.
func TestStreamResumes(t *testing.T) {
	f := newFixture(t)
	s := f.openStream(f.bob, "")
	first := s.wantEvent("ORGANIZATION_CONFIG")
	f.ping("one")
	last := s.wantEvent("PINGED")
	s.response.Body.Close()
	f.ping("two")
	f.ping("three")
	for _, test := range []struct {
		from string
		want []string
	}{
		{first, []string{"one", "two", "three"}}, {last, []string{"two", "three"}},
		{must(parsec.ParseUUID(last)).String(), []string{"two", "three"}},
	} {
		resumed := f.openStream(f.bob, test.from)
		if id := resumed.wantEvent("ORGANIZATION_CONFIG"); id != strings.ReplaceAll(test.from, "-", "") {
			t.Errorf("first id %s, want %s", id, test.from)
		}
		for _, want := range test.want {
			if told, _ := resumed.event(); told["ping"] != want {
				t.Errorf("resumed after %s: %v, want %s", test.from, told, want)
			}
		}
	}
	for _, unknown := range []string{parsec.NewUUID().Hex(), "dummy"} {
		resumed := f.openStream(f.bob, unknown)
		resumed.wantEvent("ORGANIZATION_CONFIG")
		lines := resumed.message()
		if len(lines) != 3 || lines[0] != "event:missed_events" || lines[1] != "data:" || !strings.HasPrefix(lines[2], "id:") {
			t.Errorf("resumed after %s: %q", unknown, lines)
		}
		f.ping("live")
		resumed.wantEvent("PINGED")
	}
}

// What ends a stream ends it cleanly, after what was queued, and the next request
// tells why.
func TestStreamEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(f *fixture)
		before []string
		status int
	}{
		"revoked": {func(f *fixture) {
			call(f, f.client.Authenticated(f.alice), protocol.UserRevoke, must(testclient3.RevokeUser(f.alice, f.bob.User, f.clock.Now())))
		}, []string{"COMMON_CERTIFICATE"}, 461},
		"frozen": {func(f *fixture) {
			must(f.Parsec3.SetFrozen(f.ctx, coolOrg, organization.UserChoice{ID: f.bob.User.String()}, true))
		}, nil, 462},
		"expired": {func(f *fixture) {
			administrator := must(f.Organizations.Connect(netip.MustParseAddr("127.0.0.1"), testkit.AdministrationToken))
			f.ok(f.Organizations.Update(f.ctx, administrator, coolOrg, organization.Change{Expired: new(true)}))
		}, nil, 460},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s := f.openStream(f.bob, "")
			s.wantEvent("ORGANIZATION_CONFIG")
			test.end(f)
			for _, want := range test.before {
				s.wantEvent(want)
			}
			s.wantEnd()
			if got := f.send(f.newRequest(http.MethodGet, "/authenticated/CoolOrg/events", f.bob)).status; got != test.status {
				t.Errorf("status %d, want %d", got, test.status)
			}
		})
	}
}

// The connection serves the next request of the client.
func TestConnectionOutlivesStream(t *testing.T) {
	f := newFixture(t)
	conn := f.dial()
	r := f.newRequest(http.MethodGet, "/authenticated/CoolOrg/events", f.bob)
	for range 2 {
		reader := bufio.NewReader(conn)
		f.write(conn, r, "HTTP/1.1")
		response := must(http.ReadResponse(reader, nil))
		s := &stream{t, response, bufio.NewReader(response.Body)}
		s.wantEvent("ORGANIZATION_CONFIG")
		f.Bus.Lose()
		s.wantEnd()
	}
}

// A proxy of HTTP/1.0 gets no chunks: the end of the connection is that of the stream.
func TestStreamOverHTTP10(t *testing.T) {
	f := newFixture(t)
	conn := f.dial()
	f.write(conn, f.newRequest(http.MethodGet, "/authenticated/CoolOrg/events", f.bob), "HTTP/1.0")
	response := must(http.ReadResponse(bufio.NewReader(conn), nil))
	if len(response.TransferEncoding) > 0 || response.StatusCode != http.StatusOK {
		t.Errorf("status %d, encoding %v", response.StatusCode, response.TransferEncoding)
	}
	s := &stream{t, response, bufio.NewReader(response.Body)}
	s.wantEvent("ORGANIZATION_CONFIG")
	f.ping("hello")
	s.wantEvent("PINGED")
	f.Bus.Lose()
	s.wantEnd()
}

func (f *fixture) dial() net.Conn {
	f.t.Helper()
	conn := must((&net.Dialer{}).DialContext(f.ctx, "tcp", strings.TrimPrefix(f.Address.HTTPOrigin(), "http://")))
	f.t.Cleanup(func() { conn.Close() })
	deadline, _ := f.ctx.Deadline()
	f.ok(conn.SetDeadline(deadline))
	return conn
}

// write sends a request without body.
func (f *fixture) write(conn net.Conn, r *request, version string) {
	f.t.Helper()
	text := fmt.Sprintf("%s %s %s\r\nHost: example.com\r\n", r.method, r.path, version)
	for name := range r.header {
		text += name + ": " + r.header.Get(name) + "\r\n"
	}
	must(conn.Write([]byte(text + "\r\n")))
}

// An nginx of which nothing is set but where to, which asks in HTTP/1.0 and buffers,
// keeps nothing back: there is no keep-alive that would push it.
func TestStreamThroughNginx(t *testing.T) {
	f := newFixture(t)
	r := f.newRequest(http.MethodGet, "/authenticated/CoolOrg/events", f.bob)
	r.through = testkit.NginxBefore(t, f.Address.HTTPOrigin(), "")
	response := f.open(r)
	s := &stream{t, response, bufio.NewReader(response.Body)}
	s.wantEvent("ORGANIZATION_CONFIG")
	for range 3 {
		f.ping("hello")
		s.wantEvent("PINGED")
	}
}

// The oldest stream of a device that has too many ends.
func TestStreamsOfOneDeviceAreBounded(t *testing.T) {
	f := newFixture(t)
	oldest := f.openStream(f.bob, "")
	oldest.wantEvent("ORGANIZATION_CONFIG")
	other := f.openStream(f.alice, "")
	other.wantEvent("ORGANIZATION_CONFIG")
	var streams []*stream
	for range 10 {
		s := f.openStream(f.bob, "")
		s.wantEvent("ORGANIZATION_CONFIG")
		streams = append(streams, s)
	}
	oldest.wantEnd()
	f.ping("hello")
	for _, s := range append(streams, other) {
		s.wantEvent("PINGED")
	}
}

// Whatever passes is 503, which clients wait after; any other status would end their
// monitor for good.
func TestStreamFailures(t *testing.T) {
	for name, failure := range map[string]error{"outage": outage.ErrUnavailable, "bug": io.ErrUnexpectedEOF} {
		f := newFixture(t, func(o *testkit.GenerationsOptions) {
			o.WrapStore3 = func(store rules.Store) rules.Store { return &brokenRegistration{store, failure} }
		})
		got := f.send(f.newRequest(http.MethodGet, "/authenticated/CoolOrg/events", f.bob))
		if got.status != http.StatusServiceUnavailable || got.header.Get("Api-Version") != "5.6" {
			t.Errorf("%s: status %d, %v", name, got.status, got.header)
		}
	}
}

type brokenRegistration struct {
	rules.Store
	failure error
}

func (s *brokenRegistration) Registration(context.Context, parsec.OrganizationID, parsec3.DeviceID) (rules.Standing, []parsec.RealmID, error) {
	return rules.Standing{}, nil, s.failure
}

// Sent as a command it is refused.
func TestEventsListenAsCommand(t *testing.T) {
	f := newFixture(t)
	r := f.newRequest(http.MethodPost, "/authenticated/CoolOrg", f.bob)
	r.body = message("events_listen", nil)
	got := f.send(r)
	if status, _ := wire.LookupString(got.body, "status"); got.status != http.StatusOK || status != "not_available" {
		t.Errorf("status %d, %s", got.status, status)
	}
}
