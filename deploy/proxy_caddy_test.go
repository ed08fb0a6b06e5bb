//go:build !without_caddy

package deploy_test

import (
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
	p := newProxied(t)
	p.forlorn((*proxied).caddy)
}

// caddy runs the sample.
func (p *proxied) caddy() *testkit.Process {
	p.t.Helper()
	site := p.sample("caddy/parsec.Caddyfile",
		"parsec.example.com {", "https://parsec.example.com {\n\tbind 127.0.0.1\n\ttls "+p.certificate+" "+p.key)
	configuration := p.write("Caddyfile", `{
	admin off
	default_bind 127.0.0.1
	http_port `+p.httpPort+`
	https_port `+p.httpsPort+`
	storage file_system `+p.folder+`/storage
}
`+site)
	caddy := testkit.FindProgram(p.t, "caddy", "apt-get install caddy")
	return testkit.StartProcess(p.t, []string{"HOME=" + p.folder}, caddy, "run", "--adapter", "caddyfile", "--config", configuration)
}
