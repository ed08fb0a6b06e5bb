//go:build !without_postgresql

package postgres_test

import (
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/rules"
)

// anotherRealm returns a realm whose writers of data are run together with those of
// theRealm.
func anotherRealm(t *testing.T, store *postgres.Store, number byte) parsec.RealmID {
	t.Helper()
	realm := theRealm
	realm[15] = number
	scope := inRealm(rules.Exclusive)
	scope.Realm = realm
	change(t, store, scope, func(tx rules.Tx) {
		tx.CreateRealm(alice, rules.Certificate{Timestamp: 2, Author: aliceOne, Bytes: []byte("certificate")})
	})
	return realm
}

// inEach writes a vlob in each realm while another transaction, which changes nothing,
// has them wait, and calls done for each that is written.
func inEach(t *testing.T, store *postgres.Store, realms []parsec.RealmID, done func(parsec.RealmID)) {
	t.Helper()
	inside, goOn := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	of := func(realm parsec.RealmID) rules.Scope {
		scope := inRealm(rules.Shared)
		scope.Organization, scope.Author, scope.Realm, scope.Vlob = acme, aliceOne, realm, parsec.VlobID{9}
		return scope
	}
	first := theRealm
	first[15] = 0xff
	group.Go(func() {
		_ = store.Update(t.Context(), of(first), func(rules.Tx) error {
			close(inside)
			<-goOn
			return nil
		})
	})
	<-inside
	for _, realm := range realms {
		group.Go(func() {
			if err := store.Update(t.Context(), of(realm), write(0)); err != nil {
				t.Errorf("realm %v: %v", realm, err)
			}
			done(realm)
		})
	}
	testkit.Await(t, "all others wait", func() bool { return store.Gathered() == len(realms) })
	close(goOn)
	group.Wait()
}

// TestOneCommitForManyRealms has writers of several realms share a transaction, and each
// realm keep what is its own.
func TestOneCommitForManyRealms(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, dsn, 3, now)
	populate(t, store)
	var realms []parsec.RealmID
	for number := range byte(5) {
		realms = append(realms, anotherRealm(t, store, 0x80+number))
	}
	inEach(t, store, realms, func(parsec.RealmID) {})
	transactions := testkit.Number(t, testkit.Connect(t, dsn), "SELECT count(DISTINCT xmin::text) FROM parsec3.vlob_atom")
	if transactions != 2 {
		t.Errorf("%d transactions have written", transactions) // one of them populated
	}
	for _, realm := range append(realms, theRealm) {
		_, found, changes, err := store.Changes(t.Context(), acme, aliceOne, realm, 0)
		if err != nil || found.Checkpoint != 1 || len(changes) != 1 || changes[0].Version != 1 {
			t.Errorf("realm %v has checkpoint %d, changes %v: %v", realm, found.Checkpoint, changes, err)
		}
	}
}

// TestLockedRealmHoldsNobodyElse has one of the realms be locked by another server: its
// writer waits, and the others do not.
func TestLockedRealmHoldsNobodyElse(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store, other := open(t, dsn, 3, now), open(t, dsn, 3, now)
	populate(t, store)
	free, locked := anotherRealm(t, store, 0x81), anotherRealm(t, store, 0x80)
	inside, goOn := make(chan struct{}), make(chan struct{})
	var holder sync.WaitGroup
	scope := inRealm(rules.Exclusive)
	scope.Organization, scope.Author, scope.Realm = acme, aliceOne, locked
	holder.Go(func() {
		err := other.Update(t.Context(), scope, func(tx rules.Tx) error {
			close(inside)
			<-goOn
			tx.NameRealm(rules.Certificate{Timestamp: 200, Author: aliceOne})
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	var order []parsec.RealmID
	var mu sync.Mutex
	inEach(t, store, []parsec.RealmID{locked, free}, func(realm parsec.RealmID) {
		mu.Lock()
		defer mu.Unlock()
		if order = append(order, realm); realm == free {
			close(goOn)
		}
	})
	holder.Wait()
	if len(order) != 2 || order[0] != free {
		t.Errorf("done in the order %v", order)
	}
}
