//go:build !without_postgresql

package database_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
)

// TestDeliveryThroughLosses has two stores write, while the connections by
// which they deliver are lost again and again.
func TestDeliveryThroughLosses(t *testing.T) {
	const writers, writes, losses = 4, 100, 3
	dsn := testkit.NewPostgres(t)
	var stores []*database.Database
	var recorders []*recorder
	for range 2 {
		bus := newBus(t)
		stores = append(stores, openWide(t, dsn, bus))
		recorders = append(recorders, record(t, bus, event.OrganizationTopic(bank), event.OrganizationTopic(acme)))
	}
	populate(t, stores[0])
	killer := direct(t, dsn)
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for range writes {
				if err := deposit(t.Context(), stores[writer%2]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range losses {
		await(t, "every store delivers", func() bool { return number(t, killer, "SELECT count(*) "+deliveries) == 2 })
		var lost []int32
		if err := killer.QueryRow(t.Context(), "SELECT array_agg(pid) "+deliveries).Scan(&lost); err != nil {
			t.Fatal(err)
		}
		execute(t, killer, "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid", lost)
		await(t, "the connections end", func() bool {
			return number(t, killer, "SELECT count(*) "+deliveries+" AND pid = ANY ($1)", lost) == 0
		})
	}
	group.Wait()
	publish(t, stores[0], "the end")
	for i, r := range recorders {
		for want := uint64(2); want <= 1+writers*writes; want++ {
			if body := r.next(); body != ping(fmt.Sprint(want)) {
				t.Fatalf("server %d: %+v, want that of %d", i, body, want)
			}
		}
		r.want(ping("the end"))
		await(t, "ready", func() bool { return stores[i].Ready(t.Context()) == nil })
	}
}

// TestLateCommit has a transaction commit after one that has written its
// events later: the events come in the order of the writing. It lasts until
// the delivery suspects that it is rolled back.
func TestLateCommit(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	bus := newBus(t)
	store := openWide(t, dsn, bus)
	events := record(t, bus, event.OrganizationTopic(acme))
	watcher, late := direct(t, dsn), direct(t, dsn)
	execute(t, late, "BEGIN")
	execute(t, late, insertPing, pingBytes("late"))
	publish(t, store, "first")
	await(t, "the delivery waits for the transaction", func() bool {
		return number(t, watcher, `SELECT count(*) FROM pg_locks
			WHERE relation = 'event_outbox'::regclass AND mode = 'ShareLock' AND NOT granted`) == 1
	})
	execute(t, late, "COMMIT")
	events.want(ping("late"), ping("first"))
}

// TestRolledBackEvents leave gaps, that do not hold up for ever what comes
// later.
func TestRolledBackEvents(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	bus := newBus(t)
	store := openWide(t, dsn, bus)
	events := record(t, bus, event.OrganizationTopic(acme))
	other := direct(t, dsn)
	for _, text := range []string{"one", "two"} {
		for range 3 {
			execute(t, other, "BEGIN")
			execute(t, other, insertPing, pingBytes("rolled back"))
			execute(t, other, "ROLLBACK")
		}
		publish(t, store, text)
		publish(t, store, "after "+text)
		events.want(ping(text), ping("after "+text))
	}
}

// TestManyRows has more than is read at once.
func TestManyRows(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	bus := newBus(t)
	events := record(t, bus, event.OrganizationTopic(acme))
	store := openWide(t, dsn, bus)
	execute(t, direct(t, dsn), `INSERT INTO event_outbox (organizations, authors, kinds, bodies)
		SELECT '{Acme}', '{""}', '{pinged}', ARRAY[$1::bytea] FROM generate_series(1, 1000)`, pingBytes("many"))
	publish(t, store, "last")
	for range 1000 {
		events.want(ping("many"))
	}
	events.want(ping("last"))
}

// TestWakeUps has a store told by another one, or by its own clock when nobody
// tells it.
func TestWakeUps(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	bus := newBus(t)
	events := record(t, bus, event.OrganizationTopic(acme))
	_ = openWide(t, dsn, bus)
	publish(t, openWide(t, dsn, newBus(t)), "notified")
	events.want(ping("notified"))
	execute(t, direct(t, dsn), insertPing, pingBytes("found"))
	events.want(ping("found"))
}

// TestNotifications are empty, and fewer than the commits of a busy store.
func TestNotifications(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	store := openWide(t, dsn, newBus(t))
	populate(t, store)
	listener := direct(t, dsn)
	execute(t, listener, "LISTEN parsec_events")
	const writers, writes = 8, 100
	begin := time.Now()
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range writes {
				publish(t, store, "one of many")
			}
		})
	}
	group.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	notified := func() string {
		t.Helper()
		notification, err := listener.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return notification.Payload
	}
	count := 1
	if text := notified(); text != "" {
		t.Errorf("a notification says %q", text)
	}
	execute(t, listener, "NOTIFY parsec_events, 'the end'")
	for notified() != "the end" {
		count++
	}
	// The store promises at most one in two milliseconds.
	if most := 1 + int(time.Since(begin)/(2*time.Millisecond)); count > most {
		t.Errorf("%d notifications of %d commits, want at most %d", count, writers*writes, most)
	}
}

// TestLostEvents prunes what a store has not read.
func TestLostEvents(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	bus := newBus(t)
	events := record(t, bus, event.OrganizationTopic(acme))
	store := openWide(t, dsn, bus)
	publish(t, store, "before")
	events.want(ping("before"))
	other := direct(t, dsn)
	execute(t, other, "BEGIN")
	execute(t, other, insertPing, pingBytes("lost"))
	execute(t, other, insertPing, pingBytes("last"))
	execute(t, other, "DELETE FROM event_outbox WHERE id < (SELECT max(id) FROM event_outbox)")
	execute(t, other, "COMMIT")
	events.want(event.Lost{})
	publish(t, store, "after")
	events.want(ping("after"))
}
