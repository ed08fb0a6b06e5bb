package parsec2

import (
	"context"
	"time"

	"parsec-server/pkg/sleep"
)

// receiptTimeout bounds how long the answer to a ping is awaited that shows
// that a claimer has what it was answered.
const receiptTimeout = 10 * time.Second

// hangUpTime is within what a claimer that lost the reply, for reasons of its
// own, hangs up to ask for it again.
const hangUpTime = time.Second

// delivery is how far a claimer is with what it is still owed of an invitation
// that is over (docs/protocol/invite.md §4, the paragraph on FINISHED). The
// connection's mu guards it.
type delivery struct {
	// finished reports whether the invitation is over, and the claimer may be
	// owed something.
	finished bool
	// answered reports whether the claimer's last step is answered, and
	// answeredOn when.
	answered   bool
	answeredOn time.Time
	// ending reports whether the end of the connection is under way.
	ending bool
}

// finished is called when the connection must end once its claimer has what it
// is owed. A claimer who is in no step, and whose last one was not answered, may
// still ask for it; the session ends a minute later at most.
func (c *connection) finished() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivery.finished = true
	c.deliver()
}

// answered records that the running command is answered.
func (c *connection) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.abandonable {
		c.delivery.answered, c.delivery.answeredOn = true, time.Now()
	}
}

// deliver ends the connection if its claimer has what it is owed. The caller
// holds mu.
func (c *connection) deliver() {
	d := &c.delivery
	if !d.finished || !d.answered || d.ending || c.cancel != nil {
		return
	}
	d.ending = true
	left := time.Until(d.answeredOn.Add(hangUpTime))
	c.wing.server.Go(func() { c.endDelivered(left) })
}

// endDelivered closes the connection. If it is still there a while after the
// reply, and answers a ping, the reply is not lost: then nobody is let in any
// more to ask for it.
func (c *connection) endDelivered(left time.Duration) {
	ctx, cancel := context.WithTimeout(c.wing.server.Commands(), receiptTimeout)
	defer cancel()
	_ = sleep.For(ctx, left) // The ping below fails once ctx is done.
	err := c.socket.Ping(ctx)
	if err == nil {
		err = c.session.Received(ctx)
	}
	if err != nil {
		c.caller.logger.Debug("what a claimer was answered may be lost", "error", err)
	}
	c.over()
}
