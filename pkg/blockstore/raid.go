package blockstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// stragglerLimit is how long a write whose outcome is known waits for the nodes
// that have not answered: for the last one where it is accepted without one,
// and for all where it is refused. The latter is for the next try, whose bytes
// may be others: what a node has answered cannot overtake them.
const stragglerLimit = 2 * time.Second

var (
	errCut       = errors.New("another node has failed")
	errStraggler = errors.New("no answer while all others have answered")
)

// RAIDOptions are those of RAID1 and RAID5.
type RAIDOptions struct {
	// DegradedWrites accepts a write that one of at least two nodes has
	// failed, or has not ended 2 seconds after all others. The block is then
	// as safe as if a node had been lost, until a read that asks the node
	// repairs it; docs/blockstore.md says what else is at risk.
	DegradedWrites bool
	Logger         *slog.Logger
}

// raid is what RAID1 and RAID5 have in common.
type raid struct {
	nodes    []*node
	degraded bool
	logger   *slog.Logger
	patience patience
	repairs  *repairs
}

func newRAID(stores []Store, options RAIDOptions) *raid {
	return &raid{
		nodes:    newNodes(stores, options.Logger),
		degraded: options.DegradedWrites && len(stores) > 1,
		logger:   options.Logger,
		repairs:  newRepairs(options.Logger),
	}
}

// Close ends repairs. Reads and writes go on working.
func (r *raid) Close() { r.repairs.close() }

// Init implements Initializer.
func (r *raid) Init(ctx context.Context) error { return initNodes(ctx, r.nodes) }

func initNodes(ctx context.Context, nodes []*node) error {
	return onEach(nodes, func(n *node) error { return Init(ctx, n.store) })
}

// ready wants all nodes to be ready but for spare ones, those that reads can do
// without, for which it does not wait.
func ready(ctx context.Context, nodes []*node, spare int) error {
	asking, cut := context.WithCancel(ctx)
	defer cut()
	var mu sync.Mutex
	well := 0
	err := onEach(nodes, func(n *node) error {
		if err := n.store.Ready(asking); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		well++
		if well >= len(nodes)-spare {
			cut()
		}
		return nil
	})
	if well >= len(nodes)-spare {
		return nil
	}
	return err
}

