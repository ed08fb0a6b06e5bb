package memory

import (
	"parsec-server/pkg/event"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Tx = (*tx)(nil)

// tx is a transaction on an organization whose lock is held. Nothing waits in
// it, so that its methods ignore their context.
type tx struct {
	*organizationstore.Tx
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
	// saved are the versions reencrypted, whose effect is queued.
	saved map[*version][]byte
}

func begin(under *organizationstore.Tx, o *organization, scope rules.Scope) *tx {
	t := &tx{Tx: under, organization: o, scope: scope}
	t.Locked = &t.scope
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

// Emit implements rules.Tx.
func (t *tx) Emit(e event.Event) { t.Tx.Emit(ownEvent(e)) }
