package server

import (
	"net/netip"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
)

// The bounds of limited commands, by address: burst at once, then one more each
// interval. Many people may share the address of a company.
const (
	limitedBurst    = 100
	limitedInterval = 3 * time.Second
	// maxRateAddresses bounds the addresses that are told apart. Those beyond
	// share one rate.
	maxRateAddresses = 4096
)

// addressRates bounds how often each address may do something; its zero value
// has seen nobody. An IPv6 address counts as its /64, which one machine may
// own.
type addressRates struct {
	mu sync.Mutex
	// rested is when an address has its whole burst again: each use adds an
	// interval to it. What is past is removed when room is needed.
	rested map[netip.Prefix]parsec.DateTime
	others parsec.DateTime
}

// take counts one more use by the address at the instant now, unless it has to
// wait: then it tells how long.
func (r *addressRates) take(address netip.Addr, now parsec.DateTime) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := networkOf(address)
	rested, known := r.rested[key]
	if !known && len(r.rested) >= maxRateAddresses {
		r.forget(now)
	}
	if !known && len(r.rested) >= maxRateAddresses {
		r.others, wait = use(r.others, now)
		return wait
	}
	if r.rested == nil {
		r.rested = map[netip.Prefix]parsec.DateTime{}
	}
	r.rested[key], wait = use(rested, now)
	return wait
}

func use(rested, now parsec.DateTime) (after parsec.DateTime, wait time.Duration) {
	after = max(rested, now).Add(limitedInterval)
	if wait = after.Sub(now) - limitedBurst*limitedInterval; wait > 0 {
		return rested, wait
	}
	return after, 0
}

func (r *addressRates) forget(now parsec.DateTime) {
	for key, rested := range r.rested {
		if rested <= now {
			delete(r.rested, key)
		}
	}
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
