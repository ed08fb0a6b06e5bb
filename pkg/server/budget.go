package server

import (
	"errors"
	"net/netip"
	"runtime/debug"
	"sync"

	"parsec-server/pkg/throttle"
)

const (
	// freeBytes of a message count for no budget: a connection costs as much
	// by itself, and small commands shall pass whatever others hold.
	freeBytes = 8 << 10
	// assumedMemory stands for GOMEMLIMIT where it is not set, in bytes.
	assumedMemory = 512 << 20
	// strangersPart of the memory is for what is read of strangers.
	strangersPart = 8
	// networkPart of a budget is for one network.
	networkPart = 4
)

// errNoRoom tells that a budget is used up.
var errNoRoom = errors.New("too much is being received, try again later")

// budget bounds the bytes that are held for strangers at the same time, in all
// and for each network. Its methods are safe for concurrent use.
type budget struct {
	total, perNetwork int

	mu   sync.Mutex
	held int
	by   map[netip.Prefix]int
}

// newBudget is for strangers in a process that may use memory bytes; 0 is what
// GOMEMLIMIT says.
func newBudget(memory int64) *budget {
	if memory == 0 {
		memory = assumedMemory
		if limit := debug.SetMemoryLimit(-1); limit < assumedMemory {
			memory = limit
		}
	}
	total := int(memory / strangersPart)
	return &budget{total: total, perNetwork: total / networkPart, by: map[netip.Prefix]int{}}
}

// share is what one message holds of the budget.
func (b *budget) share(address netip.Addr) *share {
	return &share{budget: b, network: throttle.Network(address)}
}

// share is part of a budget. It has one owner. A nil share is of none: it
// grows without end.
type share struct {
	budget  *budget
	network netip.Prefix
	held    int
}

// grow makes the share capacity bytes; errNoRoom changes nothing.
func (s *share) grow(capacity int) error {
	if s == nil || capacity <= max(freeBytes, s.held) {
		return nil
	}
	more := capacity - s.held
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+more > b.total || b.by[s.network]+more > b.perNetwork {
		return errNoRoom
	}
	b.held += more
	b.by[s.network] += more
	s.held = capacity
	return nil
}

// release gives everything back; again is harmless.
func (s *share) release() {
	if s == nil || s.held == 0 {
		return
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= s.held
	if b.by[s.network] -= s.held; b.by[s.network] == 0 {
		delete(b.by, s.network)
	}
	s.held = 0
}
