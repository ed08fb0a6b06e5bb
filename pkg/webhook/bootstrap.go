package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"parsec-server/pkg/outage"
	"parsec-server/pkg/sleep"
)

const (
	// maxBootstraps bounds the calls that wait; more are dropped.
	maxBootstraps = 256
	// maxAttempts bounds the tries of one call.
	maxAttempts = 5
	// firstRetry is the wait after the first try, doubled after each other.
	firstRetry = 2 * time.Second
)

// bootstrapQueue is the calls about new organizations.
type bootstrapQueue struct {
	client *Client
	url    string
	// found is whether calls are accepted.
	found *outage.Dependency
	// cancel drops what is left; done is closed when run has ended.
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex // held while queueing; guards closed
	closed bool
	calls  chan Bootstrap
}

// Bootstrap is a new organization, the first device of its first user, and that
// user: the body of a call. Labels and the e-mail may be nil.
type Bootstrap struct {
	Organization string  `json:"organization_id"`
	Device       string  `json:"device_id"`
	DeviceLabel  *string `json:"device_label"`
	HumanEmail   *string `json:"human_email"`
	HumanLabel   *string `json:"human_label"`
}

func newBootstrapQueue(client *Client, url string) *bootstrapQueue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &bootstrapQueue{
		client: client,
		url:    url,
		found:  outage.NewDependency("bootstrap webhook", slog.LevelError, client.logger),
		calls:  make(chan Bootstrap, maxBootstraps),
		cancel: cancel,
		done:   make(chan struct{}),
	}
	go q.run(ctx)
	return q
}

// Bootstrapped announces a new organization, in the background. The log has when the
// last try of a call fails, and when calls are accepted again.
func (c *Client) Bootstrapped(call Bootstrap) {
	if c.bootstraps != nil && !c.bootstraps.add(call) {
		c.bootstraps.found.Failed(context.Background(), c.logger, "bootstrap webhook dropped", slog.String("organization", call.Organization))
	}
}

// add fails when too many calls wait, or once closed.
func (q *bootstrapQueue) add(call Bootstrap) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	select {
	case q.calls <- call:
		return true
	default:
		return false
	}
}

func (q *bootstrapQueue) close(ctx context.Context) error {
	defer q.cancel()
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.calls)
	}
	q.mu.Unlock()
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
	}
	q.cancel()
	<-q.done
	return ctx.Err()
}

func (q *bootstrapQueue) run(ctx context.Context) {
	defer close(q.done)
	for call := range q.calls {
		if err := q.deliver(ctx, call); err != nil {
			q.found.Lost(ctx, err, slog.String("organization", call.Organization))
			q.client.logger.DebugContext(ctx, "bootstrap webhook failed", slog.String("organization", call.Organization), slog.Any("error", err))
		} else {
			q.found.Back(ctx)
		}
	}
}

// deliver tries until the call is accepted.
func (q *bootstrapQueue) deliver(ctx context.Context, call Bootstrap) error {
	body, err := json.Marshal(call)
	if err != nil {
		return err
	}
	wait := firstRetry
	for attempt := 1; ; attempt++ {
		answer, err := q.client.post(ctx, q.url, "application/json; charset=utf-8", body)
		if err == nil && !answer.accepted() {
			err = fmt.Errorf("status %d", answer.status)
		}
		if err == nil || attempt == maxAttempts {
			return err
		}
		if sleep.For(ctx, wait) != nil {
			return err
		}
		wait *= 2
	}
}
