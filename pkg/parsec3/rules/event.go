package rules

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// tellingStore tells of the events of a transaction as soon as it is committed: its
// command is not answered before.
type tellingStore struct {
	Store
	tell func(event.Event)
}

// Update implements Store.
func (s tellingStore) Update(ctx context.Context, scope Scope, rule func(Tx) error) error {
	var emitted []event.Event
	err := s.Store.Update(ctx, scope, func(tx Tx) error {
		emitted = nil
		return rule(tellingTx{tx, &emitted})
	})
	return s.told(err, emitted)
}

// ChangeOrganization implements organization.Store.
func (s tellingStore) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	var emitted []event.Event
	err := s.Store.ChangeOrganization(ctx, id, func(tx organization.Tx) error {
		emitted = nil
		return rule(tellingOrganizationTx{tx, &emitted})
	})
	return s.told(err, emitted)
}

// Say implements Store.
func (s tellingStore) Say(ctx context.Context, speech Speech, events ...event.Event) (bool, error) {
	done, err := s.Store.Say(ctx, speech, events...)
	if !done {
		return false, err
	}
	return true, s.told(err, events)
}

// told tells of events, unless there was an error, which it returns.
func (s tellingStore) told(err error, events []event.Event) error {
	if err == nil {
		for _, e := range events {
			s.tell(e)
		}
	}
	return err
}

// tellingTx adds the events of a transaction to emitted, and tellingOrganizationTx those of
// one on an organization alone.
type (
	tellingTx struct {
		Tx
		emitted *[]event.Event
	}
	tellingOrganizationTx struct {
		organization.Tx
		emitted *[]event.Event
	}
)

// Emit implements Tx.
func (t tellingTx) Emit(e event.Event) {
	*t.emitted = append(*t.emitted, e)
	t.Tx.Emit(e)
}

// Emit implements organization.Tx.
func (t tellingOrganizationTx) Emit(e event.Event) {
	*t.emitted = append(*t.emitted, e)
	t.Tx.Emit(e)
}
