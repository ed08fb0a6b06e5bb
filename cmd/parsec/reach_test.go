package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
)

// TestServersThatDoNotAnswer says what to do about each.
func TestServersThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	unready := func(words string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, words, http.StatusServiceUnavailable) })
	}
	says := func(text string) http.Handler { // and no more
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, err = io.WriteString(conn, text)
				_ = conn.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	for name, row := range map[string]struct {
		handler http.Handler
		tls     bool // it speaks TLS
		asked   bool // in TLS
		want    string
	}{
		"in clear":       {http.NotFoundHandler(), false, true, " speaks in clear, without TLS: add ?no_ssl=true to its address."},
		"TLS":            {http.NotFoundHandler(), true, false, " speaks TLS: leave ?no_ssl=true out of its address."},
		"untrusted":      {http.NotFoundHandler(), true, true, " is not trusted: "},
		"silent":         {says(""), false, false, " ended the connection without a word: "},
		"another kind":   {says("SSH-2.0-OpenSSH_9.2\r\n"), false, false, " does not speak as a Parsec server: "},
		"a page":         {says("HTTP/1.0 200 OK\r\n\r\n<html>"), false, false, " does not speak as a Parsec server: administration: invalid character"},
		"elsewhere":      {http.RedirectHandler("https://example.com/", http.StatusFound), false, false, " leads elsewhere (HTTP 302). "},
		"another server": {http.NotFoundHandler(), false, false, " has no administration: it is no Parsec server"},
		"no database":    {unready("connect to the database"), false, false, " is up, its database does not answer."},
		"stopping":       {unready("shutting down"), false, false, " is being stopped. Try again when it is back."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(row.handler)
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			if row.tls {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			at := server.Listener.Addr().String()
			address := "parsec://" + at
			if !row.asked {
				address += "?no_ssl=true"
			}
			got := executeWith(t.Context(), idle, nil, "organization", "status", "MyOrg", "--administration-token=x", "--addr="+address)
			if got.code != exitFailure || got.stdout != "" || !strings.Contains(got.stderr, at+row.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%+v, want %q", got, row.want)
			}
			if name == "untrusted" {
				got = executeWith(t.Context(), idle, nil, "organization", "status", "MyOrg", "--administration-token=x", "--addr="+strings.Replace(address, "127.0.0.1", "localhost", 1))
				if got.code != exitFailure || !strings.Contains(got.stderr, " is for another name: x509: certificate is valid for ") {
					t.Errorf("by another name: %+v", got)
				}
			}
		})
	}
	got := executeWith(t.Context(), idle, nil, "organization", "status", "MyOrg", "--administration-token=x", "--addr=parsec://nobody.invalid")
	if got.code != exitFailure || !strings.Contains(got.stderr, "Error: There is no host nobody.invalid: ") {
		t.Errorf("no such host: %+v", got)
	}
	got = executeWith(t.Context(), idle, map[string]string{"PARSEC_ADDR": "http://localhost:6777", "PARSEC_ADMINISTRATION_TOKEN": "x"}, "organization", "list")
	if got.code != exitUsage || !strings.HasSuffix(got.stderr, "; perhaps parsec://localhost:6777?no_ssl=true (variable PARSEC_ADDR)\n") {
		t.Errorf("a wrong variable: %+v", got)
	}
	for host, want := range map[string]string{
		"nobody.invalid": " Correct the link.\n",
		"127.0.0.1:1":    "Error: No server answers at 127.0.0.1:1: connection refused. Start it, or take a link of yours.\n",
	} {
		got := executeWith(t.Context(), idle, nil, bootstrapArguments("parsec://"+host+"/MyOrg?no_ssl=true&action=bootstrap_organization&token=cafe")...)
		if got.code != exitFailure || !strings.HasSuffix(got.stderr, want) {
			t.Errorf("a link to %s: %+v", host, got)
		}
	}
}

