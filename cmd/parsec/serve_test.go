package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/lifecycle"
)

// developmentSettings returns the settings of --dev, on any free port.
func developmentSettings(t *testing.T, options ...config.Argument) config.Config {
	t.Helper()
	options = append(options, config.Argument{Name: "dev", Text: "true"}, config.Argument{Name: "port", Text: "0"})
	loaded, err := config.Load(options, environmentOf(nil))
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Config
}

// TestServiceManager plays systemd, which starts what depends on the server
// once it says that it is ready.
func TestServiceManager(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = manager.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	settings := developmentSettings(t)
	go func() { served <- serveToTheEnd(ctx, settings, io.Discard) }()
	buffer := make([]byte, 100)
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		n, err := manager.Read(buffer)
		if err != nil || string(buffer[:n]) != want {
			t.Errorf("told %q, %v, not %q", buffer[:n], err, want)
		}
		cancel()
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// serveToTheEnd returns once everything has ended.
func serveToTheEnd(ctx context.Context, settings config.Config, stdout io.Writer) error {
	logger := slog.New(slog.DiscardHandler)
	process := lifecycle.New(settings.ShutdownGracePeriod, logger)
	defer process.End()
	return serve(ctx, process, settings, logger, build{}, stdout)
}

// served is a whole server, as backend run runs it.
type served struct {
	address string // host:port
}

// startServing runs a server until the test ends.
func startServing(t *testing.T, options ...config.Argument) served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	output, printed := io.Pipe()
	done := make(chan error, 1)
	settings := developmentSettings(t, options...)
	go func() {
		err := serveToTheEnd(ctx, settings, printed)
		_ = printed.Close()
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	line, _ := bufio.NewReader(output).ReadString('\n')
	found := regexp.MustCompile(`^Starting Parsec Backend on (\S+) `).FindStringSubmatch(line)
	if found == nil {
		t.Fatalf("the server says %q", line)
	}
	return served{found[1]}
}

// executeServing runs a command that starts servers.
func executeServing(ctx context.Context, args ...string) (got outcome) {
	var stdout, stderr bytes.Buffer
	p := program{commandLine: args, environment: environmentOf(nil), stdout: &stdout, stderr: &stderr, serve: serve}
	got.code = p.run(ctx)
	got.stdout, got.stderr = stdout.String(), stderr.String()
	return got
}

// TestServeMetrics scrapes a server as it is run.
func TestServeMetrics(t *testing.T) {
	address := "127.0.0.1:" + testkit.FreePort(t)
	startServing(t, config.Argument{Name: "metrics-address", Text: address})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	for _, line := range []string{"parsec_serving 1", `parsec_emails_total{kind="totp_reset",outcome="sent"} 0`} {
		if err != nil || !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("no line %s in %q, %v", line, text, err)
		}
	}
}

// TestServeTraces has a collector take the span of a command.
func TestServeTraces(t *testing.T) {
	names := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil || len(data.ResourceSpans) != 1 {
			t.Errorf("%s: %v: %v", r.URL, err, &data)
			return
		}
		names <- data.ResourceSpans[0].ScopeSpans[0].Spans[0].Name
	}))
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	s := startServing(t)
	organization := executeServing(t.Context(), "organization", "create", "Acme", "--addr=parsec://"+s.address+"?no_ssl=true", "--administration-token=s3cr3t", "--websocket")
	if organization.code != 0 {
		t.Fatalf("got %+v", organization)
	}
	if name := <-names; name != "organization_create" {
		t.Errorf("traced %s", name)
	}
}
