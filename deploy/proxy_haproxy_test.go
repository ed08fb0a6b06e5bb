//go:build !without_haproxy

package deploy_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit"
)

func TestHAProxy(t *testing.T) {
	t.Parallel()
	p := newProxied(t)
	p.work(p.haproxy())
}

func TestHAProxyWithoutServer(t *testing.T) {
	t.Parallel()
	forlorn(t, (*proxied).haproxy)
}

func TestHAProxyCarriesParsec3(t *testing.T) {
	t.Parallel()
	carry(t, (*proxied).haproxy)
}

func TestHAProxyBearsLongBodies(t *testing.T) {
	t.Parallel()
	bear(t, (*proxied).haproxy)
}

// haproxy runs the sample.
func (p *proxied) haproxy() *testkit.Process {
	p.t.Helper()
	return p.haproxyWith()
}

// haproxyWith runs the sample, where each text is replaced by the next.
func (p *proxied) haproxyWith(replacements ...string) *testkit.Process {
	p.t.Helper()
	bundle := p.write("bundle.pem", p.content(p.certificate)+p.content(p.key))
	return p.startHAProxy(p.sample("haproxy/haproxy.cfg", append(replacements,
		"/run/haproxy/admin.sock", filepath.Join(p.folder, "admin"),
		"retries 60", "retries "+p.held(),
		"bind :::80 v4v6", "bind 127.0.0.1:"+p.httpPort,
		"bind :::443 v4v6", "bind 127.0.0.1:"+p.httpsPort,
		"/etc/haproxy/parsec.example.com.pem", bundle)...))
}

func (p *proxied) startHAProxy(configuration string) *testkit.Process {
	p.t.Helper()
	haproxy := testkit.FindProgram(p.t, "haproxy", "apt-get install haproxy")
	configuration = strings.ReplaceAll(configuration, "log /dev/log local0", "log stdout format raw local0") // a failure shows it
	return testkit.StartProcess(p.t, nil, haproxy, "-db", "-f", p.write("haproxy.cfg", configuration))
}

// TestHAProxyAsItComes has HAProxy look at a server as it does unless told
// otherwise, with OPTIONS: it takes it when it is there, after it was not.
func TestHAProxyAsItComes(t *testing.T) {
	t.Parallel()
	p := newProxied(t)
	var there atomic.Bool
	const ours = "X-Behind"
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(ours, "yes")
		if there.Load() {
			p.server.Server.Handler().ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(behind.Close)
	proxy := p.startHAProxy(`
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
frontend clients
	bind 127.0.0.1:` + p.httpPort + `
	default_backend servers
backend servers
	option httpchk
	server one ` + strings.TrimPrefix(behind.URL, "http://") + ` check inter 100ms fall 1 rise 1
`)
	answer := func(ctx context.Context, status int, behind string) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+p.httpPort+"/dummy", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != status || response.Header.Get(ours) != behind {
			return fmt.Errorf("HTTP %d, %s: %q", response.StatusCode, ours, response.Header.Get(ours))
		}
		return nil
	}
	proxy.Await(t, func(ctx context.Context) error { return answer(ctx, http.StatusServiceUnavailable, "") })
	there.Store(true)
	proxy.Await(t, func(ctx context.Context) error { return answer(ctx, http.StatusNotFound, "yes") })
}

// TestHAProxyPrefersReadyServers has the sample pass over a server that is not ready,
// until none is: then any gets the requests.
func TestHAProxyPrefersReadyServers(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	var unready [2]atomic.Bool
	var behind []string
	for i := range unready {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Behind", strconv.Itoa(i))
			if r.URL.Path == "/readyz" && unready[i].Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		t.Cleanup(server.Close)
		behind = append(behind, strings.TrimPrefix(server.URL, "http://"))
	}
	p.upstream = behind[0]
	proxy := p.haproxyOf(behind)
	p.awaitProxy(proxy)
	transport := &http.Transport{TLSClientConfig: p.tls.Clone(), DialContext: p.dial, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	// answering returns which servers answer some requests.
	answering := func() string {
		seen := map[string]bool{}
		for range 10 {
			answer := get(p.ctx, t, transport, p.origin()+"/x", nil)
			if answer.StatusCode != http.StatusOK {
				t.Fatalf("%s", answer.Status)
			}
			seen[answer.Header.Get("X-Behind")] = true
		}
		return strings.Join(slices.Sorted(maps.Keys(seen)), " ")
	}
	for _, step := range []struct {
		unready [2]bool
		want    string
	}{
		{[2]bool{false, false}, "0 1"}, {[2]bool{true, false}, "1"}, {[2]bool{true, true}, "0 1"}, {[2]bool{false, true}, "0"},
	} {
		for i, is := range step.unready {
			unready[i].Store(is)
		}
		proxy.Await(t, func(context.Context) error {
			if got := answering(); got != step.want {
				return fmt.Errorf("answered by %q, want %q", got, step.want)
			}
			return nil
		})
	}
}

// haproxyOf runs the sample with two lines for each server.
func (p *proxied) haproxyOf(servers []string) *testkit.Process {
	p.t.Helper()
	const checked, unchecked = "server parsec1 127.0.0.1:6777 check inter 1s fall 1 rise 1", "server parsec1-anyway 127.0.0.1:6777 backup"
	var ready, anyway strings.Builder
	for i, server := range servers {
		of := strings.NewReplacer("parsec1", fmt.Sprintf("parsec%d", i+1), "127.0.0.1:6777", server)
		ready.WriteString(of.Replace(checked) + "\n")
		anyway.WriteString(of.Replace(unchecked) + "\n")
	}
	return p.haproxyWith(checked, ready.String(), unchecked, anyway.String())
}

// hold has HAProxy hold requests for a server that may be away, and returns where.
func (p *proxied) hold(server string) string {
	p.t.Helper()
	port := testkit.FreePort(p.t)
	content := p.replaced("haproxy/hold.cfg", "127.0.0.1:6778", "127.0.0.1:"+port, "127.0.0.1:6777", server)
	p.startHAProxy(content).AwaitPort(p.t, port)
	return "127.0.0.1:" + port
}
