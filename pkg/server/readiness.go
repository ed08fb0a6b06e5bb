package server

import (
	"context"
	"net/http"
	"time"
)

const (
	// probeInterval is the time between two looks at the state of organizations.
	probeInterval = 2 * time.Second
	// probeLimit bounds each of them.
	probeLimit = 10 * time.Second
)

// watchState looks after the state of organizations until the server ends what
// lasts.
func (s *Server) watchState() {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.probeState()
		case <-s.lasting.Done():
			return
		}
	}
}

// probeState finds out whether commands can run.
func (s *Server) probeState() {
	ctx, cancel := context.WithTimeout(s.lasting, probeLimit)
	defer cancel()
	err := s.backend.Serving(ctx)
	if s.isDraining() {
		return
	}
	before := s.unavailable.Swap(&err)
	switch {
	case err != nil && (before == nil || *before == nil || (*before).Error() != err.Error()):
		s.logger.Warn("not serving", "error", err)
	case err == nil && before != nil && *before != nil:
		s.logger.Info("serving again")
	}
}

// whileAvailable refuses requests while no command can run. A refused handshake
// would be final for clients; they try again after this
// (docs/protocol/transport.md §13).
func (s *Server) whileAvailable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Serving() {
			next.ServeHTTP(w, r)
			return
		}
		refuseBusy(w)
	})
}
