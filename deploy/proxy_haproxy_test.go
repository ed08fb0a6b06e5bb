//go:build !without_haproxy

package deploy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	p := newProxied(t)
	p.forlorn((*proxied).haproxy)
}

// haproxy runs the sample.
func (p *proxied) haproxy() *testkit.Process {
	p.t.Helper()
	bundle := p.write("bundle.pem", p.content(p.certificate)+p.content(p.key))
	return p.startHAProxy(p.sample("haproxy/haproxy.cfg",
		"bind :::80 v4v6", "bind 127.0.0.1:"+p.httpPort,
		"bind :::443 v4v6", "bind 127.0.0.1:"+p.httpsPort,
		"/etc/haproxy/parsec.example.com.pem", bundle))
}

func (p *proxied) startHAProxy(configuration string) *testkit.Process {
	p.t.Helper()
	haproxy := testkit.FindProgram(p.t, "haproxy", "apt-get install haproxy")
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
