package testkit

import (
	"sync"
	"time"

	"parsec-server/pkg/parsec"
)

// Clock is a clock that tests move. Its zero value is not usable.
type Clock struct {
	mu  sync.Mutex
	now parsec.DateTime
}

// NewClock returns a clock that stands at now.
func NewClock(now parsec.DateTime) *Clock { return &Clock{now: now} }

// Now returns the time of the clock.
func (c *Clock) Now() parsec.DateTime {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(duration time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(duration)
}
