//go:build !without_postgresql

package postgres_test

import (
	"errors"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// TestPooledConnectionsCut loses several connections while nobody uses them:
// reads, which run again once, do not meet one after the other.
func TestPooledConnectionsCut(t *testing.T) {
	const connections = 5
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	p := testkit.StartPostgresProxy(t, dsn)
	settings := options(p.DSN)
	settings.MaxConnections = connections
	store := open(t, settings, testkit.NewBus(t))
	populate(t, store)
	watcher := testkit.Connect(t, dsn)
	idle := func() int64 {
		return testkit.Number(t, watcher, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'parsec-server' AND state = 'idle'`)
	}
	for range 3 {
		var together, done sync.WaitGroup
		together.Add(connections)
		for range connections {
			done.Go(func() {
				err := store.Update(t.Context(), rules.Scope{Organization: acme}, func(rules.Tx) error {
					together.Done()
					together.Wait()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		testkit.Await(t, "all are in the pool", func() bool { return idle() == connections })
		p.Cut()
		if _, _, err := store.Realm(t.Context(), acme, theRealm, alice); err != nil {
			t.Errorf("read: %v", err)
		}
	}
}

// TestRealmCreatedMeanwhile creates a realm between the statement that locks it
// and the one that reads it: the rule sees it with its lock only.
func TestRealmCreatedMeanwhile(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	other, watcher := testkit.Connect(t, dsn), testkit.Connect(t, dsn)
	id := parsec.RealmID{7}
	scope := rules.Scope{Organization: acme, Author: aliceOne, Realm: id, By: rules.RealmExclusive}
	run := func() (found bool) {
		err := store.Update(t.Context(), scope, func(tx rules.Tx) error {
			_, found = tx.Realm()
			if !found {
				return nil
			}
			if free := testkit.Number(t, watcher, `SELECT count(*) FROM (
				SELECT FROM realm WHERE realm_id = $1 FOR NO KEY UPDATE SKIP LOCKED) free`, parsec.UUID(id).String()); free != 0 {
				t.Error("the rule works on a realm without its lock")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return found
	}
	if run() { // Prepares the statements, too.
		t.Fatal("the realm is there already")
	}
	// The facts of the author come between the lock and the facts of the realm.
	testkit.Execute(t, other, "BEGIN")
	testkit.Execute(t, other, "LOCK TABLE device IN ACCESS EXCLUSIVE MODE")
	finished := make(chan bool, 1)
	go func() { finished <- run() }()
	testkit.Await(t, "the transaction waits for the facts of its author", func() bool {
		return testkit.Number(t, watcher, "SELECT count(*) FROM pg_locks WHERE relation = 'device'::regclass AND NOT granted") == 1
	})
	testkit.Execute(t, watcher, "INSERT INTO realm (organization, realm_id, created_on) SELECT organization, $1, created_on FROM realm",
		parsec.UUID(id).String())
	testkit.Execute(t, other, "ROLLBACK")
	if !<-finished {
		t.Error("the realm is not seen")
	}
}

// TestReservationMeanwhile has a block reserved while a rule that has seen no
// reservation creates it: the rule runs again, and sees the newer one.
func TestReservationMeanwhile(t *testing.T) {
	settings := options(testkit.NewPostgres(t, testkit.Unsound))
	settings.MaxConnections = 2
	store := open(t, settings, testkit.NewBus(t))
	populate(t, store)
	block := parsec.BlockID{7}
	newer := rules.BlockUpload{ID: block, Token: parsec.NewUUID(), Until: 1000}
	errTaken := errors.New("taken")
	runs := 0
	scope := rules.Scope{Organization: acme, Author: aliceOne, Realm: theRealm, Block: block, By: rules.RealmData}
	err := store.Update(t.Context(), scope, func(tx rules.Tx) error {
		if runs++; runs == 1 {
			if facts, err := store.ReserveBlock(t.Context(), acme, alice, theRealm, newer, 0); err != nil || !facts.Reserved {
				t.Errorf("reserve: %+v, %v", facts, err)
			}
		} else if _, upload := tx.Block(); upload == nil || *upload != newer {
			t.Errorf("run %d sees the upload %+v", runs, upload)
		} else {
			return errTaken
		}
		tx.CreateBlock(rules.Block{ID: block, Realm: theRealm, Author: aliceOne, Size: 1})
		return nil
	})
	if !errors.Is(err, errTaken) || runs != 2 {
		t.Errorf("%v after %d runs", err, runs)
	}
}
