package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"parsec-server/internal/testkit/pipes"
	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/server"
)

// ask sends a request over the connection.
func (r *rawConn) ask(head string) {
	r.f.t.Helper()
	_, err := io.WriteString(r.conn, head+" HTTP/1.1\r\nHost: localhost\r\n"+acceptsStream+"\r\n\r\n")
	r.f.ok(err)
}

// wantLast wants an answer that ends the connection.
func (r *rawConn) wantLast(status int) {
	r.f.t.Helper()
	response := r.answer()
	if response.StatusCode != status || !response.Close {
		r.f.t.Errorf("HTTP %d, last: %t, want %d", response.StatusCode, response.Close, status)
	}
	if _, err := r.read.ReadByte(); err != io.EOF {
		r.f.t.Errorf("the connection goes on: %v", err)
	}
}

// TestRetiredServes has a balancer notice while everything is served.
func TestRetiredServes(t *testing.T) {
	f := newFixture(t)
	f.Server.Retire(lifecycle.NoSuccessor)
	for target, want := range map[string]int{"/readyz": http.StatusServiceUnavailable, "/healthz": http.StatusOK} {
		if response := f.get(target); response.StatusCode != want || !response.Close {
			t.Errorf("%s: HTTP %d, last: %t", target, response.StatusCode, response.Close)
		}
	}
	if status := <-f.post(nil); status != http.StatusOK {
		t.Errorf("command: HTTP %d", status)
	}
	if response := f.get("/authenticated/CoolOrg/events", acceptsStream); response.StatusCode != http.StatusOK {
		t.Errorf("events: HTTP %d", response.StatusCode)
	}
}

// TestKeptConnectionsAreServed has a client send a request, while the server ends,
// over a connection that it has used before.
func TestKeptConnectionsAreServed(t *testing.T) {
	f, g := newFixture(t), newGate()
	kept := f.dialTCP()
	kept.ask("GET /healthz")
	if response := kept.answer(); response.StatusCode != http.StatusOK || response.Close {
		t.Fatalf("HTTP %d, last: %t", response.StatusCode, response.Close)
	}
	f.wing.rule = g.rule
	answered := f.post(nil)
	f.await(g.entered)
	f.Server.Retire(lifecycle.PresentSuccessor)
	over := f.shutdown()
	f.await(f.wing.drained)
	kept.ask("GET /healthz")
	kept.wantLast(http.StatusOK)
	close(g.opened)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("HTTP %d", status)
	}
	f.await(over)
}

// TestStreamsEndBeforeTheirConnections has a client ask for its stream again, over
// the same connection (docs/protocol/v5/events.md §1.1).
func TestStreamsEndBeforeTheirConnections(t *testing.T) {
	f := newFixture(t)
	stream := f.dialTCP()
	stream.ask("GET /authenticated/CoolOrg/events")
	response, err := http.ReadResponse(stream.read, nil)
	f.ok(err)
	lines := bufio.NewReader(response.Body)
	_, err = lines.ReadString('\n')
	f.ok(err)
	f.Server.Retire(lifecycle.PresentSuccessor)
	over := f.shutdown()
	if _, err := io.ReadAll(lines); err != nil || response.Close {
		t.Errorf("the stream ends with %v", err)
	}
	stream.ask("GET /authenticated/CoolOrg/events")
	stream.wantLast(http.StatusServiceUnavailable)
	f.await(over)
}

// TestStreamsEndOneAfterTheOther spares who serves then, if somebody does.
func TestStreamsEndOneAfterTheOther(t *testing.T) {
	for _, row := range []struct {
		streams int
		next    lifecycle.Succession
		want    time.Duration
	}{
		{1, lifecycle.PresentSuccessor, 0},
		{21, lifecycle.PresentSuccessor, 100 * time.Millisecond},
		{21, lifecycle.NoSuccessor, 100 * time.Millisecond},
		{10_000, lifecycle.PresentSuccessor, 3 * time.Second},
		{10_000, lifecycle.LaterSuccessor, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			first, last := server.EndStreams(t.Context(), row.streams, row.next)
			if first != 0 || last > row.want || last < row.want*99/100 {
				t.Errorf("%+v: from %s to %s", row, first, last)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, last := server.EndStreams(ctx, row.streams, row.next); last != 0 {
				t.Errorf("%+v: %s after the grace period", row, last)
			}
		})
	}
}

// TestSilentConnectionsEndLast has the shutdown wait for requests that may be on
// their way.
func TestSilentConnectionsEndLast(t *testing.T) {
	for next, want := range map[lifecycle.Succession]time.Duration{
		lifecycle.NoSuccessor: 2 * time.Second, lifecycle.LaterSuccessor: 2 * time.Second, lifecycle.PresentSuccessor: 10 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			network := pipes.New()
			f := pipedFixture(t, network)
			transport := &http.Transport{DialContext: network.Dial}
			defer transport.CloseIdleConnections()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.Address.HTTPOrigin()+"/healthz", nil)
			f.ok(err)
			answer, err := transport.RoundTrip(request)
			f.ok(err)
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			f.Server.Retire(next)
			begun := time.Now()
			<-f.shutdown()
			if took := time.Since(begun); took < want || took > want+time.Second {
				t.Errorf("%d: after %s", next, took)
			}
		})
	}
}

// TestGoAway has a connection of HTTP/2 told at once that it is the last time, though
// it does nothing.
func TestGoAway(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	certificates := certified.TLS.Certificates
	certified.Close()
	f := newFixture(t, func(options *options) {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		options.listener = listener
	})
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(f.ctx, "tcp", strings.TrimPrefix(f.Address.HTTPOrigin(), "http://"))
	f.ok(err)
	defer conn.Close()
	_, err = io.WriteString(conn, http2.ClientPreface)
	f.ok(err)
	frames := http2.NewFramer(conn, conn)
	f.ok(frames.WriteSettings())
	for acknowledged := false; !acknowledged; {
		frame, err := frames.ReadFrame()
		f.ok(err)
		settings, is := frame.(*http2.SettingsFrame)
		acknowledged = is && settings.IsAck()
	}
	f.Server.Retire(lifecycle.PresentSuccessor)
	over := f.shutdown()
	for told := false; !told; {
		frame, err := frames.ReadFrame()
		f.ok(err)
		farewell, is := frame.(*http2.GoAwayFrame)
		if told = is; is && farewell.ErrCode != http2.ErrCodeNo {
			t.Errorf("told %s", farewell.ErrCode)
		}
	}
	f.await(over)
}

// TestUnreadBytesAreHeard has the server not notice yet that a request begins.
func TestUnreadBytesAreHeard(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if server.HasSpoken(conn, 0) {
		t.Error("heard before it spoke")
	}
	if _, err := io.WriteString(client, "GET"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ticks := time.Tick(time.Millisecond); !server.HasSpoken(conn, 0); {
		select {
		case <-ticks:
		case <-ctx.Done():
			t.Fatal("what is unread is not heard")
		}
	}
	if _, err := io.ReadFull(conn, make([]byte, len("GET"))); err != nil {
		t.Fatal(err)
	}
	if server.HasSpoken(conn, 0) || !server.HasSpoken(conn, time.Hour) {
		t.Error("what is read is not heard of that time alone")
	}
}
