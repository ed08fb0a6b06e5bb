//go:build !without_postgresql

package database_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
)

// outboxWaits are the deliveries that wait for who writes to the outbox.
const outboxWaits = `SELECT count(*) FROM pg_locks
	WHERE relation = 'event_outbox'::regclass AND mode = 'ShareLock' AND NOT granted`

// TestStartUnderLoad opens a store while a transaction has written its events
// and not committed, and a later one has: the store does not begin after both.
func TestStartUnderLoad(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	watcher, late := testkit.Connect(t, dsn), testkit.Connect(t, dsn)
	testkit.Execute(t, late, "BEGIN")
	testkit.Execute(t, late, insertPing, pingBytes("late"))
	testkit.Execute(t, watcher, insertPing, pingBytes("first"))
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	type result struct {
		store *database.Database
		err   error
	}
	opened := make(chan result, 1)
	go func() {
		store, err := database.Open(t.Context(), options(dsn), bus)
		opened <- result{store, err}
	}()
	testkit.Await(t, "the store opens, or waits for the transaction", func() bool {
		return len(opened) > 0 || testkit.Number(t, watcher, outboxWaits) == 1
	})
	// What commits while the store is open comes to those who listen.
	missed := len(opened) > 0
	testkit.Execute(t, late, "COMMIT")
	got := <-opened
	if got.err != nil {
		t.Fatal(got.err)
	}
	t.Cleanup(got.store.Close)
	publish(t, got.store, "after")
	events.Want(ping("after"))
	if missed {
		t.Error("the store was open before an event that it does not tell")
	}
}

// TestLongWriter has a transaction that keeps a gap for longer than the
// delivery waits to settle it: events of others wait, which the store says, and it is
// ready.
func TestLongWriter(t *testing.T) {
	const tries = 3
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	var lines testkit.Output
	settings := options(dsn)
	settings.Logger = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	bus := testkit.NewBus(t)
	store := open(t, settings, bus)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	watcher, long := testkit.Connect(t, dsn), testkit.Connect(t, dsn)
	testkit.Execute(t, long, "BEGIN")
	testkit.Execute(t, long, insertPing, pingBytes("long"))
	publish(t, store, "first")
	for range tries {
		testkit.Await(t, "the delivery waits for the transaction", func() bool { return testkit.Number(t, watcher, outboxWaits) == 1 })
		testkit.Await(t, "it gives up", func() bool { return testkit.Number(t, watcher, outboxWaits) == 0 })
		if err := store.Ready(t.Context()); err != nil {
			t.Errorf("not ready: %v", err)
		}
	}
	if lag := store.Lag(); lag < (tries-1)*time.Second {
		t.Errorf("an event waits for long, and the lag is %s", lag)
	}
	testkit.Execute(t, long, "COMMIT")
	events.Want(ping("long"), ping("first"))
	testkit.Await(t, "nothing is late", func() bool { return store.Lag() < time.Second })
	if strings.Contains(lines.String(), "events are not delivered") {
		t.Errorf("logged %s", lines.String())
	}
}
