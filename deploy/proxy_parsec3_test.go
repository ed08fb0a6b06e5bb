package deploy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	protocol3 "parsec-server/pkg/parsec3/protocol"
)

const (
	// keepalive is the longest silence of a stream. What a proxy keeps back comes with
	// what is sent next, so later than soon after an event, and than kept after a
	// keepalive.
	keepalive = 10 * time.Second
	kept      = keepalive * 18 / 10
	// soon is the second within which an event comes, with a margin.
	soon = 3 * time.Second
	// blockBytes is the size of the blocks of official clients.
	blockBytes = 512 << 10
	// longestBody is that of any request (docs/protocol/v5/transport.md §5).
	longestBody = 16 << 20
)

func program() string { return filepath.Join(application, "bin", "parsec") }

// hostAndPort is where the proxy finds a server.
func hostAndPort(address parsec.ServerAddress) string {
	return strings.TrimPrefix(address.HTTPOrigin(), "http://")
}

// origin is where clients find the proxy, once it runs.
func (p *proxied) origin() string {
	if p.inClear {
		return "http://" + net.JoinHostPort(domain, p.httpPort)
	}
	return "https://" + net.JoinHostPort(domain, p.httpsPort)
}

// held is how long a request waits for a server that does not listen, in seconds.
func (p *proxied) held() string {
	if p.impatient {
		return "2"
	}
	return "60"
}

// awaitProxy waits until the proxy listens.
func (p *proxied) awaitProxy(proxy *testkit.Process) {
	p.t.Helper()
	if p.inClear {
		proxy.AwaitPort(p.t, p.httpPort)
		return
	}
	proxy.AwaitPort(p.t, p.httpsPort)
}

// modern is a client of API 5 that reaches the server through the proxy.
func (p *proxied) modern() *client3.Client {
	p.t.Helper()
	authority, query := strings.TrimPrefix(p.origin(), "https://"), ""
	if p.inClear {
		authority, query = strings.TrimPrefix(p.origin(), "http://"), "?no_ssl=true"
	}
	c := client3.New(must(parsec.Parsec3Scheme.ParseServerAddress("parsec3://"+authority+query)), client3.LatestVersion,
		client.Options{TLS: p.tls, DialContext: p.dial})
	p.t.Cleanup(c.Close)
	return c
}

// found3 creates an organization of API 5, and returns the device of its first user.
func (p *proxied) found3(address parsec.ServerAddress) *client3.Device {
	p.t.Helper()
	id := must(parsec.ParseOrganizationID("Acme"))
	c := client3.New(address, client3.LatestVersion, client.Options{})
	p.t.Cleanup(c.Close)
	text, err := c.Administration(testkit.AdministrationToken).Create(p.ctx, id, client.OrganizationSettings{})
	if err != nil {
		p.t.Fatalf("create an organization: %v", err)
	}
	bootstrap := must(parsec3.ParseAccessToken(text))
	device, request, err := client3.NewOrganization(client3.Founding{Organization: id, Token: &bootstrap}, client3.Person{
		Label: must(parsec3.ParseDeviceLabel("laptop")), HumanHandle: must(parsec3.ParseHumanHandle("alice@example.com", "Alice")),
	}, now())
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := client3.Call(p.ctx, c.Anonymous(id), protocol3.OrganizationBootstrap, request); err != nil {
		p.t.Fatalf("bootstrap: %v", err)
	}
	return device
}

// carry has clients of API 5 listen and upload through a proxy.
func carry(t *testing.T, start func(*proxied) *testkit.Process) {
	t.Helper()
	p := newProxy(t)
	server := testkit.StartParsec(t, program(), "--sse-keepalive", strconv.Itoa(int(keepalive/time.Second)))
	p.upstream = hostAndPort(server.Address)
	p.awaitProxy(start(p))
	device := p.found3(server.Address)
	alice := testclient3.NewResident(p.modern(), device)
	if err := alice.Poll(p.ctx); err != nil {
		t.Fatalf("poll: %v", err)
	}
	l := p.listen3(device)
	l.next("the first event", "", soon)
	l.next("a keepalive", "keepalive", kept)
	realm, err := alice.NewWorkspace(p.ctx, "work")
	if err != nil {
		t.Fatalf("create a workspace: %v", err)
	}
	l.since = time.Now()
	l.next("an event", "", soon)
	if err := upload(p.ctx, alice, realm, blockBytes); err != nil {
		t.Error(err)
	}
	l.end(server)
}

