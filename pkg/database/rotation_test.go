//go:build !without_postgresql && !without_postgresql_programs

package database_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
)

// TestPasswordRotates has the password of the database replaced, while the DSN
// cannot be read for a moment: what is open goes on, and new connections, that
// of the events too, have the new one.
func TestPasswordRotates(t *testing.T) {
	server := testkit.StartBreakablePostgres(t)
	if _, err := database.Migrate(t.Context(), server.DSN); err != nil {
		t.Fatal(err)
	}
	administrator := testkit.Connect(t, server.DSN)
	testkit.Execute(t, administrator, "CREATE ROLE rotated LOGIN SUPERUSER PASSWORD 'first'")
	var access string
	if err := administrator.QueryRow(t.Context(), "SHOW hba_file").Scan(&access); err != nil {
		t.Fatal(err)
	}
	testkit.Execute(t, administrator, `COPY (SELECT unnest(ARRAY['local all rotated scram-sha-256', 'local all all trust'])) TO '`+access+`'`)
	testkit.Execute(t, administrator, "SELECT pg_reload_conf()")
	dsnWith := func(password string) string {
		return strings.Replace(server.DSN, "user=postgres", "user=rotated password="+password, 1)
	}
	testkit.Await(t, "passwords are asked for", func() bool {
		_, err := database.Open(t.Context(), options(dsnWith("wrong")), testkit.NewBus(t))
		return err != nil && strings.Contains(err.Error(), "password authentication failed")
	})

	var lines testkit.Output
	var current atomic.Pointer[string]
	become := func(dsn string) { current.Store(&dsn) }
	become(dsnWith("first"))
	settings := options(*current.Load())
	settings.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	settings.Reread = func() (string, error) {
		if dsn := *current.Load(); dsn != "" {
			return dsn, nil
		}
		return "", errors.New("replaced at this moment")
	}
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	store := open(t, settings, bus)
	pool, err := database.NewPool(database.Source{DSN: settings.DSN, Reread: settings.Reread}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	populate(t, store)

	become("")
	server.Terminate()
	testkit.Await(t, "the DSN of before serves", func() bool { return store.Ready(t.Context()) == nil })
	if strings.Count(lines.String(), "replaced at this moment") != 1 {
		t.Errorf("logged %s", lines.String())
	}
	testkit.Execute(t, testkit.Connect(t, server.DSN), "ALTER ROLE rotated PASSWORD 'second'")
	become(dsnWith("second"))
	if err := deposit(t.Context(), store); err != nil {
		t.Errorf("an open connection: %v", err)
	}
	server.Terminate()
	testkit.Await(t, "ready with the new password", func() bool { return store.Ready(t.Context()) == nil })
	publish(t, store, "rotated")
	events.Want(ping("rotated"))
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("another pool: %v", err)
	}
}
