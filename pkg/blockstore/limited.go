package blockstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/sleep"
)

// readyAge is how long an answer of Ready stands for the next ones, so that
// whoever polls the server does not poll the store.
const readyAge = time.Second

var (
	errTryLimit  = fmt.Errorf("no answer within the time limit of one try: %w", context.DeadlineExceeded)
	errCallLimit = fmt.Errorf("no success within the time limit of all tries: %w", context.DeadlineExceeded)
)

// Limits bound what the calls of a store may cost. All are positive.
type Limits struct {
	// Try bounds one try, Call all tries with the waits before and between
	// them.
	Try, Call time.Duration
	// Tries is how often a call is tried, at most.
	Tries int
	// Pause is the mean wait before the second try. It doubles for each next.
	Pause time.Duration
	// Concurrency is how many tries run at once; others wait.
	Concurrency int
}

// DefaultLimits suit a store in the network. A call ends well before the rules
// abandon the upload of a block.
func DefaultLimits() Limits {
	return Limits{
		Try:         10 * time.Second,
		Call:        30 * time.Second,
		Tries:       3,
		Pause:       100 * time.Millisecond,
		Concurrency: maxIdleConnections,
	}
}

var _ Store = (*Limited)(nil)

// Limited bounds the calls of a store in time and in number, and repeats those
// that may succeed later.
type Limited struct {
	store  Store
	limits Limits
	slots  chan struct{}

	// readyTurn is held by whoever asks whether the store is ready, and guards the
	// answer and its date.
	readyTurn chan struct{}
	answer    error
	answered  time.Time
}

// NewLimited puts limits around store.
func NewLimited(store Store, limits Limits) *Limited {
	return &Limited{
		store:     store,
		limits:    limits,
		slots:     make(chan struct{}, limits.Concurrency),
		readyTurn: make(chan struct{}, 1),
	}
}

// String names the store in logs.
func (l *Limited) String() string { return nameOf(l.store) }

// Read implements Store.
func (l *Limited) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	return l.call(ctx, func(ctx context.Context) error {
		return l.store.Read(ctx, organization, id, checksum, into...)
	})
}

// Create implements Store.
func (l *Limited) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	return l.call(ctx, func(ctx context.Context) error {
		return l.store.Create(ctx, organization, id, block)
	})
}

// Init implements Initializer.
func (l *Limited) Init(ctx context.Context) error {
	return l.call(ctx, func(ctx context.Context) error { return Init(ctx, l.store) })
}

// Ready implements Store. It tries once, and returns the last answer again for a
// second.
func (l *Limited) Ready(ctx context.Context) error {
	select {
	case l.readyTurn <- struct{}{}:
		defer func() { <-l.readyTurn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !l.answered.IsZero() && time.Since(l.answered) < readyAge {
		return l.answer
	}
	err := l.try(ctx, l.store.Ready)
	if ctx.Err() == nil {
		l.answer, l.answered = err, time.Now()
	}
	return err
}

func (l *Limited) call(ctx context.Context, action func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.limits.Call, errCallLimit)
	defer cancel()
	pause := l.limits.Pause
	for tries := 1; ; tries++ {
		err := l.try(ctx, action)
		if err == nil || tries == l.limits.Tries || !mayPass(err) || sleep.For(ctx, jitter(pause)) != nil {
			return err
		}
		pause *= 2
	}
}

// try runs action in one of the slots.
func (l *Limited) try(ctx context.Context, action func(context.Context) error) error {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return fmt.Errorf("%s: wait for one of %d requests to end: %w", l, l.limits.Concurrency, context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.limits.Try, errTryLimit)
	defer cancel()
	return withCause(ctx, action(ctx))
}

// jitter spreads the tries of calls that failed together.
func jitter(mean time.Duration) time.Duration {
	return mean/2 + rand.N(mean)
}
