package server_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/server"
)

const (
	webPage     = "<!doctype html><script src=/client/assets/index-1a2b.js></script>"
	webScript   = "console.log('a script of some length')"
	packed      = "packed by brotli"
	forever     = "max-age=31536000, public, immutable"
	checkedEach = "no-cache"
)

// webFolder is that of a web application, next to a secret.
func webFolder(t testing.TB) string {
	t.Helper()
	parent := t.TempDir()
	folder := filepath.Join(parent, "app")
	for name, content := range map[string]string{
		"../secret": "hunter2", "index.html": webPage, "manifest.webmanifest": "{}", "deep/file.bin": "bytes",
		"assets/index-1a2b.js": webScript, "assets/index-1a2b.js.br": packed, "assets/lib-3c4d.wasm": "\x00asm", "assets/sub/font-5e6f.woff2": "wOF2",
		"custom/logo.svg": "<svg/>", "custom/custom_fr-FR.json": "{}",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../secret", filepath.Join(folder, "assets", "link")); err != nil {
		t.Fatal(err)
	}
	return folder
}

func withWebApp(folder string) func(*options) {
	return func(o *options) { o.WebApp = folder }
}

func (f *fixture) read(response *http.Response) string {
	body, err := io.ReadAll(response.Body)
	f.ok(err)
	return string(body)
}

// TestWebApp serves files as docs/protocol/v5/transport.md §8 says.
func TestWebApp(t *testing.T) {
	f := newEmptyFixture(t, withWebApp(webFolder(t)))
	for _, row := range []struct {
		target, body, contentType, cache string
	}{
		{"/client/", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/index.html", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/webRedirect?webRedirectUrl=parsec3%3A//h", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/deep/", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/deep", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/nothing.js", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/..%2fsecret", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/%2e%2e/secret", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/deep%2f..%2f..%2f..%2fsecret", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/..%5csecret", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/a%00b", webPage, "text/html; charset=utf-8", checkedEach},
		{"/client/manifest.webmanifest", "{}", "application/manifest+json", checkedEach},
		{"/client/deep/file.bin", "bytes", "application/octet-stream", checkedEach},
		{"/client/assets/index-1a2b.js", webScript, "text/javascript; charset=utf-8", forever},
		{"/client/assets/lib-3c4d.wasm", "\x00asm", "application/wasm", forever},
		{"/client/assets/sub/font-5e6f.woff2", "wOF2", "font/woff2", forever},
		{"/client/assets/index-0000.js", "", "", ""},
		{"/client/assets/link", "", "", ""},
		{"/client/assets/sub", "", "", ""},
		{"/client/assets/", "", "", ""},
		{"/client/assets", "", "", ""},
		{"/client/custom/logo.svg?cacheBustingSuffix=1", "<svg/>", "image/svg+xml", forever},
		{"/client/custom/home_sidebar.png", "", "", ""},
		{"/client/custom/", "", "", ""},
	} {
		response := f.get(row.target)
		body := f.read(response)
		header := response.Header
		if strings.Contains(body, "hunter2") || header.Get("Content-Security-Policy") != "" && strings.HasPrefix(response.Request.URL.Path, "/client/") {
			t.Errorf("%s: %v %q", row.target, header, body)
		}
		if row.contentType == "" {
			if cache := header.Get("Cache-Control"); response.StatusCode/100 == 2 || strings.Contains(body, webPage) || cache == forever {
				t.Errorf("%s: HTTP %d, Cache-Control %q, %q", row.target, response.StatusCode, cache, body)
			}
			continue
		}
		if response.StatusCode != http.StatusOK || body != row.body || header.Get("Content-Type") != row.contentType || header.Get("Cache-Control") != row.cache {
			t.Errorf("%s: HTTP %d %v %q", row.target, response.StatusCode, header, body)
		}
		if header.Get("ETag") == "" || header.Get("Last-Modified") == "" || header.Get("Accept-Ranges") != "bytes" || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", row.target, header)
		}
		head := f.do(http.MethodHead, row.target, nil)
		if head.StatusCode != http.StatusOK || head.ContentLength != int64(len(row.body)) || head.Header.Get("ETag") != header.Get("ETag") {
			t.Errorf("HEAD %s: HTTP %d, %d bytes", row.target, head.StatusCode, head.ContentLength)
		}
		if again := f.get(row.target, "If-None-Match: "+header.Get("ETag")); again.StatusCode != http.StatusNotModified || again.Header.Get("Cache-Control") != row.cache {
			t.Errorf("%s again: HTTP %d %v", row.target, again.StatusCode, again.Header)
		}
	}
}

