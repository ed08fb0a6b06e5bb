package database

import (
	"runtime"
	"sync"
	"time"
)

// Gatherer runs together what is asked while something runs: the database takes
// one statement for many rows much faster than many statements for one. What is
// asked alone runs at once.
type Gatherer[R any] struct {
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
func (g *Gatherer[R]) Add(request R) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, request)
	if g.running == 0 || g.running < g.Runs && (len(g.waiting) >= g.Most || time.Since(g.begun) > g.Patience) {
		g.running++
		go g.work()
	}
}

func (g *Gatherer[R]) work() {
	for {
		// On a busy machine, whoever is about to ask does so first.
		runtime.Gosched()
		requests := g.take()
		if len(requests) == 0 {
			return
		}
		g.Run(requests)
	}
}

// take returns the requests that have waited longest, none when the work ends.
func (g *Gatherer[R]) take() []R {
	g.mu.Lock()
	defer g.mu.Unlock()
	count := min(len(g.waiting), g.Most)
	if count == 0 {
		g.running--
		return nil
	}
	g.begun = time.Now()
	requests := g.waiting[:count:count]
	g.waiting = g.waiting[count:]
	return requests
}
