package postgres

import (
	"runtime"
	"sync"
	"time"
)

// gatherer runs together what is asked while something runs: the database takes
// one statement for many rows much faster than many statements for one. What is
// asked alone runs at once.
type gatherer[R any] struct {
	// run answers requests, at most most of them.
	run  func([]R)
	most int
	// Another run, of at most runs at the same time, begins when most requests
	// wait, or when the last one began longer than patience ago: something in
	// it is slow.
	runs     int
	patience time.Duration

	mu      sync.Mutex // guards what follows
	waiting []R
	running int
	begun   time.Time
}

// add has the request answered, on a goroutine that ends once nothing waits.
func (g *gatherer[R]) add(request R) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, request)
	if g.running == 0 || g.running < g.runs && (len(g.waiting) >= g.most || time.Since(g.begun) > g.patience) {
		g.running++
		go g.work()
	}
}

func (g *gatherer[R]) work() {
	for {
		// On a busy machine, whoever is about to ask does so first.
		runtime.Gosched()
		requests := g.take()
		if len(requests) == 0 {
			return
		}
		g.run(requests)
	}
}

// take gives the requests that have waited longest, none when the work ends.
func (g *gatherer[R]) take() []R {
	g.mu.Lock()
	defer g.mu.Unlock()
	count := min(len(g.waiting), g.most)
	if count == 0 {
		g.running--
		return nil
	}
	g.begun = time.Now()
	requests := g.waiting[:count:count]
	g.waiting = g.waiting[count:]
	return requests
}
