package traces_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/parsec2/webhook"
	"parsec-server/pkg/server"
	"parsec-server/pkg/traces"
)

// collecting keeps what a server that plays a collector is sent.
type collecting struct {
	t      *testing.T
	status atomic.Int64 // that it answers, 0 for 200

	mu       sync.Mutex
	path     string
	header   http.Header
	received []*tracepb.ResourceSpans
}

func (c *collecting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("%s %s with %v: %v", r.Method, r.URL, r.Header, err)
	}
	if status := int(c.status.Load()); status != 0 {
		w.WriteHeader(status)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.path, c.header = r.URL.Path, r.Header
	c.received = append(c.received, data.ResourceSpans...)
}

func (c *collecting) spans() (spans []*tracepb.Span) {
	for _, resource := range c.received {
		for _, scope := range resource.ScopeSpans {
			spans = append(spans, scope.Spans...)
		}
	}
	return spans
}

func lookupIn(variables map[string]string) traces.Lookup {
	return func(name string) (string, bool) { text, found := variables[name]; return text, found }
}

func observe(t *testing.T, next server.Observer, log io.Writer, variables map[string]string) (observer server.Observer, end func()) {
	t.Helper()
	tracer, err := traces.New(t.Context(), lookupIn(variables), "v9", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return tracer.Observer(next), tracer.Close
}

// run has an observer see a command that ended so.
func run(t *testing.T, observer server.Observer, ended server.EndedCommand) {
	t.Helper()
	observer.CommandEnded(observer.CommandBegun(t.Context(), ended.Name()), ended)
}

func texts(attributes []*commonpb.KeyValue) map[string]string {
	found := map[string]string{}
	for _, attribute := range attributes {
		found[attribute.Key] = attribute.Value.GetStringValue()
	}
	return found
}

// counting is the observer that spans are handed on to.
type counting struct {
	server.Unobserved
	ended int
}

func (c *counting) CommandEnded(context.Context, server.EndedCommand) { c.ended++ }

func TestSpans(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	received := &collecting{t: t}
	collector := httptest.NewTLSServer(received)
	defer collector.Close()
	authority := filepath.Join(t.TempDir(), "authority")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: collector.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	next := &counting{}
	observer, end := observe(t, next, &log, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL + "/otlp/", "OTEL_EXPORTER_OTLP_CERTIFICATE": authority,
		"OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, x-other = c",
	})
	api := parsec.APIVersion{Major: 3, Minor: 2}
	start := time.Now()
	for _, ended := range []server.EndedCommand{
		{Command: protocol.Ping.Form, Kind: "authenticated", API: api, Status: protocol.StatusOK, Duration: time.Minute},
		{Kind: "invited", API: api, Status: protocol.StatusUnknownCommand},
		{Command: protocol.Ping.Form, Kind: "anonymous", API: api, Outcome: server.Abandoned},
		{Command: protocol.Ping.Form, Kind: "anonymous", API: api, Outcome: server.Failed},
	} {
		run(t, observer, ended)
	}
	end()
	if received.path != "/otlp/v1/traces" || received.header.Get("X-Key") != "a b" || received.header.Get("X-Other") != "c" {
		t.Errorf("got %s with %v", received.path, received.header)
	}
	spans := received.spans()
	if len(spans) != 4 || next.ended != 4 || log.Len() != 0 {
		t.Fatalf("%d spans, %d handed on, log %s", len(spans), next.ended, &log)
	}
	for i, want := range []struct {
		name, status, kind string
		code               tracepb.Status_StatusCode
	}{
		{"ping", "ok", "authenticated", tracepb.Status_STATUS_CODE_UNSET},
		{"unknown", "unknown_command", "invited", tracepb.Status_STATUS_CODE_UNSET},
		{"ping", "abandoned", "anonymous", tracepb.Status_STATUS_CODE_UNSET},
		{"ping", "failed", "anonymous", tracepb.Status_STATUS_CODE_ERROR},
	} {
		got := spans[i]
		// All of them: nothing tells who the client is.
		attributes := map[string]string{"parsec.status": want.status, "parsec.kind": want.kind, "parsec.api": "3.2"}
		if got.Name != want.name || got.Kind != tracepb.Span_SPAN_KIND_SERVER || got.Status.GetCode() != want.code ||
			!maps.Equal(texts(got.Attributes), attributes) || len(got.Events) != 0 {
			t.Errorf("got %v, want %+v", got, want)
		}
	}
	if first := spans[0]; first.EndTimeUnixNano-first.StartTimeUnixNano != uint64(time.Minute) || first.EndTimeUnixNano < uint64(start.UnixNano()) {
		t.Errorf("from %d to %d", first.StartTimeUnixNano, first.EndTimeUnixNano)
	}
	service := texts(received.received[0].Resource.Attributes)
	if service["service.name"] != "parsec" || service["service.version"] != "v9" || service["deployment.environment.name"] != "test" || service["host.name"] != "" {
		t.Errorf("of %v", service)
	}
}

