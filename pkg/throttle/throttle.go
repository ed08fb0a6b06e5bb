// Package throttle bounds how often each network address may do something.
package throttle

import (
	"net/netip"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
)

// maxAddresses bounds the addresses that are told apart. Those beyond share one
// count.
const maxAddresses = 4096

// Throttle lets each address do something a number of times at once, then once
// more each interval. An IPv6 address counts as its /64, which one machine may
// own. Its methods are safe for concurrent use.
type Throttle struct {
	// allowance is how long an address that used up its burst rests.
	allowance time.Duration
	interval  time.Duration

	mu sync.Mutex
	// rested is when an address has its whole burst again: each use adds an
	// interval to it. What is past is removed when room is needed.
	rested map[netip.Prefix]parsec.DateTime
	others parsec.DateTime
}

// New has seen nobody yet. burst is at least 1.
func New(burst int, interval time.Duration) *Throttle {
	return &Throttle{
		allowance: time.Duration(burst) * interval, interval: interval, rested: map[netip.Prefix]parsec.DateTime{},
	}
}

// Wait tells how long the address must wait at the instant now, zero if it need
// not.
func (t *Throttle) Wait(address netip.Addr, now parsec.DateTime) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wait(networkOf(address), now)
}

// Add counts a use, allowed or not.
func (t *Throttle) Add(address netip.Addr, now parsec.DateTime) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(networkOf(address), now)
}

// Take counts a use unless the address must wait: then it tells how long.
func (t *Throttle) Take(address netip.Addr, now parsec.DateTime) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	network := networkOf(address)
	wait := t.wait(network, now)
	if wait == 0 {
		t.add(network, now)
	}
	return wait
}

func (t *Throttle) wait(network netip.Prefix, now parsec.DateTime) time.Duration {
	rested := t.rested[network]
	if !t.hasRoom(network, now) {
		rested = t.others
	}
	return max(0, max(rested, now).Add(t.interval).Sub(now)-t.allowance)
}

func (t *Throttle) add(network netip.Prefix, now parsec.DateTime) {
	if !t.hasRoom(network, now) {
		t.others = max(t.others, now).Add(t.interval)
		return
	}
	t.rested[network] = max(t.rested[network], now).Add(t.interval)
}

// hasRoom tells whether the network has, or may have, a count of its own.
func (t *Throttle) hasRoom(network netip.Prefix, now parsec.DateTime) bool {
	if _, known := t.rested[network]; known || len(t.rested) < maxAddresses {
		return true
	}
	for network, rested := range t.rested {
		if rested <= now {
			delete(t.rested, network)
		}
	}
	return len(t.rested) < maxAddresses
}

// networkOf is the zero prefix for the zero address.
func networkOf(address netip.Addr) netip.Prefix {
	const wholeIPv4, halfIPv6 = 32, 64
	bits := halfIPv6
	if address.Is4() {
		bits = wholeIPv4
	}
	prefix, _ := address.Prefix(bits)
	return prefix
}
