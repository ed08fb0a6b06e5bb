// Package lifecycle owns the life of a server process: its listening sockets,
// from whom it gets them and to whom it passes them on, accepting, draining within
// the grace period, and ending. Nothing else stops accepting, or ends what a server
// has opened.
package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// cutLimit is how long what was cut at the end of the grace period may take to
// notice.
const cutLimit = time.Second

// Succession is who serves clients after a process that stops.
type Succession int

const (
	// NoSuccessor is for other instances, if there are any: what connects to this
	// process is refused.
	NoSuccessor Succession = iota
	// LaterSuccessor is a process that is started once this one has ended: who
	// connects waits in the queue of the socket.
	LaterSuccessor
	// PresentSuccessor is a process that accepts connections of the same socket.
	PresentSuccessor
)

// Front serves the connections of a listener.
type Front interface {
	// Ready returns why requests cannot be served, nil if they can.
	Ready(ctx context.Context) error
	// Serve accepts and serves until the listener is closed; then it returns
	// nil.
	Serve(listener net.Listener) error
	// Retire has clients go elsewhere, while everything is served. It may be
	// called again when a successor appears.
	Retire(next Succession)
	// Shutdown lets requests that run finish until ctx is done, and cuts what
	// is left. Nothing more is accepted by then.
	Shutdown(ctx context.Context)
}

// Process is the life of a server process: what it opened ends in the opposite
// order, all within one grace period. Its methods are called by one goroutine.
type Process struct {
	grace  time.Duration
	delay  time.Duration
	logger *slog.Logger
	parts  []part
	// serving is called once connections are accepted; nil for nobody.
	serving func()
	estate
}

// part is something that ends with the process.
type part struct {
	name string
	end  func(ctx context.Context)
}

// New returns a process that has opened nothing yet. Its owner calls End.
func New(grace time.Duration, logger *slog.Logger) *Process {
	return &Process{grace: grace, logger: logger, estate: estate{limits: defaultLimits}}
}

// OnEnd has End call a function, before those that it was given earlier. The
// context of the function is done at the end of the grace period; if it lasts
// longer, it is left alone.
func (p *Process) OnEnd(name string, end func(ctx context.Context)) {
	p.parts = append(p.parts, part{name, end})
}

// OnServing has Serve call a function once connections are accepted, and by this
// process alone.
func (p *Process) OnServing(serving func()) { p.serving = serving }

// Linger has Serve go on for a while after the order to stop, before the grace
// period: the front is retired by then, and whoever sends it clients notices.
func (p *Process) Linger(delay time.Duration) { p.delay = delay }

// Serve has front accept connections until ctx is done, which is the order to
// stop, until a successor accepts them, or until it fails. What waits in the queue of
// the socket by then is accepted still. End then stops accepting, and drains. If there is a predecessor, front accepts once it is ready,
// and from then on in its place.
func (p *Process) Serve(ctx context.Context, front Front, listener net.Listener) error {
	if err := p.settle(ctx, front); err != nil {
		return err
	}
	ended, failed := make(chan struct{}), make(chan error, 1)
	p.OnEnd("connections", front.Shutdown)
	p.OnEnd("accepting", func(ctx context.Context) {
		select {
		case <-ended:
		case <-ctx.Done():
		}
	})
	p.OnEnd("listening socket", func(context.Context) { _ = listener.Close() }) // whatever it says, it is closed
	door := &door{Listener: listener, opened: make(chan struct{})}
	go func() {
		defer close(ended)
		failed <- front.Serve(door)
	}()
	select {
	case <-door.opened:
	case err := <-failed:
		return err
	}
	if err := p.succeed(); err != nil {
		return err
	}
	if p.serving != nil {
		p.serving()
	}
	succeeded, err := p.await(ctx, front, failed)
	if err == nil && !succeeded {
		p.endQueue(listener)
	}
	return err
}

// await returns when front has failed, or is retired, and whether another process
// serves instead.
func (p *Process) await(ctx context.Context, front Front, failed <-chan error) (succeeded bool, err error) {
	stopping, late := ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case err := <-failed:
			return false, err
		case heir := <-p.heirs:
			p.logger.Info("another process serves instead", "grace_period", p.grace)
			front.Retire(PresentSuccessor)
			p.stopAccepting()
			heir.release()
			return true, nil
		case <-stopping:
			p.logger.Info("stopping", "delay", p.delay, "grace_period", p.grace)
			next := NoSuccessor
			if p.kept {
				next = LaterSuccessor
			}
			front.Retire(next)
			if p.delay == 0 {
				return false, nil
			}
			timer := time.NewTimer(p.delay)
			defer timer.Stop()
			stopping, late = nil, timer.C
		case <-late:
			return false, nil
		}
	}
}

// door is a listener that says when the first connection is waited for.
type door struct {
	net.Listener
	once   sync.Once
	opened chan struct{}
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	d.once.Do(func() { close(d.opened) })
	return d.Listener.Accept()
}

// settle has the process ready to accept connections: it has the sockets that it
// needs, no other, and what it needs to hand them over.
func (p *Process) settle(ctx context.Context, front Front) error {
	if err := p.refuseUnclaimed(); err != nil {
		return err
	}
	if err := p.prepareHandover(); err != nil {
		return err
	}
	if p.predecessor == nil {
		return nil
	}
	if err := front.Ready(ctx); err != nil {
		return fmt.Errorf("the running process goes on serving, as this one is not ready: %w", err)
	}
	return nil
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
