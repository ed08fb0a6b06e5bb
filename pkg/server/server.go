package server

import (
	"cmp"
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

	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/throttle"
)

const (
	// maxHeaderBytes and MaxBodyBytes are the limits of an HTTP request
	// (docs/protocol/transport.md §2).
	maxHeaderBytes = 16 << 10
	// MaxBodyBytes is the largest bin plus 64 KiB.
	MaxBodyBytes = 1<<20 + 64<<10
	// limitedBurst limited commands may come from an address at once, then one
	// more each limitedInterval: many people may share that of a company.
	limitedBurst    = 100
	limitedInterval = 3 * time.Second
	retryAfter      = "1"
	// CloseTimeout is how long a peer that should end may take to do so: to
	// answer a close frame (docs/protocol/transport.md §4), to read the rest of a
	// stream.
	CloseTimeout = 500 * time.Millisecond
)

// Options are the settings of a server.
type Options struct {
	// Version is shown in the Server header in debug mode.
	Version string
	Debug   bool
	// Address is what /redirect and links of new organizations announce; nil is the one
	// by which the client that asks has reached the server.
	Address *parsec.ServerAddress
	// Scheme is that of the addresses to which /redirect leads when they are of no
	// generation; "" is that of API 1 to 3.
	Scheme parsec.Scheme
	// CORSOrigins are those whose pages may use this server in browsers.
	CORSOrigins []parsec.Origin
	// WebApp is the folder of the web application, "" for none. Its files may change.
	WebApp string
	// Clients are the pages about the applications, those of the project if zero.
	Clients parsec.Clients
	// EnforceHTTPS redirects requests that carry this header with another
	// value; nil lets every request pass (docs/protocol/transport.md §10).
	EnforceHTTPS *ForwardedProto
	// TrustedProxies are believed when they name the client's address, or the
	// protocol that it came by.
	TrustedProxies []netip.Prefix
	// TrustsProxy reports whether an address is of another trusted proxy, whose address
	// may change; nil for none. It must not wait.
	TrustsProxy func(netip.Addr) bool
	// StrictTransport has browsers that came by TLS come by nothing else.
	StrictTransport bool
	// EventStreamKeepAlive is the longest silence of an event stream, before
	// whose end it sends a comment; 0 or less for never.
	EventStreamKeepAlive time.Duration
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
	// Elapsed is a clock that is never set, from any instant on, which limits
	// how often something is asked for; the system's if nil.
	Elapsed func() time.Duration
	// IdleTimeout bounds how long an HTTP connection waits for another request;
	// 0 is 150 s. Proxies meet the end of a connection with a 502, so it must be
	// longer than theirs.
	IdleTimeout time.Duration
	// Database is told whether what the wings keep state in can be used; nil makes one
	// for this server alone.
	Database *outage.Dependency
	// BlockProblem returns why blocks cannot be stored or read, nil if they can;
	// nil for a store that never fails. It must not wait.
	BlockProblem func() error
	// Observer is nil for none.
	Observer Observer
}

// ForwardedProto is a header and the value that it must have.
type ForwardedProto struct{ Header, Value string }

// Server serves clients. Its zero value is not usable.
type Server struct {
	organizations *organization.Administration
	wings         []Wing
	logger        *slog.Logger
	options       Options
	now           func() parsec.DateTime
	handler       http.Handler
	http          *http.Server
	// http2 speaks HTTP/2 on the connections of http.
	http2 *http.Server
	// strangers is what may be received of clients that are not authenticated,
	// users what the messages and replies of the others may be.
	strangers, users *budget
	// writes are those of strangers.
	writes *throttle.Throttle

	// commands is cancelled at the end of the grace period.
	commands       context.Context
	cancelCommands context.CancelFunc
	// lasting is cancelled when the server must end what lasts.
	lasting      context.Context
	endOfLasting context.CancelFunc
	// work counts the goroutines of the wings, and the watch.
	work sync.WaitGroup
	// connections are those of HTTP, and streams what is sent on some.
	connections connections
	streams     eventStreams
	// retired is what comes after this server, nil while it is to go on.
	retired atomic.Pointer[lifecycle.Succession]
	// unavailable is why no command can run, nil while they can.
	unavailable atomic.Pointer[error]
	// looking is the look at the state that is under way, nil for none; mu
	// guards it.
	looking *look

	// mu guards the beginning of the end: nothing is started once lasting is
	// cancelled.
	mu sync.Mutex
}

