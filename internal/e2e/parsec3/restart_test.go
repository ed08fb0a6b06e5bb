package parsec3_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
)

// restarted is a server, and how it is replaced by another process. The process
// before has ended, or ends.
type restarted struct {
	server  *testkit.Parsec
	replace func() (ended func() error)
}

// restarts are the ways to replace a server that clients do not notice
// (docs/protocol/v5/quirks.md §11).
var restarts = map[string]func(t *testing.T, arguments ...string) restarted{
	"socket activation": func(t *testing.T, arguments ...string) restarted {
		server := testkit.StartParsecWithSocket(t, program, arguments...)
		return restarted{server, func() func() error {
			err := server.Stop()
			server.Start()
			return func() error { return err }
		}}
	},
	"hand-over": func(t *testing.T, arguments ...string) restarted {
		server := testkit.StartParsec(t, program, append(arguments, "--handover-socket", filepath.Join(t.TempDir(), "handover"))...)
		return restarted{server, server.Replace}
	},
}

// TestStormOfConnections replaces a server ten times while clients connect all the
// time, and keep connections for some requests: each request is answered.
func TestStormOfConnections(t *testing.T) {
	t.Parallel()
	for name, start := range restarts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const clients, replacements = 8, 10
			server := start(t)
			address := hostAndPort(server.server.Address)
			ctx, cancel := context.WithCancel(t.Context())
			var storm sync.WaitGroup
			var answered atomic.Int64
			for i := range clients {
				storm.Go(func() {
					for ctx.Err() == nil {
						count, err := converse(t.Context(), address, 1+i%3)
						answered.Add(int64(count))
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			var ends []func() error
			for range replacements {
				before := answered.Load()
				ends = append(ends, server.replace())
				testkit.Await(t, "requests are answered", func() bool { return answered.Load() > before+clients || t.Failed() })
			}
			cancel()
			storm.Wait()
			for _, ended := range ends {
				if err := ended(); err != nil {
					t.Errorf("a process ends with %v", err)
				}
			}
			t.Logf("%d requests answered", answered.Load())
		})
	}
}

// converse sends some requests over a connection of its own, one after the other, as
// long as the server keeps it. It returns how many were answered.
func converse(ctx context.Context, address string, requests int) (answered int, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	answers := bufio.NewReader(conn)
	for range requests {
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return answered, fmt.Errorf("send request %d: %w", answered+1, err)
		}
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			return answered, fmt.Errorf("await answer %d: %w", answered+1, err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			return answered, fmt.Errorf("answer %d: %s, %w", answered+1, answer.Status, err)
		}
		answered++
		if answer.Close {
			return answered, nil
		}
	}
	return answered, nil
}
