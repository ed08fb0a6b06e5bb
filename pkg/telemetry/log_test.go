package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

func newLogger(t *testing.T, options LogOptions) (*slog.Logger, *bytes.Buffer) {
	t.Helper()
	var output bytes.Buffer
	log, closer, err := NewLogger(options, &output)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	})
	return log, &output
}

// timestamp is what changes from line to line.
var timestamp = regexp.MustCompile(`\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} [+-]\d{2}:\d{2}`)

func TestLevels(t *testing.T) {
	log, output := newLogger(t, LogOptions{Level: slog.LevelWarn, Format: Console})
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, LevelCritical} {
		log.Log(t.Context(), level, "Event happened", "size", 3)
	}
	want := "TIME WARNING Event happened size=3\nTIME ERROR Event happened size=3\nTIME CRITICAL Event happened size=3\n"
	if got := timestamp.ReplaceAllString(output.String(), "TIME"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNoTimestamp leaves out the date of the line, and no other.
func TestNoTimestamp(t *testing.T) {
	log, output := newLogger(t, LogOptions{Format: ConsoleNoTimestamp})
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	log.Info("Event happened", "size", 3, "since", date)
	want := "INFO Event happened size=3 since="
	if got := output.String(); !strings.HasPrefix(got, want) || !strings.Contains(got, "2026-01-02") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	log, output := newLogger(t, LogOptions{Level: slog.LevelDebug, Format: JSON})
	begin := time.Now()
	log.With("logger", "parsec.server").WithGroup("request").Log(t.Context(), LevelCritical, "Lost", "msg", "kept", "duration", 1500*time.Millisecond)
	var got map[string]any
	if err := json.Unmarshal(output.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	text, _ := got["timestamp"].(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Before(begin.Truncate(time.Microsecond)) || at.After(time.Now()) || !strings.HasSuffix(text, "Z") || len(text) != len("2026-01-02T03:04:05.678901Z") {
		t.Errorf("timestamp %q: %v", text, err)
	}
	for key, want := range map[string]any{"level": "CRITICAL", "event": "Lost", "logger": "parsec.server"} {
		if got[key] != want {
			t.Errorf("%s = %v, want %v", key, got[key], want)
		}
	}
	if request, _ := got["request"].(map[string]any); request["msg"] != "kept" || request["duration"] != 1.5 {
		t.Errorf("request = %v", got["request"])
	}
	if len(got) != 5 {
		t.Errorf("got %v", got)
	}
}

// TestHandler checks the contract of slog, with the standard names put back.
func TestHandler(t *testing.T) {
	var output *bytes.Buffer
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		var log *slog.Logger
		log, output = newLogger(t, LogOptions{Format: JSON, Filter: regexp.MustCompile("")})
		return log.Handler()
	}, func(t *testing.T) map[string]any {
		var got map[string]any
		if err := json.Unmarshal(output.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		for from, to := range map[string]string{"timestamp": slog.TimeKey, "event": slog.MessageKey} {
			if value, found := got[from]; found {
				got[to] = value
			}
		}
		return got
	})
}

func TestFilter(t *testing.T) {
	for _, row := range []struct {
		filter string
		event  string
		want   bool
	}{
		{"Connection", "Connection opened", true},
		{"Connection", "New Connection", false},
		{".*Connection", "New Connection", true},
		{"opened|Connection", "Connection opened", true},
		{"x*", "Connection opened", true},
		{"^Connection$", "Connection opened", false},
		{"Connection", "", false},
	} {
		log, output := newLogger(t, LogOptions{Format: Console, Filter: regexp.MustCompile(row.filter)})
		log.With("key", 1).WithGroup("group").Info(row.event)
		if got := output.Len() > 0; got != row.want {
			t.Errorf("%s on %q: logged %t", row.filter, row.event, got)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for range 2 {
		log, closer, err := NewLogger(LogOptions{Format: Console, File: path}, nil)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("Started")
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(content), "INFO Started\n"); got != 2 {
		t.Errorf("%d lines in %q", got, content)
	}
	if _, _, err := NewLogger(LogOptions{File: filepath.Join(path, "under a file")}, nil); err == nil {
		t.Error("a log file was opened below a file")
	}
}

// TestReopen plays logrotate.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, output, err := NewLogger(LogOptions{Format: Console, File: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rename := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	log.Info("first")
	rename(path, path+".1")
	log.Info("second")
	if err := output.Reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("third")
	rename(path, path+".2")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := output.Reopen(); err == nil {
		t.Error("a directory is opened")
	}
	log.Info("fourth")
	if err := output.Close(); err != nil {
		t.Error(err)
	}
	for file, want := range map[string]string{path + ".1": "TIME INFO first\nTIME INFO second\n", path + ".2": "TIME INFO third\nTIME INFO fourth\n"} {
		content, err := os.ReadFile(file)
		if got := timestamp.ReplaceAllString(string(content), "TIME"); err != nil || got != want {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}

func TestStandardErrorByDash(t *testing.T) {
	log, output := newLogger(t, LogOptions{Format: Console, File: "-"})
	log.Info("Started")
	if !strings.HasSuffix(output.String(), " INFO Started\n") {
		t.Errorf("got %q", output)
	}
}