// onEach runs action for all nodes at once and joins the errors, each with
// the name of its node.
func onEach(nodes []*node, action func(*node) error) error {
	errs := make([]error, len(nodes))
	var running sync.WaitGroup
	for i, n := range nodes {
		running.Go(func() {
			if err := action(n); err != nil {
				errs[i] = fmt.Errorf("%s: %w", n, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// answer is what a node answered to a read.
type answer struct {
	asked time.Time // Zero if it was not.
	ended bool
	err   error
}

func (a answer) given() bool  { return a.ended && a.err == nil }
func (a answer) absent() bool { return a.ended && errors.Is(a.err, ErrNotFound) }

// needsRepair reports whether the node answers, and its object is missing or
// damaged.
func (a answer) needsRepair() bool {
	return a.absent() || a.ended && errors.Is(a.err, errDamaged)
}

// gather reads from as many nodes as needed. It asks the first ones of order at
// once, then one more each time that a node fails or lets it wait longer than
// usual; at once if one of the first is known to. It returns, in the order of
// the nodes, what was answered when enough of them had returned something,
// or when that had become impossible; but while nodes do nothing but report
// absence, not before all have. What is still running then is cut.
//
// A node reads into what room returns for it, and the checksum is that of what
// each has; nothing is read any more afterwards.
func (r *raid) gather(ctx context.Context, k key, checksum *Checksum, order []*node, needed int, room func(*node) [][]byte) []answer {
	reading, cut := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cut()

	type arrival struct {
		node *node
		err  error
	}
	arrivals := make(chan arrival, len(r.nodes))
	answers := make([]answer, len(r.nodes))
	pending, given, next := 0, 0, 0
	unusable := false
	ask := func() {
		n := order[next]
		next++
		pending++
		answers[n.index].asked = time.Now()
		into := room(n)
		running.Go(func() { arrivals <- arrival{n, n.read(reading, k, checksum, into)} })
	}

	limit := r.patience.limit()
	wait := limit
	for next < needed {
		if order[next].reads.failing() {
			wait = 0
		}
		ask()
	}
	impatience := time.NewTimer(wait)
	defer impatience.Stop()
	for given < needed && pending > 0 {
		if unusable && given+pending+len(order)-next < needed {
			break
		}
		select {
		case arrived := <-arrivals:
			pending--
			a := &answers[arrived.node.index]
			a.ended, a.err = true, arrived.err
			if a.err == nil {
				given++
				r.patience.add(time.Since(a.asked))
			} else {
				unusable = unusable || !a.absent()
				if next < len(order) && ctx.Err() == nil {
					ask()
				}
			}
			if ctx.Err() == nil {
				arrived.node.reads.observe(ctx, a.err)
			}
		case <-impatience.C:
			if next < len(order) {
				ask()
				impatience.Reset(limit)
			}
		}
	}
	r.observeLate(ctx, answers, limit)
	return answers
}

// observeLate takes note of the nodes that a read leaves without an answer.
func (r *raid) observeLate(ctx context.Context, answers []answer, limit time.Duration) {
	for i, a := range answers {
		if !a.asked.IsZero() && !a.ended && time.Since(a.asked) > limit && ctx.Err() == nil {
			r.nodes[i].reads.observeLate(ctx)
		}
	}
}

// repair has the nodes that need it write again what piece returns for them.
func (r *raid) repair(k key, answers []answer, piece func(node int) []byte) {
	for i, a := range answers {
		if a.needsRepair() {
			r.repairs.add(r.nodes[i], k, piece(i))
		}
	}
}

// readFailure returns the error of a read that answers do not suffice for: that
// there is no such block only if every node says so.
func (r *raid) readFailure(ctx context.Context, answers []answer) error {
	var errs []error
	absent := 0
	for i, a := range answers {
		switch {
		case a.absent():
			absent++
			// The error is not wrapped: the block may exist.
			errs = append(errs, fmt.Errorf("%s: no such block", r.nodes[i]))
		case a.ended && a.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", r.nodes[i], a.err))
		}
	}
	if absent == len(r.nodes) {
		return ErrNotFound
	}
	return withCause(ctx, errors.Join(errs...))
}

// create writes pieces[i] to node i, on all nodes at once. When it returns, it
// writes to no node any more.
func (r *raid) create(ctx context.Context, k key, pieces [][]byte) error {
	tolerated := 0
	if r.degraded {
		tolerated = 1
	}
	writing, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	type arrival struct {
		node *node
		err  error
	}
	arrivals := make(chan arrival, len(r.nodes))
	for i, n := range r.nodes {
		go func() { arrivals <- arrival{n, n.store.Create(writing, k.organization, k.block, pieces[i])} }()
	}
	var errs []error
	var lost *node
	straggler := time.NewTimer(stragglerLimit)
	straggler.Stop()
	defer straggler.Stop()
	for pending := len(r.nodes); pending > 0; {
		select {
		case arrived := <-arrivals:
			pending--
			err := withCause(writing, arrived.err)
			if errors.Is(err, errCut) {
				continue
			}
			if ctx.Err() == nil {
				arrived.node.writes.observe(ctx, err)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", arrived.node, err))
				lost = arrived.node
			}
			refused := err != nil && len(errs) == tolerated+1
			accepted := pending == 1 && len(errs) < tolerated
			if refused || accepted {
				straggler.Reset(stragglerLimit)
			}
		case <-straggler.C:
			if len(errs) > tolerated {
				cut(errCut)
			} else {
				cut(errStraggler)
			}
		}
	}
	if len(errs) > tolerated {
		return errors.Join(errs...)
	}
	if lost != nil {
		lost.writes.found.Failed(ctx, r.logger, "block stored without a node", lost.attribute(), k.attribute(), slog.Any("error", errs[0]))
	}
	return nil
}
