//go:build !without_postgresql

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/migrations"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
)

func TestOpenRefuses(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	nobody := createRole(t, dsn, "NOLOGIN")
	replace := func(old, replacement string) string { return strings.Replace(dsn, old, replacement, 1) }
	for name, test := range map[string]struct {
		dsn     string
		change  func(*postgres.Options)
		message string
	}{
		"not a DSN":         {dsn: "postgres://[s3cr3t", message: "not valid"},
		"unknown database":  {dsn: replace("dbname="+config.Database, "dbname=parsec_test_nothing"), message: "does not exist"},
		"unknown user":      {dsn: replace("user="+config.User, "user=nobody_at_all"), message: "nobody_at_all"},
		"refused login":     {dsn: replace("user="+config.User, "user="+nobody), message: "not permitted to log in"},
		"unknown host":      {dsn: "host=nowhere.invalid dbname=x", message: "nowhere.invalid"},
		"no connection":     {dsn: dsn, change: func(o *postgres.Options) { o.MaxConnections = 0 }, message: "connections"},
		"more than maximum": {dsn: dsn, change: func(o *postgres.Options) { o.MinConnections = 2 }, message: "connections"},
	} {
		settings := options(test.dsn)
		settings.Retry = database.Retry{Attempts: 1000, Pause: time.Hour}
		if test.change != nil {
			test.change(&settings)
		}
		_, err := postgres.Open(t.Context(), settings, newBus(t))
		if err == nil || !strings.Contains(err.Error(), test.message) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// createLatin gives a database of an encoding that cannot hold every text.
func createLatin(t testing.TB) string {
	t.Helper()
	blank := testkit.NewBlankPostgres(t)
	server := direct(t, blank)
	config := server.Config()
	name := config.Database + "_latin"
	execute(t, server, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() { cleanUp(t, blank, "DROP DATABASE "+name) })
	return strings.Replace(blank, "dbname="+config.Database, "dbname="+name, 1)
}

// createRole gives a role that may use every table of a database.
func createRole(t testing.TB, dsn, attributes string) string {
	t.Helper()
	name := "parsec_test_" + parsec.NewUUID().Hex()
	server := direct(t, dsn)
	execute(t, server, "CREATE ROLE "+name+" "+attributes)
	execute(t, server, "GRANT ALL ON ALL TABLES IN SCHEMA public TO "+name)
	t.Cleanup(func() { cleanUp(t, dsn, "DROP OWNED BY "+name, "DROP ROLE "+name) })
	return name
}

// cleanUp runs statements after the end of a test.
func cleanUp(t testing.TB, dsn string, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	connection, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Error(err)
		return
	}
	defer connection.Close(ctx) //nolint:errcheck // It is over.
	for _, statement := range statements {
		if _, err := connection.Exec(ctx, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// TestReadOnly has a database that takes no writes, as replicas do, at first
// and in the course of work.
func TestReadOnly(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	administrator := direct(t, dsn)
	setReadOnly := func(value string) {
		t.Helper()
		execute(t, administrator, "SET default_transaction_read_only = off")
		execute(t, administrator, "ALTER DATABASE "+administrator.Config().Database+" SET default_transaction_read_only = "+value)
		execute(t, administrator, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
	}
	// The database is used again by other tests.
	defer execute(t, administrator, "ALTER DATABASE "+administrator.Config().Database+" RESET default_transaction_read_only")
	setReadOnly("on")
	var lines testkit.Output
	settings := options(dsn)
	settings.Retry.Attempts = 2
	settings.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	_, err := postgres.Open(t.Context(), settings, newBus(t))
	if err == nil || !strings.Contains(err.Error(), "the database is read-only") || strings.Count(lines.String(), "not reached yet") != 1 {
		t.Errorf("%v after %d warnings", err, strings.Count(lines.String(), "not reached yet"))
	}
	setReadOnly("off")
	store := open(t, options(dsn), newBus(t))
	populate(t, store)
	setReadOnly("on")
	await(t, "not ready", func() bool {
		err := store.Ready(t.Context())
		return err != nil && err.Error() == "the database is read-only"
	})
	before := checkpoint(t, store)
	if err := updateVlob(t.Context(), store); err == nil {
		t.Error("written to a database that is read-only")
	}
	setReadOnly("off")
	await(t, "ready again", func() bool { return store.Ready(t.Context()) == nil })
	if err := updateVlob(t.Context(), store); err != nil || checkpoint(t, store) != before+1 {
		t.Errorf("checkpoint %d after %d: %v", checkpoint(t, store), before, err)
	}
}

// TestConnectionLimit has a database that allows fewer connections than the
// store may open: commands wait, and none fails.
func TestConnectionLimit(t *testing.T) {
	const writers, writes = 10, 20
	dsn := testkit.NewPostgres(t)
	populate(t, open(t, options(dsn), newBus(t)))
	limited := createRole(t, dsn, "LOGIN CONNECTION LIMIT 3")
	var lines testkit.Output
	settings := options(strings.Replace(dsn, "user="+direct(t, dsn).Config().User, "user="+limited, 1))
	settings.MaxConnections = 7
	settings.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	store := open(t, settings, newBus(t))
	if strings.Count(lines.String(), "allows fewer connections") != 1 || strings.Count(lines.String(), "allowed=3 wanted=8") != 1 {
		t.Errorf("logged %q", lines.String())
	}
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range writes {
				if err := updateVlob(t.Context(), store); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := checkpoint(t, store); got != 1+writers*writes {
		t.Errorf("checkpoint %d", got)
	}
}

// TestFullDisk has the database answer as it does when its disk is full.
func TestFullDisk(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	store := open(t, options(dsn), newBus(t))
	populate(t, store)
	administrator := direct(t, dsn)
	for _, table := range []string{"vlob_atom", "event_outbox"} {
		execute(t, administrator, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END $$`)
		execute(t, administrator, "CREATE TRIGGER full_disk BEFORE INSERT ON "+table+" EXECUTE FUNCTION full_disk()")
		before := checkpoint(t, store)
		if err := updateVlob(t.Context(), store); err == nil || !strings.Contains(err.Error(), "could not extend file") {
			t.Errorf("%s: %v", table, err)
		}
		if after := checkpoint(t, store); after != before {
			t.Errorf("%s: checkpoint %d after %d", table, after, before)
		}
		execute(t, administrator, "DROP FUNCTION full_disk CASCADE")
		if err := updateVlob(t.Context(), store); err != nil || checkpoint(t, store) != before+1 {
			t.Errorf("%s: after it %v", table, err)
		}
	}
}

// TestConnectionAttempts has a server that refuses at first, and none at all.
func TestConnectionAttempts(t *testing.T) {
	const warning = "database not reached yet"
	dsn := testkit.NewPostgres(t)
	for _, test := range []struct {
		attempts, refusals, warnings int
		fails                        bool
	}{
		{1, 0, 0, false},
		{3, 2, 2, false},
		{3, 3, 2, true},
		{0, 1, 0, true},
	} {
		p := newProxy(t, dsn)
		p.refusals.Store(int64(test.refusals))
		var lines testkit.Output
		settings := options(p.dsn)
		settings.Logger = slog.New(slog.NewTextHandler(&lines, nil))
		settings.Retry.Attempts = test.attempts
		store, err := postgres.Open(t.Context(), settings, newBus(t))
		if (err != nil) != test.fails || strings.Count(lines.String(), warning) != test.warnings {
			t.Errorf("%+v: %v after %d warnings", test, err, strings.Count(lines.String(), warning))
		}
		if err == nil {
			store.Close()
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	for _, dsn := range []string{
		fmt.Sprintf("host=127.0.0.1 port=%d user=x dbname=x sslmode=disable", port),
		"host=" + t.TempDir() + " user=x dbname=x",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var attempts int
		settings := options(dsn)
		settings.Retry = database.Retry{Attempts: 1000}
		settings.Logger = slog.New(slog.NewTextHandler(writer(func() {
			if attempts++; attempts == 5 {
				cancel()
			}
		}), nil))
		if _, err := postgres.Open(ctx, settings, newBus(t)); err == nil || attempts != 5 {
			t.Errorf("%s: %v after %d attempts", dsn, err, attempts)
		}
	}
}

// writer is told of each line of a log.
type writer func()

func (w writer) Write(line []byte) (int, error) {
	w()
	return len(line), nil
}

// TestOldSchema opens before the migration, and serves after it.
func TestOldSchema(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	bus := newBus(t)
	events := record(t, bus, event.OrganizationTopic(acme))
	store := open(t, options(dsn), bus)
	want := fmt.Sprintf("the schema of the database is version 0, this server needs version %d: run `parsec backend migrate`", migrations.Latest())
	if err := store.Ready(t.Context()); err == nil || err.Error() != want {
		t.Errorf("ready: %v", err)
	}
	if _, _, err := store.Organization(t.Context(), acme); err == nil {
		t.Error("it serves without schema")
	}
	if _, err := database.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	await(t, "ready", func() bool { return store.Ready(t.Context()) == nil })
	populate(t, store)
	publish(t, store, "works")
	events.want(ping("works"))
}

// TestMigrateAtStart brings the schema up to date before anything needs it:
// nobody is told to run what is being done.
func TestMigrateAtStart(t *testing.T) {
	var lines testkit.Output
	settings := options(testkit.NewBlankPostgres(t))
	steps, err := database.MigrationStatus(t.Context(), settings.DSN)
	if err != nil {
		t.Fatal(err)
	}
	settings.Migrate = true
	settings.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	populate(t, open(t, settings, newBus(t)))
	if applied := strings.Count(lines.String(), "migration applied"); applied != len(steps) || strings.Contains(lines.String(), "WARN") {
		t.Errorf("logged %s", lines.String())
	}
}

// TestNewerSchema is that of a later server that is being rolled out.
func TestNewerSchema(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	if _, err := database.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	store := open(t, options(dsn), newBus(t))
	execute(t, direct(t, dsn), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	if err := store.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMigrate(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	status := func() (applied int) {
		t.Helper()
		list, err := database.MigrationStatus(t.Context(), dsn)
		if err != nil || int64(len(list)) != migrations.Latest() {
			t.Fatalf("%+v, %v", list, err)
		}
		for i, migration := range list {
			if migration.Version != int64(i)+1 || !strings.HasSuffix(migration.File, ".sql") || migration.Applied == migration.AppliedOn.IsZero() {
				t.Errorf("%+v", migration)
			}
			if migration.Applied {
				applied++
			}
		}
		return applied
	}
	if applied := status(); applied != 0 {
		t.Errorf("%d migrations of a blank database", applied)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var applied []database.Migration
	for range 2 {
		group.Go(func() {
			list, err := database.Migrate(t.Context(), dsn)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, list...)
		})
	}
	group.Wait()
	if len(applied) != status() || int64(len(applied)) != migrations.Latest() {
		t.Errorf("applied %+v", applied)
	}
	if again, err := database.Migrate(t.Context(), dsn); len(again) != 0 || err != nil {
		t.Errorf("again: %+v, %v", again, err)
	}
	occupied := testkit.NewBlankPostgres(t)
	execute(t, direct(t, occupied), "CREATE TABLE organization ()")
	if _, err := database.Migrate(t.Context(), occupied); err == nil || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("over a table of others: %v", err)
	}
}

// TestOutage has a database out of reach for a while.
func TestOutage(t *testing.T) {
	p := newProxy(t, testkit.NewPostgres(t))
	var lines testkit.Output
	settings := options(p.dsn)
	settings.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	bus := newBus(t)
	events := record(t, bus, event.OrganizationTopic(acme))
	store := open(t, settings, bus)
	populate(t, store)
	const outage = 1 << 40
	p.refusals.Store(outage)
	p.cut()
	if err := updateVlob(t.Context(), store); err == nil {
		t.Error("written without database")
	}
	await(t, "not ready", func() bool { return store.Ready(t.Context()) != nil })
	await(t, "the delivery says so", func() bool { return strings.Count(lines.String(), "events are not delivered") > 0 })
	p.refusals.Store(0)
	await(t, "ready again", func() bool { return store.Ready(t.Context()) == nil })
	if err := updateVlob(t.Context(), store); err != nil {
		t.Error(err)
	}
	publish(t, store, "back")
	events.want(ping("back"))
	await(t, "the delivery says so", func() bool { return strings.Count(lines.String(), "events are delivered again") == 1 })
}

// TestBusyPool has no connection left for a command that is abandoned.
func TestBusyPool(t *testing.T) {
	store := open(t, options(testkit.NewPostgres(t)), newBus(t))
	populate(t, store)
	change(t, store, rules.Scope{}, func(rules.Tx) {
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, _, err := store.Organization(ctx, acme); !errors.Is(err, context.Canceled) {
				t.Errorf("abandoned: %v", err)
			}
		})
		cancel()
		group.Wait()
	})
}

// TestClose opens and closes again and again, with commands under way.
func TestClose(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	populate(t, open(t, options(dsn), newBus(t)))
	for range 10 {
		bus := event.NewBus()
		store, err := postgres.Open(t.Context(), options(dsn), bus)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() { _ = updateVlob(t.Context(), store) }) // It may come too late.
		}
		store.Close()
		group.Wait()
		bus.Close()
		if err := store.Ready(t.Context()); err == nil {
			t.Error("ready after its end")
		}
	}
	watcher := direct(t, dsn)
	await(t, "no connection is left", func() bool {
		return number(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") <= 2
	})
}