// upload stores a file of one block, and reads it.
func upload(ctx context.Context, alice *testclient3.Resident, realm parsec.RealmID, size int) error {
	content := make([]byte, size)
	_, _ = rand.Read(content) // never fails
	vlob, block := parsec.VlobID(parsec.NewUUID()), parsec.BlockID(parsec.NewUUID())
	if err := alice.UploadBlock(ctx, realm, vlob, block, content); err != nil {
		return fmt.Errorf("upload a block: %w", err)
	}
	if err := alice.Upload(ctx, realm, vlob, content[:100]); err != nil {
		return fmt.Errorf("upload a vlob: %w", err)
	}
	read, err := alice.ReadBlock(ctx, realm, block)
	if err != nil {
		return fmt.Errorf("read a block: %w", err)
	}
	if !bytes.Equal(read, content) {
		return fmt.Errorf("read %d bytes that are not the %d written", len(read), size)
	}
	return nil
}

// listener is a client that listens, over HTTP/2 where the proxy speaks it.
type listener struct {
	p         *proxied
	device    *client3.Device
	transport *http.Transport
	// dialled counts its connections.
	dialled atomic.Int32
	stream  *client.ServerSentEvents
	// since is when it began to wait for what comes next.
	since time.Time
}

func (p *proxied) listen3(device *client3.Device) *listener {
	p.t.Helper()
	l := &listener{p: p, device: device}
	l.transport = &http.Transport{TLSClientConfig: p.tls.Clone(), ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		l.dialled.Add(1)
		return p.dial(ctx, network, address)
	}}
	p.t.Cleanup(l.transport.CloseIdleConnections)
	l.since = time.Now()
	answer := l.ask()
	p.t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 && !p.inClear {
		p.t.Fatalf("listen: %s by %s", answer.Status, answer.Proto)
	}
	l.stream = client.NewServerSentEvents(answer.Body)
	return l
}

// ask asks for the stream, whose answer is the caller's to close.
func (l *listener) ask() *http.Response {
	l.p.t.Helper()
	target := l.p.origin() + "/authenticated/" + l.device.Organization.String() + "/events"
	request, err := http.NewRequestWithContext(l.p.ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		l.p.t.Fatal(err)
	}
	request.Header.Set("Api-Version", client3.LatestVersion.String())
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Authorization", l.device.Token(now()))
	answer, err := l.transport.RoundTrip(request)
	if err != nil {
		l.p.t.Fatalf("listen: %v", err)
	}
	return answer
}

// next waits for an event that has a name, "" for none.
func (l *listener) next(what, name string, limit time.Duration) {
	l.p.t.Helper()
	event, err := l.stream.Next()
	if took := time.Since(l.since); err != nil || event.Name != name || took > limit {
		l.p.t.Errorf("%s is %q after %s, %v", what, event.Name, took, err)
	}
	l.since = time.Now()
}

// end has the server end the stream: the client asks again over the same connection,
// and is told the reason.
func (l *listener) end(server *testkit.Parsec) {
	l.p.t.Helper()
	administration := client.New(server.Address, client.Options{})
	l.p.t.Cleanup(administration.Close)
	if _, err := administration.Administration(testkit.AdministrationToken).Freeze(l.p.ctx, l.device.Organization, client.UserChoice{Email: l.device.HumanHandle.Email()}, true); err != nil {
		l.p.t.Fatalf("freeze: %v", err)
	}
	var err error
	for err == nil {
		_, err = l.stream.Next()
	}
	if !errors.Is(err, io.EOF) {
		l.p.t.Fatalf("the end of the stream: %v", err)
	}
	const frozen = 462
	answer := l.ask()
	_ = answer.Body.Close()
	if dialled := l.dialled.Load(); answer.StatusCode != frozen || dialled != 1 {
		l.p.t.Errorf("asked again: %s, %d connections", answer.Status, dialled)
	}
}

// bear sends the longest body through a sample.
func bear(t *testing.T, start func(*proxied) *testkit.Process) {
	t.Helper()
	p := newProxy(t)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost && (err != nil || n != longestBody) {
			t.Errorf("%d bytes arrived, %v", n, err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(behind.Close)
	p.upstream = strings.TrimPrefix(behind.URL, "http://")
	p.awaitProxy(start(p))
	transport := &http.Transport{TLSClientConfig: p.tls.Clone(), DialContext: p.dial, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.origin()+"/authenticated_account", bytes.NewReader(make([]byte, longestBody)))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Errorf("%s", answer.Status)
	}
}
