package server

import (
	"context"
	"errors"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/throttle"
)

const (
	// freeBytes of a message count for no budget: a connection costs as much
	// by itself, and small commands shall pass whatever others hold.
	freeBytes = 8 << 10
	// assumedMemory stands for GOMEMLIMIT where it is not set, in bytes.
	assumedMemory = 512 << 20
	// strangersPart of the memory is for what is received of strangers, of which
	// a network has a networkPart.
	strangersPart, networkPart = 8, 4
	// usersPart of the memory is for the messages and replies of users, of which
	// one has a userPart.
	usersPart, userPart = 4, 2
)

// errNoRoom tells that a budget is used up.
var errNoRoom = errors.New("too much is being received, try again later")

// memoryOf is what the process may use, in bytes; 0 asks for GOMEMLIMIT.
func memoryOf(given int64) int {
	if given == 0 {
		given = min(debug.SetMemoryLimit(-1), assumedMemory)
	}
	return int(given)
}

// strangersBudget and usersBudget are the parts of the memory.
func strangersBudget(memory int) *budget {
	total := memory / strangersPart
	return newBudget(total, total/networkPart)
}

func usersBudget(memory int) *budget {
	total := memory / usersPart
	return newBudget(total, total/userPart)
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

func newBudget(total, perOwner int) *budget {
	return &budget{total: total, perOwner: perOwner, by: map[any]int{}}
}

// share is what one message holds of the budget.
func (b *budget) share(owner any) *share { return &share{budget: b, owner: owner} }

// share is part of a budget. Its owner is comparable; one goroutine at a time
// uses it. A nil share is of none: it grows without end.
type share struct {
	budget *budget
	owner  any
	held   int
}

// grow makes the share capacity bytes; errNoRoom changes nothing. The only share
// of an owner may be larger than its part.
func (s *share) grow(capacity int) error {
	if s == nil || capacity <= max(freeBytes, s.held) {
		return nil
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	return s.take(capacity)
}

// take is grow. The caller holds mu.
func (s *share) take(capacity int) error {
	b, more := s.budget, capacity-s.held
	others := b.by[s.owner] - s.held
	if b.held+more > b.total || others > 0 && others+capacity > b.perOwner {
		return errNoRoom
	}
	b.held += more
	b.by[s.owner] += more
	s.held = capacity
	return nil
}

// await is grow, which waits for room until ctx is done, at most for roomWait.
func (s *share) await(ctx context.Context, capacity int) error {
	if s.grow(capacity) == nil { // nearly always: a timer would cost more
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
			return errNoRoom
		}
	}
}

// settle makes the share what is held in fact: less gives room to others, and
// what is there already cannot be refused.
func (s *share) settle(capacity int) {
	if s == nil {
		return
	}
	if capacity <= freeBytes {
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

// release gives everything back; again is harmless.
func (s *share) release() { s.settle(0) }

// roomWait is how long a user waits for room.
const roomWait = 30 * time.Second

// strangersShare is for a message of a client that is not authenticated.
func (s *Server) strangersShare(address netip.Addr) *share {
	return s.strangers.share(throttle.Network(address))
}

// account is whose budget the messages and replies of a user are on.
type account struct {
	organization parsec.OrganizationID
	user         parsec.UserID
}

func accountOf(author *rules.Author) account { return account{author.Organization, author.User()} }

// usersShare is for a message or a reply of an authenticated caller.
func (s *Server) usersShare(c *caller) *share {
	return s.users.share(c.account)
}

// largeReplies are about the largest replies of commands that have large ones,
// in bytes.
var largeReplies = map[*rpc.Form]int{
	protocol.BlockRead.Form:                maxBodyBytes,
	protocol.VlobRead.Form:                 maxBodyBytes,
	protocol.MessageGet.Form:               severalBodies,
	protocol.PKIEnrollmentList.Form:        severalBodies,
	protocol.RealmGetRoleCertificates.Form: severalBodies,
	protocol.VlobGetReencryptionBatch.Form: severalBodies,
	protocol.VlobListVersions.Form:         severalBodies,
	protocol.VlobPollChanges.Form:          severalBodies,
}

// severalBodies is for replies of many items.
const severalBodies = 4 << 20

// admit waits until there is room for the reply of a command: what it gives is
// released once the reply is sent. The error is errNoRoom.
func (s *Server) admit(ctx context.Context, c *caller, form *rpc.Form) (*share, error) {
	size, isLarge := largeReplies[form]
	if !isLarge {
		return nil, nil
	}
	held := s.usersShare(c)
	return held, held.await(ctx, size)
}
