package server

import (
	"context"
	"errors"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"parsec-server/pkg/throttle"
)

const (
	// FreeBytes of a message count for no budget: a connection costs as much
	// by itself, and small commands shall pass whatever others hold.
	FreeBytes = 8 << 10
	// assumedMemory stands for GOMEMLIMIT where it is not set, in bytes.
	assumedMemory = 512 << 20
	// strangersPart of the memory is for what is received of strangers, of which
	// a network has a networkPart.
	strangersPart, networkPart = 8, 4
	// usersPart of the memory is for the messages and replies of users, of which
	// one has a userPart.
	usersPart, userPart = 4, 2
)

// ErrNoRoom means that a budget is used up.
var ErrNoRoom = errors.New("too much is being received, try again later")

// memoryOf returns what the process may use, in bytes; 0 asks for GOMEMLIMIT.
func memoryOf(given int64) int {
	if given == 0 {
		given = min(debug.SetMemoryLimit(-1), assumedMemory)
	}
	return int(given)
}

// budget bounds the bytes that are held at the same time, in all and for each
// owner. Its methods are safe for concurrent use.
type budget struct {
	total, perOwner int

	mu   sync.Mutex
	held int
	by   map[any]int
	// freed is closed when something comes back, nil if nobody waits.
	freed chan struct{}
}

// newBudget returns a budget of which an owner has a part.
func newBudget(total, part int) *budget {
	return &budget{total: total, perOwner: total / part, by: map[any]int{}}
}

// Share is what one message or reply holds of a budget. Its owner is comparable;
// one goroutine at a time uses it. A nil share is of none: it grows without end.
type Share struct {
	budget *budget
	owner  any
	held   int
}

// Grow makes the share capacity bytes; ErrNoRoom changes nothing. The only share
// of an owner may be larger than its part.
func (s *Share) Grow(capacity int) error {
	if s == nil || capacity <= max(FreeBytes, s.held) {
		return nil
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	return s.take(capacity)
}

// take is Grow for what is not free. The caller holds mu.
func (s *Share) take(capacity int) error {
	b, more := s.budget, capacity-s.held
	others := b.by[s.owner] - s.held
	if b.held+more > b.total || others > 0 && others+capacity > b.perOwner {
		return ErrNoRoom
	}
	b.held += more
	b.by[s.owner] += more
	s.held = capacity
	return nil
}

// Await is Grow, which waits for room until ctx is done, at most for roomWait.
func (s *Share) Await(ctx context.Context, capacity int) error {
	if s.Grow(capacity) == nil { // nearly always: a timer would cost more
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	for {
		s.budget.mu.Lock()
		if s.take(capacity) == nil {
			s.budget.mu.Unlock()
			return nil
		}
		if s.budget.freed == nil {
			s.budget.freed = make(chan struct{})
		}
		freed := s.budget.freed
		s.budget.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ErrNoRoom
		}
	}
}

// Settle makes the share what is held in fact: less leaves room to others, and
// what is there already cannot be refused.
func (s *Share) Settle(capacity int) {
	if s == nil {
		return
	}
	if capacity <= FreeBytes {
		capacity = 0
	}
	more := capacity - s.held
	if more == 0 {
		return
	}
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held += more
	if b.by[s.owner] += more; b.by[s.owner] == 0 {
		delete(b.by, s.owner)
	}
	s.held = capacity
	if more < 0 && b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// Release gives everything back. It may be called again.
func (s *Share) Release() { s.Settle(0) }

// roomWait is how long a user waits for room.
const roomWait = 30 * time.Second

// StrangersShare returns a share for a message of a client that is not authenticated.
func (s *Server) StrangersShare(address netip.Addr) *Share {
	return &Share{budget: s.strangers, owner: throttle.Network(address)}
}

// UsersShare is for a message or a reply of a user, whom owner stands for.
func (s *Server) UsersShare(owner any) *Share { return &Share{budget: s.users, owner: owner} }

// Held returns the size of the share, in bytes.
func (s *Share) Held() int { return s.held }
