package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/throttle"
)

const (
	// maxHeaderBytes, maxBodyBytes and their time limits are for HTTP
	// (docs/protocol/transport.md §2): the largest bin plus 64 KiB.
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 1<<20 + 64<<10
	// maxStrangerBytes is for commands of clients that are not authenticated:
	// the largest is pki_enrollment_submit, with several fields of 16 KiB.
	maxStrangerBytes = 64 << 10
	// limitedBurst limited commands may come from an address at once, then one
	// more each limitedInterval: many people may share that of a company.
	limitedBurst    = 100
	limitedInterval = 3 * time.Second
	retryAfter      = "1"
	// A connection is pinged after silenceForPing, and found at each sweep: it
	// is silent for less than 30 s (docs/protocol/transport.md §4).
	sweepInterval  = 2 * time.Second
	silenceForPing = 24 * time.Second
	pongTimeout    = 30 * time.Second
	// closeTimeout is how long a peer that should end may take to do so: to
	// answer a close frame (docs/protocol/transport.md §4), to send the request
	// that it connected for, to read the rest of a stream.
	closeTimeout = 500 * time.Millisecond
)

// Options are the settings of a server.
type Options struct {
	// Version is shown in the Server header in debug mode.
	Version string
	Debug   bool
	// Address is what /redirect announces; nil answers 501.
	Address *parsec.ServerAddress
	// EnforceHTTPS redirects requests that carry this header with another
	// value; nil lets every request pass (docs/protocol/transport.md §10).
	EnforceHTTPS *ForwardedProto
	// MaxUnauthenticatedPerAddress bounds the WebSockets of one network that
	// are not authenticated: in their handshake, anonymous, or invited; 0 is no
	// limit.
	MaxUnauthenticatedPerAddress int
	// TrustedProxies are believed when they name the client's address, or the
	// protocol that it came by.
	TrustedProxies []netip.Prefix
	// StrictTransport has browsers that came by TLS come by nothing else.
	StrictTransport bool
	// EventStreamKeepAlive is the longest silence of an event stream, before
	// whose end it sends a comment; 0 or less for never.
	EventStreamKeepAlive time.Duration
	// HandshakeTimeout bounds the time between the upgrade and the answer;
	// 0 is 10 s.
	HandshakeTimeout time.Duration
	// HeaderTimeout bounds the time that the head of a request may take; 0 is
	// 10 s.
	HeaderTimeout time.Duration
	// BodyTimeout bounds the time that the body of a request may take, and a
	// message of a WebSocket for each MiB; 0 is 60 s.
	BodyTimeout time.Duration
	// Memory is what the process may use, in bytes: what it holds for strangers,
	// and for users, is bounded by parts of it. 0 is what GOMEMLIMIT says.
	Memory int64
	// WriteTimeout bounds how long a write may make no progress; 0 is 45 s.
	WriteTimeout time.Duration
	// Elapsed is a clock that is never set, from any instant on, which tells how
	// often something is asked for; nil is that of the system.
	Elapsed func() time.Duration
	// IdleTimeout bounds how long an HTTP connection waits for another request;
	// 0 is 150 s. Proxies meet the end of a connection with a 502, so it must be
	// longer than theirs.
	IdleTimeout time.Duration
	// BlockProblem tells why blocks cannot be stored or read, nil if they can;
	// nil for a store that never fails. It must not wait.
	BlockProblem func() error
	// Observer is nil for none.
	Observer Observer
}

// ForwardedProto is a header and the value that it must have.
type ForwardedProto struct{ Header, Value string }

// Server serves clients. Its zero value is not usable.
type Server struct {
	rules         *rules.Rules
	organizations *organization.Administration
	logger        *slog.Logger
	options       Options
	now           func() parsec.DateTime
	handler       http.Handler
	http          *http.Server
	visitors      *visitors
	// strangers is what may be received of clients that are not authenticated,
	// users what the messages and replies of the others may be.
	strangers, users *budget
	// writes are those of strangers.
	writes *throttle.Throttle

	// tables and newChallenge are changed by tests.
	tables       tables
	newChallenge func() []byte

	// commands is cancelled at the end of the grace period.
	commands       context.Context
	cancelCommands context.CancelFunc
	// lasting is cancelled when the server must end what lasts.
	lasting      context.Context
	endOfLasting context.CancelFunc
	// work counts the goroutines of connections, the sweeper, and the watch.
	work sync.WaitGroup
	// silent are the connections that have sent no request yet.
	silent silentConns
	// unavailable is why no command can run, nil while they can.
	unavailable atomic.Pointer[error]
	// looking is the look at the state that is under way, nil for none; mu
	// guards it.
	looking *look

	// mu guards connections, and the beginning of the end: none is started
	// once lasting is cancelled.
	mu          sync.Mutex
	connections map[*connection]struct{}
}

