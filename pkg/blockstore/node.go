package blockstore

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"parsec-server/pkg/outage"
)

// node is one of the stores of a RAID, and what reads and writes have shown of
// it.
type node struct {
	index         int
	store         Store
	reads, writes health
}

func newNodes(stores []Store, logger *slog.Logger) []*node {
	nodes := make([]*node, len(stores))
	for i, store := range stores {
		n := &node{index: i, store: store}
		named := logger.With(n.attribute())
		// The others stand in for it: that is no error yet.
		n.reads.found = outage.NewDependency("block store node", slog.LevelWarn, named.With(slog.String("operation", "read")))
		n.writes.found = outage.NewDependency("block store node", slog.LevelWarn, named.With(slog.String("operation", "write")))
		nodes[i] = n
	}
	return nodes
}

// String names the node in errors.
func (n *node) String() string { return "node " + strconv.Itoa(n.index) + " (" + nameOf(n.store) + ")" }

func (n *node) attribute() slog.Attr { return slog.String("node", n.String()) }

// read reads the node's copy or chunk, of which the checksum is nil if it is
// not known.
func (n *node) read(ctx context.Context, k key, checksum *Checksum, into [][]byte) error {
	return n.store.Read(ctx, k.organization, k.block, checksum, into...)
}

// maxLate is the number of operations in a row after which a node that says
// nothing counts as failing.
const maxLate = 3

var errLate = errors.New("no answer in the time that others take")

// health is how the last operations of one kind on a node have ended.
type health struct {
	found *outage.Dependency

	mu sync.Mutex
	// late counts the operations in a row that have ended without an answer.
	late int
}

func (h *health) failing() bool { return h.found.Problem() != nil }

// observe takes note of how an operation that nobody cut has ended. A node
// that has no such block, or another than it should, does answer.
func (h *health) observe(ctx context.Context, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.late = 0
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, errDamaged) {
		h.found.Lost(ctx, err)
	} else {
		h.found.Back(ctx)
	}
}

// observeLate takes note of an operation that was cut because the others had
// answered.
func (h *health) observeLate(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.late++
	if h.late >= maxLate {
		h.found.Lost(ctx, errLate)
	}
}

const (
	// firstPatience is how long a read waits for a node, before it asks
	// another, while too few reads have been seen to know better.
	firstPatience = 50 * time.Millisecond
	// minPatience is more than a goroutine waits for its turn on a busy machine:
	// another node would have to wait as well.
	minPatience = 5 * time.Millisecond
	maxPatience = time.Second
	// rememberedReads is how many reads define what is usual, and
	// patienceInterval after how many it is worked out again.
	rememberedReads  = 128
	patienceInterval = 16
	// patientShare of the reads are answered without asking another node.
	patientShare = 0.95
)

// patience learns from the reads that succeed how long to wait for one. Its
// zero value is usable.
type patience struct {
	mu     sync.Mutex
	reads  [rememberedReads]time.Duration
	count  int
	usual  time.Duration
	sorted [rememberedReads]time.Duration
}

// add takes note of the duration of a read.
func (p *patience) add(duration time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads[p.count%rememberedReads] = duration
	p.count++
	if p.count%patienceInterval != 0 {
		return
	}
	known := p.sorted[:copy(p.sorted[:], p.reads[:min(p.count, rememberedReads)])]
	slices.Sort(known)
	p.usual = min(max(known[int(patientShare*float64(len(known)))], minPatience), maxPatience)
}

// limit returns the time that most reads take.
func (p *patience) limit() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.usual == 0 {
		return firstPatience
	}
	return p.usual
}
