//go:build !without_postgresql

package postgres_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// TestConnectionLost loses the connection of a transaction, or of a read.
func TestConnectionLost(t *testing.T) {
	p := testkit.StartPostgresProxy(t, testkit.NewPostgres(t, testkit.Unsound))
	store := open(t, options(p.DSN+" default_query_exec_mode=exec"), testkit.NewBus(t))
	populate(t, store)
	for _, test := range []struct {
		name    string
		fault   testkit.PostgresFault
		fails   bool
		written uint64
	}{
		{"before the facts", testkit.PostgresFault{Statement: "pg_advisory_xact_lock"}, false, 1},
		{"after the facts", testkit.PostgresFault{Statement: "pg_advisory_xact_lock", Executed: true}, false, 1},
		// Nobody knows whether COMMIT was executed: it must not be repeated.
		{"before COMMIT", testkit.PostgresFault{Statement: "COMMIT\x00"}, true, 0},
		{"after COMMIT", testkit.PostgresFault{Statement: "COMMIT\x00", Executed: true}, true, 1},
	} {
		before := checkpoint(t, store)
		p.Lose(test.fault)
		if err := updateVlob(t.Context(), store); (err != nil) != test.fails {
			t.Errorf("%s: error %v", test.name, err)
		}
		if written := checkpoint(t, store) - before; written != test.written {
			t.Errorf("%s: written %d times, want %d", test.name, written, test.written)
		}
	}
	for _, executed := range []bool{false, true} {
		p.Lose(testkit.PostgresFault{Statement: "encryption_revision", Executed: executed})
		checkpoint(t, store)
		upload := rules.BlockUpload{ID: parsec.BlockID{byte(1)}, Token: parsec.NewUUID(), Until: 1}
		p.Lose(testkit.PostgresFault{Statement: "INSERT INTO block", Executed: executed})
		facts, err := store.ReserveBlock(t.Context(), acme, alice, theRealm, upload, 0)
		if err != nil || !facts.Reserved {
			t.Errorf("reservation: %+v, %v", facts, err)
		}
		if err := store.ReleaseBlock(t.Context(), acme, upload.ID, upload.Token); err != nil {
			t.Error(err)
		}
	}
}

