package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"parsec-server/pkg/sleep"
)

const (
	// PreparationTimeout bounds each step before the clock starts.
	PreparationTimeout = 30 * time.Second
	// openings is how many connections are prepared at the same time: servers
	// bound the handshakes in flight.
	openings = 32
	// grace is what operations under way get to finish once the time is over.
	grace            = 5 * time.Second
	progressInterval = time.Second
	// maxFailures in a row end a connection: nothing will work any more.
	maxFailures = 1000
	// reconnectionPause comes before each attempt to open a lost connection.
	reconnectionPause = 100 * time.Millisecond
)

// Connection is one connection of a steady load, which repeats one operation.
type Connection interface {
	// Prepare opens the connection and makes what it works on.
	Prepare(ctx context.Context) error
	// Operate does one operation.
	Operate(ctx context.Context) error
	// Lost reports whether the connection is of no use after a failed
	// operation.
	Lost(err error) bool
	// Close drops the connection if it is open.
	Close()
}

// Run is one run of a load.
type Run struct {
	// Duration is how long the connections work.
	Duration time.Duration
	// Operations ends the run earlier, once so many have begun; 0 does not.
	Operations uint64
	// Reconnect has lost connections prepared anew.
	Reconnect bool
	// NameOf returns the name under which an error is counted.
	NameOf func(error) string
	// Progress is called every second, on a goroutine of the run; nil is not.
	Progress func(Progress)
	// Meters has one for each connection.
	Meters []*Meter
	// Open counts the open connections; they do it themselves.
	Open atomic.Int64

	begun atomic.Uint64
}

// Progress is how far a run is.
type Progress struct {
	// Elapsed is the time since the beginning of the run.
	Elapsed time.Duration
	// Connections is how many are open.
	Connections int64
	// Operations and Errors count what was done.
	Operations, Errors uint64
}

// Steady prepares a connection for each meter, has them repeat their operation,
// and reports what was measured. When ctx ends during the work, the
// report covers the part that was done.
func (r *Run) Steady(ctx context.Context, connection func(i int) Connection) (*Report, error) {
	err := r.Prepare(ctx, func(ctx context.Context, i int) error { return connection(i).Prepare(ctx) })
	if err != nil {
		return nil, err
	}
	running, operations, end := r.Begin(ctx)
	defer end()
	start := time.Now()
	var working sync.WaitGroup
	for i, meter := range r.Meters {
		working.Go(func() { r.repeat(running, operations, connection(i), meter) })
	}
	working.Wait()
	return r.Report(time.Since(start)), nil
}

// repeat does the operations of a connection until running ends; ctx is for
// those under way.
func (r *Run) repeat(running, ctx context.Context, connection Connection, meter *Meter) {
	for failures := 0; failures < maxFailures && running.Err() == nil && r.Take(); {
		start := time.Now()
		err := connection.Operate(ctx)
		if err == nil {
			meter.Succeed(time.Since(start))
			failures = 0
			continue
		}
		meter.Fail(r.NameOf(err))
		failures++
		if connection.Lost(err) && (!r.Reconnect || !r.reconnect(running, connection, meter)) {
			return
		}
	}
}

// reconnect prepares a connection anew, and reports whether it can go on.
func (r *Run) reconnect(running context.Context, connection Connection, meter *Meter) bool {
	connection.Close()
	for range maxFailures {
		if sleep.For(running, reconnectionPause) != nil {
			return false
		}
		ctx, cancel := context.WithTimeout(running, PreparationTimeout)
		err := connection.Prepare(ctx)
		cancel()
		if err == nil {
			return true
		}
		connection.Close()
		if running.Err() != nil {
			return false
		}
		meter.Fail(r.NameOf(err))
	}
	return false
}

// Take reports whether one more operation may begin.
func (r *Run) Take() bool { return r.Operations == 0 || r.begun.Add(1) <= r.Operations }

// Prepare calls prepare for every connection, a few at a time, until one fails.
func (r *Run) Prepare(ctx context.Context, prepare func(ctx context.Context, connection int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(openings)
	for i := range r.Meters {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, PreparationTimeout)
			defer cancel()
			if err := prepare(ctx, i); err != nil {
				return fmt.Errorf("prepare a connection: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// ForEach calls do for every connection, a few at a time.
func (r *Run) ForEach(do func(connection int)) {
	var group errgroup.Group
	group.SetLimit(openings)
	for i := range r.Meters {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = group.Wait() // none fails
}

// Begin returns a context that ends when no more operations begin, and one for
// the operations, which ends a grace later. end must be called.
func (r *Run) Begin(ctx context.Context) (running, operations context.Context, end func()) {
	running, stop := context.WithTimeout(ctx, r.Duration)
	operations, cancel := context.WithCancel(context.WithoutCancel(running))
	forget := context.AfterFunc(running, func() {
		if sleep.For(operations, grace) == nil {
			cancel()
		}
	})
	return running, operations, func() {
		forget()
		cancel()
		stop()
	}
}

// Report adds up the meters. Nobody may record meanwhile.
func (r *Run) Report(elapsed time.Duration) *Report {
	report := &Report{Connections: len(r.Meters), Elapsed: elapsed, Errors: map[string]uint64{}}
	var latency histogram
	for _, meter := range r.Meters {
		latency.add(&meter.latency)
		for name, count := range meter.errors {
			report.Errors[name] += count
		}
	}
	report.Operations = latency.count
	report.Median = latency.quantile(0.50)
	report.Percentile95 = latency.quantile(0.95)
	report.Percentile99 = latency.quantile(0.99)
	report.Longest = latency.longest
	return report
}

// Follow reports the progress until stop is called.
func (r *Run) Follow() (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	start := time.Now()
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				r.Progress(r.progress(time.Since(start)))
			case <-stopped:
				return
			}
		}
	}()
	return func() {
		close(stopped)
		<-ended
	}
}

func (r *Run) progress(elapsed time.Duration) Progress {
	progress := Progress{Elapsed: elapsed, Connections: r.Open.Load()}
	for _, meter := range r.Meters {
		progress.Operations += meter.succeeded.Load()
		progress.Errors += meter.failed.Load()
	}
	return progress
}
