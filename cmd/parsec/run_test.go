package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"parsec-server/pkg/config"
	"parsec-server/pkg/lifecycle"
)

// outcome is what the caller of the command sees.
type outcome struct {
	code           int
	stdout, stderr string
	settings       *config.Config // nil if the server was not reached
}

// serveStub stands for the server.
type serveStub func(ctx context.Context, log *slog.Logger) error

func idle(context.Context, *slog.Logger) error { return nil }

func environmentOf(variables map[string]string) config.Environment {
	environment := config.Environment{
		Variables: variables,
		Lookup:    func(name string) (string, bool) { text, found := variables[name]; return text, found },
	}
	for name := range variables {
		if strings.HasPrefix(name, "PARSEC_") {
			environment.Names = append(environment.Names, name)
		}
	}
	return environment
}

func executeWith(ctx context.Context, serve serveStub, variables map[string]string, args ...string) outcome {
	return executeIn(ctx, serve, environmentOf(variables), args...)
}

func executeIn(ctx context.Context, serve serveStub, environment config.Environment, args ...string) (got outcome) {
	var stdout, stderr bytes.Buffer
	p := program{
		commandLine: args,
		environment: environment,
		build:       build{"v9.9.9", "cafe"},
		stdout:      &stdout,
		stderr:      &stderr,
		serve: func(ctx context.Context, _ *lifecycle.Process, settings config.Config, log *slog.Logger, _ build, _ io.Writer) error {
			got.settings = &settings
			return serve(ctx, log)
		},
	}
	got.code = p.run(ctx)
	got.stdout, got.stderr = stdout.String(), stderr.String()
	return got
}

const usageOfRun = "Usage: parsec backend run [OPTIONS]\nTry 'parsec backend run --help' for help.\n\n"

const (
	missingDB     = "Missing option '--db'. Or set PARSEC_DB, PARSEC_DB_FILE or DATABASE_URL."
	missingServer = missingDB + "\n" +
		"Missing option '--blockstore'. Or set PARSEC_BLOCKSTORE or PARSEC_BLOCKSTORE_FILE.\n" +
		"Missing option '--administration-token'. Or set PARSEC_ADMINISTRATION_TOKEN or PARSEC_ADMINISTRATION_TOKEN_FILE.\n"
)

func TestUsageErrors(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"backend", "run"}, usageOfRun + "Error: " + missingServer},
		{[]string{"backend", "run", "--foo"}, usageOfRun + "Error: No such option: --foo\n"},
		{[]string{"backend", "run", "--dev", "-z"}, usageOfRun + "Error: No such option: -z\n"},
		{[]string{"backend", "run", "--administration-tok=x"}, usageOfRun + "Error: No such option: --administration-tok. Did you mean --administration-token?\n"},
		{[]string{"backend", "run", "--dev", "--port"}, usageOfRun + "Error: Option '--port' requires an argument.\n"},
		{[]string{"backend", "run", "--dev", "-P"}, usageOfRun + "Error: Option '-P' requires an argument.\n"},
		{[]string{"backend", "run", "--dev", "x"}, usageOfRun + "Error: Got unexpected extra argument (x)\n"},
		{[]string{"backend", "run", "--dev", "x", "y"}, usageOfRun + "Error: Got unexpected extra arguments (x y)\n"},
		{[]string{"backend", "run", "--dev", "--port", "abc"}, usageOfRun + "Error: Invalid value for '--port' / '-P': 'abc' is not a valid integer.\n"},
		{[]string{"backend", "run", "--db=MOCKED", "--blockstore=MOCKED", "--administration-token=s3cr3t"}, usageOfRun + "Error: Invalid value for '--administration-token': anybody could guess it, as it has 6 characters; at least 16 are needed. Make one with: openssl rand -base64 48\n"},
		{[]string{"backend", "run", "--dev", "--ssl-certfile=/does/not/exist"}, usageOfRun + "Error: Invalid value for '--ssl-certfile': File '/does/not/exist' does not exist.\n"},
		{[]string{"backend", "serve"}, "Usage: parsec backend COMMAND [OPTIONS]\nTry 'parsec backend --help' for help.\n\nError: No such command 'serve'.\n"},
		{[]string{"front"}, "Usage: parsec COMMAND [OPTIONS]\nTry 'parsec --help' for help.\n\nError: No such command 'front'.\n"},
		{[]string{"backend", "conf"}, "Usage: parsec backend COMMAND [OPTIONS]\nTry 'parsec backend --help' for help.\n\nError: No such command 'conf'. Did you mean config?\n"},
	} {
		got := executeWith(t.Context(), idle, nil, row.args...)
		if got.code != 2 || got.stdout != "" || got.stderr != row.want || got.settings != nil {
			t.Errorf("%q: got %+v", row.args, got)
		}
	}
}

