package outage

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"parsec-server/pkg/sleep"
)

// Patience is how long a request is held, from its begin, before its client is told
// of an outage that it may not survive (docs/protocol/v5/quirks.md §11).
const Patience = 45 * time.Second

const (
	// firstPause is about the wait before the second try. It doubles for each next
	// one, up to longestPause.
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// Holder bounds how long requests are held, and how many at the same time. Its
// methods are safe for concurrent use.
type Holder struct {
	// Patience is how long one is held, from its begin.
	Patience time.Duration
	// Most are held at the same time; others are told at once.
	Most int64

	held atomic.Int64
}

// Hold is one request, which is held when Wait is called first. One goroutine uses
// it, and calls End.
type Hold struct {
	holder *Holder
	until  time.Time
	pause  time.Duration
	// entered reports that the request counts among those that are held.
	entered bool
}

// Begin returns the hold of a request that begins now. It costs nothing before its
// first Wait.
func (h *Holder) Begin() Hold { return Hold{holder: h, until: time.Now().Add(h.Patience)} }

// Wait pauses before another try, longer each time. It reports false when there is
// none: the time is over, too many requests are held, or ctx is done.
func (h *Hold) Wait(ctx context.Context) bool {
	left := time.Until(h.until)
	if left <= 0 || ctx.Err() != nil || !h.enter() {
		return false
	}
	h.pause = min(max(2*h.pause, firstPause), longestPause)
	// Those that were held together do not come back together.
	return sleep.For(ctx, min(left, h.pause/2+rand.N(h.pause))) == nil
}

func (h *Hold) enter() bool {
	if h.entered {
		return true
	}
	if h.holder.held.Add(1) > h.holder.Most {
		h.holder.held.Add(-1)
		return false
	}
	h.entered = true
	return true
}

// End leaves the place to others. It may be called again.
func (h *Hold) End() {
	if h.entered {
		h.entered = false
		h.holder.held.Add(-1)
	}
}