// TestWebhook has the call of a webhook, which fails, be a span within that of
// the command.
func TestWebhook(t *testing.T) {
	received := &collecting{t: t}
	collector := httptest.NewServer(received)
	defer collector.Close()
	observer, end := observe(t, nil, io.Discard, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL})
	ctx := observer.CommandBegun(t.Context(), "vlob_create")
	webhooks := webhook.New("", slog.New(slog.DiscardHandler))
	defer webhooks.Close(t.Context()) //nolint:errcheck // it has no queue
	if webhooks.Sequester(ctx, parsec.OrganizationID{}, rules.SequesterService{WebhookURL: "http://127.0.0.1:1"}, nil) == nil {
		t.Error("nobody is called")
	}
	observer.CommandEnded(ctx, server.EndedCommand{Command: protocol.VlobCreate.Form})
	end()
	spans := received.spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	if child, parent := spans[0], spans[1]; child.Name != "webhook" || !bytes.Equal(child.ParentSpanId, parent.SpanId) ||
		!bytes.Equal(child.TraceId, parent.TraceId) || child.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || len(child.Attributes) != 0 {
		t.Errorf("%v is below %v", child, parent)
	}
}

// TestOff gives back what observed before.
func TestOff(t *testing.T) {
	const endpoint = "http://127.0.0.1:1"
	for _, variables := range []map[string]string{
		nil,
		{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "nonsense"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "true"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none"},
	} {
		next := &counting{}
		if observer, end := observe(t, next, io.Discard, variables); observer != server.Observer(next) {
			t.Errorf("%v: got %T", variables, observer)
		} else {
			end()
		}
		var off *traces.Tracer
		if blocks := blockstore.Store(blockstore.NewMemory()); off.Blocks(0, blocks) != blocks {
			t.Error("blocks are traced")
		}
	}
}

// TestBadCollectors has commands end while the collector is out of reach,
// hangs, or refuses: they go on, and so does the end; one line tells.
func TestBadCollectors(t *testing.T) {
	// More than the queue holds, which is then full.
	const commands = 5000
	hang := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer hanging.Close()
	defer close(hang)
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	for want, row := range map[string]struct{ endpoint, timeout string }{
		"connection refused":        {endpoint: "http://me:hunter2@127.0.0.1:1"},
		"context deadline exceeded": {hanging.URL, "20"},
		"HTTP status 404":           {endpoint: refusing.URL},
	} {
		t.Run(want, func(t *testing.T) {
			var log bytes.Buffer
			observer, end := observe(t, nil, &log, map[string]string{
				"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": row.endpoint, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": row.timeout,
			})
			for range commands {
				run(t, observer, server.EndedCommand{Command: protocol.Ping.Form})
			}
			end()
			if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, want) || strings.Contains(got, "hunter2") {
				t.Errorf("logged %s", got)
			}
		})
	}
}

// TestRecovery tells once that the collector fails, and once that it is back.
func TestRecovery(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	received := &collecting{t: t}
	received.status.Store(http.StatusServiceUnavailable)
	refused := make(chan struct{}, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received.ServeHTTP(w, r)
		refused <- struct{}{}
	}))
	defer collector.Close()
	var log bytes.Buffer
	observer, end := observe(t, nil, &log, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.URL + "/here"})
	for range 2 {
		run(t, observer, server.EndedCommand{Command: protocol.Ping.Form})
		<-refused
	}
	received.status.Store(0)
	run(t, observer, server.EndedCommand{Command: protocol.Ping.Form})
	end()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "takes no spans") || !strings.Contains(lines[1], "takes spans again") {
		t.Errorf("logged %s", &log)
	}
	if received.path != "/here" || len(received.spans()) != 1 {
		t.Errorf("%d spans at %s", len(received.spans()), received.path)
	}
}

func TestRefusals(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "hunter2:4318", "must be an http or https URL"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://hunter2", "must be an http or https URL"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be http/protobuf"},
		{"OTEL_TRACES_EXPORTER", "zipkin", "must be otlp or none"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "must be 1 to 60000 milliseconds"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "60001", "must be 1 to 60000 milliseconds"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "must be `<name>=<value>,…`"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "key=%hunter2", "must be `<name>=<value>,…`"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/does/not/exist", "open /does/not/exist: no such file or directory"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", os.DevNull, "no certificate in PEM"},
	} {
		variables := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", row.name: row.text}
		_, err := traces.New(t.Context(), lookupIn(variables), "", slog.New(slog.DiscardHandler))
		if want := "Invalid value for " + row.name + ": " + row.want; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", row.text, err, want)
		}
	}
}
