package memory

import (
	"fmt"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Tx = (*tx)(nil)

// tx is a transaction on an organization whose lock is held. Nothing waits in
// it, so that its methods ignore their context.
type tx struct {
	organization *organization
	scope        rules.Scope
	// realm and vlob are nil when they do not exist; realm may be one that
	// the transaction creates, once createsRealm.
	realm        *realm
	createsRealm bool
	vlob         *vlob
	// indexes are the last message of each recipient counted, queued
	// messages included.
	indexes map[parsec.UserID]uint64

	effects []func()
	events  []event.Event
	// undo takes back what was not queued but done, last first.
	undo []func()
	// misuse is the first effect that was not allowed.
	misuse error
}

func begin(o *organization, scope rules.Scope) *tx {
	t := &tx{organization: o, scope: scope, indexes: map[parsec.UserID]uint64{}}
	switch scope.By {
	case rules.RealmExclusive, rules.RealmData:
		t.realm = o.realms[scope.Realm]
	case rules.RealmVlobCreate:
		t.realm, t.vlob = o.realms[scope.Realm], o.vlobs[scope.Vlob]
	case rules.RealmVlobUpdate:
		if t.vlob = o.vlobs[scope.Vlob]; t.vlob != nil {
			t.realm = t.vlob.realm
		}
	}
	return t
}

// run applies the effects of rule, or nothing.
func (t *tx) run(rule func(rules.Tx) error) error {
	committed := false
	defer func() { // A rule that panics leaves nothing either.
		for i := len(t.undo) - 1; i >= 0 && !committed; i-- {
			t.undo[i]()
		}
	}()
	if err := rule(t); err != nil {
		return err
	}
	if t.misuse != nil {
		return t.misuse
	}
	committed = true
	for _, effect := range t.effects {
		effect()
	}
	return nil
}

// Emit implements rules.Tx.
func (t *tx) Emit(e event.Event) { t.events = append(t.events, ownEvent(e)) }

// queue adds an effect that the transaction may have only if allowed.
func (t *tx) queue(name string, allowed bool, effect func()) {
	if t.allow(name, allowed) {
		t.effects = append(t.effects, effect)
	}
}

// allow fails the transaction unless allowed.
func (t *tx) allow(name string, allowed bool) bool {
	if !allowed && t.misuse == nil {
		t.misuse = fmt.Errorf("%s is not allowed in a transaction on %+v, or out of sequence", name, t.scope)
	}
	return allowed
}
