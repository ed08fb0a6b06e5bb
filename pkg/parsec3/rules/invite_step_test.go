package rules_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// A step waits for the other side for 800 ms, and no longer, and is told at once.
func TestStepsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, inMemory)
		begin := time.Now()
		if got := p.poll(protocol.Greeter); got != protocol.StatusNotReady || time.Since(begin) != 800*time.Millisecond {
			t.Errorf("%s after %s", got, time.Since(begin))
		}
		begin = time.Now()
		answered := make(chan time.Duration)
		go func() {
			p.poll(protocol.Greeter)
			answered <- time.Since(begin)
		}()
		<-time.After(300 * time.Millisecond)
		p.other().poll(protocol.Claimer)
		if lasted := <-answered; lasted != 300*time.Millisecond {
			t.Errorf("told after %s", lasted)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin = time.Now()
		_, err := p.InviteGreeterStep(ctx, p.author, &protocol.InviteGreeterStepRequest{GreetingAttempt: p.attempt, GreeterStep: protocol.GreeterStepOf(1, nil)})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("who is gone is answered after %s: %v", time.Since(begin), err)
		}
	})
}

// Nobody waits in an attempt in which too much was said to be kept in view: each would have
// all of it for itself.
func TestStepsOfLargeAttemptsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, inMemory)
		for step := range 3 {
			p.both(step)
		}
		if got := status(p.say(protocol.Greeter, 3, []byte{})); got != protocol.StatusNotReady {
			t.Fatal(got)
		}
		_, err := p.say(protocol.Claimer, 3, make([]byte, 100<<10))
		p.ok(nil, err)
		begin := time.Now()
		for range 2 {
			if got := status(p.say(protocol.Claimer, 4, []byte{})); got != protocol.StatusNotReady {
				t.Errorf("answered %s", got)
			}
		}
		if lasted := time.Since(begin); lasted > 0 {
			t.Errorf("told after %s", lasted)
		}
		if got := status(p.other().say(protocol.Greeter, 4, []byte{})); got != protocol.StatusOK {
			t.Errorf("the other side is answered %s", got)
		}
		if got := status(p.say(protocol.Claimer, 4, []byte{})); got != protocol.StatusOK {
			t.Errorf("afterwards: %s", got)
		}
	})
}

// A step that finds too many others waiting is told at once.
func TestStepsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, inMemory)
		p.HoldSteps(rules.MaxHeldSteps - 1)
		for _, want := range []time.Duration{800 * time.Millisecond, 0} {
			begin := time.Now()
			if got := p.poll(protocol.Greeter); got != protocol.StatusNotReady || time.Since(begin) != want {
				t.Errorf("%s after %s, want %s", got, time.Since(begin), want)
			}
			p.HoldSteps(1)
		}
	})
}

// Both sides that speak at the same time are stored one after the other, each once, and
// who waits no longer leaves the turn to others.
func TestSpeakersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, inMemory)
		var begun, failed int
		gate := make(chan struct{})
		p.store.spoken = func(isStored, before bool) {
			switch {
			case before:
				begun++
				<-gate
			case !isStored:
				failed++
			}
		}
		answers := make(chan protocol.Status, 3)
		go func() { answers <- p.poll(protocol.Greeter) }()
		synctest.Wait()
		go func() { answers <- p.poll(protocol.Claimer) }()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := p.InviteClaimerStep(ctx, p.invited, &protocol.InviteClaimerStepRequest{GreetingAttempt: p.attempt, ClaimerStep: protocol.ClaimerStepOf(0, p.said)})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("who is gone is answered %v", err)
			}
			answers <- ""
		}()
		synctest.Wait()
		cancel()
		if got := <-answers; got != "" {
			t.Errorf("%s before anything is stored", got)
		}
		if begun != 1 {
			t.Errorf("%d speak at the same time", begun)
		}
		close(gate)
		for range 2 {
			if got := <-answers; got != protocol.StatusOK {
				t.Errorf("answered %s", got)
			}
		}
		if begun != 2 || failed != 0 {
			t.Errorf("%d parts are stored of 2, and %d in vain", begun, failed)
		}
	})
}
