// Package memory keeps the state of every organization in the process, for
// tests, for trials and for the rules' own suite. It is lost at exit.
//
// Each organization has one lock: transactions hold it alone from their first
// fact to the publication of their events, so that events are published in
// commit order; readers share it. Under the lock a transaction waits for
// nothing but room in the queue of the bus, which never waits for the store.
// Rules call their transaction, never the store that runs them.
//
// Byte slices and stored values are never changed once stored: readers get the
// bytes without copy, and copies of everything else. What no method returns
// is not kept: archiving certificates, sequester copies.
//
// Effects that the scope of their transaction does not allow, or that break a
// sequence, fail the transaction: one lock for all would otherwise hide from
// tests what breaks with a store that locks less.
package memory

import (
	"context"
	"sync"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Store = (*Store)(nil)

// Store implements rules.Store. Its methods are safe for concurrent use.
// They fail only when their context is done before they begin, and as rules
// do.
type Store struct {
	bus *event.Bus

	// creating is held by transactions on organizations that do not exist, so
	// that asking for one leaves nothing behind. It is taken before the lock
	// of an organization, and mu after it.
	creating sync.Mutex

	mu            sync.RWMutex
	organizations map[parsec.OrganizationID]*organization
}

// New returns an empty store that publishes to bus.
func New(bus *event.Bus) *Store {
	return &Store{bus: bus, organizations: map[parsec.OrganizationID]*organization{}}
}

// Update implements rules.Store. The rule runs once.
func (s *Store) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	target, found := s.lookup(scope.Organization)
	if !found {
		s.creating.Lock()
		defer s.creating.Unlock()
		if target, found = s.lookup(scope.Organization); !found {
			target = newOrganization()
		}
	}
	target.mu.Lock()
	defer target.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	t := begin(target, scope)
	if err := t.run(rule); err != nil {
		return err
	}
	if !found && target.facts != nil {
		s.mu.Lock()
		s.organizations[scope.Organization] = target
		s.mu.Unlock()
	}
	s.bus.Publish(t.events)
	return nil
}

// Publish implements rules.Store.
func (s *Store) Publish(ctx context.Context, e event.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.bus.Publish([]event.Event{ownEvent(e)})
	return nil
}

// Ready implements rules.Store: memory always is.
func (s *Store) Ready(context.Context) error { return nil }

func (s *Store) lookup(id parsec.OrganizationID) (*organization, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, found := s.organizations[id]
	return o, found
}

// read locks the organization for reading, an empty one if there is none. The
// caller unlocks it unless there is an error.
func (s *Store) read(ctx context.Context, id parsec.OrganizationID) (*organization, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o, found := s.lookup(id)
	if !found {
		o = &organization{}
	}
	o.mu.RLock()
	return o, nil
}

// copyOf returns a pointer to a copy of what p points to, nil for nil.
func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}
