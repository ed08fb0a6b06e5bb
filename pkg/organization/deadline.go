package organization

import (
	"sync"
	"time"

	"parsec-server/pkg/parsec"
)

// Deadline ends what lasts no longer than its organization, whose expiration may be
// moved. Its zero value ends nothing. Its methods are called under one lock.
type Deadline struct{ timer *time.Timer }

// Set has end called at a date, nil for never, in place of the date before: at once if
// it has passed, later under lock, which the caller holds.
func (d *Deadline) Set(lock sync.Locker, date *parsec.DateTime, now parsec.DateTime, end func()) {
	d.Stop()
	if date == nil {
		return
	}
	left := date.Sub(now)
	if left <= 0 {
		end()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		lock.Lock()
		defer lock.Unlock()
		if d.timer == timer { // else the date has changed meanwhile
			end()
		}
	})
	d.timer = timer
}

// Stop has nothing ended any more.
func (d *Deadline) Stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
