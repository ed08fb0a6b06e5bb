// Package throttle bounds how often each network address, or whoever else has a
// key, may do something.
package throttle

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"parsec-server/pkg/sleep"
)

// maxKeys bounds the networks of a Throttle.
const maxKeys = 4096

// Throttle lets each address do something a number of times at once, then once
// more each interval. An IPv6 address counts as its /64, which one machine may
// own. Its methods are safe for concurrent use.
type Throttle struct{ networks *Keyed[netip.Prefix] }

// New has seen nobody yet. burst is at least 1. elapsed is a clock that is
// never set, from any instant on; nil is that of the system.
func New(burst int, interval time.Duration, elapsed func() time.Duration) *Throttle {
	return &Throttle{NewKeyed[netip.Prefix](burst, interval, maxKeys, elapsed)}
}

// Take counts a use unless the address must wait: then it returns how long.
func (t *Throttle) Take(address netip.Addr) time.Duration { return t.networks.Take(Network(address)) }

// Keyed is a Throttle for those that have a key of any kind. Its methods are
// safe for concurrent use.
type Keyed[Key comparable] struct {
	// allowance is how long a key that used up its burst rests.
	allowance time.Duration
	interval  time.Duration
	most      int
	elapsed   func() time.Duration

	mu sync.Mutex
	// rested is when a key has its whole burst again: each use adds an interval
	// to it. What is past is removed when room is needed.
	rested map[Key]time.Duration
	others time.Duration
}

// NewKeyed is New for another kind of key. At most so many keys are told apart:
// those beyond share one count.
func NewKeyed[Key comparable](burst int, interval time.Duration, most int, elapsed func() time.Duration) *Keyed[Key] {
	if elapsed == nil {
		begin := time.Now()
		elapsed = func() time.Duration { return time.Since(begin) }
	}
	return &Keyed[Key]{
		allowance: time.Duration(burst) * interval, interval: interval, most: most, elapsed: elapsed,
		rested: map[Key]time.Duration{},
	}
}

// Take counts a use unless the key must wait: then it returns how long.
func (t *Keyed[Key]) Take(key Key) time.Duration {
	wait, _ := t.reserve(key, 0)
	return wait
}

// Wait counts a use and returns when its turn has come. It returns false at
// once, and counts nothing, if that is later than patience; and the error of
// ctx if that ends first.
func (t *Keyed[Key]) Wait(ctx context.Context, key Key, patience time.Duration) (bool, error) {
	wait, turn := t.reserve(key, patience)
	if wait > patience {
		return false, nil
	}
	if err := sleep.For(ctx, wait); err != nil {
		t.giveUp(key, turn)
		return false, err
	}
	return true, nil
}

// reserve counts a use unless the key must wait longer than for patience. It
// returns how long that is, and when the key has its whole burst again.
func (t *Keyed[Key]) reserve(key Key, patience time.Duration) (wait, rested time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.elapsed()
	ownCount := t.hasRoom(key, now)
	rested = t.others
	if ownCount {
		rested = t.rested[key]
	}
	rested = max(rested, now) + t.interval
	wait = max(rested-now-t.allowance, 0)
	switch {
	case wait > patience:
	case ownCount:
		t.rested[key] = rested
	default:
		t.others = rested
	}
	return wait, rested
}

// giveUp takes back a use, if it is the last one of its key.
func (t *Keyed[Key]) giveUp(key Key, rested time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rested[key] == rested {
		t.rested[key] -= t.interval
	}
}

// hasRoom reports whether the key has, or may have, a count of its own.
func (t *Keyed[Key]) hasRoom(key Key, now time.Duration) bool {
	if _, known := t.rested[key]; known || len(t.rested) < t.most {
		return true
	}
	for key, rested := range t.rested {
		if rested <= now {
			delete(t.rested, key)
		}
	}
	return len(t.rested) < t.most
}

// Network returns the network that an address counts for: itself if it is an
// IPv4 address, or the /64 of an IPv6 address. It is the zero prefix for the
// zero address.
func Network(address netip.Addr) netip.Prefix {
	const wholeIPv4, halfIPv6 = 32, 64
	bits := halfIPv6
	if address.Is4() {
		bits = wholeIPv4
	}
	prefix, _ := address.Prefix(bits)
	return prefix
}
