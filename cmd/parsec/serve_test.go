package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"parsec-server/pkg/config"
)

// developmentSettings are those of --dev, on any free port.
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
	go func() { served <- serve(ctx, settings, slog.New(slog.DiscardHandler), build{}, io.Discard) }()
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
