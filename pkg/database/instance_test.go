//go:build !without_postgresql

package database_test

import (
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
)

// instance is a server, and what it is told of others.
type instance struct {
	*database.Database
	vanished chan parsec.DateTime
}

func openInstance(t *testing.T, dsn string) *instance {
	t.Helper()
	const most = 10
	i := &instance{vanished: make(chan parsec.DateTime, most)}
	bus := testkit.NewBus(t)
	bus.Record(func(e event.Event) {
		if body, is := e.Body.(event.InstanceVanished); is {
			i.vanished <- body.On
		}
	})
	i.Database = open(t, options(dsn), bus)
	return i
}

// wantVanished waits until an instance is told that another one has vanished since.
func (i *instance) wantVanished(t *testing.T, since time.Time) parsec.DateTime {
	t.Helper()
	select {
	case on := <-i.vanished:
		if on.Time().Before(since.Add(-time.Second)) || on.Time().After(time.Now().Add(time.Second)) {
			t.Errorf("vanished on %s, want after %s", on, since)
		}
		return on
	case <-time.After(time.Minute):
		t.Fatal("not told that an instance vanished")
		return 0
	}
}

const (
	// entered are the instances that did not vanish.
	entered = "SELECT count(*) FROM instance WHERE vanished_on IS NULL"
	// gone are those that did.
	gone = "SELECT count(*) FROM instance WHERE vanished_on IS NOT NULL"
	// enterDead is what a process leaves that was killed: a lock that nobody holds.
	enterDead = "INSERT INTO instance (lock) VALUES (42)"
)

// Each instance learns that another one vanished, and so does one that begins later.
func TestVanishedInstance(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	watcher := testkit.Connect(t, dsn)
	first, second := openInstance(t, dsn), openInstance(t, dsn)
	testkit.Await(t, "both have entered", func() bool { return testkit.Number(t, watcher, entered) == 2 })
	begun := time.Now()
	testkit.Execute(t, watcher, enterDead)
	for _, one := range []*instance{first, second, openInstance(t, dsn)} {
		one.wantVanished(t, begun)
	}
	// One that was not there is told as soon.
	begun = time.Now()
	testkit.Execute(t, watcher, "UPDATE instance SET vanished_on = clock_timestamp() - interval '30 seconds' WHERE lock = 42")
	openInstance(t, dsn).wantVanished(t, begun.Add(-30*time.Second))
	testkit.Execute(t, watcher, "UPDATE instance SET vanished_on = clock_timestamp() - interval '1 hour' WHERE lock = 42")
	if err := first.Prune(t.Context()); err != nil || testkit.Number(t, watcher, gone) != 0 {
		t.Errorf("one that vanished long ago is kept, error %v", err)
	}
}

// An instance that ends has not vanished, unless it says so.
func TestInstanceEnds(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	watcher := testkit.Connect(t, dsn)
	stays, ends, failed := openInstance(t, dsn), openInstance(t, dsn), openInstance(t, dsn)
	testkit.Await(t, "all have entered", func() bool { return testkit.Number(t, watcher, entered) == 3 })
	ends.OnLeave(func() bool { return false })
	ends.Close()
	if there, not := testkit.Number(t, watcher, entered), testkit.Number(t, watcher, gone); there != 2 || not != 0 {
		t.Errorf("%d are left, %d have vanished", there, not)
	}
	begun := time.Now()
	failed.OnLeave(func() bool { return true })
	failed.Close()
	stays.wantVanished(t, begun)
	if len(stays.vanished) != 0 {
		t.Error("told of one that has ended")
	}
}

// A database that loses all connections has not taken the servers with it.
func TestInstancesOutlastTheirConnections(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	watcher := testkit.Connect(t, dsn)
	const locks = "SELECT count(*) FROM instance i JOIN pg_locks l ON l.locktype = 'advisory' AND l.mode = 'ExclusiveLock' AND (l.classid::bigint << 32 | l.objid::bigint) = i.lock"
	one, other := openInstance(t, dsn), openInstance(t, dsn)
	testkit.Await(t, "both have entered", func() bool { return testkit.Number(t, watcher, locks) == 2 })
	for range 3 {
		testkit.Execute(t, watcher, "SELECT pg_terminate_backend(pid) "+deliveries)
		testkit.Await(t, "both are back", func() bool { return testkit.Number(t, watcher, locks) == 2 })
	}
	if testkit.Number(t, watcher, gone) != 0 || len(one.vanished)+len(other.vanished) > 0 {
		t.Error("taken for instances that vanished")
	}
}
