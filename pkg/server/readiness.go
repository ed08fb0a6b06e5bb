package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"parsec-server/pkg/outage"
)

const (
	// probeInterval is the time between two looks at the state of organizations.
	probeInterval = 2 * time.Second
	// probeLimit is how long one may take before commands are refused.
	probeLimit = 10 * time.Second
	// readyLimit is how long whoever asks whether the server is ready waits for
	// it: less than the 5 s that are promised (docs/monitoring.md).
	readyLimit = 3 * time.Second
)

var (
	errNoAnswer = errors.New("the database does not answer")
	errDraining = errors.New("shutting down")
)

// look is one look at the state of organizations, that everybody shares who
// wants to know meanwhile: however many ask, the database is asked once.
type look struct {
	// done is closed once err is known.
	done chan struct{}
	err  error
}

// probeState finds out whether commands can run. They cannot when nobody knows.
func (s *Server) probeState() {
	if err := s.awaitLook(s.lasting, probeLimit); errors.Is(err, errNoAnswer) {
		s.become(err)
	}
}

// awaitLook returns what a look at the state finds, errNoAnswer if it finds
// nothing in time.
func (s *Server) awaitLook(ctx context.Context, limit time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l := s.look()
	select {
	case <-l.done:
		return l.err
	case <-waiting.Done():
		return errNoAnswer
	}
}

// look begins a look at the state, or returns the one that is under way.
func (s *Server) look() *look {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looking != nil {
		return s.looking
	}
	l := &look{done: make(chan struct{})}
	if s.IsDraining() {
		l.err = errDraining
		close(l.done)
		return l
	}
	s.looking = l
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(s.lasting, probeLimit)
		defer cancel()
		l.err = s.readyWings(ctx)
		s.become(l.err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.looking = nil
		close(l.done)
	})
	return l
}

// readyWings returns why a wing is not ready: the first one's reason, but that
// there is no room only if all can read.
func (s *Server) readyWings(ctx context.Context) error {
	var full error
	for _, wing := range s.wings {
		err := wing.Ready(ctx)
		if err != nil && !errors.Is(err, outage.ErrNoRoom) {
			return err
		}
		full = cmp.Or(full, err)
	}
	return full
}

// become has commands refused while there is an error, but one that there is no
// room: what is there can be read.
func (s *Server) become(err error) {
	if s.IsDraining() {
		return
	}
	if err != nil {
		s.options.Database.Lost(s.lasting, err)
	} else {
		s.options.Database.Back(s.lasting)
	}
	if errors.Is(err, outage.ErrNoRoom) {
		err = nil
	}
	s.unavailable.Store(&err)
}

// LogFailure logs that something failed: at ERROR, but for what fails because the
// database is away, which has a line of its own.
func (s *Server) LogFailure(ctx context.Context, logger *slog.Logger, message string, err error, attributes ...slog.Attr) {
	if s.options.Database.IsOf(err, outage.ErrUnavailable) {
		s.LogOutage(ctx, logger, message, err, attributes...)
		return
	}
	attributes = append(attributes, slog.Any("error", err))
	logger.LogAttrs(ctx, slog.LevelError, message, attributes...)
}

// LogOutage is LogFailure for what the database is taken to have failed, whatever the
// error.
func (s *Server) LogOutage(ctx context.Context, logger *slog.Logger, message string, err error, attributes ...slog.Attr) {
	s.options.Database.Failed(ctx, logger, message, append(attributes, slog.Any("error", err))...)
}

// whileAvailable has requests refused while no command can run. A refused handshake
// would be final for clients; they try again after this
// (docs/protocol/transport.md §13).
func (s *Server) whileAvailable(handle, refuse http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.Serving() {
			handle(w, r)
			return
		}
		refuse(w, r)
	}
}

// ready answers whether the server has what all commands need, and in its body
// whether blocks lack what they need: all servers share the block store, and
// commands that need none go on. More than that is for the log: it may name
// hosts.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	err := errDraining
	if !s.isRetired() {
		// Whoever reads "ok" sends commands at once: what was found before the
		// request is not enough.
		err = s.awaitLook(r.Context(), readyLimit)
	}
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(err.Error() + "\n"))
		return
	}
	answer := "ok\n"
	if s.options.BlockProblem != nil && s.options.BlockProblem() != nil {
		answer += "but the block store does not answer\n"
	}
	_, _ = w.Write([]byte(answer))
}
