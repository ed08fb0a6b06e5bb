// Package memory keeps organizations in the process. It is lost at exit.
//
// Each organization has one lock: transactions hold it alone until their events
// are published, so that these are published in commit order; readers share it.
// The stores of the wings keep their state of an organization in its Cell, under
// that lock.
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ organization.Store = (*Store)(nil)

// Store implements organization.Store. Its methods are safe for concurrent use.
// They fail only when their context is done before they begin, and as rules do.
type Store struct {
	bus *event.Bus

	// creating is held by transactions on organizations that do not exist, so
	// that asking for one leaves nothing behind. It is taken before the lock
	// of an organization, and mu after it.
	creating sync.Mutex

	mu    sync.RWMutex
	cells map[parsec.OrganizationID]*Cell
}

// New returns an empty store that publishes to bus.
func New(bus *event.Bus) *Store {
	return &Store{bus: bus, cells: map[parsec.OrganizationID]*Cell{}}
}

// Cell returns that of an organization, false and an empty one if there is none.
func (s *Store) Cell(id parsec.OrganizationID) (*Cell, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if cell, found := s.cells[id]; found {
		return cell, true
	}
	return &Cell{}, false
}

// Cells returns those of all organizations.
func (s *Store) Cells() map[parsec.OrganizationID]*Cell {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.cells)
}

// Update runs change under the lock of an organization, which need not exist,
// and publishes the events that it returns. An error of change is returned; it
// must have changed nothing then.
func (s *Store) Update(ctx context.Context, id parsec.OrganizationID, change func(*Cell) ([]event.Event, error)) error {
	cell, found := s.Cell(id)
	if !found {
		s.creating.Lock()
		defer s.creating.Unlock()
		cell, found = s.Cell(id)
	}
	cell.Lock()
	defer cell.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	events, err := change(cell)
	if err != nil {
		return err
	}
	if !found && cell.stored != nil {
		s.mu.Lock()
		s.cells[id] = cell
		s.mu.Unlock()
	}
	s.bus.Publish(events)
	return nil
}

// Organization implements organization.Store.
func (s *Store) Organization(ctx context.Context, id parsec.OrganizationID) (*organization.Organization, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	cell, found := s.Cell(id)
	cell.RLock()
	defer cell.RUnlock()
	return cell.Organization(), found, nil
}

// Organizations implements organization.Store.
func (s *Store) Organizations(ctx context.Context, after parsec.OrganizationID, limit int, until *parsec.DateTime) ([]organization.Organization, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var page []organization.Organization
	for id, cell := range s.Cells() {
		cell.RLock()
		if id.String() > after.String() && (until == nil || cell.stored.CreatedOn <= *until) {
			page = append(page, *cell.Organization())
		}
		cell.RUnlock()
	}
	slices.SortFunc(page, func(a, b organization.Organization) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return page[:min(limit, len(page))], nil
}

// ChangeOrganization implements organization.Store. The rule runs once.
func (s *Store) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	return s.Update(ctx, id, func(cell *Cell) ([]event.Event, error) {
		t := &tx{cell: cell, id: id, put: func() {}}
		if err := errors.Join(rule(t), t.misuse); err != nil {
			return nil, err
		}
		t.put()
		return t.events, nil
	})
}

// tx is a transaction on an organization whose lock is held.
type tx struct {
	cell   *Cell
	id     parsec.OrganizationID
	put    func()
	events []event.Event
	// misuse is that of PutOrganization.
	misuse error
}

// Organization implements organization.Tx.
func (t *tx) Organization() (*organization.Organization, bool) {
	stored := t.cell.Organization()
	return stored, stored != nil
}

// PutOrganization implements organization.Tx.
func (t *tx) PutOrganization(o organization.Organization) {
	if t.put = t.cell.Put(o); o.ID != t.id {
		t.misuse = fmt.Errorf("%s is put in a transaction on %s", o.ID, t.id)
	}
}

// Emit implements organization.Tx.
func (t *tx) Emit(e event.Event) { t.events = append(t.events, OwnEvent(e)) }
