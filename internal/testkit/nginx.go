package testkit

import (
	"os"
	"path/filepath"
	"testing"
)

// NginxBefore starts an nginx in front of the server at an address, until the
// test ends, and returns its own address. Directives are those of the location,
// besides proxy_pass.
func NginxBefore(t testing.TB, address, directives string) string {
	t.Helper()
	folder, port := t.TempDir(), FreePort(t)
	configuration := filepath.Join(folder, "nginx.conf")
	err := os.WriteFile(configuration, []byte(`
daemon off;
master_process off;
pid `+folder+`/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path `+folder+`/body;
	proxy_temp_path `+folder+`/proxy;
	fastcgi_temp_path `+folder+`/fastcgi;
	uwsgi_temp_path `+folder+`/uwsgi;
	scgi_temp_path `+folder+`/scgi;
	server {
		listen 127.0.0.1:`+port+`;
		client_max_body_size 0;
		location / {
			proxy_pass `+address+`;
			`+directives+`
		}
	}
}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	process := StartProcess(t, nil, FindProgram(t, "nginx", "apt-get install nginx-light"), "-e", "stderr", "-c", configuration)
	process.AwaitPort(t, port)
	return "http://127.0.0.1:" + port
}
