//go:build !without_postgresql

package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
)

// TestUnavailable has what fails for now told from what is wrong.
func TestUnavailable(t *testing.T) {
	setUp := func(t *testing.T, parameters string) (store *postgres.Store, p *testkit.PostgresProxy, database string) {
		database = testkit.NewPostgres(t, testkit.Unsound)
		p = testkit.StartPostgresProxy(t, database)
		store = open(t, options(p.DSN+" default_query_exec_mode=exec"+parameters), testkit.NewBus(t))
		populate(t, store)
		return store, p, database
	}
	want := func(t *testing.T, what string, err error) {
		t.Helper()
		if !errors.Is(err, outage.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	read := func(t *testing.T, store *postgres.Store) error {
		_, _, err := store.Organization(t.Context(), acme)
		return err
	}
	t.Run("schema", func(t *testing.T) {
		store := open(t, options(testkit.NewBlankPostgres(t)), testkit.NewBus(t))
		want(t, "read", read(t, store))
		want(t, "write", updateVlob(t.Context(), store))
	})
	t.Run("no database", func(t *testing.T) {
		store, p, _ := setUp(t, "")
		p.Refusals.Store(1 << 40)
		p.Cut()
		want(t, "read", read(t, store))
		want(t, "write", updateVlob(t.Context(), store))
	})
	t.Run("lost while it commits", func(t *testing.T) {
		store, p, _ := setUp(t, "")
		p.Lose(testkit.PostgresFault{Statement: "COMMIT\x00", Executed: true})
		want(t, "write", updateVlob(t.Context(), store))
	})
	for name, limit := range map[string]string{"locked": "lock_timeout", "slow": "statement_timeout"} {
		t.Run(name, func(t *testing.T) {
			store, _, database := setUp(t, " "+limit+"=500ms")
			other := testkit.Connect(t, database)
			testkit.Execute(t, other, "BEGIN")
			testkit.Execute(t, other, "LOCK TABLE organization, vlob_atom IN ACCESS EXCLUSIVE MODE")
			want(t, "read", read(t, store))
			want(t, "write", updateVlob(t.Context(), store))
		})
	}
	for name, condition := range map[string]string{
		"disk full": "disk_full", "memory": "out_of_memory", "disk broken": "io_error", "stopping": "admin_shutdown",
		"read-only": "read_only_sql_transaction", "deadlocks": "deadlock_detected",
	} {
		t.Run(name, func(t *testing.T) {
			store, _, database := setUp(t, "")
			refuseWrites(t, testkit.Connect(t, database), condition)
			want(t, "write", updateVlob(t.Context(), store))
		})
	}
	t.Run("wrong", func(t *testing.T) {
		store, _, database := setUp(t, "")
		refuseWrites(t, testkit.Connect(t, database), "check_violation")
		broken := errors.New("the rule says no")
		for _, err := range []error{
			updateVlob(t.Context(), store),
			store.Update(t.Context(), rules.Scope{Organization: acme}, func(rules.Tx) error { return broken }),
		} {
			if err == nil || errors.Is(err, outage.ErrUnavailable) {
				t.Errorf("available for now only: %v", err)
			}
		}
	})
}

// refuseWrites has versions of vlobs refused with a condition of PostgreSQL
// until the test ends.
func refuseWrites(t *testing.T, administrator *pgx.Conn, condition string) {
	t.Helper()
	testkit.Execute(t, administrator, `CREATE FUNCTION refuse_writes() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE `+condition+` USING MESSAGE = 'refused by the test'; END $$`)
	testkit.Execute(t, administrator, "CREATE TRIGGER refuse_writes BEFORE INSERT ON vlob_atom EXECUTE FUNCTION refuse_writes()")
	t.Cleanup(func() {
		_, _ = administrator.Exec(context.WithoutCancel(t.Context()), "DROP FUNCTION refuse_writes CASCADE")
	})
}

// TestNoRoom has nothing fit on the disk of the database any more: it is not
// ready, and yet is read. It is ready again by the first write, or by the probe
// where no client sends one.
func TestNoRoom(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	administrator := testkit.Connect(t, dsn)
	fill := func() {
		t.Helper()
		testkit.Execute(t, administrator, "CREATE FUNCTION full_disk() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$")
		testkit.Execute(t, administrator, "CREATE EVENT TRIGGER full_disk ON ddl_command_start WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS') EXECUTE FUNCTION full_disk()")
		testkit.Execute(t, administrator, "CREATE FUNCTION full_table() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$")
		testkit.Execute(t, administrator, "CREATE TRIGGER full_table BEFORE INSERT ON vlob_atom EXECUTE FUNCTION full_table()")
	}
	makeRoom := func() {
		t.Helper()
		testkit.Execute(t, administrator, "DROP EVENT TRIGGER IF EXISTS full_disk")
		testkit.Execute(t, administrator, "DROP FUNCTION IF EXISTS full_disk, full_table CASCADE")
	}
	defer makeRoom() // The database is used again by other tests.
	for name, mend := range map[string]func(){
		"by a write": func() {
			testkit.Execute(t, administrator, "DROP FUNCTION full_table CASCADE")
			if err := updateVlob(t.Context(), store); err != nil {
				t.Error(err)
			}
		},
		"by the probe": makeRoom,
	} {
		fill()
		if err := store.Ready(t.Context()); err != nil {
			t.Errorf("%s: nothing was refused yet: %v", name, err)
		}
		if err := updateVlob(t.Context(), store); !errors.Is(err, outage.ErrUnavailable) {
			t.Errorf("%s: written to a full disk: %v", name, err)
		}
		for range 2 {
			if err := store.Ready(t.Context()); !errors.Is(err, outage.ErrNoRoom) {
				t.Errorf("%s: ready with a full disk: %v", name, err)
			}
		}
		if _, found, err := store.Organization(t.Context(), acme); !found || err != nil {
			t.Errorf("%s: not read: %v", name, err)
		}
		mend()
		if err := store.Ready(t.Context()); err != nil {
			t.Errorf("%s: room again: %v", name, err)
		}
		makeRoom()
	}
}