// New returns a server; Shutdown ends what it starts.
func New(b *rules.Rules, organizations *organization.Administration, now func() parsec.DateTime, logger *slog.Logger, options Options) *Server {
	if options.HandshakeTimeout == 0 {
		options.HandshakeTimeout = 10 * time.Second
	}
	if options.HeaderTimeout == 0 {
		options.HeaderTimeout = 10 * time.Second
	}
	if options.BodyTimeout == 0 {
		options.BodyTimeout = 60 * time.Second
	}
	if options.WriteTimeout == 0 {
		options.WriteTimeout = 45 * time.Second
	}
	if options.IdleTimeout == 0 {
		options.IdleTimeout = 150 * time.Second
	}
	if options.Observer == nil {
		options.Observer = Unobserved{}
	}
	memory := memoryOf(options.Memory)
	strangers := strangersBudget(memory)
	s := &Server{
		rules:         b,
		organizations: organizations,
		logger:        logger,
		options:       options,
		now:           now,
		strangers:     strangers,
		users:         usersBudget(memory),
		visitors:      newVisitors(options.MaxUnauthenticatedPerAddress, strangers.total/visitorBytes),
		writes:        throttle.New(limitedBurst, limitedInterval, options.Elapsed),
		tables:        bind(b, rules.Administration{Administration: organizations}),
		newChallenge:  newChallenge,
		connections:   map[*connection]struct{}{},
		silent:        silentConns{conns: map[net.Conn]struct{}{}},
	}
	s.commands, s.cancelCommands = context.WithCancel(context.Background())
	s.lasting, s.endOfLasting = context.WithCancel(context.Background())
	s.handler = s.routes()
	s.http = &http.Server{
		Handler:           s.handler,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: options.HeaderTimeout,
		IdleTimeout:       options.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ConnState:         s.track,
	}
	s.work.Go(s.sweep)
	s.work.Go(s.watchState)
	s.work.Go(s.keepPresences)
	return s
}

// Handler serves everything.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve accepts connections until the listener is closed, by its owner or by
// Shutdown; then it returns nil.
func (s *Server) Serve(listener net.Listener) error {
	s.probeState()
	if err := s.http.Serve(escapesListener{listener}); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// track is told by net/http what becomes of a connection.
func (s *Server) track(conn net.Conn, state http.ConnState) {
	s.silent.track(conn, state)
	if mended, ok := conn.(*escapesConn); ok {
		mended.track(state)
	}
}

// Serving tells whether commands can run, as last found.
func (s *Server) Serving() bool {
	err := s.unavailable.Load()
	return err == nil || *err == nil
}

// start runs a connection on a goroutine of its own, then on another once the
// handshake is accepted: an idle connection shall not keep the stack that the
// handshake needed. It returns false if the server is ending.
func (s *Server) start(c *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		return false
	}
	s.connections[c] = struct{}{}
	s.work.Go(func() {
		if c.greet() {
			s.work.Go(func() {
				defer s.remove(c)
				defer s.options.Observer.ConnectionBegun(WebSocket, c.caller.kind.String(), c.caller.serverAPI())()
				c.live()
			})
			return
		}
		defer s.remove(c)
		c.end()
	})
	return true
}

func (s *Server) remove(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, c)
}

func (s *Server) each(do func(*connection)) {
	s.mu.Lock()
	connections := make([]*connection, 0, len(s.connections))
	for c := range s.connections {
		connections = append(connections, c)
	}
	s.mu.Unlock()
	for _, c := range connections {
		do(c)
	}
}

// sweep pings the connections that are silent, so that proxies keep them open
// and dead peers are noticed, and ends those of strangers that say nothing.
func (s *Server) sweep() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.each(func(c *connection) { c.look(now) })
		case <-s.lasting.Done():
			return
		}
	}
}
