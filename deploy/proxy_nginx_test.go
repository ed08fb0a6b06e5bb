//go:build !without_nginx

package deploy_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
)

func TestNginx(t *testing.T) {
	t.Parallel()
	p := newProxied(t)
	p.work(p.nginx())
}

func TestNginxWithoutServer(t *testing.T) {
	t.Parallel()
	forlorn(t, (*proxied).nginx)
}

func TestNginxCarriesParsec3(t *testing.T) {
	t.Parallel()
	carry(t, (*proxied).nginx)
}

func TestNginxAsItComesCarriesParsec3(t *testing.T) {
	t.Parallel()
	carry(t, (*proxied).plainNginx)
}

func TestNginxBearsLongBodies(t *testing.T) {
	t.Parallel()
	bear(t, (*proxied).nginx)
}

// nginx runs the sample.
func (p *proxied) nginx() *testkit.Process {
	p.t.Helper()
	return p.startNginx(p.sample("nginx/parsec.conf",
		"listen 80;", "listen 127.0.0.1:"+p.httpPort+";", "listen [::]:80;", "",
		"listen 443 ssl http2;", "listen 127.0.0.1:"+p.httpsPort+" ssl http2;", "listen [::]:443 ssl http2;", "",
		"/etc/letsencrypt/live/parsec.example.com/fullchain.pem", p.certificate,
		"/etc/letsencrypt/live/parsec.example.com/privkey.pem", p.key))
}

// TestNginxAsItComes has nginx buffer, and speak HTTP/1.0 to the server, as it
// does unless told otherwise: events arrive at once.
func TestNginxAsItComes(t *testing.T) {
	t.Parallel()
	p := newProxied(t)
	p.awaitProxy(p.plainNginx())
	address := must(parsec.ParseServerAddress("parsec://127.0.0.1:" + p.httpPort + "?no_ssl=true"))
	through := parsec2.New(address, client.Options{})
	t.Cleanup(through.Close)
	direct := parsec2.New(p.server.Address, client.Options{})
	t.Cleanup(direct.Close)
	alice := found(p.ctx, t, direct, p.server.Address, testkit.AdministrationToken)
	conn, err := direct.DialAuthenticated(p.ctx, alice)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.CloseNow)
	p.listen(through, conn, alice)
}

// plainNginx runs nginx with nothing but proxy_pass, and compression.
func (p *proxied) plainNginx() *testkit.Process {
	p.t.Helper()
	p.inClear = true
	return p.startNginx(`
server {
	listen 127.0.0.1:` + p.httpPort + `;
	gzip on;
	gzip_types *;
	location / {
		proxy_pass http://` + p.upstream + `;
	}
}
`)
}

// startNginx serves the sites of a configuration.
func (p *proxied) startNginx(site string) *testkit.Process {
	p.t.Helper()
	configuration := p.write("nginx.conf", `
daemon off;
master_process off;
pid `+p.folder+`/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path `+p.folder+`/body;
	proxy_temp_path `+p.folder+`/proxy;
	fastcgi_temp_path `+p.folder+`/fastcgi;
	uwsgi_temp_path `+p.folder+`/uwsgi;
	scgi_temp_path `+p.folder+`/scgi;
`+site+`}
`)
	nginx := testkit.FindProgram(p.t, "nginx", "apt-get install nginx-light")
	return testkit.StartProcess(p.t, nil, nginx, "-e", "stderr", "-c", configuration)
}
