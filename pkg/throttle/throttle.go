// Package throttle bounds how often each network address, or whoever else has a
// key, may do something.
package throttle

import (
	"net/netip"
	"sync"
	"time"
)

// maxKeys bounds the keys that are told apart. Those beyond share one count.
const maxKeys = 4096

// Throttle lets each address do something a number of times at once, then once
// more each interval. An IPv6 address counts as its /64, which one machine may
// own. Its methods are safe for concurrent use.
type Throttle struct{ networks *Keyed[netip.Prefix] }

// New has seen nobody yet. burst is at least 1. elapsed is a clock that is
// never set, from any instant on; nil is that of the system.
func New(burst int, interval time.Duration, elapsed func() time.Duration) *Throttle {
	return &Throttle{NewKeyed[netip.Prefix](burst, interval, elapsed)}
}

// Take counts a use unless the address must wait: then it tells how long.
func (t *Throttle) Take(address netip.Addr) time.Duration { return t.networks.Take(Network(address)) }

// Keyed is a Throttle for those that have a key of any kind. Its methods are
// safe for concurrent use.
type Keyed[Key comparable] struct {
	// allowance is how long a key that used up its burst rests.
	allowance time.Duration
	interval  time.Duration
	elapsed   func() time.Duration

	mu sync.Mutex
	// rested is when a key has its whole burst again: each use adds an interval
	// to it. What is past is removed when room is needed.
	rested map[Key]time.Duration
	others time.Duration
}

// NewKeyed is New for another kind of key.
func NewKeyed[Key comparable](burst int, interval time.Duration, elapsed func() time.Duration) *Keyed[Key] {
	if elapsed == nil {
		begin := time.Now()
		elapsed = func() time.Duration { return time.Since(begin) }
	}
	return &Keyed[Key]{
		allowance: time.Duration(burst) * interval, interval: interval, elapsed: elapsed, rested: map[Key]time.Duration{},
	}
}

// Take counts a use unless the key must wait: then it tells how long.
func (t *Keyed[Key]) Take(key Key) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.elapsed()
	if !t.hasRoom(key, now) {
		return t.use(&t.others, now)
	}
	rested := t.rested[key]
	wait := t.use(&rested, now)
	t.rested[key] = rested
	return wait
}

// use counts a use of who has its whole burst again at rested, unless it must
// wait.
func (t *Keyed[Key]) use(rested *time.Duration, now time.Duration) time.Duration {
	after := max(*rested, now) + t.interval
	if wait := after - now - t.allowance; wait > 0 {
		return wait
	}
	*rested = after
	return 0
}

// hasRoom tells whether the key has, or may have, a count of its own.
func (t *Keyed[Key]) hasRoom(key Key, now time.Duration) bool {
	if _, known := t.rested[key]; known || len(t.rested) < maxKeys {
		return true
	}
	for key, rested := range t.rested {
		if rested <= now {
			delete(t.rested, key)
		}
	}
	return len(t.rested) < maxKeys
}

// Network is the network that an address counts for: itself if it is an IPv4
// address, or the /64 of an IPv6 address. It is the zero prefix for the zero
// address.
func Network(address netip.Addr) netip.Prefix {
	const wholeIPv4, halfIPv6 = 32, 64
	bits := halfIPv6
	if address.Is4() {
		bits = wholeIPv4
	}
	prefix, _ := address.Prefix(bits)
	return prefix
}
