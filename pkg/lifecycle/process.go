// Package lifecycle owns the life of a server process: its listening sockets,
// accepting, draining within the grace period, and ending. Nothing else stops
// accepting, or ends what a server has opened.
package lifecycle

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// cutLimit is how long what was cut at the end of the grace period may take to
// notice.
const cutLimit = time.Second

// Front serves the connections of a listener.
type Front interface {
	// Serve accepts and serves until the listener is closed; then it returns
	// nil.
	Serve(listener net.Listener) error
	// Shutdown lets requests that run finish until ctx is done, and cuts what
	// is left.
	Shutdown(ctx context.Context)
}

// Process is the life of a server process: what it opened ends in the opposite
// order, all within one grace period. Its methods are called by one goroutine.
type Process struct {
	grace  time.Duration
	logger *slog.Logger
	parts  []part
}

// part is something that ends with the process.
type part struct {
	name string
	end  func(ctx context.Context)
}

// New returns a process that has opened nothing yet. Its owner calls End.
func New(grace time.Duration, logger *slog.Logger) *Process {
	return &Process{grace: grace, logger: logger}
}

// OnEnd has End call a function, before those that it was given earlier. The
// context of the function is done at the end of the grace period; if it lasts
// longer, it is left alone.
func (p *Process) OnEnd(name string, end func(ctx context.Context)) {
	p.parts = append(p.parts, part{name, end})
}

// Serve has front accept connections until ctx is done, which is the order to
// stop, or until it fails. End then stops accepting, and drains.
func (p *Process) Serve(ctx context.Context, front Front, listener net.Listener) error {
	accepting := make(chan struct{})
	p.OnEnd("accepting", func(context.Context) { <-accepting })
	p.OnEnd("connections", front.Shutdown)
	p.OnEnd("listening socket", func(context.Context) { _ = listener.Close() }) // whatever it says, it is closed
	failed := make(chan error, 1)
	go func() {
		defer close(accepting)
		failed <- front.Serve(listener)
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		p.logger.Info("stopping", "grace_period", p.grace)
		return nil
	}
}

// End ends everything, last opened first. It returns when that is done, and at
// the latest a second after the grace period, which begins now: what hangs then
// ends with the process.
func (p *Process) End() {
	ctx, cancel := context.WithTimeout(context.Background(), p.grace)
	defer cancel()
	last, cancelLast := context.WithTimeout(context.Background(), p.grace+cutLimit)
	defer cancelLast()
	for len(p.parts) > 0 {
		ending := p.parts[len(p.parts)-1]
		p.parts = p.parts[:len(p.parts)-1]
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			ending.end(ctx)
		}()
		select {
		case <-ended:
		case <-last.Done():
			p.logger.Warn("not ended within the grace period", "part", ending.name, "grace_period", p.grace)
			return
		}
	}
}
