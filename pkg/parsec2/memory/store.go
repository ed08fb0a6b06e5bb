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

	"parsec-server/pkg/event"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Store = (*Store)(nil)

// Store implements rules.Store: what it keeps of an organization is the state of
// its cell in the store of organizations. Its methods are safe for concurrent use.
// They fail only when their context is done before they begin, and as rules
// do.
type Store struct {
	*organizationstore.Store
	bus *event.Bus
}

// New returns an empty store that publishes to bus.
func New(bus *event.Bus) *Store {
	return &Store{organizationstore.New(bus), bus}
}

// Update implements rules.Store. The rule runs once.
func (s *Store) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	return s.Store.Update(ctx, scope.Organization, func(cell *organizationstore.Cell) ([]event.Event, error) {
		o, kept := cell.State.(*organization)
		if !kept {
			o = newOrganization(cell)
		}
		t := begin(o, scope)
		if err := t.run(rule); err != nil {
			return nil, err
		}
		if cell.State == nil {
			cell.State = o
		}
		return t.events, nil
	})
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

// lock locks the organization, false if there is nothing. The caller unlocks it
// unless there is nothing.
func (s *Store) lock(id parsec.OrganizationID) (*organization, bool) {
	cell, _ := s.Cell(id)
	cell.Lock()
	o, kept := cell.State.(*organization)
	if !kept {
		cell.Unlock()
	}
	return o, kept
}

// read locks the organization for reading, an empty one if there is none. The
// caller unlocks it unless there is an error.
func (s *Store) read(ctx context.Context, id parsec.OrganizationID) (*organization, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cell, _ := s.Cell(id)
	cell.RLock()
	if o, kept := cell.State.(*organization); kept {
		return o, nil
	}
	return &organization{Cell: cell}, nil
}

// copyOf returns a pointer to a copy of what p points to, nil for nil.
func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}
