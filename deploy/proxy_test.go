package deploy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/server"
)

const (
	// domain is that of the samples.
	domain = "parsec.example.com"
	// clientIP is the address that clients come from; proxies come from
	// another.
	clientIP = "127.0.0.2"
)

// proxied is a server, and how clients reach it through a proxy.
type proxied struct {
	t   *testing.T
	ctx context.Context
	// folder is for what the proxy reads and writes.
	folder string
	server *testkit.Instance
	// logs are the records of the server.
	logs *testkit.Output
	// upstream is where the proxy finds the server, host:port.
	upstream string
	// httpPort and httpsPort are those of the proxy.
	httpPort, httpsPort string
	// inClear reports whether the proxy has no TLS, impatient whether it waits for a
	// server for seconds only.
	inClear, impatient bool
	certificate, key   string
	tls                *tls.Config
}

// newProxy is newProxied without its server.
func newProxy(t *testing.T) *proxied {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p := &proxied{
		t: t, ctx: ctx, folder: t.TempDir(), logs: &testkit.Output{},
		httpPort: testkit.FreePort(t), httpsPort: testkit.FreePort(t),
	}
	p.certify()
	return p
}

// newProxied has a server of API 1 to 3, which knows that there is a proxy.
func newProxied(t *testing.T) *proxied {
	t.Helper()
	p := newProxy(t)
	public := must(parsec.ParseServerAddress("parsec://" + domain))
	p.server = testkit.Start(t, testkit.InstanceOptions{
		Logger: slog.New(slog.NewTextHandler(p.logs, nil)),
		Server: server.Options{
			StrictTransport: true,
			Address:         &public,
			EnforceHTTPS:    &server.ForwardedProto{Header: "X-Forwarded-Proto", Value: "https"},
			TrustedProxies:  []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			WebApp:          p.webApp(),
		},
	})
	p.upstream = hostAndPort(p.server.Address)
	return p
}

const webScript = "a script of the web application"

// webApp makes the folder of a web application.
func (p *proxied) webApp() string {
	p.t.Helper()
	folder := filepath.Join(p.folder, "web")
	if err := os.MkdirAll(filepath.Join(folder, "assets"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.write("web/index.html", "<!doctype html>the web application")
	p.write("web/assets/index-1a2b.js", webScript)
	return folder
}

// certify makes the certificate of the domain.
func (p *proxied) certify() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		p.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.certificate = p.write("certificate.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})))
	p.key = p.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	roots := x509.NewCertPool()
	roots.AddCert(must(x509.ParseCertificate(certificate)))
	p.tls = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// write makes a file that the proxy can read, whoever it runs as.
func (p *proxied) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func (p *proxied) content(path string) string {
	p.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(content)
}

// sample is replaced for a file that says where the server is.
func (p *proxied) sample(path string, replacements ...string) string {
	p.t.Helper()
	return p.replaced(path, append(replacements, "127.0.0.1:6777", p.upstream)...)
}

// replaced returns a file of this folder, where each text must be, once or more,
// and is replaced by the next.
func (p *proxied) replaced(path string, replacements ...string) string {
	p.t.Helper()
	content := []byte(p.content(path))
	for i := 0; i < len(replacements); i += 2 {
		if !bytes.Contains(content, []byte(replacements[i])) {
			p.t.Fatalf("%s has no %q", path, replacements[i])
		}
	}
	return strings.NewReplacer(replacements...).Replace(string(content))
}

// dial reaches the proxy under any name, from the address of clients.
func (p *proxied) dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientIP)}}
	return dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// work does everything that clients do, through the proxy.
