package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
)

// TestServeTLS speaks every protocol to one port: RPC by HTTP/2 and HTTP/1.1,
// WebSockets, and the health check.
func TestServeTLS(t *testing.T) {
	certificateFile, keyFile, roots := testkit.CertificateFiles(t)
	s := startServing(t, config.Argument{Name: "ssl-certfile", Text: certificateFile}, config.Argument{Name: "ssl-keyfile", Text: keyFile})
	for protocol, http2 := range map[string]bool{"HTTP/2.0": true, "HTTP/1.1": false} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2}
		t.Cleanup(transport.CloseIdleConnections)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address+"/anonymous/CoolOrg", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.Proto != protocol || answer.StatusCode != http.StatusNotFound || answer.Header.Get("Api-Version") == "" ||
			answer.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("answered %s by %s", answer.Status, answer.Proto)
		}
		if http2 {
			continue
		}
		socket, _, err := websocket.Dial(t.Context(), "wss://"+s.address+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		if _, challenge, err := socket.Read(t.Context()); err != nil || !strings.Contains(string(challenge), "challenge") {
			t.Errorf("a WebSocket begins with %q, %v", challenge, err)
		}
		socket.CloseNow()
	}
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	got := executeWith(t.Context(), idle, nil, "backend", "healthcheck", "--port="+port, "--ssl-certfile="+certificateFile)
	if got.code != 0 || got.stdout != "ok\n" {
		t.Errorf("health check: %+v", got)
	}
	for api, workload := range map[string]string{"3": "ping", "5": "certificate-get"} {
		got := executeWith(t.Context(), idle, map[string]string{
			"PARSEC_PORT": port, "PARSEC_SSL_CERTFILE": certificateFile, "PARSEC_ADMINISTRATION_TOKEN": testkit.AdministrationToken,
		}, "bench", "--workload", workload, "--api", api, "--connections", "1", "--duration", "50ms")
		if got.code != 0 || !strings.Contains(got.stdout, "Errors      none\n") {
			t.Errorf("load beside the server, API %s: %+v", api, got)
		}
	}
}

// TestStartFaults are those that show only when the server starts: one line.
func TestStartFaults(t *testing.T) {
	certificateFile, _, _ := testkit.CertificateFiles(t)
	_, otherKey, _ := testkit.CertificateFiles(t)
	if err := os.WriteFile(otherKey, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	content, err := x509.MarshalPKCS8PrivateKey(foreign)
	if err != nil {
		t.Fatal(err)
	}
	foreignKey := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(foreignKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--port=" + port}, 1, "Error: Another program listens on 127.0.0.1:" + port + ": address already in use. Stop it, or take another port in --port, or PARSEC_PORT.\n"},
		{[]string{"--metrics-address=127.0.0.1:" + port}, 1, "Error: Another program listens on 127.0.0.1:" + port + ": address already in use. Stop it, or take another port in --metrics-address, or PARSEC_METRICS_ADDRESS.\n"},
		{[]string{"--ssl-certfile=" + certificateFile}, 2, "Error: " + certificateFile + " holds no private key in PEM: give it by --ssl-keyfile\n"},
		{[]string{"--ssl-certfile=" + certificateFile, "--ssl-keyfile=" + otherKey}, 2, "Error: " + otherKey + " holds no private key in PEM\n"},
		{[]string{"--ssl-certfile=" + certificateFile, "--ssl-keyfile=" + foreignKey}, 2, "Error: the certificate in " + certificateFile + " and the private key in " + foreignKey + " are no pair: tls: private key type does not match public key type\n"},
		{[]string{"--log-file=" + filepath.Join(certificateFile, "log")}, 2, "Error: Invalid value for '--log-file': open the log file: open " + filepath.Join(certificateFile, "log") + ": not a directory\n"},
		{[]string{"--db=postgresql://localhost/x?sslmode=perhaps"}, 2, "Error: Invalid value for '--db': the DSN of the database is not valid: failed to configure TLS (sslmode is invalid)\n"},
		{[]string{"--host=192.0.2.1"}, 1, "Error: 192.0.2.1:0 is no address of this machine: cannot assign requested address. Correct --host, or PARSEC_HOST.\n"},
	} {
		got := executeServing(t.Context(), append([]string{"backend", "run", "--dev", "--port=0"}, row.args...)...)
		told, silent := got.stdout, got.stderr
		if row.code == exitUsage {
			told, silent = strings.TrimPrefix(got.stderr, usageOfRun), got.stdout
		}
		if got.code != row.code || told != row.want || silent != "" {
			t.Errorf("%q: got %+v", row.args, got)
		}
	}
}

// TestHandOverInTLS has a client send requests over HTTP/2 while another process takes
// the port over: each is answered.
func TestHandOverInTLS(t *testing.T) {
	certificateFile, keyFile, roots := testkit.CertificateFiles(t)
	port := testkit.FreePort(t)
	settings := developmentSettings(t,
		config.Argument{Name: "ssl-certfile", Text: certificateFile}, config.Argument{Name: "ssl-keyfile", Text: keyFile},
		config.Argument{Name: "handover-socket", Text: filepath.Join(t.TempDir(), "handover")})
	var err error
	if settings.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	run := func() <-chan error {
		served := make(chan error, 1)
		go func() { served <- serveToTheEnd(ctx, settings, io.Discard) }()
		return served
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	ask := func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://127.0.0.1:"+port+"/anonymous/CoolOrg", strings.NewReader("x"))
		if err != nil {
			return err
		}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusNotFound || answer.ProtoMajor != 2 {
			return fmt.Errorf("answered %s by %s", answer.Status, answer.Proto)
		}
		return nil
	}
	first := run()
	testkit.Await(t, "the first server answers", func() bool { return ask() == nil })
	second := run()
	for replaced := false; !replaced; {
		if err := ask(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-first:
			if err != nil {
				t.Error(err)
			}
			replaced = true
		default:
		}
	}
	if err := ask(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-second; err != nil {
		t.Error(err)
	}
}
