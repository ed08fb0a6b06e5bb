//go:build !without_postgresql

package database_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/migrations"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

func TestOpenRefuses(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	nobody := createRole(t, dsn, "NOLOGIN")
	replace := func(old, replacement string) string { return strings.Replace(dsn, old, replacement, 1) }
	for name, test := range map[string]struct {
		dsn     string
		change  func(*database.Options)
		message string
	}{
		"not a DSN":         {dsn: "postgres://[s3cr3t", message: "not valid"},
		"unknown database":  {dsn: replace("dbname="+config.Database, "dbname=parsec_test_nothing"), message: "does not exist"},
		"unknown user":      {dsn: replace("user="+config.User, "user=nobody_at_all"), message: "nobody_at_all"},
		"refused login":     {dsn: replace("user="+config.User, "user="+nobody), message: "not permitted to log in"},
		"unknown host":      {dsn: "host=nowhere.invalid dbname=x", message: "nowhere.invalid"},
		"no connection":     {dsn: dsn, change: func(o *database.Options) { o.MaxConnections = 0 }, message: "connections"},
		"more than maximum": {dsn: dsn, change: func(o *database.Options) { o.MinConnections = 2 }, message: "connections"},
	} {
		settings := options(test.dsn)
		settings.Retry = database.Retry{Attempts: 1000, Pause: time.Hour}
		if test.change != nil {
			test.change(&settings)
		}
		_, err := database.Open(t.Context(), settings, testkit.NewBus(t))
		if err == nil || !strings.Contains(err.Error(), test.message) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// createLatin returns a database of an encoding that cannot hold every text.
func createLatin(t testing.TB) string {
	t.Helper()
	blank := testkit.NewBlankPostgres(t)
	server := testkit.Connect(t, blank)
	config := server.Config()
	name := config.Database + "_latin"
	testkit.Execute(t, server, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() { cleanUp(t, blank, "DROP DATABASE "+name) })
	return strings.Replace(blank, "dbname="+config.Database, "dbname="+name, 1)
}

// createRole returns a role that may use every table of a database.
func createRole(t testing.TB, dsn, attributes string) string {
	t.Helper()
	name := "parsec_test_" + parsec.NewUUID().Hex()
	server := testkit.Connect(t, dsn)
	testkit.Execute(t, server, "CREATE ROLE "+name+" "+attributes)
	testkit.Execute(t, server, "GRANT ALL ON ALL TABLES IN SCHEMA public TO "+name)
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
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	administrator := testkit.Connect(t, dsn)
	setReadOnly := func(value string) {
		t.Helper()
		testkit.Execute(t, administrator, "SET default_transaction_read_only = off")
		testkit.Execute(t, administrator, "ALTER DATABASE "+administrator.Config().Database+" SET default_transaction_read_only = "+value)
		testkit.Execute(t, administrator, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
	}
	// The database is used again by other tests.
	defer testkit.Execute(t, administrator, "ALTER DATABASE "+administrator.Config().Database+" RESET default_transaction_read_only")
	setReadOnly("on")
	var lines testkit.Output
	settings := options(dsn)
	settings.Retry.Attempts = 2
	settings.Outage = outage.NewDependency(outage.Database, slog.LevelError, slog.New(slog.NewTextHandler(&lines, nil)))
	_, err := database.Open(t.Context(), settings, testkit.NewBus(t))
	if err == nil || !strings.Contains(err.Error(), "the database is read-only") || strings.Count(lines.String(), `level=ERROR msg="database not available"`) != 1 {
		t.Errorf("%v, logged %s", err, &lines)
	}
	setReadOnly("off")
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	setReadOnly("on")
	testkit.Await(t, "not ready", func() bool {
		err := store.Ready(t.Context())
		return err != nil && err.Error() == "the database is read-only"
	})
	before := balance(t, store)
	if err := deposit(t.Context(), store); err == nil {
		t.Error("written to a database that is read-only")
	}
	setReadOnly("off")
	testkit.Await(t, "ready again", func() bool { return store.Ready(t.Context()) == nil })
	if err := deposit(t.Context(), store); err != nil || balance(t, store) != before+1 {
		t.Errorf("balance %d after %d: %v", balance(t, store), before, err)
	}
}

// TestConnectionLimit has a database that allows fewer connections than the
// store may open: commands wait, and none fails.
func TestConnectionLimit(t *testing.T) {
	const writers, writes = 10, 20
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	populate(t, open(t, options(dsn), testkit.NewBus(t)))
	limited := createRole(t, dsn, "LOGIN CONNECTION LIMIT 3")
	var lines testkit.Output
	settings := options(strings.Replace(dsn, "user="+testkit.Connect(t, dsn).Config().User, "user="+limited, 1))
	settings.MaxConnections = 7
	settings.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	store := open(t, settings, testkit.NewBus(t))
	if strings.Count(lines.String(), "allows fewer connections") != 1 || strings.Count(lines.String(), "allowed=3 wanted=8") != 1 {
		t.Errorf("logged %q", lines.String())
	}
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range writes {
				if err := deposit(t.Context(), store); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := balance(t, store); got != 1+writers*writes {
		t.Errorf("balance %d", got)
	}
}

// TestFullDisk has the database answer as it does when its disk is full.
func TestFullDisk(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	administrator := testkit.Connect(t, dsn)
	for _, table := range []string{"entry", "event_outbox"} {
		testkit.Execute(t, administrator, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END $$`)
		testkit.Execute(t, administrator, "CREATE TRIGGER full_disk BEFORE INSERT ON "+table+" EXECUTE FUNCTION full_disk()")
		before := balance(t, store)
		if err := deposit(t.Context(), store); err == nil || !strings.Contains(err.Error(), "could not extend file") {
			t.Errorf("%s: %v", table, err)
		}
		if after := balance(t, store); after != before {
			t.Errorf("%s: balance %d after %d", table, after, before)
		}
		testkit.Execute(t, administrator, "DROP FUNCTION full_disk CASCADE")
		if err := deposit(t.Context(), store); err != nil || balance(t, store) != before+1 {
			t.Errorf("%s: after it %v", table, err)
		}
	}
}

// TestOldSchema opens before the migration, and serves after it.
func TestOldSchema(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	store := open(t, options(dsn), bus)
	want := fmt.Sprintf("the schema of the database is version 0, this server needs version %d: run `parsec backend migrate`", migrations.Latest())
	if err := store.Ready(t.Context()); err == nil || err.Error() != want {
		t.Errorf("ready: %v", err)
	}
	if err := store.One(t.Context(), database.Statement{SQL: "SELECT 1"}); err == nil {
		t.Error("it serves without schema")
	}
	if _, err := database.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, "ready", func() bool { return store.Ready(t.Context()) == nil })
	populate(t, store)
	publish(t, store, "works")
	events.Want(ping("works"))
}

// TestClose opens and closes again and again, with commands under way.
func TestClose(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	populate(t, open(t, options(dsn), testkit.NewBus(t)))
	for range 10 {
		bus := event.NewBus()
		store, err := database.Open(t.Context(), options(dsn), bus)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() { _ = deposit(t.Context(), store) }) // It may come too late.
		}
		store.Close()
		group.Wait()
		bus.Close()
		if err := store.Ready(t.Context()); err == nil {
			t.Error("ready after its end")
		}
	}
	watcher := testkit.Connect(t, dsn)
	testkit.Await(t, "no connection is left", func() bool {
		return testkit.Number(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") <= 2
	})
}