func (p *proxied) work(proxy *testkit.Process) {
	p.t.Helper()
	proxy.AwaitPort(p.t, p.httpsPort)
	address := must(parsec.ParseServerAddress("parsec://" + net.JoinHostPort(domain, p.httpsPort)))
	c := parsec2.New(address, client.Options{TLS: p.tls, DialContext: p.dial})
	p.t.Cleanup(c.Close)
	alice := found(p.ctx, p.t, c, address, testkit.AdministrationToken)
	if !strings.Contains(p.logs.String(), "address="+clientIP) {
		p.t.Error("the server does not know the address of the client")
	}
	conn, err := c.DialAuthenticated(p.ctx, alice)
	if err != nil {
		p.t.Fatalf("WebSocket: %v", err)
	}
	p.t.Cleanup(conn.CloseNow)
	// A reply that is longer than the buffers of a proxy may be cut where it
	// passes from HTTP/1.1 to HTTP/1.1: Caddy 2.6 sometimes does. It is read by
	// WebSocket.
	for _, commands := range []parsec2.Transport{conn, c.AuthenticatedRPC(alice, parsec.APIVersion{Major: 3, Minor: 4})} {
		store(p.ctx, p.t, commands, alice).read(p.ctx, p.t, conn)
	}
	p.listen(c, conn, alice)
	p.pages()
}

// listen waits for an event that another device causes.
func (p *proxied) listen(c *parsec2.Client, conn *parsec2.Conn, alice *parsec2.Device) {
	p.t.Helper()
	phone, request, err := alice.NewDevice(must(parsec.ParseDeviceName("phone")), must(parsec.ParseDeviceLabel("phone")), now())
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := parsec2.Call(p.ctx, conn, protocol.DeviceCreate, request); err != nil {
		p.t.Fatal(err)
	}
	events, err := c.AuthenticatedRPC(phone, parsec.APIVersion{Major: 3, Minor: 4}).ServerSentEvents(p.ctx)
	if err != nil {
		p.t.Fatalf("events: %v", err)
	}
	defer func() { _ = events.Close() }()
	if _, err := parsec2.Call(p.ctx, conn, protocol.Ping, &protocol.PingRequest{Ping: "hello"}); err != nil {
		p.t.Fatal(err)
	}
	event, err := events.Next()
	if pinged, ok := event.(*protocol.PingedEvent); !ok || pinged.Ping != "hello" {
		p.t.Errorf("event %+v, %v", event, err)
	}
}

// pages are what browsers ask for, and what liars say.
func (p *proxied) pages() {
	p.t.Helper()
	transport := &http.Transport{TLSClientConfig: p.tls.Clone(), DialContext: p.dial, ForceAttemptHTTP2: true}
	p.t.Cleanup(transport.CloseIdleConnections)
	secure, plain := "https://"+net.JoinHostPort(domain, p.httpsPort), "http://"+net.JoinHostPort(domain, p.httpPort)
	home := get(p.ctx, p.t, transport, secure+"/", http.Header{})
	if home.StatusCode != http.StatusMovedPermanently || home.Header.Get("Location") != "/client/" || home.Proto != "HTTP/2.0" {
		p.t.Errorf("home page: %s to %q by %s", home.Status, home.Header.Get("Location"), home.Proto)
	}
	if home.Header.Get("Strict-Transport-Security") == "" {
		p.t.Error("browsers may come back in clear")
	}
	redirect := get(p.ctx, p.t, transport, secure+"/redirect/Acme?x=1", http.Header{})
	if got := redirect.Header.Get("Location"); got != "parsec://"+domain+"/Acme?x=1" {
		p.t.Errorf("/redirect: %s to %q", redirect.Status, got)
	}
	p.application(transport, secure)
	inClear := get(p.ctx, p.t, transport, plain+"/x", http.Header{})
	if got := inClear.Header.Get("Location"); inClear.StatusCode/100 != 3 || !strings.HasPrefix(got, "https://"+domain) {
		p.t.Errorf("in clear: %s to %q", inClear.Status, got)
	}
	get(p.ctx, p.t, transport, secure+"/administration/stats", http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Authorization": {"Bearer wrong"}})
	if !strings.Contains(p.logs.String(), "wrong administration token") || strings.Contains(p.logs.String(), "192.0.2.1") {
		p.t.Error("a client chooses the address that it is known by")
	}
}

// application is the web application, and the links that lead to it.
func (p *proxied) application(transport *http.Transport, secure string) {
	p.t.Helper()
	choice := get(p.ctx, p.t, transport, secure+"/redirect/Acme?a=claim_user&p=xBA", http.Header{"Accept": {"text/html"}})
	want := secure + "/client/webRedirect?webRedirectUrl=parsec3%3A//" + domain + "/Acme%3Fa%3Dclaim_user%26p%3DxBA"
	if got := choice.Header.Get("Location"); choice.StatusCode != http.StatusFound || got != want {
		p.t.Errorf("link: %s to %q, want %q", choice.Status, got, want)
	}
	page := get(p.ctx, p.t, transport, want, http.Header{})
	if page.StatusCode != http.StatusOK || page.Header.Get("Cache-Control") != "no-cache" || page.Header.Get("Content-Security-Policy") != "" {
		p.t.Errorf("page: %s %v", page.Status, page.Header)
	}
	script := get(p.ctx, p.t, transport, secure+"/client/assets/index-1a2b.js", http.Header{"Range": {"bytes=2-7"}})
	if script.StatusCode != http.StatusPartialContent || script.ContentLength != 6 || !strings.HasSuffix(script.Header.Get("Cache-Control"), "immutable") {
		p.t.Errorf("a part of a script: %s, %d bytes, %v", script.Status, script.ContentLength, script.Header)
	}
	if again := get(p.ctx, p.t, transport, secure+"/client/assets/index-1a2b.js", http.Header{"If-None-Match": {script.Header.Get("ETag")}}); again.StatusCode != http.StatusNotModified {
		p.t.Errorf("the same script again: %s", again.Status)
	}
	if missing := get(p.ctx, p.t, transport, secure+"/client/custom/logo.svg", http.Header{}); missing.StatusCode != http.StatusNotFound {
		p.t.Errorf("no logo: %s", missing.Status)
	}
}

// ask sends a request. A proxy that answers before it has the whole body may cut the
// connection behind its answer, which is then lost: the client asks again.
func (p *proxied) ask(transport http.RoundTripper, method, url string, header http.Header, body int) (answer *http.Response, err error) {
	const tries = 10
	for range tries {
		request, err := http.NewRequestWithContext(p.ctx, method, url, bytes.NewReader(make([]byte, body)))
		if err != nil {
			return nil, err
		}
		maps.Copy(request.Header, header)
		answer, err = transport.RoundTrip(request)
		if body == 0 || !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			return answer, err
		}
	}
	return nil, errors.New("no answer came through")
}

