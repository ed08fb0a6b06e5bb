package server

import (
	"net/netip"
	"sync"
)

// addressLimits bounds the handshakes in flight, in all and by address.
type addressLimits struct {
	perAddress int // 0 for no limit
	total      int

	mu      sync.Mutex
	current int
	counts  map[netip.Addr]int
}

func newAddressLimits(perAddress, total int) *addressLimits {
	return &addressLimits{perAddress: perAddress, total: total, counts: map[netip.Addr]int{}}
}

// take counts one more handshake of address, unless a limit is reached.
func (l *addressLimits) take(address netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current >= l.total || l.perAddress > 0 && l.counts[address] >= l.perAddress {
		return false
	}
	l.current++
	l.counts[address]++
	return true
}

// release undoes one take.
func (l *addressLimits) release(address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current--
	if l.counts[address]--; l.counts[address] == 0 {
		delete(l.counts, address)
	}
}
