package parsec2

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/server"
)

const (
	// maxStrangerBytes is for commands of clients that are not authenticated:
	// the largest is pki_enrollment_submit, with several fields of 16 KiB.
	maxStrangerBytes = 64 << 10
	// A connection is pinged after silenceForPing, and found at each sweep: it
	// is silent for less than 30 s (docs/protocol/transport.md §4).
	sweepInterval  = 2 * time.Second
	silenceForPing = 24 * time.Second
	pongTimeout    = 30 * time.Second
	// presenceInterval is the time between two renewals of the presence of
	// claimers, and presenceLimit bounds each of them.
	presenceInterval = 20 * time.Second
	presenceLimit    = 10 * time.Second
)

// Options are the settings of a wing.
type Options struct {
	// MaxUnauthenticatedPerAddress bounds the WebSockets of one network that
	// are not authenticated: in their handshake, anonymous, or invited; 0 is no
	// limit.
	MaxUnauthenticatedPerAddress int
	// HandshakeTimeout bounds the time between the upgrade and the answer;
	// 0 is 10 s.
	HandshakeTimeout time.Duration
}

// Wing serves API 1 to 3. It implements server.Wing.
type Wing struct {
	server        *server.Server
	rules         *rules.Rules
	organizations *organization.Administration
	options       Options
	visitors      *visitors

	// tables and newChallenge are changed by tests.
	tables       tables
	newChallenge func() []byte

	mu          sync.Mutex
	connections map[*connection]struct{}
}

// New returns the wing of a server.
func New(s *server.Server, r *rules.Rules, organizations *organization.Administration, options Options) *Wing {
	options.HandshakeTimeout = cmp.Or(options.HandshakeTimeout, 10*time.Second)
	w := &Wing{
		server:        s,
		rules:         r,
		organizations: organizations,
		options:       options,
		visitors:      newVisitors(options.MaxUnauthenticatedPerAddress, s.StrangersBytes()/visitorBytes),
		tables:        bind(r, rules.Administration{Administration: organizations}),
		newChallenge:  newChallenge,
		connections:   map[*connection]struct{}{},
	}
	s.Every(sweepInterval, w.sweep)
	s.Every(presenceInterval, func(time.Time) { w.renewPresences() })
	return w
}

// Generation implements server.Wing.
func (*Wing) Generation() organization.Generation { return organization.Parsec2 }

// Versions implements server.Wing: there is no API 1 over HTTP.
func (*Wing) Versions() []parsec.APIVersion {
	return slices.DeleteFunc(slices.Clone(parsec.SupportedAPIVersions[:]), func(version parsec.APIVersion) bool {
		return version.Major < oldestMajorOverHTTP
	})
}

// Routes implements server.Wing (docs/protocol/transport.md §3 and §7).
func (w *Wing) Routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /ws":                              w.webSocket,
		"/anonymous/{organization}":            server.Only(w.anonymous, http.MethodPost, http.MethodGet),
		"/authenticated/{organization}":        server.Only(w.authenticated, http.MethodPost),
		"/authenticated/{organization}/events": server.Only(w.events, http.MethodGet),
		"/invited/{organization}":              server.Only(w.invited, http.MethodPost),
	}
}

// Unavailable implements server.Wing.
func (*Wing) Unavailable(answer http.ResponseWriter, _ *http.Request) { server.RefuseBusy(answer) }

// Patient implements server.Wing: clients try again by themselves.
func (*Wing) Patient() []string { return nil }

// Ready implements server.Wing.
func (w *Wing) Ready(ctx context.Context) error { return w.rules.Ready(ctx) }

// Drain implements server.Wing: WebSockets end with a going-away close frame, and
// clients connect again by themselves.
func (w *Wing) Drain() { w.each((*connection).drain) }

// Cut implements server.Wing.
func (w *Wing) Cut() { w.each((*connection).cut) }

// start runs a connection on a goroutine of its own, then on another once the
// handshake is accepted: an idle connection shall not keep the stack that the
// handshake needed. It returns false if the server is ending.
func (w *Wing) start(c *connection) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.server.Start(func() { w.run(c) }) {
		return false
	}
	w.connections[c] = struct{}{}
	return true
}

func (w *Wing) run(c *connection) {
	if c.greet() {
		w.server.Go(func() {
			defer w.remove(c)
			defer w.server.Observer().ConnectionBegun(server.WebSocket, c.caller.Kind(), c.caller.serverAPI())()
			c.live()
		})
		return
	}
	defer w.remove(c)
	c.end()
}

func (w *Wing) remove(c *connection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.connections, c)
}

func (w *Wing) each(do func(*connection)) {
	w.mu.Lock()
	connections := make([]*connection, 0, len(w.connections))
	for c := range w.connections {
		connections = append(connections, c)
	}
	w.mu.Unlock()
	for _, c := range connections {
		do(c)
	}
}

// sweep pings the connections that are silent, so that proxies keep them open
// and dead peers are noticed, and ends those of strangers that say nothing.
func (w *Wing) sweep(now time.Time) {
	w.each(func(c *connection) { c.look(now) })
}

// renewPresences renews what says to other instances which claimers are
// connected here.
func (w *Wing) renewPresences() {
	ctx, cancel := context.WithTimeout(w.server.Lasting(), presenceLimit)
	defer cancel()
	if err := w.rules.RenewPresences(ctx); err != nil && !w.server.IsDraining() {
		w.server.LogOutage(ctx, w.server.Logger(), "the presence of claimers is not renewed", err)
	}
}
