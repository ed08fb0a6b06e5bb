// Package memory keeps the state of the organizations of Parsec 3 in the process,
// for tests, for trials and for the rules' own suite. It is lost at exit.
//
// Each organization has one lock: transactions hold it alone from their first
// fact to the publication of their events, so that events are published in
// commit order; readers share it. Under the lock a transaction waits for
// nothing but room in the queue of the bus, which never waits for the store.
// Rules call their transaction, never the store that runs them.
//
// The accounts, which are of no organization, have one lock.
//
// Byte slices and stored values are never changed once stored: readers get the
// bytes without copy, and copies of everything else.
//
// Effects that the scope of their transaction does not allow, or that break a
// sequence, fail the transaction: one lock for all would otherwise hide from
// tests what breaks with a store that locks less.
package memory

import (
	"cmp"
	"context"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/gather"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

var _ rules.Store = (*Store)(nil)

// Store implements rules.Store: what it keeps of an organization is the state of
// its cell in the store of organizations. Its methods are safe for concurrent use.
// They fail only when their context is done, and as rules do.
type Store struct {
	*organizationstore.Store
	updates  gather.Gatherer[rules.Topic, work]
	accounts accounts
	presence presence
}

// New returns a store on the organizations, which other generations may share.
func New(organizations *organizationstore.Store) *Store {
	s := &Store{Store: organizations, accounts: newAccounts()}
	s.updates.Run = func(ctx context.Context, take func() []*gather.Member[work]) {
		for _, m := range take() {
			m.Err = gather.Guard(func() error { return s.run(ctx, m.Work) })
		}
	}
	s.updates.Compare = func(a, b work) int { return cmp.Compare(a.scope.Date, b.scope.Date) }
	return s
}

// work is a rule with the scope of its transaction.
type work struct {
	scope rules.Scope
	rule  func(rules.Tx) error
}

// Update implements rules.Store. The rule runs once. What waits for one topic is run in
// the order of its dates, as on a database, but each in a transaction of its own.
func (s *Store) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	of := work{scope, rule}
	alone := func() error { return s.run(ctx, of) }
	topic, gathered := scope.Topic()
	if !gathered {
		return alone()
	}
	return s.updates.Do(ctx, topic, of, scope.Size, alone)
}

// Gathered counts the transactions that wait for others of their topic.
func (s *Store) Gathered() int { return s.updates.Gathered() }

func (s *Store) run(ctx context.Context, of work) error {
	return s.Store.Update(ctx, of.scope.Organization, func(under *organizationstore.Tx) error {
		return of.rule(begin(under, of.scope))
	})
}

// Publish implements rules.Store.
func (s *Store) Publish(ctx context.Context, e event.Event) error {
	return s.Store.Publish(ctx, ownEvent(e))
}

// Lag implements rules.Store: events are published before a transaction ends.
func (s *Store) Lag() time.Duration { return 0 }

// Ready implements rules.Store: memory always is.
func (s *Store) Ready(context.Context) error { return nil }

// read locks the organization for reading, an empty one if there is none or ctx
// is done. The caller unlocks it.
func (s *Store) read(ctx context.Context, id parsec.OrganizationID) (*organization, error) {
	cell, err := s.cell(ctx, id)
	cell.RLock()
	return stateOf(cell), err
}

// lock is read, but locks it alone.
func (s *Store) lock(ctx context.Context, id parsec.OrganizationID) (*organization, error) {
	cell, err := s.cell(ctx, id)
	cell.Lock()
	return stateOf(cell), err
}

func (s *Store) cell(ctx context.Context, id parsec.OrganizationID) (*organizationstore.Cell, error) {
	if err := ctx.Err(); err != nil {
		return &organizationstore.Cell{}, err
	}
	cell, _ := s.Cell(id)
	return cell, nil
}

// stateOf returns the organization of a cell that is locked, to be read alone if
// it is not of Parsec 3.
func stateOf(cell *organizationstore.Cell) *organization {
	if o, kept := cell.State.(*organization); kept {
		return o
	}
	return &organization{Cell: cell}
}
