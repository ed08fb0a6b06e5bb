package testkit

import (
	"context"
	"testing"
	"time"

	"parsec-server/pkg/event"
)

// patience bounds a hang: whatever is waited for comes in milliseconds.
const patience = 3 * time.Minute

// Await waits until a condition holds.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// NewBus returns a bus that ends with the test.
func NewBus(t testing.TB) *event.Bus {
	t.Helper()
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	return bus
}

// Recorder gets the events of a bus, in order.
type Recorder struct {
	t      testing.TB
	events chan event.Event
}

// Record begins to get the events of topics, until the test ends.
func Record(t testing.TB, bus *event.Bus, topics ...event.Topic) *Recorder {
	t.Helper()
	const most = 10_000 // more than any test has: receivers must not block
	r := &Recorder{t, make(chan event.Event, most)}
	subscription := bus.Subscribe(func(e event.Event) { r.events <- e }, topics...)
	t.Cleanup(subscription.Close)
	return r
}

// Next waits for one.
func (r *Recorder) Next() event.Body {
	r.t.Helper()
	select {
	case e := <-r.events:
		return e.Body
	case <-time.After(patience):
		r.t.Fatalf("no event within %s", patience)
		return nil
	}
}

// Want waits for events, and wants these.
func (r *Recorder) Want(bodies ...event.Body) {
	r.t.Helper()
	for _, want := range bodies {
		if got := r.Next(); got != want {
			r.t.Errorf("event %+v, want %+v", got, want)
		}
	}
}
