package server

import (
	"context"
	"time"
)

const (
	// presenceInterval is the time between two renewals of what tells other
	// instances which claimers are connected here.
	presenceInterval = 20 * time.Second
	// presenceLimit bounds each of them.
	presenceLimit = 10 * time.Second
)

// keepPresences renews until the server ends what lasts.
func (s *Server) keepPresences() {
	ticker := time.NewTicker(presenceInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.renewPresences()
		case <-s.lasting.Done():
			return
		}
	}
}

func (s *Server) renewPresences() {
	ctx, cancel := context.WithTimeout(s.lasting, presenceLimit)
	defer cancel()
	if err := s.rules.RenewPresences(ctx); err != nil && !s.isDraining() {
		s.logger.Warn("the presence of claimers is not renewed", "error", err)
	}
}
