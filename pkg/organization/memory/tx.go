package memory

import (
	"bytes"
	"fmt"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ organization.Tx = (*Tx)(nil)

// Tx implements organization.Tx, under the lock of an organization. Those of the
// wings hold it.
type Tx struct {
	*Cell
	Effects

	id     parsec.OrganizationID
	events []event.Event
}

// Effects are those of a transaction, until it ends.
type Effects struct {
	// Locked is what the transaction may change, for errors.
	Locked any

	effects []func()
	// misuse is the first effect that was not allowed.
	misuse error
}

// Organization implements organization.Tx.
func (t *Tx) Organization() (*organization.Organization, bool) {
	stored := t.Cell.Organization()
	return stored, stored != nil
}

// PutOrganization implements organization.Tx.
func (t *Tx) PutOrganization(o organization.Organization) {
	stored := copyOrganization(&o)
	stored.SequesterAuthorityCertificate = bytes.Clone(o.SequesterAuthorityCertificate)
	stored.SequesterVerifyKeyDER = bytes.Clone(o.SequesterVerifyKeyDER)
	t.Queue("PutOrganization", o.ID == t.id, func() { t.stored = stored })
}

// MarkDeleted implements organization.Tx: pkg/erasure/memory goes on.
func (t *Tx) MarkDeleted(on parsec.DateTime) {
	t.Queue("MarkDeleted", t.stored != nil, func() { t.stored.DeletedOn = &on })
}

// Emit implements organization.Tx.
func (t *Tx) Emit(e event.Event) { t.events = append(t.events, ownEvent(e)) }

// ownEvent copies what the body of e shares with its producer.
func ownEvent(e event.Event) event.Event {
	if body, ok := e.Body.(event.OrganizationExpiration); ok {
		e.Body = event.OrganizationExpiration{Date: CopyOf(body.Date)}
	}
	return e
}

// Queue adds an effect that the transaction may have only if allowed.
func (t *Effects) Queue(name string, allowed bool, effect func()) {
	if t.Allow(name, allowed) {
		t.effects = append(t.effects, effect)
	}
}

// Allow fails the transaction unless allowed, and returns allowed.
func (t *Effects) Allow(name string, allowed bool) bool {
	if !allowed && t.misuse == nil {
		t.misuse = fmt.Errorf("%s is not allowed in a transaction on %+v, or out of sequence", name, t.Locked)
	}
	return allowed
}

// Apply has the effects, unless one of them was not allowed: that is the error.
func (t *Effects) Apply() error {
	if t.misuse != nil {
		return t.misuse
	}
	for _, effect := range t.effects {
		effect()
	}
	return nil
}
