package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
)

const (
	// openings is how many connections are prepared at the same time: servers
	// bound the handshakes in flight.
	openings = 32
	// grace is what operations under way get to finish once the time is over.
	grace            = 5 * time.Second
	progressInterval = time.Second
)

// bench is one run.
type bench struct {
	options Options
	version parsec.APIVersion
	clients []*parsec2.Client
	devices []*parsec2.Device
	// realm is the one that all share, zero when each worker has its own.
	realm   parsec.RealmID
	payload []byte
	workers []*worker
	// begun counts operations when their number is bounded.
	begun atomic.Uint64
	open  atomic.Int64
}

// Run prepares an organization, has the connections work, and tells what was
// measured. When ctx ends during the work, the report covers the part that was
// done; before, the error is that of ctx.
//
// Wrong options are errors, and so is whatever keeps the work from beginning.
// What goes wrong later is counted in the report: unless options say to
// reconnect, a connection that is lost stays lost, and the others go on.
func Run(ctx context.Context, options Options) (*Report, error) {
	if err := options.Check(); err != nil {
		return nil, err
	}
	b := &bench{
		options: options,
		version: versions[options.API],
		clients: newClients(&options),
		payload: make([]byte, options.payload()),
	}
	defer b.close()
	if err := b.prepareOrganization(ctx); err != nil {
		return nil, err
	}
	b.workers = make([]*worker, options.Connections)
	for i := range b.workers {
		b.workers[i] = newWorker(b, i)
	}
	defer b.follow()()
	switch options.Workload {
	case Fanout:
		return b.fanout(ctx)
	case Idle:
		return b.idle(ctx)
	default:
		return b.steady(ctx)
	}
}

// close drops every connection.
func (b *bench) close() {
	for _, w := range b.workers {
		w.close()
	}
	for _, c := range b.clients {
		c.Close()
	}
}

// steady runs a workload whose connections repeat one operation.
func (b *bench) steady(ctx context.Context) (*Report, error) {
	work := steadyWorkloads[b.options.Workload]
	if err := b.prepareWorkers(ctx, work.prepare); err != nil {
		return nil, err
	}
	running, stop := context.WithTimeout(ctx, b.options.Duration)
	defer stop()
	operations, cancel := outlasting(running)
	defer cancel()
	start := time.Now()
	var working sync.WaitGroup
	for _, w := range b.workers {
		working.Go(func() { w.repeat(running, operations, work) })
	}
	working.Wait()
	return b.report(time.Since(start)), nil
}

// prepareWorkers prepares every worker, a few at a time.
func (b *bench) prepareWorkers(ctx context.Context, prepare func(*worker, context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(openings)
	for _, w := range b.workers {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, preparationTimeout)
			defer cancel()
			if err := prepare(w, ctx); err != nil {
				return fmt.Errorf("prepare a connection: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// take tells whether one more operation may begin.
func (b *bench) take() bool {
	return b.options.Operations == 0 || b.begun.Add(1) <= b.options.Operations
}

// outlasting gives a context that ends a grace after ctx. cancel must be
// called.
func outlasting(ctx context.Context) (longer context.Context, cancel func()) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			end()
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		end()
	}
}

// report adds up the workers, which have ended.
func (b *bench) report(elapsed time.Duration) *Report {
	report := &Report{
		Workload:    b.options.Workload,
		API:         b.options.API,
		Connections: b.options.Connections,
		Size:        len(b.payload),
		Elapsed:     elapsed,
		Errors:      map[string]uint64{},
	}
	var latency histogram
	for _, w := range b.workers {
		latency.add(&w.latency)
		for name, count := range w.errors {
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

// follow reports the progress until the function that it returns is called.
func (b *bench) follow() (stop func()) {
	if b.options.Progress == nil {
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
				b.options.Progress(b.progress(time.Since(start)))
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

func (b *bench) progress(elapsed time.Duration) Progress {
	progress := Progress{Elapsed: elapsed, Connections: b.open.Load()}
	for _, w := range b.workers {
		progress.Operations += w.succeeded.Load()
		progress.Errors += w.failed.Load()
	}
	return progress
}