func TestRunForms(t *testing.T) {
	for _, row := range []struct {
		args      []string
		arguments string // PARSEC_CMD_ARGS
		port      int
	}{
		{[]string{"backend", "run", "--dev", "--port", "7000"}, "", 7000},
		{[]string{"backend", "run", "--dev", "--port=7000"}, "", 7000},
		{[]string{"backend", "run", "--dev", "-P", "7000"}, "", 7000},
		{[]string{"backend", "run", "--dev", "-P7000"}, "", 7000},
		{[]string{"backend", "run", "--dev", "-P7000", "--port=7001"}, "", 7001},
		{[]string{"backend", "run", "--dev", "--port=1"}, "--port=2", 2},
		{nil, "backend run --dev", 7003},
		{[]string{"backend"}, "run --dev --port=$PORT", 7003},
		{[]string{"backend", "run", "--dev", "--port"}, "7004", 7004},
	} {
		got := executeWith(t.Context(), idle, map[string]string{"PARSEC_CMD_ARGS": row.arguments, "PORT": "7003"}, row.args...)
		if got.code != 0 || got.settings == nil {
			t.Errorf("%q: got %+v", row.args, got)
		} else if got.settings.Port != row.port {
			t.Errorf("%q: got port %d", row.args, got.settings.Port)
		}
	}
	got := executeWith(t.Context(), idle, map[string]string{"PARSEC_CMD_ARGS": "$OPTS", "OPTS": "--port=1 --dev"}, "backend", "run")
	if got.code != 2 || !strings.Contains(got.stderr, "'1 --dev' is not a valid integer.") {
		t.Errorf("one argument with a space: got %+v", got)
	}
}

func TestRunShortOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	got := executeWith(t.Context(), func(_ context.Context, log *slog.Logger) error {
		log.Debug("Event happened")
		return nil
	}, nil, "backend", "run", "--dev", "-H", "::1", "-bRAID0:0:MOCKED", "-b", "RAID0:1:MOCKED", "-l", "debug", "-f", "JSON", "-o", path)
	if got.code != 0 || got.settings.Host != "::1" || len(got.settings.Blockstore.Nodes) != 2 {
		t.Errorf("got %+v", got)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), `"event":"Event happened"`) {
		t.Errorf("logged %q", content)
	}
}

// TestV113CommandLine is that of a deployment of the first release.
func TestV113CommandLine(t *testing.T) {
	got := executeWith(t.Context(), idle, map[string]string{"PARSEC_ADMINISTRATION_TOKEN": "hunter2/Qx7rTz0bLmPa"},
		"backend", "run", "--db=postgresql://parsec:hunter2@db/parsec", "--blockstore=POSTGRESQL", "--db-drop-deleted-data", "--sentry-url=https://hunter2@sentry.example.com/1")
	if got.code != 0 || got.settings == nil {
		t.Fatalf("got %+v", got)
	}
	if strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Errorf("a secret is shown: %+v", got)
	}
}

