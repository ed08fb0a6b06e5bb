package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/server"
)

func withTrustedLoopback(options *options) {
	options.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// A body that never comes ends its connection on every route, also when the
// route does not read it, and whatever is missing.
func TestBodyThatNeverComes(t *testing.T) {
	f := newFixture(t, func(options *options) { options.BodyTimeout = 50 * time.Millisecond })
	administrator := []string{"Authorization: Bearer " + administrationToken}
	for _, item := range []struct {
		method, target string
		status         int
		headers        []string
	}{
		{"GET", "/healthz", 200, nil},
		{"GET", "/readyz", 200, nil},
		{"GET", "/", 200, nil},
		{"POST", "/", 405, nil},
		{"GET", "/nothing/here", 404, nil},
		{"GET", "/static/icon.svg", 200, nil},
		{"GET", "/redirect/CoolOrg", 302, nil},
		{"GET", "/generation2", 200, nil},
		{"GET", "/anonymous/CoolOrg", 200, nil},
		{"POST", "/anonymous/CoolOrg", 408, nil},
		{"POST", "/authenticated/CoolOrg", 408, []string{"User: alice"}},
		{"POST", "/authenticated/CoolOrg", 401, nil},
		{"POST", "/invited/CoolOrg", 408, nil},
		{"GET", "/authenticated/CoolOrg/events", 406, nil},
		{"POST", "/administration/organizations", 408, administrator},
		{"POST", "/administration/organizations", 403, nil},
		{"GET", "/administration/organizations/CoolOrg", 200, administrator},
	} {
		for name, body := range map[string]struct {
			size  int
			begun string
		}{"nothing": {10, ""}, "a part": {1000, "\x81"}, "a part of much": {1 << 20, "\x81"}, "chunked": {-1, "5\r\n"}} {
			t.Run(item.method+" "+item.target+" "+strconv.Itoa(item.status)+" "+name, func(t *testing.T) {
				f := &fixture{Address: f.Address, t: t, ctx: f.ctx}
				raw := f.unfinished(item.method, item.target, body.size, []byte(body.begun), item.headers...)
				response := raw.answer()
				tooLarge := item.status == 408 && body.size > strangerBytes && response.StatusCode == http.StatusRequestEntityTooLarge
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

// So does a head that does not end.
func TestHeadThatNeverEnds(t *testing.T) {
	f := newFixture(t, func(options *options) { options.HeaderTimeout = 50 * time.Millisecond })
	for _, begun := range []string{"", "G", "GET / HTTP/1.1\r\nHost: localhost\r\n"} {
		raw := f.dialTCP()
		_, err := io.WriteString(raw.conn, begun)
		f.ok(err)
		if _, err := io.Copy(io.Discard, raw.read); err != nil {
			t.Errorf("after %q: %v", begun, err)
		}
	}
}

// A client that sends its whole body at once reads the answer, and uses the
// connection again.
func TestUnreadBodyIsDrained(t *testing.T) {
	f := newFixture(t)
	raw := f.unfinished("POST", "/authenticated/Unknown", 1<<20, make([]byte, 1<<20))
	if response := raw.answer(); response.StatusCode != http.StatusNotFound {
		t.Errorf("HTTP %d", response.StatusCode)
	}
	_, err := io.WriteString(raw.conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	f.ok(err)
	if response := raw.answer(); response.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d", response.StatusCode)
	}
}

// The time of a body is not that of its command.
func TestCommandMayOutlastTheBody(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second // in which the body is read, however slow the machine is
	f := newFixture(t, func(options *options) { options.BodyTimeout = limit })
	g := newGate()
	f.wing.rule = g.rule
	answered := f.post([]byte("body"))
	f.await(g.entered)
	if got := f.unfinished("POST", "/anonymous/CoolOrg", 10, nil).answer().StatusCode; got != http.StatusRequestTimeout { // began later, and is at its limit
		t.Errorf("HTTP %d", got)
	}
	close(g.opened)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("HTTP %d", status)
	}
}

// TestStrangersShareABudget fills the budget by bodies that do not end: of each
// network what is beyond its share is refused, then everything is.
func TestStrangersShareABudget(t *testing.T) {
	// A part of 8 of the memory, of which a network has a part of 4: three
	// buffers of 640 KiB.
	f := newFixture(t, withTrustedLoopback, func(options *options) {
		options.Memory, options.BodyTimeout = 64<<20, patience/4
	})
	const size, begun, networks, share = 900 << 10, 600 << 10, 4, 3
	refused := make(chan *http.Response, 2*networks*(share+1))
	begin := func(network int) *rawConn {
		t.Helper()
		raw := f.unfinished("POST", "/authenticated/CoolOrg", size, make([]byte, begun),
			"User: alice", fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", network))
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
	if status := <-f.post([]byte("small")); status != http.StatusOK {
		t.Errorf("a small command: HTTP %d", status)
	}
	large := make([]byte, begun)
	status := <-f.post(large)
	if status != http.StatusServiceUnavailable {
		t.Errorf("a large command: HTTP %d", status)
	}
	// What was held comes back with its end.
	for _, raw := range held {
		f.ok(raw.conn.Close())
	}
	for status == http.StatusServiceUnavailable {
		status = <-f.post(large)
	}
	if status != http.StatusOK {
		t.Errorf("a large command at last: HTTP %d", status)
	}
}

// TestUsersShareABudget has a user hold its part by commands that run: the next
// large one waits until one of them is done, others do not.
func TestUsersShareABudget(t *testing.T) {
	// A part of 4 of the memory, of which a user has half: three buffers of more
	// than 1 MiB.
	f := newFixture(t, withTrustedLoopback, func(options *options) { options.Memory = 32 << 20 })
	const most = 3
	entered := make(chan chan struct{}, 10) // of what each command waits for
	f.wing.rule = func(context.Context) (any, error) {
		leave := make(chan struct{})
		entered <- leave
		<-leave
		return nil, nil
	}
	posted := 0
	post := func(body []byte, headers ...string) <-chan int { // of a network of its own
		posted++
		return f.post(body, append(headers, fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", posted))...)
	}
	enters := func() chan struct{} {
		t.Helper()
		select {
		case leave := <-entered:
			return leave
		case <-f.ctx.Done():
			t.Fatal("no command runs")
			return nil
		}
	}
	large := make([]byte, server.MaxBodyBytes)
	var answers []<-chan int
	var held []chan struct{}
	for range most {
		answers = append(answers, post(large))
		held = append(held, enters())
	}
	waiting := post(large)
	for range 10 { // meanwhile it has come
		for _, pass := range []<-chan int{post(large, "User: alice"), post([]byte("small"))} {
			close(enters())
			answers = append(answers, pass)
		}
	}
	select {
	case status := <-waiting:
		t.Fatalf("a fourth command is answered: HTTP %d", status)
	case <-entered:
		t.Fatal("a fourth command runs")
	default:
	}
	close(held[0])
	held = append(held[1:], enters())
	for _, leave := range held {
		close(leave)
	}
	for i, answer := range append(answers, waiting) {
		if status := <-answer; status != http.StatusOK {
			t.Errorf("command %d: HTTP %d", i, status)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	f := newFixture(t)
	for size, want := range map[int]int{server.MaxBodyBytes: http.StatusOK, server.MaxBodyBytes + 1: http.StatusRequestEntityTooLarge} {
		if status := <-f.post(make([]byte, size)); status != want {
			t.Errorf("%d bytes: HTTP %d, want %d", size, status, want)
		}
	}
}

// A body that ends early is the client's mistake.
func TestBodyCutShort(t *testing.T) {
	f := newFixture(t)
	raw := f.dialTCP()
	_, err := io.WriteString(raw.conn, "POST /anonymous/CoolOrg HTTP/1.1\r\nHost: localhost\r\n"+
		"Content-Type: application/msgpack\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	f.ok(err)
	response, err := http.ReadResponse(raw.read, nil)
	f.ok(err)
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("HTTP %d", response.StatusCode)
	}
	if strings.Contains(f.logs.String(), `"level":"ERROR"`) {
		t.Error("the log holds an error")
	}
}

// TestHTTP2 is what a client that negotiates HTTP/2 gets.
func TestHTTP2(t *testing.T) {
	f := newFixture(t)
	over := httptest.NewUnstartedServer(f.Server.Handler())
	over.EnableHTTP2 = true
	over.StartTLS()
	defer over.Close()
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, over.URL+"/authenticated/CoolOrg/events", nil)
	f.ok(err)
	request.Header.Set("Accept", "text/event-stream")
	stream, err := over.Client().Do(request)
	f.ok(err)
	defer stream.Body.Close()
	if stream.StatusCode != http.StatusOK || stream.ProtoMajor != 2 {
		t.Fatalf("%s %d", stream.Proto, stream.StatusCode)
	}
	lines := bufio.NewScanner(stream.Body)
	for i := range 3 {
		f.wing.told <- fmt.Sprint(i)
	}
	var found []string
	for len(found) < 4 && lines.Scan() {
		if text := lines.Text(); text != "" {
			found = append(found, strings.SplitAfter(text, ":")[0])
		}
	}
	if !slices.Equal(found, []string{":", "data:", "data:", "data:"}) {
		t.Errorf("stream of %q, %v", found, lines.Err())
	}
	big, err := http.NewRequestWithContext(f.ctx, http.MethodPost, over.URL+"/anonymous/CoolOrg", strings.NewReader(strings.Repeat("x", server.MaxBodyBytes+1)))
	f.ok(err)
	big.Header.Set("Content-Type", "application/msgpack")
	answer, err := over.Client().Do(big)
	f.ok(err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("HTTP %d", answer.StatusCode)
	}
}
