package telemetry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
)

// sentryPlayed keeps what a server that plays Sentry is sent.
type sentryPlayed struct {
	dsn string

	mu     sync.Mutex
	events []string
}

func playSentry(t *testing.T) *sentryPlayed {
	t.Helper()
	played := &sentryPlayed{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/api/7/envelope/" || !strings.Contains(r.Header.Get("X-Sentry-Auth"), "sentry_key=key") {
			t.Errorf("%s with %v: %v", r.URL, r.Header, err)
		}
		played.mu.Lock()
		defer played.mu.Unlock()
		for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
			if strings.Contains(lines.Text(), `"event_id"`) && strings.Contains(lines.Text(), `"level"`) {
				played.events = append(played.events, lines.Text())
			}
		}
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(server.Close)
	played.dsn = strings.Replace(server.URL, "http://", "http://key@", 1) + "/7"
	return played
}

func (p *sentryPlayed) received() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.events
}

func reporting(t *testing.T, dsn string, inner slog.Handler) (*slog.Logger, func()) {
	t.Helper()
	log, flush, err := WithSentry(slog.New(inner), SentryOptions{DSN: dsn, Environment: "test", Release: "1.2"})
	if err != nil {
		t.Fatal(err)
	}
	return log, flush
}

func TestSentry(t *testing.T) {
	played := playSentry(t)
	var kept bytes.Buffer
	log, flush := reporting(t, played.dsn, slog.NewTextHandler(&kept, &slog.HandlerOptions{Level: LevelCritical}))
	log.Warn("the disk is slow", "address", "10.1.2.3")
	log.Info("nothing to report")
	caller := log.With("organization", "Secrets", "device", "zoe@laptop", "address", "192.168.7.8", "api", "3.4", "kind", "authenticated")
	caller.Error("command failed", "command", "vlob_read", "error", fmt.Errorf("ask the database: %w", errors.New("dial postgresql://me:hunter2@db from 10.9.8.7 or [fe80::7]: zoe@example.com is out")))
	log.WithGroup("group").With("status", "hidden").Error("in a group", "command", "hidden")
	log.Log(t.Context(), LevelCritical, "panic", "stack", "goroutine 1")
	flush()
	events := played.received()
	if len(events) != 3 {
		t.Fatalf("received %q", events)
	}
	for _, secret := range []string{"Secrets", "zoe", "laptop", "192.168", "hunter2", "10.9.8.7", "10.1.2.3", "fe80", "example.com", "hidden"} {
		if strings.Contains(strings.Join(events, ""), secret) {
			t.Errorf("%s is reported: %q", secret, events)
		}
	}
	var event struct {
		Level, Release, Environment, Message string
		Tags                                 map[string]string
		Breadcrumbs                          []struct{ Message string }
		Exception                            []struct{ Type, Value string }
		Contexts                             map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(events[0]), &event); err != nil {
		t.Fatal(err)
	}
	if event.Level != "error" || event.Release != "parsec@1.2" || event.Environment != "test" || event.Message != "command failed" ||
		event.Tags["command"] != "vlob_read" || event.Tags["api"] != "3.4" || event.Contexts["log"]["kind"] != "authenticated" ||
		len(event.Breadcrumbs) != 1 || event.Breadcrumbs[0].Message != "the disk is slow" ||
		len(event.Exception) != 1 || event.Exception[0].Value != "ask the database: dial [removed] from [removed] or [removed]: [removed] is out" {
		t.Errorf("received %s", events[0])
	}
	if !strings.Contains(events[2], `"level":"fatal"`) || !strings.Contains(events[2], "goroutine 1") {
		t.Errorf("received %s", events[2])
	}
	if lines := strings.Count(kept.String(), "\n"); lines != 1 {
		t.Errorf("the log holds %q", &kept)
	}
}

// TestSentryOutOfReach has errors that nobody takes: neither the log nor the
// end of the process waits for long.
func TestSentryOutOfReach(t *testing.T) {
	var kept bytes.Buffer
	log, flush := reporting(t, "http://key@127.0.0.1:1/7", slog.NewTextHandler(&kept, nil))
	const errorsLogged = 10 * reportQueue
	for range errorsLogged {
		log.Error("failed")
	}
	flush()
	if lines := strings.Count(kept.String(), "\n"); lines != errorsLogged {
		t.Errorf("%d lines are logged", lines)
	}
}

func TestBadDSN(t *testing.T) {
	for _, dsn := range []string{"https://hunter2@sentry.example.com/", "hunter2", "ftp://hunter2@sentry.example.com/1", "https://hunter2@sentry.example.com/abc def", "https://hunter2@:x/1"} {
		_, _, err := WithSentry(slog.New(slog.DiscardHandler), SentryOptions{DSN: dsn})
		if err == nil {
			continue // Sentry takes it; config refuses others
		}
		if text := err.Error(); strings.Contains(text, "hunter2") || strings.Contains(text, "\n") {
			t.Errorf("%s: %q", dsn, text)
		}
	}
	if _, _, err := WithSentry(slog.New(slog.DiscardHandler), SentryOptions{DSN: "nonsense"}); err == nil {
		t.Error("nonsense is taken")
	}
}

// TestSentryHandler checks the contract of slog for what is handed on.
func TestSentryHandler(t *testing.T) {
	var output *bytes.Buffer
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		output = &bytes.Buffer{}
		log, flush := reporting(t, playSentry(t).dsn, slog.NewJSONHandler(output, nil))
		t.Cleanup(flush)
		return log.Handler()
	}, func(t *testing.T) map[string]any {
		var got map[string]any
		if err := json.Unmarshal(output.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		return got
	})
}

// TestSiblings has two loggers made of one that keep apart.
func TestSiblings(t *testing.T) {
	played := playSentry(t)
	log, flush := reporting(t, played.dsn, slog.DiscardHandler)
	parent := log.With("kind", "parent")
	first, second := parent.With("api", "1"), parent.With("api", "2")
	first.Error("first")
	second.Error("second")
	parent.Error("third")
	flush()
	for i, event := range played.received() {
		found := regexp.MustCompile(`"tags":(\{[^}]*\})`).FindStringSubmatch(event)
		if want := []string{`{"api":"1","kind":"parent"}`, `{"api":"2","kind":"parent"}`, `{"kind":"parent"}`}[i]; found == nil || found[1] != want {
			t.Errorf("received %s, not %s", event, want)
		}
	}
	if got := len(played.received()); got != 3 {
		t.Errorf("%d events", got)
	}
}
