package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

func openTestBlockStore(t *testing.T, texts ...string) (blockstore.Store, error) {
	t.Helper()
	settings, err := config.ParseBlockstore(texts)
	if err != nil {
		t.Fatal(err)
	}
	store, end, err := openBlockStore(settings, config.Database{DSN: config.NewSecret("host=127.0.0.1"), MaxConnections: 1})
	if err == nil {
		t.Cleanup(end)
	}
	return store, err
}

func TestOpenBlockStore(t *testing.T) {
	const s3, swift = `s3:http\://minio\:9000:eu:blocks:key:secret`, `swift:auth.example.com:tenant:blocks:user:password`
	for _, test := range []struct {
		texts []string
		want  string
	}{
		{[]string{"MOCKED"}, "memory"},
		{[]string{"POSTGRESQL"}, "PostgreSQL table block_data"},
		{[]string{s3}, "S3 bucket blocks at minio:9000"},
		{[]string{"s3::eu:blocks:key:secret"}, "S3 bucket blocks at AWS eu"},
		{[]string{swift}, "Swift container blocks at auth.example.com"},
		{[]string{"file:/srv/blocks"}, "folder /srv/blocks"},
		{[]string{"RAID0:0:MOCKED"}, "RAID0 of 1 nodes"},
		{[]string{"RAID1:1:MOCKED", "RAID1:0:" + s3}, "RAID1 of 2 nodes"},
		{[]string{"RAID1:0:POSTGRESQL", "RAID1:1:POSTGRESQL"}, "RAID1 of 2 nodes"},
		{[]string{"RAID5:0:MOCKED", "RAID5:1:" + s3, "RAID5:2:" + swift}, "RAID5 of 3 nodes"},
		{[]string{"RAID5:4:MOCKED", "RAID5:0:MOCKED", "RAID5:3:MOCKED", "RAID5:1:" + s3, "RAID5:2:" + swift}, "RAID5 of 5 nodes"},
	} {
		store, err := openTestBlockStore(t, test.texts...)
		if err != nil || fmt.Sprint(store) != test.want {
			t.Errorf("%q is %v (%v), want %s", test.texts, store, err, test.want)
		}
	}
	for text, want := range map[string]string{
		"RAID5:0:MOCKED":          "RAID5 block store needs at least 3 nodes",
		"s3::eu::key:secret":      "the S3 bucket has no name",
		"swift::tenant:c:user:pw": "the Swift authentication address is not a URL",
	} {
		if _, err := openTestBlockStore(t, text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// --blockstore-degraded-writes lets a write do without one node, of the levels
// that can read without it.
func TestDegradedWrites(t *testing.T) {
	const nobody = `s3:http\://127.0.0.1\:1:eu:blocks:key:secret`
	for _, test := range []struct {
		texts              []string
		degraded, accepted bool
	}{
		{[]string{"RAID1:0:MOCKED", "RAID1:1:" + nobody}, false, false},
		{[]string{"RAID1:0:MOCKED", "RAID1:1:" + nobody}, true, true},
		{[]string{"RAID5:0:MOCKED", "RAID5:1:" + nobody, "RAID5:2:MOCKED"}, false, false},
		{[]string{"RAID5:0:MOCKED", "RAID5:1:" + nobody, "RAID5:2:MOCKED"}, true, true},
		{[]string{"RAID5:0:MOCKED", "RAID5:1:MOCKED", "RAID5:2:MOCKED", "RAID5:3:MOCKED"}, false, true},
		{[]string{"RAID5:0:MOCKED", "RAID5:1:MOCKED", "RAID5:2:MOCKED", "RAID5:3:" + nobody}, false, false},
		{[]string{"RAID5:0:MOCKED", "RAID5:1:MOCKED", "RAID5:2:MOCKED", "RAID5:3:" + nobody}, true, true},
		{[]string{"RAID5:0:MOCKED", "RAID5:1:MOCKED", "RAID5:2:" + nobody, "RAID5:3:" + nobody}, true, false},
		{[]string{"RAID0:0:" + nobody}, true, false},
	} {
		settings, err := config.ParseBlockstore(test.texts)
		if err != nil {
			t.Fatal(err)
		}
		store, _, end, err := openBlocks(settings, blockStoreOptions{degradedWrites: test.degraded, logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		organization, err := parsec.ParseOrganizationID("CoolOrg")
		if err != nil {
			t.Fatal(err)
		}
		err = store.Create(t.Context(), organization, parsec.BlockID(parsec.NewUUID()), []byte("abc"))
		if (err == nil) != test.accepted {
			t.Errorf("%s, degraded writes %t: %v", store, test.degraded, err)
		}
	}
}

// AWS_CA_BUNDLE names the authorities that S3 servers are believed by.
func TestAuthoritiesOfS3(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	text := "s3:" + strings.ReplaceAll(server.URL, ":", `\:`) + ":eu:blocks:key:secret"
	ready := func() error {
		store, err := openTestBlockStore(t, text)
		if err != nil {
			return err
		}
		return store.Ready(t.Context())
	}
	if err := ready(); err == nil {
		t.Error("a server with a private certificate is believed")
	}
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	t.Setenv(bundleVariable, bundle)
	if err := ready(); err == nil || !strings.HasPrefix(err.Error(), "AWS_CA_BUNDLE: ") {
		t.Errorf("no such bundle: %v", err)
	}
	for content, want := range map[string]string{
		"": "AWS_CA_BUNDLE: no certificate in PEM in " + bundle,
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})): "<nil>",
	} {
		if err := os.WriteFile(bundle, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ready(); fmt.Sprint(err) != want {
			t.Errorf("with a bundle of %d bytes: %v, want %s", len(content), err, want)
		}
	}
}

// A block store that is down when the server starts is told, and keeps nobody
// from the commands that need none.
func TestBlockStoreDownAtStart(t *testing.T) {
	s3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	defer s3.Close()
	ctx, cancel := context.WithCancel(t.Context())
	output, stdout := io.Pipe()
	stderr := &watchedLog{text: "no such bucket, create it with `parsec backend blockstore init`", seen: make(chan struct{})}
	p := program{
		commandLine: []string{
			"backend", "run", "--dev", "--port=0",
			"--blockstore=s3:" + strings.ReplaceAll(s3.URL, ":", `\:`) + ":eu:blocks:key:secret",
		},
		environment: environmentOf(nil), stdout: stdout, stderr: stderr, serve: serve,
	}
	code := make(chan int, 1)
	go func() {
		code <- p.run(ctx)
		_ = stdout.Close() // It never fails.
	}()
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("no start-up line: %v", err)
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	<-stderr.seen
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\nbut the block store does not answer\n"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || string(body) != want {
			t.Errorf("%s: %s %q, %v", path, response.Status, body, err)
		}
	}
	cancel()
	<-code
}

// watchedLog reports when a text has been logged.
type watchedLog struct {
	text string
	once sync.Once
	seen chan struct{}
}

func (w *watchedLog) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}
