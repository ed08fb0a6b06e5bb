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

// Update runs rule once, under the lock of an organization, which need not exist.
// Unless it fails, or misused its transaction, its effects are applied and its
// events published.
func (s *Store) Update(ctx context.Context, id parsec.OrganizationID, rule func(*Tx) error) error {
	for {
		err := s.update(ctx, id, rule)
		if !errors.Is(err, errRemoved) {
			return err
		}
	}
}

// errRemoved is of a transaction on an organization that was removed while it waited.
var errRemoved = errors.New("removed meanwhile")

func (s *Store) update(ctx context.Context, id parsec.OrganizationID, rule func(*Tx) error) error {
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
	if cell.removed {
		return errRemoved
	}
	t := &Tx{Cell: cell, id: id}
	t.Locked = &t.id
	if err := rule(t); err != nil {
		return err
	}
	if err := t.Apply(); err != nil {
		return err
	}
	if !found && cell.stored != nil {
		s.mu.Lock()
		s.cells[id] = cell
		s.mu.Unlock()
	}
	s.bus.Publish(t.events)
	return nil
}

// Remove removes an organization, and tells who waits for it that it is expired.
func (s *Store) Remove(id parsec.OrganizationID) {
	cell, found := s.Cell(id)
	if !found {
		return
	}
	cell.Lock()
	defer cell.Unlock()
	if cell.removed {
		return
	}
	s.mu.Lock()
	delete(s.cells, id)
	s.mu.Unlock()
	s.bus.Publish([]event.Event{{Organization: id, Body: event.OrganizationExpiration{Date: cell.Organization().ExpirationDate}}})
	cell.stored, cell.State, cell.removed = nil, nil, true
}

// Publish publishes an event that comes with no change of state.
func (s *Store) Publish(ctx context.Context, e event.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.bus.Publish([]event.Event{ownEvent(e)})
	return nil
}

// Organization implements organization.Store.
func (s *Store) Organization(ctx context.Context, id parsec.OrganizationID) (*organization.Organization, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	cell, _ := s.Cell(id)
	cell.RLock()
	defer cell.RUnlock()
	stored := cell.Organization()
	return stored, stored != nil, nil
}

// Organizations implements organization.Store.
func (s *Store) Organizations(ctx context.Context, after parsec.OrganizationID, limit int, until *parsec.DateTime) ([]organization.Organization, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var page []organization.Organization
	for id, cell := range s.Cells() {
		cell.RLock()
		if cell.stored != nil && id.String() > after.String() && (until == nil || cell.stored.CreatedOn <= *until) {
			page = append(page, *cell.Organization())
		}
		cell.RUnlock()
	}
	slices.SortFunc(page, func(a, b organization.Organization) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return page[:min(limit, len(page))], nil
}

// ChangeOrganization implements organization.Store. The rule runs once.
func (s *Store) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	return s.Update(ctx, id, func(t *Tx) error { return rule(t) })
}
