//go:build !without_postgresql

package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// TestRestoredDatabase has a user become another row while the connections are
// lost, as after a restore: the first read already is that of the new one.
func TestRestoredDatabase(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	p := testkit.StartPostgresProxy(t, dsn)
	store := open(t, options(p.DSN), testkit.NewBus(t))
	populate(t, store)
	role := func() parsec.RealmRole {
		t.Helper()
		realm, _, _, err := store.ReadVlob(t.Context(), acme, alice, rules.VlobSelection{Vlob: theVlob, EncryptionRevision: 1})
		if err != nil {
			t.Fatal(err)
		}
		return realm.Member.Role
	}
	if got := role(); got != parsec.RoleOwner {
		t.Fatalf("the role is %q", got)
	}
	other := testkit.Connect(t, dsn)
	testkit.Execute(t, other, "UPDATE user_ SET user_id = 'former'")
	testkit.Execute(t, other, `INSERT INTO user_ (organization, user_id, profile, certificate, redacted_certificate, certifier, created_on, frozen)
		SELECT organization, 'alice', profile, certificate, redacted_certificate, certifier, created_on, frozen FROM user_`)
	p.Cut()
	if got := role(); got != parsec.RoleNone {
		t.Errorf("the new row has the role %q of the old one", got)
	}
}

// TestSessionStaysReadOnly has a connection of the pool from when the database
// was read-only: it does not stay there once it is refused.
func TestSessionStaysReadOnly(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	administrator := testkit.Connect(t, dsn)
	alter := "ALTER DATABASE " + administrator.Config().Database
	defer testkit.Execute(t, administrator, alter+" RESET default_transaction_read_only")
	testkit.Execute(t, administrator, alter+" SET default_transaction_read_only = on")
	testkit.Execute(t, administrator, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
	testkit.Await(t, "a connection that is read-only", func() bool {
		err := store.Ready(t.Context())
		return err != nil && err.Error() == "the database is read-only"
	})
	checkpoint(t, store) // The pool has one.
	testkit.Execute(t, administrator, alter+" RESET default_transaction_read_only")
	if err := updateVlob(t.Context(), store); err == nil {
		t.Fatal("no connection was left that is read-only")
	}
	if err := updateVlob(t.Context(), store); err != nil {
		t.Errorf("after it was refused: %v", err)
	}
}

// TestPruneMeetsARenewal prunes reservations while one of those that have
// expired is taken over: that one stays.
func TestPruneMeetsARenewal(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	settings := options(dsn)
	settings.Now = func() parsec.DateTime { return 1000 }
	store := open(t, settings, testkit.NewBus(t))
	populate(t, store)
	for i := range 2 {
		upload := rules.BlockUpload{ID: parsec.BlockID{byte(i)}, Token: parsec.NewUUID(), Until: 10}
		if facts, err := store.ReserveBlock(t.Context(), acme, alice, theRealm, upload, 0); err != nil || !facts.Reserved {
			t.Fatalf("%+v, %v", facts, err)
		}
	}
	other, watcher := testkit.Connect(t, dsn), testkit.Connect(t, dsn)
	testkit.Execute(t, other, "BEGIN")
	testkit.Execute(t, other, "UPDATE block SET upload_until = 2000 WHERE block_id = $1", parsec.UUID{}.String())
	pruned := make(chan error, 1)
	go func() { pruned <- store.Prune(t.Context()) }()
	testkit.Await(t, "the pruning waits", func() bool {
		return testkit.Number(t, watcher, "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) OR NOT granted AND locktype = 'transactionid'") > 0
	})
	testkit.Execute(t, other, "COMMIT")
	if err := <-pruned; err != nil {
		t.Fatal(err)
	}
	if left := testkit.Number(t, watcher, "SELECT count(*) FROM block WHERE upload_until = 2000"); left != 1 {
		t.Error("the reservation that was taken over is deleted")
	}
	if left := testkit.Number(t, watcher, "SELECT count(*) FROM block"); left != 1 {
		t.Errorf("%d reservations are left", left)
	}
}

// TestDeadlock has PostgreSQL end a transaction of the store, since it and
// another one wait for each other: it runs again.
func TestDeadlock(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	other, watcher := testkit.Connect(t, dsn), testkit.Connect(t, dsn)
	// The store finds the deadlock, and is who gives way.
	testkit.Execute(t, other, "SET deadlock_timeout = '10min'")
	testkit.Execute(t, other, "BEGIN")
	testkit.Execute(t, other, "SELECT FROM user_ FOR UPDATE")
	done, runs := make(chan error, 1), 0
	scope := rules.Scope{Organization: acme, Author: aliceOne, Realm: theRealm, By: rules.RealmExclusive}
	err := store.Update(t.Context(), scope, func(tx rules.Tx) error {
		if runs++; runs == 1 {
			go func() {
				_, err := other.Exec(t.Context(), "SELECT FROM realm FOR UPDATE")
				_, ending := other.Exec(t.Context(), "ROLLBACK")
				if err == nil {
					err = ending
				}
				done <- err
			}()
			testkit.Await(t, "the other one waits", func() bool {
				return testkit.Number(t, watcher, fmt.Sprintf("SELECT count(*) FROM pg_locks WHERE pid = %d AND NOT granted", other.PgConn().PID())) == 1
			})
		}
		_, err := tx.MessageCounts(t.Context(), []parsec.UserID{alice})
		return err
	})
	// The second run may meet the other one as well.
	if err != nil || runs < 2 {
		t.Errorf("%v after %d runs", err, runs)
	}
	if err := <-done; err != nil {
		t.Errorf("the other one: %v", err)
	}
}

// TestCommitsNotify has other stores told of what transactions commit, not of
// events that are published alone.
func TestCommitsNotify(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	listener := testkit.Connect(t, dsn)
	testkit.Execute(t, listener, "LISTEN parsec_events")
	pid := testkit.Number(t, listener, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '% events'")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	wantNotified := func(what string) {
		t.Helper()
		for {
			notification, err := listener.WaitForNotification(ctx)
			if err != nil {
				t.Fatalf("%s: no notification: %v", what, err)
			}
			if int64(notification.PID) == pid {
				return
			}
		}
	}
	_ = open(t, options(dsn), testkit.NewBus(t))
	wantNotified("another store begins")
	if err := updateVlob(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	wantNotified("a transaction commits")
}

// TestCopiesOfOneService has two organizations with services of one id: a copy
// is for that of its own.
func TestCopiesOfOneService(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	service := rules.SequesterService{ID: parsec.SequesterServiceID{1}, Label: "the same"}
	change(t, store, rules.Scope{LockOrganization: true}, func(tx rules.Tx) { tx.PutSequesterService(service) })
	other := must(parsec.ParseOrganizationID("Other"))
	err := store.Update(t.Context(), rules.Scope{Organization: other, LockOrganization: true}, func(tx rules.Tx) error {
		tx.PutOrganization(rules.Organization{ID: other})
		tx.PutSequesterService(service)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	change(t, store, rules.Scope{Vlob: theVlob, By: rules.RealmVlobUpdate}, func(tx rules.Tx) {
		tx.WriteVlob(rules.VlobVersion{Version: 2, Author: aliceOne}, 2, map[parsec.SequesterServiceID][]byte{service.ID: []byte("copy")})
	})
	if copies := testkit.Number(t, testkit.Connect(t, dsn), "SELECT count(*) FROM sequester_copy"); copies != 1 {
		t.Errorf("%d copies, want 1", copies)
	}
}
