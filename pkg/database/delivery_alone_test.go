//go:build !without_postgresql

package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
)

// TestAlone has a store notify nobody while there is no other one, and each one that begins
// be told from then on.
func TestAlone(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	listener := testkit.Connect(t, dsn)
	testkit.Execute(t, listener, "LISTEN parsec_events")
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	store := openWide(t, dsn, bus)
	publish(t, store, "alone")
	events.Want(ping("alone"))
	testkit.Execute(t, listener, "NOTIFY parsec_events, 'so far'")
	if _, text := notification(t, listener); text != "so far" {
		t.Errorf("a store that is alone notifies %q", text)
	}
	pid := testkit.Number(t, listener, "SELECT pid "+deliveries)
	otherBus := testkit.NewBus(t)
	heard := testkit.Record(t, otherBus, event.OrganizationTopic(acme))
	_ = openWide(t, dsn, otherBus)
	// It calls, and is called back, in case that it has missed something.
	for from := int64(0); from != pid; {
		from, _ = notification(t, listener)
	}
	publish(t, store, "together")
	heard.Want(ping("together"))
	for from := int64(0); from != pid; {
		from, _ = notification(t, listener)
	}
}

// notification waits for one, and returns who sent it.
func notification(t *testing.T, listener *pgx.Conn) (from int64, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	notification, err := listener.WaitForNotification(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return int64(notification.PID), notification.Payload
}

// TestKnownEvents come to the other stores, and in the order of all.
func TestKnownEvents(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	store := openWide(t, dsn, bus)
	note := func(text string) event.Body {
		t.Helper()
		body := database.Noted{Note: text}
		if err := store.Publish(t.Context(), event.Event{Organization: acme, Body: body}); err != nil {
			t.Fatal(err)
		}
		return body
	}
	alone := note("alone")
	publish(t, store, "later")
	events.Want(alone, ping("later"))
	otherBus := testkit.NewBus(t)
	heard := testkit.Record(t, otherBus, event.OrganizationTopic(acme))
	_ = openWide(t, dsn, otherBus)
	heard.Want(note("together"))
}