func TestExitOfServer(t *testing.T) {
	untilCancelled := func(ctx context.Context, _ *slog.Logger) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, row := range []struct {
		name   string
		serve  serveStub
		cause  error // of the end of the context, nil if it goes on
		code   int
		stdout string
	}{
		{"end", idle, nil, 0, ""},
		{"failure", func(context.Context, *slog.Logger) error { return errors.New("port in use") }, nil, 1, "Error: port in use\n"},
		{"Ctrl-C", untilCancelled, errInterrupted, 0, "bye ;-)\n"},
		{"Ctrl-C, clean end", idle, errInterrupted, 0, "bye ;-)\n"},
		{"Ctrl-C, failure", func(context.Context, *slog.Logger) error { return errors.New("data lost") }, errInterrupted, 1, "Error: data lost\n"},
		{"SIGTERM", untilCancelled, errTerminated, 0, ""},
		{"cancelled from inside", func(context.Context, *slog.Logger) error { return context.Canceled }, nil, 1, "Error: context canceled\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if row.cause != nil {
				cancel(row.cause)
			}
			got := executeWith(ctx, row.serve, nil, "backend", "run", "--dev")
			if got.code != row.code || got.stdout != row.stdout || got.stderr != "" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestStartFailures(t *testing.T) {
	for _, args := range [][]string{
		{"--log-file=" + filepath.Join(t.TempDir(), "no", "directory")},
		{"--log-filter=("},
		{"--sentry-dsn=nonsense"},
		{"--sentry-dsn=https://key@sentry.example.com:port/1"},
		{"--email-host=mail", "--email-sender="},
		{"--blockstore=POSTGRESQL"},
		{"--port=70000"},
	} {
		got := executeWith(t.Context(), idle, nil, append([]string{"backend", "run", "--dev"}, args...)...)
		if got.code == 0 || strings.Count(got.stdout+got.stderr, "Error: ") != 1 || got.settings != nil {
			t.Errorf("%q: got %+v", args, got)
		}
	}
}

func TestRunWarns(t *testing.T) {
	got := executeWith(t.Context(), idle, map[string]string{"PARSEC_SSE_KEEPALICE": "30"}, "backend", "run", "--dev")
	if got.code != 0 || !strings.Contains(got.stderr, "WARNING unknown variable PARSEC_SSE_KEEPALICE is ignored, did you mean PARSEC_SSE_KEEPALIVE?") {
		t.Errorf("got %+v", got)
	}
}

func TestConfigCommand(t *testing.T) {
	got := executeWith(t.Context(), idle, map[string]string{
		"PARSEC_DB":                             "postgresql://parsec:hunter2@db/parsec",
		"PARSEC_ADMINISTRATION_TOKEN":           "hunter2/Qx7rTz0bLmPa",
		"PARSEC_SENTRY_DSN":                     "https://hunter2@sentry.example.com/1",
		"PARSEC_ORGANIZATION_BOOTSTRAP_WEBHOOK": "https://me:hunter2@example.com/hook",
		"PARSEC_EMAIL_HOST_PASSWORD":            "hunter2",
		"PARSEC_CMD_ARGS":                       "--log-level=$LEVEL",
		"PARSEC_HOTS":                           "hunter2",
		"LEVEL":                                 "error",
	}, "backend", "config", "--port=7000", "-b", "s3::eu:bucket:hunter2:hunter2")
	if got.code != 0 || got.settings != nil {
		t.Fatalf("got %+v", got)
	}
	if strings.Contains(got.stdout+got.stderr, "hunter2") {
		t.Errorf("a secret is shown: %+v", got)
	}
	var lines []string
	for line := range strings.Lines(got.stdout) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for _, want := range []string{
		"host 127.0.0.1 default",
		"port 7000 command line",
		"db postgresql://parsec:********@db/parsec variable PARSEC_DB",
		"blockstore s3::eu:bucket:********:******** command line",
		"administration-token ******** variable PARSEC_ADMINISTRATION_TOKEN",
		"organization-bootstrap-webhook https://********@example.com/hook variable PARSEC_ORGANIZATION_BOOTSTRAP_WEBHOOK",
		"backend-addr (none) default",
		"log-level error PARSEC_CMD_ARGS",
		"sentry-dsn https://********@sentry.example.com/1 variable PARSEC_SENTRY_DSN",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, got.stdout)
		}
	}
	if len(lines) != len(config.Settings()) {
		t.Errorf("%d lines of %d settings", len(lines), len(config.Settings()))
	}
	if !strings.Contains(got.stderr, "Warning: unknown variable PARSEC_HOTS is ignored, did you mean PARSEC_HOST?\n") {
		t.Errorf("warnings %q", got.stderr)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{nil, "Administration of a running server:\n"},
		{[]string{"--help"}, "Administration of a running server:\n"},
		{[]string{"backend"}, "Commands:\n"},
		{[]string{"backend", "run", "--help"}, "-H, --host"},
		{[]string{"--version"}, "parsec, version v9.9.9 (commit cafe)\n"},
		{[]string{"backend", "--version"}, "parsec, version v9.9.9 (commit cafe)\n"},
	} {
		got := executeWith(t.Context(), idle, nil, row.args...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, row.want) {
			t.Errorf("%q: got %+v", row.args, got)
		}
	}
}

// TestHangup has the log moved away under the server.
func TestHangup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	got := executeWith(t.Context(), func(ctx context.Context, log *slog.Logger) error {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			return err
		}
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			if _, err := os.Stat(path); err == nil {
				return nil
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}, nil, "backend", "run", "--dev", "--log-file="+path)
	if got.code != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestUntilSignal(t *testing.T) {
	for signal, want := range map[syscall.Signal]error{syscall.SIGINT: errInterrupted, syscall.SIGTERM: errTerminated} {
		ctx, stop := untilSignal(t.Context())
		if err := syscall.Kill(os.Getpid(), signal); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		if got := context.Cause(ctx); !errors.Is(got, want) {
			t.Errorf("%s: got %v", signal, got)
		}
		stop()
	}
}