// New returns a server with the wings that are built on it; Shutdown ends what it
// starts.
func New(organizations *organization.Administration, now func() parsec.DateTime, logger *slog.Logger, options Options, wings ...func(*Server) Wing) *Server {
	options.HeaderTimeout = cmp.Or(options.HeaderTimeout, 10*time.Second)
	options.BodyTimeout = cmp.Or(options.BodyTimeout, 60*time.Second)
	options.WriteTimeout = cmp.Or(options.WriteTimeout, 45*time.Second)
	options.IdleTimeout = cmp.Or(options.IdleTimeout, 150*time.Second)
	options.Scheme = cmp.Or(options.Scheme, parsec.Parsec2Scheme)
	options.Clients = cmp.Or(options.Clients, parsec.DefaultClients())
	options.Observer = cmp.Or[Observer](options.Observer, Unobserved{})
	options.Database = cmp.Or(options.Database, outage.NewDependency(outage.Database, slog.LevelError, logger))
	memory := memoryOf(options.Memory)
	s := &Server{
		organizations: organizations,
		logger:        logger,
		options:       options,
		now:           now,
		strangers:     newBudget(memory/strangersPart, networkPart),
		users:         newBudget(memory/usersPart, userPart),
		writes:        throttle.New(limitedBurst, limitedInterval, options.Elapsed),
		connections:   connections{waiting: map[net.Conn]time.Time{}},
		streams:       eventStreams{open: map[*OpenStream]struct{}{}},
	}
	s.commands, s.cancelCommands = context.WithCancel(context.Background())
	s.lasting, s.endOfLasting = context.WithCancel(context.Background())
	for _, build := range wings {
		s.wings = append(s.wings, build(s))
	}
	s.handler = s.routes()
	s.http = &http.Server{
		Handler:           s.handler,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: options.HeaderTimeout,
		IdleTimeout:       options.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ConnState:         s.track,
		HTTP2:             http2Limits(options.WriteTimeout),
	}
	s.configureHTTP2()
	s.Every(probeInterval, func(time.Time) { s.probeState() })
	return s
}

// Handler returns what serves everything.
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

// track is called by net/http with what becomes of a connection.
func (s *Server) track(conn net.Conn, state http.ConnState) {
	s.connections.track(conn, state)
	if tracking, ok := conn.(interface{ track(state http.ConnState) }); ok {
		tracking.track(state)
	}
}

// Serving reports whether commands can run, as last found.
func (s *Server) Serving() bool {
	err := s.unavailable.Load()
	return err == nil || *err == nil
}

// Start runs work that Shutdown waits for. It returns false if the server is
// ending: then work does not run.
func (s *Server) Start(work func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.IsDraining() {
		return false
	}
	s.work.Go(work)
	return true
}

// Go runs work that Shutdown waits for. It is called by such work, and while a
// wing is built.
func (s *Server) Go(work func()) { s.work.Go(work) }

// Every runs do at intervals, until the server ends what lasts.
func (s *Server) Every(interval time.Duration, do func(now time.Time)) {
	s.work.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				s.once(now, do)
			case <-s.lasting.Done():
				return
			}
		}
	})
}

// once keeps a panic from ending the process: the next time may go well.
func (s *Server) once(now time.Time, do func(now time.Time)) {
	defer func() {
		if cause := recover(); cause != nil {
			s.tellPanic(cause)
		}
	}()
	do(now)
}

// Commands is done at the end of the grace period: what runs is abandoned.
func (s *Server) Commands() context.Context { return s.commands }

// Lasting is done when the server must end what lasts.
func (s *Server) Lasting() context.Context { return s.lasting }

// Observer returns the observer that a wing tells what it does.
func (s *Server) Observer() Observer { return s.options.Observer }

// Logger returns the logger of the server.
func (s *Server) Logger() *slog.Logger { return s.logger }

// Now returns the time.
func (s *Server) Now() parsec.DateTime { return s.now() }

// BodyTimeout returns how long the body of a request may take.
func (s *Server) BodyTimeout() time.Duration { return s.options.BodyTimeout }

// StrangersBytes returns what strangers may make the server hold, in bytes.
func (s *Server) StrangersBytes() int { return s.strangers.total }
