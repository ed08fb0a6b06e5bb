package server

import (
	"net/netip"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
)

func TestAddressRates(t *testing.T) {
	var rates addressRates
	now := parsec.DateTime(1_700_000_000_000_000)
	take := func(address string, want time.Duration) {
		t.Helper()
		if got := rates.take(netip.MustParseAddr(address), now); got != want {
			t.Errorf("%s: wait %s, want %s", address, got, want)
		}
	}
	for range limitedBurst {
		take("192.0.2.1", 0)
		take("2001:db8::1", 0)
	}
	for range 2 { // A refusal costs nothing.
		take("192.0.2.1", limitedInterval)
		take("2001:db8::ffff", limitedInterval)
	}
	take("192.0.2.2", 0)
	take("2001:db8:0:1::1", 0)
	now = now.Add(limitedInterval - time.Millisecond)
	take("192.0.2.1", time.Millisecond)
	now = now.Add(time.Millisecond)
	take("192.0.2.1", 0)
	take("192.0.2.1", limitedInterval)
	now = now.Add(24 * time.Hour) // No more than one burst is saved up.
	for range limitedBurst {
		take("192.0.2.1", 0)
	}
	take("192.0.2.1", limitedInterval)
}

func TestAddressRatesAreBounded(t *testing.T) {
	var rates addressRates
	now := parsec.DateTime(1_700_000_000_000_000)
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }
	for i := range maxRateAddresses {
		if wait := rates.take(address(i), now); wait != 0 {
			t.Fatalf("address %d waits %s", i, wait)
		}
	}
	// All others share one rate; those known keep theirs.
	for i := range limitedBurst {
		if wait := rates.take(address(maxRateAddresses+i), now); wait != 0 {
			t.Fatalf("address %d beyond waits %s", i, wait)
		}
	}
	if wait := rates.take(netip.MustParseAddr("192.0.2.1"), now); wait != limitedInterval {
		t.Errorf("one too many waits %s", wait)
	}
	if wait := rates.take(address(0), now); wait != 0 {
		t.Errorf("an address that is known waits %s", wait)
	}
	if len(rates.rested) != maxRateAddresses {
		t.Errorf("%d addresses are kept", len(rates.rested))
	}
	// Those that have their whole burst again make room.
	now = now.Add(limitedInterval)
	if wait := rates.take(netip.MustParseAddr("192.0.2.1"), now); wait != 0 || len(rates.rested) != 2 {
		t.Errorf("waits %s, %d addresses are kept", wait, len(rates.rested))
	}
}
