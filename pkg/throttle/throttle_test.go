package throttle

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	burst    = 100
	interval = 3 * time.Second
)

func TestThrottle(t *testing.T) {
	var now time.Duration
	throttle := New(burst, interval, func() time.Duration { return now })
	take := func(address string, want time.Duration) {
		t.Helper()
		if got := throttle.Take(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: wait %s, want %s", address, got, want)
		}
	}
	for range burst {
		take("192.0.2.1", 0)
		take("2001:db8::1", 0)
	}
	for range 2 { // A refusal costs nothing.
		take("192.0.2.1", interval)
		take("2001:db8::ffff", interval)
	}
	take("192.0.2.2", 0)
	take("2001:db8:0:1::1", 0)
	now += interval - time.Millisecond
	take("192.0.2.1", time.Millisecond)
	now += time.Millisecond
	take("192.0.2.1", 0)
	take("192.0.2.1", interval)
	now += 24 * time.Hour // No more than one burst is saved up.
	for range burst {
		take("192.0.2.1", 0)
	}
	take("192.0.2.1", interval)
}

func TestAddressesAreBounded(t *testing.T) {
	var now time.Duration
	throttle := New(burst, interval, func() time.Duration { return now })
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }
	for i := range maxKeys {
		if wait := throttle.Take(address(i)); wait != 0 {
			t.Fatalf("address %d waits %s", i, wait)
		}
	}
	// All others share one rate; those known keep theirs.
	for i := range burst {
		if wait := throttle.Take(address(maxKeys + i)); wait != 0 {
			t.Fatalf("address %d beyond waits %s", i, wait)
		}
	}
	if wait := throttle.Take(netip.MustParseAddr("192.0.2.1")); wait != interval {
		t.Errorf("one too many waits %s", wait)
	}
	if wait := throttle.Take(address(0)); wait != 0 {
		t.Errorf("an address that is known waits %s", wait)
	}
	if len(throttle.networks.rested) != maxKeys {
		t.Errorf("%d addresses are kept", len(throttle.networks.rested))
	}
	// Those that have their whole burst again make room.
	now += interval
	if wait := throttle.Take(netip.MustParseAddr("192.0.2.1")); wait != 0 || len(throttle.networks.rested) != 2 {
		t.Errorf("waits %s, %d addresses are kept", wait, len(throttle.networks.rested))
	}
}

// TestWait counts virtual time.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 2 * interval
		throttle := NewKeyed[string](1, interval, maxKeys, nil)
		start := time.Now()
		wait := func(ctx context.Context, key string, wantTurn bool, wantErr error, wantSpent time.Duration) {
			t.Helper()
			turn, err := throttle.Wait(ctx, key, patience)
			if turn != wantTurn || !errors.Is(err, wantErr) || time.Since(start) != wantSpent {
				t.Errorf("turn %v, error %v after %s, want %v, %v after %s", turn, err, time.Since(start), wantTurn, wantErr, wantSpent)
			}
		}
		wait(t.Context(), "a", true, nil, 0)
		wait(t.Context(), "b", true, nil, 0)
		wait(t.Context(), "a", true, nil, interval)
		// Who gives up leaves its turn to the next one, unless there is a next
		// one already; whose turn is too late takes none.
		brief, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wait(brief, "a", false, context.DeadlineExceeded, interval+time.Millisecond)
		var group sync.WaitGroup
		for i := range 2 {
			group.Go(func() { wait(t.Context(), "a", true, nil, time.Duration(i+2)*interval) })
			synctest.Wait()
		}
		wait(t.Context(), "a", false, nil, interval+time.Millisecond)
		group.Wait()
	})
}