// TestServerBesideInTLS trusts the certificate of the settings, whatever it is for, and no
// other: the token goes to no stranger.
func TestServerBesideInTLS(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte(`{"is_bootstrapped":true}`))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	certificateFile, keyFile, _ := testkit.CertificateFiles(t)
	pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	status := func(file string) outcome {
		return executeWith(t.Context(), idle, map[string]string{
			"PARSEC_PORT": port, "PARSEC_SSL_CERTFILE": file, "PARSEC_ADMINISTRATION_TOKEN": "x",
		}, "organization", "status", "MyOrg")
	}
	if got := status(certificateFile); got.code != 0 || !strings.Contains(got.stdout, "is_bootstrapped: true\n") {
		t.Errorf("%+v", got)
	}
	_, content := pemRoot(t, "other")
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := status(other); got.code != exitFailure || !strings.Contains(got.stderr, "Another server answers at 127.0.0.1:"+port) || asked != 1 {
		t.Errorf("another certificate, asked %d times: %+v", asked, got)
	}
	if got := status(keyFile); got.code != exitUsage || !strings.Contains(got.stderr, "no certificate in PEM in "+keyFile) {
		t.Errorf("no certificate: %+v", got)
	}
}

// TestFolderOfServer has a command that is told nothing take the settings of the server
// that systemd runs, and one that is told anything none of them.
func TestFolderOfServer(t *testing.T) {
	t.Parallel()
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{})
	_, port, _ := strings.Cut(hostPort(server.Address), ":")
	folder := t.TempDir()
	for name, content := range map[string]string{
		"parsec.env":           "PARSEC_PORT=" + port + "\nPARSEC_BACKEND_ADDR=parsec://parsec.example.com\n",
		"administration-token": testkit.AdministrationToken + "\n",
		"db":                   "postgresql://nobody@127.0.0.1:1/none\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	execute := func(variables map[string]string, args ...string) outcome {
		environment := environmentOf(variables)
		environment.Folder = folder
		return executeIn(t.Context(), idle, environment, args...)
	}
	if got := execute(nil, "organization", "create", "MyOrg"); got.code != 0 || !strings.HasPrefix(got.stdout, "Bootstrap organization url: parsec://parsec.example.com/MyOrg?") {
		t.Errorf("%+v", got)
	}
	if got := execute(nil, "account", "list"); got.code != exitFailure || !strings.Contains(got.stderr, "The database none at 127.0.0.1:1 does not answer") {
		t.Errorf("on the database: %+v", got)
	}
	for name, got := range map[string]outcome{
		"an option":  execute(nil, "backend", "check", "--blockstore=POSTGRESQL"),
		"a variable": execute(map[string]string{"PARSEC_BLOCKSTORE": "POSTGRESQL"}, "backend", "check"),
	} {
		if got.code != exitUsage || !strings.Contains(got.stderr, missingDB) {
			t.Errorf("%s is given: %+v", name, got)
		}
	}
	if got := execute(nil, "organization", "status", "MyOrg", "--addr="+server.Address.String()); got.code != exitUsage || !strings.Contains(got.stderr, "Missing option '--administration-token'.") {
		t.Errorf("the address of another server: %+v", got)
	}
	if got := execute(nil, "backend", "run", "--dev"); got.code != 0 || got.settings.Database.DSN.Reveal() != config.Mocked || got.settings.Port != 6777 {
		t.Errorf("the server itself: %+v", got)
	}
}

// TestTokenOfData takes the administration token that a folder of data has.
func TestTokenOfData(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "administration-token"), []byte("Yq3vXr8LmN2pTz6wKb4s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := executeWith(t.Context(), idle, map[string]string{"PARSEC_DATA": folder, "PARSEC_ADDR": "parsec://127.0.0.1:1?no_ssl=true"}, "organization", "create", "MyOrg")
	if got.code != exitFailure || strings.Contains(got.stderr, "Missing") {
		t.Errorf("%+v", got)
	}
}
