//go:build !without_postgresql

package database_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
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
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	var stores []*database.Database
	var recorders []*testkit.Recorder
	var resumed [2]atomic.Int64
	for i := range 2 {
		bus := testkit.NewBus(t)
		bus.Record(func(e event.Event) {
			if e.Body == (event.Resumed{}) {
				resumed[i].Add(1)
			}
		})
		stores = append(stores, openWide(t, dsn, bus))
		recorders = append(recorders, testkit.Record(t, bus, event.OrganizationTopic(bank), event.OrganizationTopic(acme)))
	}
	populate(t, stores[0])
	killer := testkit.Connect(t, dsn)
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
	for loss := range int64(losses) {
		testkit.Await(t, "every store delivers", func() bool { return resumed[0].Load() > loss && resumed[1].Load() > loss })
		var lost []int32
		if err := killer.QueryRow(t.Context(), "SELECT array_agg(pid) "+deliveries).Scan(&lost); err != nil {
			t.Fatal(err)
		}
		testkit.Execute(t, killer, "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid", lost)
		testkit.Await(t, "the connections end", func() bool {
			return testkit.Number(t, killer, "SELECT count(*) "+deliveries+" AND pid = ANY ($1)", lost) == 0
		})
	}
	group.Wait()
	publish(t, stores[0], "the end")
	for i, r := range recorders {
		for want := uint64(2); want <= 1+writers*writes; want++ {
			if body := r.Next(); body != ping(fmt.Sprint(want)) {
				t.Fatalf("server %d: %+v, want that of %d", i, body, want)
			}
		}
		r.Want(ping("the end"))
		if got := resumed[i].Load(); got != 1+losses {
			t.Errorf("server %d hears %d times that it has another connection", i, got)
		}
		testkit.Await(t, "ready", func() bool { return stores[i].Ready(t.Context()) == nil })
	}
}

// TestLateCommit has a transaction commit after one that has written its
// events later: the events come in the order of the writing. It lasts until
// the delivery suspects that it is rolled back.
func TestLateCommit(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	bus := testkit.NewBus(t)
	store := openWide(t, dsn, bus)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	watcher, late := testkit.Connect(t, dsn), testkit.Connect(t, dsn)
	testkit.Execute(t, late, "BEGIN")
	testkit.Execute(t, late, insertPing, pingBytes("late"))
	publish(t, store, "first")
	testkit.Await(t, "the delivery waits for the transaction", func() bool {
		return testkit.Number(t, watcher, `SELECT count(*) FROM pg_locks
			WHERE relation = 'event_outbox'::regclass AND mode = 'ShareLock' AND NOT granted`) == 1
	})
	testkit.Execute(t, late, "COMMIT")
	events.Want(ping("late"), ping("first"))
}

// TestRolledBackEvents leave gaps, that do not hold up for ever what comes
// later.
func TestRolledBackEvents(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	bus := testkit.NewBus(t)
	store := openWide(t, dsn, bus)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	other := testkit.Connect(t, dsn)
	for _, text := range []string{"one", "two"} {
		for range 3 {
			testkit.Execute(t, other, "BEGIN")
			testkit.Execute(t, other, insertPing, pingBytes("rolled back"))
			testkit.Execute(t, other, "ROLLBACK")
		}
		publish(t, store, text)
		publish(t, store, "after "+text)
		events.Want(ping(text), ping("after "+text))
	}
}

// TestManyRows has more than is read at once.
func TestManyRows(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	store := openWide(t, dsn, bus)
	testkit.Execute(t, testkit.Connect(t, dsn), `INSERT INTO event_outbox (organizations, authors, kinds, bodies)
		SELECT '{Acme}', '{""}', '{pinged}', ARRAY[$1::bytea] FROM generate_series(1, 1000)`, pingBytes("many"))
	publish(t, store, "last")
	for range 1000 {
		events.Want(ping("many"))
	}
	events.Want(ping("last"))
}

// TestWakeUps has a store told by another one, or by its own clock when nobody
// tells it.
func TestWakeUps(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	_ = openWide(t, dsn, bus)
	publish(t, openWide(t, dsn, testkit.NewBus(t)), "notified")
	events.Want(ping("notified"))
	testkit.Execute(t, testkit.Connect(t, dsn), insertPing, pingBytes("found"))
	events.Want(ping("found"))
}

// TestNotifications are empty, and fewer than the commits of a busy store.
func TestNotifications(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := openWide(t, dsn, testkit.NewBus(t))
	populate(t, store)
	_ = openWide(t, dsn, testkit.NewBus(t))
	listener := testkit.Connect(t, dsn)
	testkit.Execute(t, listener, "LISTEN parsec_events")
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
	testkit.Execute(t, listener, "NOTIFY parsec_events, 'the end'")
	for notified() != "the end" {
		count++
	}
	// The store promises at most one in two milliseconds, and the other one has called it.
	if most := 2 + int(time.Since(begin)/(2*time.Millisecond)); count > most {
		t.Errorf("%d notifications of %d commits, want at most %d", count, writers*writes, most)
	}
}

// TestLostEvents has a store miss events: they are pruned before it reads them, or the
// server of the database has forgotten what it had committed last, so that others have
// the id of the row that was published last.
func TestLostEvents(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	bus := testkit.NewBus(t)
	events := testkit.Record(t, bus, event.OrganizationTopic(acme))
	store := openWide(t, dsn, bus)
	other := testkit.Connect(t, dsn)
	prune := func() {
		testkit.Execute(t, other, insertPing, pingBytes("lost"))
		testkit.Execute(t, other, insertPing, pingBytes("last"))
		testkit.Execute(t, other, "DELETE FROM event_outbox WHERE id < (SELECT max(id) FROM event_outbox)")
	}
	forget := func() {
		last := testkit.Number(t, other, "SELECT max(id) FROM event_outbox")
		testkit.Execute(t, other, "DELETE FROM event_outbox WHERE id = $1", last)
		testkit.Execute(t, other, "SELECT setval(pg_get_serial_sequence('event_outbox', 'id'), $1, false)", last)
		testkit.Execute(t, other, insertPing, pingBytes("lost"))
	}
	for name, lose := range map[string]func(){"pruned": prune, "forgotten": forget} {
		publish(t, store, name)
		events.Want(ping(name))
		testkit.Execute(t, other, "BEGIN")
		lose()
		testkit.Execute(t, other, "COMMIT")
		events.Want(event.Lost{})
		publish(t, store, "after")
		events.Want(ping("after"))
	}
}
