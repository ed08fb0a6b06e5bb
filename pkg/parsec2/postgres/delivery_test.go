//go:build !without_postgresql

package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/rules"
)

func ping(text string) event.Body { return notice.Pinged{Ping: text} }

func publish(t testing.TB, store rules.Store, text string) {
	t.Helper()
	if err := store.Publish(t.Context(), event.Event{Organization: acme, Body: ping(text)}); err != nil {
		t.Fatal(err)
	}
}

// TestStoreAtRest sends a statement in each period of its clock, and no
// notification.
func TestStoreAtRest(t *testing.T) {
	const poll, watched = time.Second, 3 * time.Second
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	p := testkit.StartPostgresProxy(t, dsn)
	listener := testkit.Connect(t, dsn)
	testkit.Execute(t, listener, "LISTEN parsec_events")
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	store := open(t, options(p.DSN), bus)
	publish(t, store, "before the rest")
	events.Want(ping("before the rest"))
	testkit.Await(t, "the first look at the clocks", func() bool { return store.Statistics().ClockOffset != 0 })
	commands, statements := p.Waits.Load(), p.Listening.Load()
	resting, cancel := context.WithTimeout(t.Context(), watched)
	defer cancel()
	if notification, err := listener.WaitForNotification(resting); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a store at rest notifies: %+v, %v", notification, err)
	}
	if sent := p.Waits.Load() - commands; sent != 0 {
		t.Errorf("%d statements of no command", sent)
	}
	if sent := p.Listening.Load() - statements; sent < 1 || sent > int64(3*watched/poll) {
		t.Errorf("%d statements in %v at rest", sent, watched)
	}
}
