//go:build !without_nginx

package deploy_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

func TestNginx(t *testing.T) {
	t.Parallel()
	p := newProxied(t)
	site := p.sample("nginx/parsec.conf",
		"listen 80;", "listen 127.0.0.1:"+p.httpPort+";", "listen [::]:80;", "",
		"listen 443 ssl http2;", "listen 127.0.0.1:"+p.httpsPort+" ssl http2;", "listen [::]:443 ssl http2;", "",
		"/etc/letsencrypt/live/parsec.example.com/fullchain.pem", p.certificate,
		"/etc/letsencrypt/live/parsec.example.com/privkey.pem", p.key)
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
	nginx := testkit.FindProgram(t, "nginx", "apt-get install nginx-light")
	p.work(testkit.StartProcess(t, nil, nginx, "-e", "stderr", "-c", configuration))
}
