package rules

import (
	"context"
	"sync"
)

// turns has those who speak in a greeting attempt here do so one after the other. The zero
// value has nobody.
type turns struct {
	mu sync.Mutex
	of map[attemptKey]*turn
}

// turn is that of an attempt.
type turn struct {
	// taken has an element while one of them speaks.
	taken chan struct{}
	// speakers are those who speak or wait for it.
	speakers int
}

// take waits until nobody else speaks in an attempt, and reports whether somebody has. The
// caller calls leave then, unless it fails.
func (t *turns) take(ctx context.Context, of attemptKey) (waited bool, leave func(), err error) {
	at, waited := t.enter(of)
	select {
	case at.taken <- struct{}{}:
		return waited, func() {
			<-at.taken
			t.leave(of, at)
		}, nil
	case <-ctx.Done():
		t.leave(of, at)
		return waited, nil, ctx.Err()
	}
}

func (t *turns) enter(of attemptKey) (at *turn, waits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[attemptKey]*turn{}
	}
	at, waits = t.of[of]
	if !waits {
		at = &turn{taken: make(chan struct{}, 1)}
		t.of[of] = at
	}
	at.speakers++
	return at, waits
}

func (t *turns) leave(of attemptKey, at *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.speakers--; at.speakers == 0 {
		delete(t.of, of)
	}
}
