//go:build !without_postgresql && !without_pgbouncer

package database_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
)

// pgBouncerModes are what docs/database.md has a DSN say for each mode of
// PgBouncer.
var pgBouncerModes = map[string]string{"session": "", "transaction": " default_query_exec_mode=exec"}

// TestPgBouncerMigrates has two servers migrate at once, and then serve one
// another's events.
func TestPgBouncerMigrates(t *testing.T) {
	for mode, recipe := range pgBouncerModes {
		t.Run(mode, func(t *testing.T) {
			dsn := testkit.StartPgBouncer(t, mode).DSN(testkit.NewBlankPostgres(t)) + recipe
			steps, err := database.MigrationStatus(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			var applied [2][]database.Migration
			for i := range applied {
				group.Go(func() {
					var err error
					if applied[i], err = database.Migrate(t.Context(), dsn); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			if total := len(applied[0]) + len(applied[1]); total != len(steps) {
				t.Errorf("%d migrations are applied, want %d", total, len(steps))
			}
			bus := testkit.NewBus(t)
			events := testkit.Record(t, bus, event.OrganizationTopic(acme))
			open(t, options(dsn), bus)
			publish(t, open(t, options(dsn), testkit.NewBus(t)), "from the other one")
			events.Want(ping("from the other one"))
		})
	}
}

// TestPgBouncerLimits has every statement bounded, and nothing left for whoever
// gets the session next.
func TestPgBouncerLimits(t *testing.T) {
	for mode, recipe := range pgBouncerModes {
		t.Run(mode, func(t *testing.T) {
			within := testkit.NewPostgres(t, testkit.Unsound)
			dsn := testkit.StartPgBouncer(t, mode).DSN(within) + recipe
			store := open(t, options(dsn+" lock_timeout=100ms"), testkit.NewBus(t))
			populate(t, store)
			other := testkit.Connect(t, within)
			testkit.Execute(t, other, "BEGIN")
			testkit.Execute(t, other, "LOCK TABLE entry IN ACCESS EXCLUSIVE MODE")
			if err := deposit(t.Context(), store); err == nil {
				t.Error("an entry is written without its table")
			}
			testkit.Execute(t, other, "ROLLBACK")
			if err := deposit(t.Context(), store); err != nil {
				t.Error(err)
			}
			if mode == "transaction" {
				stranger := testkit.Connect(t, dsn)
				var left string
				if err := stranger.QueryRow(t.Context(), "SELECT current_setting('lock_timeout') || current_setting('enable_seqscan')").Scan(&left); err != nil || left != "0on" {
					t.Errorf("a stranger gets %q, %v", left, err)
				}
			}
		})
	}
}

// TestPgBouncerHidesACrash has every connection to the server of the database lost, as in
// a crash. Behind a pooler of transactions that is not seen by who was idle: it is said
// all the same, after a while.
func TestPgBouncerHidesACrash(t *testing.T) {
	within := testkit.NewPostgres(t, testkit.Unsound)
	bus := testkit.NewBus(t)
	var resumed atomic.Int64
	bus.Record(func(e event.Event) {
		if e.Body == (event.Resumed{}) {
			resumed.Add(1)
		}
	})
	store := open(t, options(testkit.StartPgBouncer(t, "transaction").DSN(within)+pgBouncerModes["transaction"]), bus)
	testkit.Await(t, "events are delivered", func() bool { return resumed.Load() == 1 })
	testkit.Execute(t, testkit.Connect(t, within), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	testkit.Await(t, "the crash is allowed for", func() bool { return resumed.Load() > 1 })
	testkit.Await(t, "ready", func() bool { return store.Ready(t.Context()) == nil })
}

// TestPgBouncerWithoutRecipe has somebody forget what docs/database.md asks for:
// the first statement that meets one of another session says so.
func TestPgBouncerWithoutRecipe(t *testing.T) {
	dsn := testkit.StartPgBouncer(t, "transaction").DSN(testkit.NewPostgres(t, testkit.Unsound))
	var err error
	for i := 0; i < 20 && err == nil; i++ {
		var store *database.Database
		if store, err = database.Open(t.Context(), options(dsn), testkit.NewBus(t)); err == nil {
			var found bool
			err = store.One(t.Context(), database.Row(&found, "SELECT FROM organization WHERE organization_id = $1", []any{acme.String()}))
			store.Close()
		}
	}
	if err == nil || !strings.Contains(err.Error(), "add default_query_exec_mode=exec to the DSN") {
		t.Error(err)
	}
}