// TestWebAppForms asks for parts, packed files, and with other methods.
func TestWebAppForms(t *testing.T) {
	f := newEmptyFixture(t, withWebApp(webFolder(t)))
	const script = "/client/assets/index-1a2b.js"
	part := f.get(script, "Range: bytes=8-10")
	if body := f.read(part); part.StatusCode != http.StatusPartialContent || body != webScript[8:11] {
		t.Errorf("a part: HTTP %d %q", part.StatusCode, body)
	}
	if beyond := f.get(script, "Range: bytes=9999-"); beyond.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("beyond the end: HTTP %d", beyond.StatusCode)
	}
	plain := f.get(script)
	for accepted, want := range map[string]string{"br": packed, "gzip, BR;q=0.5": packed, "gzip": webScript, "br;q=0": webScript} {
		response := f.get(script, "Accept-Encoding: "+accepted)
		encoding := ""
		if want == packed {
			encoding = "br"
		}
		header := response.Header
		if body := f.read(response); body != want || header.Get("Content-Encoding") != encoding || header.Get("Vary") != "Accept-Encoding" ||
			header.Get("Content-Type") != "text/javascript; charset=utf-8" || header.Get("Cache-Control") != forever {
			t.Errorf("%s: %q %v", accepted, body, header)
		}
		if same := header.Get("ETag") == plain.Header.Get("ETag"); same != (want == webScript) {
			t.Errorf("%s: ETag %s", accepted, header.Get("ETag"))
		}
	}
	for target, want := range map[string]int{"/client/": http.StatusMethodNotAllowed, "/client/assets/x": http.StatusMethodNotAllowed, "/": http.StatusMethodNotAllowed} {
		response := f.do(http.MethodPost, target, nil)
		if allow := response.Header.Get("Allow"); response.StatusCode != want || allow != "GET, HEAD, OPTIONS" {
			t.Errorf("POST %s: HTTP %d, Allow %q", target, response.StatusCode, allow)
		}
	}
	for _, target := range []string{"/", "/client"} {
		response := f.get(target)
		if response.StatusCode != http.StatusMovedPermanently || response.Header.Get("Location") != "/client/" {
			t.Errorf("%s: HTTP %d to %q", target, response.StatusCode, response.Header.Get("Location"))
		}
	}
}

