//go:build !without_caddy

package deploy_test

import (
	"net/http"
	"testing"

	"parsec-server/internal/testkit"
)

func TestCaddy(t *testing.T) {
	t.Parallel()
	p := newProxied(t)
	p.work(p.caddy())
}

func TestCaddyWithoutServer(t *testing.T) {
	t.Parallel()
	forlorn(t, (*proxied).caddy)
}

func TestCaddyCarriesParsec3(t *testing.T) {
	t.Parallel()
	carry(t, (*proxied).caddy)
}

func TestCaddyBearsLongBodies(t *testing.T) {
	t.Parallel()
	bear(t, (*proxied).caddy)
}

// TestCaddyDespiteRefusedBodies has a stranger send bodies that the server refuses
// before it has read them, which Caddy may take for a failure of the server: nobody
// else is refused for that.
func TestCaddyDespiteRefusedBodies(t *testing.T) {
	t.Parallel()
	const strangers = 10
	p := newProxy(t)
	p.upstream = hostAndPort(testkit.StartParsec(t, program()).Address)
	p.awaitProxy(p.caddy())
	transport := &http.Transport{TLSClientConfig: p.tls.Clone(), DialContext: p.dial}
	t.Cleanup(transport.CloseIdleConnections)
	post := func(path string, body int) *http.Response {
		answer, err := p.ask(transport, http.MethodPost, p.origin()+path, nil, body)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer
	}
	for range strangers {
		post("/nowhere", 2*longestBody)
		if answer := post("/authenticated/Acme", 1); answer.StatusCode >= http.StatusInternalServerError {
			t.Fatalf("somebody else is told %s", answer.Status)
		}
	}
}

// caddy runs the sample.
func (p *proxied) caddy() *testkit.Process {
	p.t.Helper()
	site := p.sample("caddy/parsec.Caddyfile", "parsec.example.com {", p.caddySite(), "lb_try_duration 10s", "lb_try_duration 2s")
	return p.runCaddy("{\n" + p.caddyOptions() + "}\n" + site)
}

// caddySite begins a site with the certificate of the domain.
func (p *proxied) caddySite() string {
	return "https://parsec.example.com {\n\tbind 127.0.0.1\n\ttls " + p.certificate + " " + p.key
}

// caddyOptions have Caddy keep to the ports and the folder of the test.
func (p *proxied) caddyOptions() string {
	return `	admin off
	default_bind 127.0.0.1
	http_port ` + p.httpPort + `
	https_port ` + p.httpsPort + `
	storage file_system ` + p.folder + `/storage
`
}

func (p *proxied) runCaddy(configuration string) *testkit.Process {
	p.t.Helper()
	caddy := testkit.FindProgram(p.t, "caddy", "apt-get install caddy")
	return testkit.StartProcess(p.t, []string{"HOME=" + p.folder}, caddy, "run", "--adapter", "caddyfile", "--config", p.write("Caddyfile", configuration))
}
