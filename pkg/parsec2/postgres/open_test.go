//go:build !without_postgresql

package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec2/rules"
)

// TestConnectionAttempts has a server that refuses at first, and none at all.
func TestConnectionAttempts(t *testing.T) {
	const line = `level=ERROR msg="database not available"`
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	for _, test := range []struct {
		attempts, refusals, lines int
		fails                     bool
	}{
		{1, 0, 0, false},
		{3, 2, 1, false},
		{3, 3, 1, true},
		{0, 1, 0, true},
	} {
		p := testkit.StartPostgresProxy(t, dsn)
		p.Refusals.Store(int64(test.refusals))
		var lines testkit.Output
		settings := options(p.DSN)
		settings.Outage = outage.NewDependency(outage.Database, slog.LevelError, slog.New(slog.NewTextHandler(&lines, nil)))
		settings.Retry.Attempts = test.attempts
		store, err := tryOpen(t.Context(), settings, testkit.NewBus(t))
		if (err != nil) != test.fails || strings.Count(lines.String(), line) != test.lines {
			t.Errorf("%+v: %v, logged %s", test, err, &lines)
		}
		if err == nil {
			if back := strings.Count(lines.String(), `level=INFO msg="database available again"`); back != test.lines {
				t.Errorf("%+v: %d times back", test, back)
			}
			store.Close()
		}
	}
	for _, dsn := range []string{
		"host=127.0.0.1 port=" + testkit.FreePort(t) + " user=x dbname=x sslmode=disable",
		"host=" + t.TempDir() + " user=x dbname=x",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		lines := 0
		settings := options(dsn)
		settings.Retry = database.Retry{Attempts: 1000}
		settings.Outage = outage.NewDependency(outage.Database, slog.LevelError, slog.New(slog.NewTextHandler(writer(func() {
			lines++
			cancel()
		}), nil)))
		if _, err := tryOpen(ctx, settings, testkit.NewBus(t)); err == nil || lines != 1 {
			t.Errorf("%s: %v after %d lines", dsn, err, lines)
		}
	}
}

// writer is told of each line of a log.
type writer func()

func (w writer) Write(line []byte) (int, error) {
	w()
	return len(line), nil
}

// TestOutage has a database out of reach for a while.
func TestOutage(t *testing.T) {
	p := testkit.StartPostgresProxy(t, testkit.NewPostgres(t, testkit.Unsound))
	var lines testkit.Output
	settings := options(p.DSN)
	settings.Logger = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	store := open(t, settings, bus)
	populate(t, store)
	const always = 1 << 40
	p.Refusals.Store(always)
	p.Cut()
	if err := updateVlob(t.Context(), store); err == nil {
		t.Error("written without database")
	}
	testkit.Await(t, "not ready", func() bool { return store.Ready(t.Context()) != nil })
	testkit.Await(t, "the delivery says so", func() bool { return strings.Count(lines.String(), "events are not delivered") > 0 })
	p.Refusals.Store(0)
	testkit.Await(t, "ready again", func() bool { return store.Ready(t.Context()) == nil })
	if err := updateVlob(t.Context(), store); err != nil {
		t.Error(err)
	}
	publish(t, store, "back")
	events.Want(ping("back"))
	testkit.Await(t, "the delivery says so", func() bool { return strings.Count(lines.String(), "events are delivered again") == 1 })
}

// TestBusyPool has no connection left for a command that is abandoned.
func TestBusyPool(t *testing.T) {
	store := open(t, options(testkit.NewPostgres(t, testkit.Unsound)), testkit.NewBus(t))
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
