//go:build !without_postgresql

package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

// recorder gets the events of a bus, in order.
type recorder struct {
	t      testing.TB
	events chan event.Event
}

func record(t testing.TB, bus *event.Bus, topics ...event.Topic) *recorder {
	t.Helper()
	const most = 10_000 // more than any test has: receivers must not block
	r := &recorder{t, make(chan event.Event, most)}
	subscription := bus.Subscribe(func(e event.Event) { r.events <- e }, topics...)
	t.Cleanup(subscription.Close)
	return r
}

// next waits for one.
func (r *recorder) next() event.Body {
	r.t.Helper()
	select {
	case e := <-r.events:
		return e.Body
	case <-time.After(time.Minute):
		r.t.Fatal("no event within a minute")
		return nil
	}
}

func (r *recorder) want(bodies ...event.Body) {
	r.t.Helper()
	for _, want := range bodies {
		if got := r.next(); got != want {
			r.t.Errorf("event %+v, want %+v", got, want)
		}
	}
}

func ping(text string) event.Body { return notice.Pinged{Ping: text} }

func publish(t testing.TB, store rules.Store, text string) {
	t.Helper()
	if err := store.Publish(t.Context(), event.Event{Organization: acme, Body: ping(text)}); err != nil {
		t.Fatal(err)
	}
}

const (
	// deliveries are the connections that deliver events.
	deliveries = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'parsec-server events'"

	// insertPing writes an event behind the back of the stores.
	insertPing = "INSERT INTO event_outbox (organizations, authors, kinds, bodies) VALUES ('{Acme}', '{\"\"}', '{pinged}', ARRAY[$1::bytea])"
)

func pingBytes(text string) []byte { return must(wire.Marshal(ping(text))) }

// TestDeliveryThroughLosses has two stores write, while the connections by
// which they deliver are lost again and again.
func TestDeliveryThroughLosses(t *testing.T) {
	const writers, writes, losses = 4, 100, 3
	dsn := testkit.NewPostgres(t)
	var stores []rules.Store
	var recorders []*recorder
	for range 2 {
		bus := newBus(t)
		stores = append(stores, testkit.OpenPostgres(t, dsn, bus))
		recorders = append(recorders, record(t, bus, notice.RealmTopic(acme, theRealm), event.OrganizationTopic(acme)))
	}
	populate(t, stores[0])
	killer := direct(t, dsn)
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for range writes {
				if err := updateVlob(t.Context(), stores[writer%2]); err != nil {
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
			if body, _ := r.next().(notice.RealmVlobsUpdated); body.Checkpoint != want {
				t.Fatalf("store %d: checkpoint %d, want %d", i, body.Checkpoint, want)
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
	store := testkit.OpenPostgres(t, dsn, bus)
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
	store := testkit.OpenPostgres(t, dsn, bus)
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
	store := testkit.OpenPostgres(t, dsn, bus)
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
	_ = testkit.OpenPostgres(t, dsn, bus)
	publish(t, testkit.OpenPostgres(t, dsn, newBus(t)), "notified")
	events.want(ping("notified"))
	execute(t, direct(t, dsn), insertPing, pingBytes("found"))
	events.want(ping("found"))
}

// TestNotifications are empty, and fewer than the commits of a busy store.
func TestNotifications(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	store := testkit.OpenPostgres(t, dsn, newBus(t))
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
	store := testkit.OpenPostgres(t, dsn, bus)
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
