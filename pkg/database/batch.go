package database

import (
	"runtime"
	"sync"
	"time"
)

// Batcher runs together what is asked while something runs: the database takes
// one statement for many rows much faster than many statements for one. What is
// asked alone runs at once.
type Batcher[R any] struct {
	// Run answers requests, at most Most of them.
	Run  func([]R)
	Most int
	// Another run, of at most Runs at the same time, begins when Most requests
	// wait, or when the last one began longer than Patience ago: something in
	// it is slow.
	Runs     int
	Patience time.Duration

	mu      sync.Mutex // guards what follows
	waiting []R
	running int
	begun   time.Time
}

// Add has the request answered, on a goroutine that ends once nothing waits.
func (b *Batcher[R]) Add(request R) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, request)
	if b.running == 0 || b.running < b.Runs && (len(b.waiting) >= b.Most || time.Since(b.begun) > b.Patience) {
		b.running++
		go b.work()
	}
}

func (b *Batcher[R]) work() {
	for {
		// On a busy machine, whoever is about to ask does so first.
		runtime.Gosched()
		requests := b.take()
		if len(requests) == 0 {
			return
		}
		b.Run(requests)
	}
}

// take returns the requests that have waited longest, none when the work ends.
func (b *Batcher[R]) take() []R {
	b.mu.Lock()
	defer b.mu.Unlock()
	count := min(len(b.waiting), b.Most)
	if count == 0 {
		b.running--
		return nil
	}
	b.begun = time.Now()
	requests := b.waiting[:count:count]
	b.waiting = b.waiting[count:]
	return requests
}
