package server_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit/pipes"
)

// maxSilence is the longest that nothing passes over a connection that lasts
// (docs/protocol/transport.md §4): proxies cut after 50 s and more.
const maxSilence = 30 * time.Second

// pipedFixture returns a fixture over pipes, inside of a bubble of synctest.
func pipedFixture(t *testing.T, network *pipes.Network, changes ...func(*options)) *fixture {
	t.Helper()
	f := newFixture(t, append(changes, func(options *options) { options.listener = network })...)
	f.ctx = t.Context() // time passes quickly here
	return f
}

// TestSilence has event streams that tell nothing begin at any time.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := pipes.New()
		f := pipedFixture(t, network, func(options *options) { options.EventStreamKeepAlive = maxSilence })
		const connections = 12
		for range connections {
			transport := &http.Transport{DialContext: network.Dial}
			defer transport.CloseIdleConnections()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.Address.HTTPOrigin()+"/authenticated/CoolOrg/events", nil)
			f.ok(err)
			request.Header.Set("Accept", "text/event-stream")
			answer, err := transport.RoundTrip(request)
			f.ok(err)
			defer answer.Body.Close()
			go func() { _, _ = io.Copy(io.Discard, answer.Body) }()
			<-time.After(7 * time.Second)
		}
		since := time.Now()
		<-time.After(5 * time.Minute)
		longest, seen := network.Silence(since)
		if longest > maxSilence || seen != connections {
			t.Errorf("silent for %s on one of %d connections", longest, seen)
		}
	})
}

// TestIdleConnectionsOutliveThoseOfProxies has a proxy send a request over a
// connection that it has not used for as long as it keeps one: Caddy 120 s,
// Heroku and Traefik 90 s.
func TestIdleConnectionsOutliveThoseOfProxies(t *testing.T) {
	for name, row := range map[string]struct {
		setting, idle time.Duration
		connections   int
	}{
		"default":             {0, 130 * time.Second, 1},
		"over":                {0, time.Hour, 2},
		"a setting":           {10 * time.Minute, 599 * time.Second, 1},
		"beyond that setting": {10 * time.Minute, 601 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := pipes.New()
				f := pipedFixture(t, network, func(options *options) { options.IdleTimeout = row.setting })
				transport := &http.Transport{DialContext: network.Dial}
				defer transport.CloseIdleConnections()
				for range 2 {
					request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.Address.HTTPOrigin()+"/healthz", nil)
					f.ok(err)
					answer, err := transport.RoundTrip(request)
					f.ok(err)
					_, _ = io.Copy(io.Discard, answer.Body)
					_ = answer.Body.Close()
					<-time.After(row.idle)
				}
				if _, connections := network.Silence(time.Now()); connections != row.connections {
					t.Errorf("%d connections", connections)
				}
			})
		})
	}
}
