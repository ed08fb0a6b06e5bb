package webhook

import (
	"log/slog"
	"sync"

	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// maxServices bounds how many sequester services are remembered.
const maxServices = 1000

// services is what is known of sequester services: whether each answers. Its methods are
// safe for concurrent use.
type services struct {
	logger *slog.Logger
	// others are those beyond the bound, taken as one.
	others *outage.Dependency

	mu    sync.Mutex
	known map[serviceKey]*outage.Dependency
}

type serviceKey struct {
	organization parsec.OrganizationID
	service      parsec.SequesterServiceID
}

func newServices(logger *slog.Logger) *services {
	return &services{logger: logger, others: newService(logger), known: map[serviceKey]*outage.Dependency{}}
}

// newService warns: who runs a service is seldom who runs the server.
func newService(logger *slog.Logger) *outage.Dependency {
	return outage.NewDependency("sequester webhook", slog.LevelWarn, logger)
}

// of returns what is known of a service. One that answers gives its place to another.
func (s *services) of(organization parsec.OrganizationID, service parsec.SequesterServiceID) *outage.Dependency {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := serviceKey{organization, service}
	if found := s.known[key]; found != nil {
		return found
	}
	if len(s.known) >= maxServices && !s.forget() {
		return s.others
	}
	found := newService(s.logger.With(slog.String("organization", organization.String()), slog.String("service", service.String())))
	s.known[key] = found
	return found
}

// forget reports whether there is a place now.
func (s *services) forget() bool {
	for key, found := range s.known {
		if found.Problem() == nil {
			delete(s.known, key)
			return true
		}
	}
	return false
}