// TestDatabaseRestarts has all connections of the pool die while idle.
func TestDatabaseRestarts(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := testkit.OpenPostgres(t, dsn, testkit.NewBus(t))
	populate(t, store)
	var group sync.WaitGroup
	for range 7 { // Several connections are open then.
		group.Go(func() {
			if err := updateVlob(t.Context(), store); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	killer := testkit.Connect(t, dsn)
	testkit.Execute(t, killer, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	for range 7 {
		group.Go(func() {
			if err := updateVlob(t.Context(), store); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := checkpoint(t, store); got != 15 {
		t.Errorf("checkpoint %d", got)
	}
	testkit.Await(t, "ready", func() bool { return store.Ready(t.Context()) == nil })
}

// TestRulesThatFail leaves the only connection usable.
func TestRulesThatFail(t *testing.T) {
	store := open(t, options(testkit.NewPostgres(t, testkit.Unsound)), testkit.NewBus(t))
	populate(t, store)
	scope := rules.Scope{Organization: acme, Author: aliceOne, Vlob: theVlob, By: rules.RealmVlobUpdate}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is swallowed")
			}
		}()
		_ = store.Update(t.Context(), scope, func(rules.Tx) error { panic("rule") })
	}()
	refusal := errors.New("refused")
	runs := 0
	err := store.Update(t.Context(), scope, func(rules.Tx) error {
		runs++
		return refusal
	})
	if !errors.Is(err, refusal) || runs != 1 {
		t.Errorf("%v after %d runs", err, runs)
	}
	if err := updateVlob(t.Context(), store); err != nil {
		t.Error(err)
	}
}

// TestRunsAreBounded has a rule that never gets what it wants.
func TestRunsAreBounded(t *testing.T) {
	store := open(t, options(testkit.NewPostgres(t, testkit.Unsound)), testkit.NewBus(t))
	populate(t, store)
	runs := 0
	err := store.Update(t.Context(), rules.Scope{Organization: acme, LockOrganization: true}, func(tx rules.Tx) error {
		runs++
		tx.CreateUser(rules.User{ID: alice, Profile: parsec.ProfileAdmin})
		return nil
	})
	if refusal, refused := errors.AsType[*pgconn.PgError](err); !refused || refusal.Code != "23505" || runs != 10 {
		t.Errorf("%v after %d runs", err, runs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = store.Update(ctx, rules.Scope{Organization: acme, LockOrganization: true}, func(tx rules.Tx) error {
		cancel()
		tx.CreateUser(rules.User{ID: alice, Profile: parsec.ProfileAdmin})
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("abandoned: %v", err)
	}
}

// TestAbandonedCommands end their transaction all the same, and do not cost
// the connection.
func TestAbandonedCommands(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	watcher := testkit.Connect(t, dsn)
	pid := func() int64 {
		return testkit.Number(t, watcher, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'parsec-server'")
	}
	before := pid()
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		err := store.Update(ctx, rules.Scope{Organization: acme, Author: aliceOne, Realm: theRealm, By: rules.RealmExclusive}, func(tx rules.Tx) error {
			cancel()
			_, err := tx.Participants(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if after := pid(); after != before {
		t.Errorf("connection %d became %d", before, after)
	}
}

// TestTexts has characters that columns of text do not take.
func TestTexts(t *testing.T) {
	store := open(t, options(testkit.NewPostgres(t, testkit.Unsound)), testkit.NewBus(t))
	populate(t, store)
	bob := must(parsec.ParseUserID("bob"))
	user := rules.User{
		ID: bob, Profile: parsec.ProfileStandard, Certificate: []byte{}, RedactedCertificate: []byte{},
		HumanHandle: must(parsec.ParseHumanHandle("bob@example.com", "B\x00b\n")),
	}
	device := rules.Device{
		ID: must(parsec.ParseDeviceID("bob@one")), Label: must(parsec.ParseDeviceLabel("\x00")),
	}
	service := rules.SequesterService{ID: parsec.SequesterServiceID{1}, Label: "a\x00b\xff"}
	change(t, store, rules.Scope{LockOrganization: true}, func(tx rules.Tx) {
		tx.CreateUser(user)
		tx.CreateDevice(device)
		tx.PutSequesterService(service)
	})
	facts, _, err := store.UserAndDevices(t.Context(), acme, bob)
	if err != nil || facts.User.HumanHandle != user.HumanHandle || facts.Devices[0].Label != device.Label {
		t.Errorf("got %+v, %v", facts, err)
	}
	found, _, err := store.FindUsers(t.Context(), acme, rules.UserQuery{Words: []string{"b\x00B"}, Limit: 1})
	if err != nil || len(found) != 1 || found[0].ID != bob {
		t.Errorf("found %+v, %v", found, err)
	}
	services, err := store.SequesterServices(t.Context(), acme)
	if err != nil || len(services) != 1 || services[0].Label != service.Label {
		t.Errorf("got %+v, %v", services, err)
	}
}

// TestInvitationsApart has transactions and waits of one invitation not wait for
// those of another, while those of the same do.
func TestInvitationsApart(t *testing.T) {
	settings := options(testkit.NewPostgres(t, testkit.Unsound))
	settings.MaxConnections = 4
	store := open(t, settings, testkit.NewBus(t))
	populate(t, store)
	tokens := []parsec.InvitationToken{{1}, {2}}
	for _, token := range tokens {
		change(t, store, rules.Scope{}, func(tx rules.Tx) {
			tx.PutInvitation(rules.Invitation{
				Token: token, Type: parsec.InvitationDevice, Greeter: alice, Greeters: []rules.InvitationGreeter{{User: alice}},
			})
		})
	}
	scopeOf := func(token parsec.InvitationToken) rules.Scope {
		return rules.Scope{Organization: acme, Author: aliceOne, Invitation: token, Greeter: alice}
	}
	var second sync.WaitGroup
	var committing atomic.Bool // the first transaction of the invitation
	change(t, store, scopeOf(tokens[0]), func(tx rules.Tx) {
		tx.PutConduit(rules.Conduit{State: rules.ConduitCommunicate})
		other := scopeOf(tokens[1])
		if err := store.Update(t.Context(), other, func(tx rules.Tx) error {
			tx.PutConduit(rules.Conduit{State: rules.ConduitClaimerTrust})
			tx.AddPresence(parsec.UUID{3}, 1)
			return nil
		}); err != nil {
			t.Errorf("another invitation: %v", err)
		}
		if _, err := store.TakeHeard(t.Context(), acme, rules.ConduitKey{Token: tokens[1], Greeter: alice}, rules.ClaimerSide, 0); err != nil {
			t.Errorf("wait in another invitation: %v", err)
		}
		second.Go(func() {
			err := store.Update(t.Context(), scopeOf(tokens[0]), func(tx rules.Tx) error {
				if conduit, _ := tx.Conduit(); !committing.Load() || conduit.State != rules.ConduitCommunicate {
					t.Errorf("the same invitation while another transaction works on it: %+v", conduit)
				}
				return nil
			})
			if err != nil {
				t.Errorf("the same invitation: %v", err)
			}
		})
		watcher := testkit.Connect(t, settings.DSN)
		testkit.Await(t, "the second waits", func() bool {
			return testkit.Number(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 1
		})
		committing.Store(true)
	})
	second.Wait()
}
