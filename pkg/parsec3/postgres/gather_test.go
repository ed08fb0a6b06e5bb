//go:build !without_postgresql

package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/rules"
)

// together runs rules in the realm, while another one that changes nothing has its
// commit wait for release. It returns their errors.
func together(t *testing.T, store *postgres.Store, scope rules.Scope, release func(), all ...func(tx rules.Tx) error) []error {
	t.Helper()
	scope.Organization, scope.Author = acme, aliceOne
	errs := make([]error, len(all))
	inside, goOn := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		if err := store.Update(t.Context(), scope, func(rules.Tx) error {
			close(inside)
			<-goOn
			return nil
		}); err != nil {
			t.Errorf("the first one: %v", err)
		}
	})
	<-inside
	for i, rule := range all {
		of := scope
		of.Date, of.Vlob = parsec.DateTime(i), parsec.VlobID{9, byte(i)}
		group.Go(func() { errs[i] = store.Update(t.Context(), of, rule) })
	}
	testkit.Await(t, "all others wait", func() bool { return store.Gathered() == len(all) })
	release()
	close(goOn)
	group.Wait()
	return errs
}

// write returns a rule that writes the next version of a vlob of together.
func write(i int) func(tx rules.Tx) error {
	return func(tx rules.Tx) error {
		tx.WriteVlob(rules.VlobVersion{
			Vlob: parsec.VlobID{9, byte(i)}, Version: tx.Vlob() + 1, KeyIndex: 1, Author: aliceOne, Timestamp: parsec.DateTime(10 + i), Blob: []byte("blob"),
		})
		return nil
	}
}

// writes are of so many vlobs.
func writesOf(count int) (all []func(tx rules.Tx) error) {
	for i := range count {
		all = append(all, write(i))
	}
	return all
}

// TestOneCommitForMany has what waits for one realm take as many round trips together
// as one alone.
func TestOneCommitForMany(t *testing.T) {
	const count = 20
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	proxy := testkit.StartPostgresProxy(t, dsn)
	store := open(t, proxy.DSN, 1, now)
	populate(t, store)
	var before int64
	errs := together(t, store, onVlob(), func() { before = proxy.Waits.Load() }, writesOf(count)...)
	for i, err := range errs {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	const ofTheFirst, ofAll = 1, 2
	if trips := proxy.Waits.Load() - before; trips != ofTheFirst+ofAll {
		t.Errorf("%d round trips", trips)
	}
	checkWritten(t, store, count)
	if transactions := testkit.Number(t, testkit.Connect(t, dsn), "SELECT count(DISTINCT xmin::text) FROM parsec3.vlob_atom"); transactions != 2 {
		t.Errorf("%d transactions have written", transactions) // one of them populated
	}
}

// checkWritten wants so many vlobs of one version, beside the first one, and a log
// without gap.
func checkWritten(t *testing.T, store *postgres.Store, count int) {
	t.Helper()
	_, realm, changes, err := store.Changes(t.Context(), acme, aliceOne, theRealm, 0)
	if err != nil || realm.Checkpoint != uint64(1+count) || len(changes) != 1+count {
		t.Errorf("checkpoint %d, %d changes: %v", realm.Checkpoint, len(changes), err)
	}
	for _, change := range changes {
		if change.Version != 1 {
			t.Errorf("vlob %x has %d versions", change.Vlob, change.Version)
		}
	}
}

// TestFaultOfOne has who makes a transaction fail be told alone: the others are done.
func TestFaultOfOne(t *testing.T) {
	store := open(t, testkit.NewPostgres(t, testkit.Unsound), 3, now)
	populate(t, store)
	unknown := func(tx rules.Tx) error { // which a foreign key refuses
		tx.SetRole(parsec3.UserID{0xbb}, parsec.RoleReader, nil, rules.Certificate{Timestamp: 100, Author: aliceOne})
		return nil
	}
	name := func(date parsec.DateTime) func(tx rules.Tx) error {
		return func(tx rules.Tx) error {
			tx.NameRealm(rules.Certificate{Timestamp: date, Author: aliceOne})
			return nil
		}
	}
	errs := together(t, store, inRealm(rules.Exclusive), func() {}, name(200), unknown, name(300))
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("the others get %v and %v", errs[0], errs[2])
	}
	if errs[1] == nil || errors.Is(errs[1], outage.ErrUnavailable) {
		t.Errorf("who is at fault gets %v", errs[1])
	}
}

// TestLostTogether loses the connection of a transaction of several: before its commit
// is sent they run again, and afterwards they are told that nobody knows. Nothing is
// done twice.
func TestLostTogether(t *testing.T) {
	const count = 5
	for _, test := range []struct {
		statement string
		executed  bool
		// unknown reports that the outcome is not known, and there that all is done.
		unknown, there bool
	}{
		{"FROM unnest($2::uuid[])", false, false, true},
		{"INSERT INTO parsec3.vlob_atom", false, true, false},
		{"INSERT INTO parsec3.vlob_atom", true, true, true},
	} {
		t.Run(fmt.Sprint(strings.Fields(test.statement)[0], test.executed), func(t *testing.T) {
			dsn := testkit.NewPostgres(t, testkit.Unsound)
			proxy := testkit.StartPostgresProxy(t, dsn)
			store := open(t, proxy.DSN+" default_query_exec_mode=exec", 1, now)
			populate(t, store)
			errs := together(t, store, onVlob(), func() {
				proxy.Lose(testkit.PostgresFault{Statement: test.statement, Executed: test.executed})
			}, writesOf(count)...)
			for i, err := range errs {
				if errors.Is(err, outage.ErrUnavailable) != test.unknown || (err != nil) != test.unknown {
					t.Errorf("write %d: %v", i, err)
				}
			}
			reader := open(t, dsn, 1, now)
			if test.there {
				checkWritten(t, reader, count)
			} else {
				checkWritten(t, reader, 0)
			}
		})
	}
}
