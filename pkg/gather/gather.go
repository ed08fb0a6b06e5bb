// Package gather has what is asked of one topic at the same time done together.
package gather

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"parsec-server/pkg/span"
)

// The most that is done together: it bounds how long one may wait for the others,
// and the memory of what is sent together.
const (
	MaxMembers = 64
	// MaxSize is in bytes; one member alone may be larger.
	MaxSize = 4 << 20
)

// The pause after what several have done together, a part of the time that it took: who
// asks again once it is answered comes a moment later, and would be left for the time
// after next by the first of them.
const (
	pausePart = 2
	minPause  = 200 * time.Microsecond
	maxPause  = 2 * time.Millisecond
)

// Gatherer does one thing after the other of each topic. What is asked while
// nothing of its topic is under way begins at once; what is asked meanwhile waits,
// and is then done together: in the order in which it was asked, MaxMembers or
// MaxSize at a time. While many ask, each time after a pause, for as many as the last
// time. Topics do not wait for one another.
//
// It keeps no more than its callers, who wait. A topic has one goroutine, which
// ends once nobody waits for it. Its methods are safe for concurrent use.
type Gatherer[Topic comparable, Work any] struct {
	// Run does what take returns, and sets the outcome of each member. It calls
	// take as late as it can, since more may be asked until then, and at least
	// once; later calls return the same. What is taken may be nothing. The context
	// has the values of that of a member, and ends when nobody waits any more before
	// anything is taken.
	Run func(ctx context.Context, take func() []*Member[Work])
	// Compare is the order of what is done together; of equals the one that was
	// asked first comes first.
	Compare func(a, b Work) int

	mu     sync.Mutex // guards what follows
	topics map[Topic]*topic[Work]
}

// Member is one of those that are done together.
type Member[Work any] struct {
	Work Work
	// Err is the outcome; with that of Guard for a panic the member does its work alone.
	Err error

	ctx   context.Context // that of the caller, who waits
	size  int
	alone bool
	// panicked is what Run has panicked with, nil if it has not.
	panicked any
	done     chan struct{}
}

// topic is one of which something is under way. The Gatherer's mu guards it.
type topic[Work any] struct {
	waiting []*Member[Work]
	// end ends the context of the call of Run that is under way, and taken reports
	// whether that has taken its members.
	end   context.CancelFunc
	taken bool
	// members counts those that it has taken, until they are told that they are done.
	members int
	// awaited is how many must wait for the pause to end early, 0 if there is none; full
	// is closed then.
	awaited int
	full    chan struct{}
	// pausing reports whether all that wait do so for others, as nothing runs.
	pausing bool
}

// Do has work of a topic done, and returns its outcome. Size is that of the work in
// bytes. When ctx ends before the work is taken it is never done, and Do returns the
// error of ctx; afterwards it waits for the outcome. What a member does alone, as
// Run decides, it does by alone, on the goroutine of its caller.
func (g *Gatherer[Topic, Work]) Do(ctx context.Context, of Topic, work Work, size int, alone func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := &Member[Work]{Work: work, ctx: ctx, size: size, done: make(chan struct{})}
	end := span.Begin(ctx, "gathered")
	g.add(of, m)
	select {
	case <-m.done:
	case <-ctx.Done():
		if g.leave(of, m) {
			end(ctx.Err())
			return ctx.Err()
		}
		<-m.done
	}
	end(nil) // What is refused is no failure.
	switch {
	case m.panicked != nil:
		panic(m.panicked)
	case m.alone || errors.Is(m.Err, errPanic):
		return alone()
	default:
		return m.Err
	}
}

// DoAlone has a member do its work alone, once Run has ended.
func (m *Member[Work]) DoAlone() { m.alone = true }

// errPanic is the outcome of work that panics.
var errPanic = errors.New("a panic")

// Guard does the work of a member, and returns an error of its own when it panics: a panic
// is that of whose work it is, and not of those that are done together with it.
func Guard(work func() error) (err error) {
	returned := false
	defer func() {
		if !returned && recover() != nil {
			err = errPanic
		}
	}()
	err = work()
	returned = true
	return err
}

// Gathered counts the members that wait for others, or are done together with
// others but the first of them.
func (g *Gatherer[Topic, Work]) Gathered() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	count := 0
	for _, t := range g.topics {
		members := len(t.waiting) + t.members
		if members > 0 && !t.pausing {
			members--
		}
		count += members
	}
	return count
}