// TestWebAppReplaced has a new release come, with a page of the same length and date.
func TestWebAppReplaced(t *testing.T) {
	folder := webFolder(t)
	date := time.Unix(0, 0)
	index := filepath.Join(folder, "index.html")
	if err := os.Chtimes(index, date, date); err != nil {
		t.Fatal(err)
	}
	f := newEmptyFixture(t, withWebApp(folder))
	before := f.get("/client/").Header.Get("ETag")
	if err := os.Rename(folder, folder+".old"); err != nil {
		t.Fatal(err)
	}
	if response := f.get("/client/"); response.StatusCode != http.StatusNotFound {
		t.Errorf("without folder: HTTP %d", response.StatusCode)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	renewed := strings.Replace(webPage, "1a2b", "9z8y", 1)
	if err := os.WriteFile(index, []byte(renewed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(index, date, date); err != nil {
		t.Fatal(err)
	}
	response := f.get("/client/", "If-None-Match: "+before)
	if body := f.read(response); response.StatusCode != http.StatusOK || body != renewed {
		t.Errorf("HTTP %d %q", response.StatusCode, body)
	}
	if missing := f.get("/client/custom/logo.svg"); missing.StatusCode != http.StatusNotFound {
		t.Errorf("custom: HTTP %d", missing.StatusCode)
	}
}

// TestWithoutWebApp has no route of it.
func TestWithoutWebApp(t *testing.T) {
	f := newEmptyFixture(t)
	for target, want := range map[string]int{"/client": 404, "/client/": 404, "/client/assets/x.js": 404, "/": 200} {
		if response := f.get(target); response.StatusCode != want {
			t.Errorf("%s: HTTP %d", target, response.StatusCode)
		}
	}
}

// TestRedirectToWebApp has links of Parsec 3 lead to the page where people choose, at
// the name by which they came.
func TestRedirectToWebApp(t *testing.T) {
	f := newEmptyFixture(t)
	configured := must(parsec.ParseServerAddress("parsec://parsec.example.com"))
	front := server.New(f.Organizations, f.clock.Now, discard(), server.Options{
		WebApp: webFolder(t), Address: &configured, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
	})
	defer front.Shutdown(f.ctx)
	const invitation = "/redirect/CoolOrg?a=claim_user&p=xBA"
	const choice = "/client/webRedirect?webRedirectUrl=parsec3%3A//parsec.example.com/CoolOrg%3Fa%3Dclaim_user%26p%3DxBA"
	for name, row := range map[string]struct {
		target, host, peer, proto, want string
	}{
		"clear":                  {invitation, "other.example.com:6777", "192.0.2.9:1", "", "http://other.example.com:6777" + choice},
		"proxy":                  {invitation, "other.example.com", "192.0.2.1:1", "https", "https://other.example.com" + choice},
		"unknown proxy":          {invitation, "other.example.com", "192.0.2.9:1", "https", "http://other.example.com" + choice},
		"the configured address": {invitation, "parsec.example.com", "192.0.2.9:1", "https", "https://parsec.example.com" + choice},
		"other characters": {"/redirect/a%20b+c/%C3%A9?a=path&p=x%26~", "parsec.example.com", "192.0.2.9:1", "",
			"https://parsec.example.com/client/webRedirect?webRedirectUrl=parsec3%3A//parsec.example.com/a%2520b%252Bc/%25C3%25A9%3Fa%3Dpath%26p%3Dx%2526~"},
		"no host": {invitation, "in side", "192.0.2.9:1", "", ""},
	} {
		for _, accept := range []string{"text/html", "*/*"} {
			request := httptest.NewRequest(http.MethodGet, row.target, nil)
			request.Host, request.RemoteAddr = row.host, row.peer
			request.Header.Set("Accept", accept)
			if row.proto != "" {
				request.Header.Set("X-Forwarded-Proto", row.proto)
			}
			answer := httptest.NewRecorder()
			front.Handler().ServeHTTP(answer, request)
			status := http.StatusFound
			if row.want == "" {
				status = http.StatusBadRequest
			}
			if location := answer.Header().Get("Location"); answer.Code != status || location != row.want {
				t.Errorf("%s, %s: HTTP %d to\n%s, want\n%s", name, accept, answer.Code, location, row.want)
			}
			if cache := answer.Header().Get("Cache-Control"); cache != "no-store" {
				t.Errorf("%s: Cache-Control %s", name, cache)
			}
		}
	}
}

// TestWebAppRawPaths sends what no client writes.
func TestWebAppRawPaths(t *testing.T) {
	f := newEmptyFixture(t, withWebApp(webFolder(t)))
	for _, target := range []string{"/client/../secret", "/client//../../secret", "/client/assets/../../../secret", "//client/../../secret", "/client/assets/%2e%2e/%2e%2e/%2e%2e/secret"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.Address.HTTPOrigin(), "http://"))
		f.ok(err)
		_, err = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		f.ok(err)
		answer, err := io.ReadAll(conn)
		f.ok(err)
		f.ok(conn.Close())
		if text := string(answer); strings.Contains(text, "hunter2") || strings.HasPrefix(text, "HTTP/1.1 5") {
			t.Errorf("%s: %s", target, text)
		}
	}
}