// forlorn starts a proxy with no server behind it: clients are told to come
// back, whatever they ask. Anything else they may take as final.
func forlorn(t *testing.T, start func(*proxied) *testkit.Process) {
	t.Helper()
	p := newProxy(t)
	p.impatient = true
	p.upstream = "127.0.0.1:" + testkit.FreePort(p.t)
	start(p).AwaitPort(p.t, p.httpsPort)
	transport := &http.Transport{TLSClientConfig: p.tls.Clone(), DialContext: p.dial}
	p.t.Cleanup(transport.CloseIdleConnections)
	secure := "https://" + net.JoinHostPort(domain, p.httpsPort)
	upgrade := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"WebSocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	messagePack := http.Header{"Content-Type": {"application/msgpack"}, "Api-Version": {client3.LatestVersion.String()}}
	stream := http.Header{"Accept": {"text/event-stream"}, "Api-Version": {client3.LatestVersion.String()}}
	var asked sync.WaitGroup
	for _, item := range []struct {
		method, path string
		header       http.Header
		body         int
	}{
		{http.MethodGet, "/ws", upgrade, 0},
		{http.MethodPost, "/anonymous/Acme", messagePack, 0},
		{http.MethodPost, "/authenticated/Acme", messagePack, blockBytes},
		{http.MethodPost, "/authenticated_account", messagePack, longestBody},
		{http.MethodGet, "/authenticated/Acme/events", stream, 0},
		{http.MethodGet, "/administration/stats", nil, 0},
		{http.MethodGet, "/", nil, 0},
	} {
		asked.Go(func() { // at once: some proxies look for a server for a while
			answer, err := p.ask(transport, item.method, secure+item.path, item.header, item.body)
			if err != nil {
				p.t.Errorf("%s %s: %v", item.method, item.path, err)
				return
			}
			_ = answer.Body.Close()
			if code := answer.StatusCode; code != http.StatusBadGateway && code != http.StatusServiceUnavailable && code != http.StatusGatewayTimeout {
				p.t.Errorf("%s %s: %s", item.method, item.path, answer.Status)
			}
		})
	}
	asked.Wait()
}