func (g *Gatherer[Topic, Work]) add(of Topic, m *Member[Work]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t, busy := g.topics[of]; busy {
		t.waiting = append(t.waiting, m)
		if t.awaited > 0 && len(t.waiting) >= t.awaited {
			close(t.full)
			t.awaited = 0
		}
		return
	}
	if g.topics == nil {
		g.topics = map[Topic]*topic[Work]{}
	}
	t := &topic[Work]{waiting: []*Member[Work]{m}}
	g.topics[of] = t
	go g.work(of, t)
}

// leave takes a member away that waits, and reports whether it did.
func (g *Gatherer[Topic, Work]) leave(of Topic, m *Member[Work]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, busy := g.topics[of]
	if !busy {
		return false
	}
	i := slices.Index(t.waiting, m)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	if len(t.waiting) == 0 && !t.taken && t.end != nil { // else begin does
		t.end()
	}
	return true
}

// work does all of a topic until nothing of it waits.
func (g *Gatherer[Topic, Work]) work(of Topic, t *topic[Work]) {
	for {
		values, goesOn := g.next(of, t)
		if !goesOn {
			return
		}
		begun := time.Now()
		members := g.run(values, of, t)
		g.pause(t, members, time.Since(begun)/pausePart)
	}
}

// pause waits a while for as many as were done together last, unless that was one.
func (g *Gatherer[Topic, Work]) pause(t *topic[Work], members int, limit time.Duration) {
	if members < 2 || limit < minPause {
		return
	}
	g.mu.Lock()
	full := make(chan struct{})
	if t.awaited, t.full = members, full; len(t.waiting) >= members {
		t.awaited = 0
		close(full)
	}
	t.pausing = true
	g.mu.Unlock()
	timer := time.NewTimer(min(limit, maxPause))
	defer timer.Stop()
	select {
	case <-full:
	case <-timer.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t.awaited, t.pausing = 0, false
}

// run calls Run, tells the members that they are done, and returns how many they were.
func (g *Gatherer[Topic, Work]) run(values context.Context, of Topic, t *topic[Work]) (count int) {
	ctx, end := context.WithCancel(context.WithoutCancel(values))
	defer end()
	g.begin(t, end)
	take := sync.OnceValue(func() []*Member[Work] { return g.take(ctx, t) })
	returned := false
	defer func() {
		members := take()
		count = len(members)
		switch value := recover(); {
		case value != nil:
			panicked := fmt.Sprintf("%v\n\n%s", value, debug.Stack())
			for _, m := range members {
				m.panicked = panicked
			}
		case !returned: // A test that fails in its work ends the goroutine, which should be its own.
			for _, m := range members {
				m.DoAlone()
			}
			defer func() { go g.work(of, t) }()
		}
		g.finish(t, members)
	}()
	g.Run(ctx, take)
	returned = true
	return count // set when they are told
}

// next returns the context of who has waited longest, unless nothing waits, which ends
// the topic.
func (g *Gatherer[Topic, Work]) next(of Topic, t *topic[Work]) (values context.Context, goesOn bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(t.waiting) == 0 {
		delete(g.topics, of)
		return nil, false
	}
	return t.waiting[0].ctx, true
}

// begin has end be called once nobody waits for the call of Run that begins.
func (g *Gatherer[Topic, Work]) begin(t *topic[Work], end context.CancelFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.end, t.taken = end, false
	if len(t.waiting) == 0 {
		end()
	}
}

// take returns the members that have waited longest, in order; none if ctx is over.
func (g *Gatherer[Topic, Work]) take(ctx context.Context, t *topic[Work]) []*Member[Work] {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.taken = true
	if ctx.Err() != nil { // who has come since waits for the next call
		return nil
	}
	count, size := 0, 0
	for count < min(len(t.waiting), MaxMembers) {
		size += t.waiting[count].size
		if count > 0 && size > MaxSize {
			break
		}
		count++
	}
	members := slices.Clone(t.waiting[:count])
	t.members = count
	t.waiting = slices.Delete(t.waiting, 0, count)
	slices.SortStableFunc(members, func(a, b *Member[Work]) int { return g.Compare(a.Work, b.Work) })
	return members
}

// finish tells the members that they are done.
func (g *Gatherer[Topic, Work]) finish(t *topic[Work], members []*Member[Work]) {
	g.mu.Lock()
	t.members = 0
	g.mu.Unlock()
	for _, m := range members {
		close(m.done)
	}
}
