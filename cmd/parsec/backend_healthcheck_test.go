package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/config"
)

func TestHealthURL(t *testing.T) {
	for _, row := range []struct {
		listening config.Listening
		want      string
	}{
		{config.Listening{Host: "127.0.0.1", Port: 6777}, "http://127.0.0.1:6777/readyz"},
		{config.Listening{Host: "", Port: 6777}, "http://127.0.0.1:6777/readyz"},
		{config.Listening{Host: "0.0.0.0", Port: 80}, "http://127.0.0.1:80/readyz"},
		{config.Listening{Host: "::", Port: 80}, "http://[::1]:80/readyz"},
		{config.Listening{Host: "10.0.0.7", Port: 80}, "http://10.0.0.7:80/readyz"},
		{config.Listening{Host: "parsec", Port: 443, TLS: config.TLS{CertificateFile: "c"}}, "https://parsec:443/readyz"},
	} {
		if got := healthURL(row.listening, "/readyz"); got != row.want {
			t.Errorf("%+v: got %s, want %s", row.listening, got, row.want)
		}
	}
}

func TestHealthcheck(t *testing.T) {
	status := map[string]int{"/readyz": http.StatusOK, "/healthz": http.StatusOK}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status[r.URL.Path])
		_, _ = w.Write([]byte("told by " + r.URL.Path + "\n"))
	})
	inClear, inTLS := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(inClear.Close)
	t.Cleanup(inTLS.Close)
	ofServer := func(server *httptest.Server) map[string]string {
		address, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"PARSEC_HOST": address.Hostname(), "PARSEC_PORT": address.Port()}
	}
	certificate := filepath.Join(t.TempDir(), "certificate")
	if err := os.WriteFile(certificate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// The settings of the server come along, without being needed or judged.
	plain := []string{"backend", "healthcheck", "--db=", "--log-level=DEBUG", "--dev"}
	encrypted := append(slices.Clone(plain), "--ssl-certfile="+certificate)
	for name, row := range map[string]struct {
		server *httptest.Server
		args   []string
		ready  int
		code   int
		stdout string
	}{
		"ready":              {inClear, plain, 200, 0, "told by /readyz\n"},
		"ready, TLS":         {inTLS, encrypted, 200, 0, "told by /readyz\n"},
		"not ready":          {inClear, plain, 503, 1, "Error: " + inClear.URL + "/readyz answers 503 Service Unavailable: told by /readyz\n"},
		"live, not ready":    {inClear, append(slices.Clone(plain), "--live"), 503, 0, "told by /healthz\n"},
		"redirected":         {inClear, plain, 301, 1, "Error: " + inClear.URL + "/readyz answers 301"},
		"TLS not asked for":  {inTLS, plain, 200, 1, "Error: " + strings.Replace(inTLS.URL, "https", "http", 1) + "/readyz answers 400"},
		"TLS not spoken":     {inClear, encrypted, 200, 1, "Error: Get "},
		"any port, unknown":  {inClear, append(slices.Clone(plain), "--port=0"), 200, 2, ""},
		"an unusable port":   {inClear, append(slices.Clone(plain), "--port=abc"), 200, 2, ""},
		"an unneeded option": {inClear, append(slices.Clone(plain), "--port=0", "x"), 200, 2, ""},
	} {
		status["/readyz"] = row.ready
		got := executeWith(t.Context(), idle, ofServer(row.server), row.args...)
		if got.code != row.code || !strings.HasPrefix(got.stdout+got.stderr, row.stdout) || strings.Count(got.stdout, "\n") > 1 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	inClear.Close()
	if got := executeWith(t.Context(), idle, ofServer(inClear), plain...); got.code != 1 || !strings.Contains(got.stderr, "refused") {
		t.Errorf("no server: got %+v", got)
	}
}
