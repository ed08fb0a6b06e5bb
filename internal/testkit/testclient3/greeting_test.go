package testclient3

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/sleep"
)

// table is a session of a greeting as a server keeps it, without any check
// (docs/protocol/v5/invite.md §4).
type table struct {
	mu       sync.Mutex
	attempts []*tableAttempt
	// tamper changes what a side has said.
	tamper func(from protocol.Side, number int, said []byte) []byte
}

type tableAttempt struct {
	id        parsec3.GreetingAttemptID
	joined    map[protocol.Side]bool
	said      [protocol.Steps]map[protocol.Side][]byte
	cancelled *protocol.AttemptCancelledDetails
}

func (t *table) active() *tableAttempt {
	if len(t.attempts) > 0 && t.attempts[len(t.attempts)-1].cancelled == nil {
		return t.attempts[len(t.attempts)-1]
	}
	attempt := &tableAttempt{id: parsec3.GreetingAttemptID(parsec.NewUUID()), joined: map[protocol.Side]bool{}}
	for i := range attempt.said {
		attempt.said[i] = map[protocol.Side][]byte{}
	}
	t.attempts = append(t.attempts, attempt)
	return attempt
}

func (t *table) find(id parsec3.GreetingAttemptID) *tableAttempt {
	return t.attempts[slices.IndexFunc(t.attempts, func(a *tableAttempt) bool { return a.id == id })]
}

// tableSide is a side of it.
type tableSide struct {
	*table
	side protocol.Side
	// starts counts those of this side.
	starts int
}

func (s *tableSide) name() protocol.Side { return s.side }

func (s *tableSide) start(context.Context) (parsec3.GreetingAttemptID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts++
	if attempt := s.active(); attempt.joined[s.side] {
		attempt.cancelled = &protocol.AttemptCancelledDetails{Origin: s.side, Reason: protocol.AutomaticallyCancelled}
	}
	attempt := s.active()
	attempt.joined[s.side] = true
	return attempt.id, nil
}

func (s *tableSide) step(_ context.Context, id parsec3.GreetingAttemptID, number int, said []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	attempt := s.find(id)
	if attempt.cancelled != nil {
		return nil, &protocol.Refusal{Status: protocol.StatusGreetingAttemptCancelled, Details: attempt.cancelled}
	}
	attempt.said[number][s.side] = said
	peer, found := attempt.said[number][s.side.Peer()]
	if !found {
		return nil, &protocol.Refusal{Status: protocol.StatusNotReady}
	}
	if s.tamper != nil {
		peer = s.tamper(s.side.Peer(), number, peer)
	}
	return peer, nil
}

func (s *tableSide) cancel(_ context.Context, id parsec3.GreetingAttemptID, reason protocol.CancelledAttemptReason) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.find(id).cancelled = &protocol.AttemptCancelledDetails{Origin: s.side, Reason: reason}
	return nil
}

// sit has both sides go as far as the comparison of codes, in a bubble.
func sit(t *testing.T, at *table, test func(greeter, claimer *exchange)) {
	synctest.Test(t, func(t *testing.T) {
		talk := NewTalk()
		test(
			&exchange{side: &tableSide{table: at, side: protocol.Greeter}, person: talk.Greeter(), pause: sleep.For},
			&exchange{side: &tableSide{table: at, side: protocol.Claimer}, person: talk.Claimer(), pause: sleep.For},
		)
	})
}

// both runs what each side does at the same time, and returns their errors.
func both(greeter, claimer func(context.Context) error) (ofGreeter, ofClaimer error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { ofGreeter = greeter(ctx) })
	running.Go(func() { ofClaimer = claimer(ctx) })
	running.Wait()
	return ofGreeter, ofClaimer
}

func (x *exchange) greetAll(ctx context.Context) error {
	if err := x.meet(ctx); err != nil {
		return err
	}
	return x.compare(ctx)
}

// TestGreeting has both sides make the same key and codes, with either algorithm.
func TestGreeting(t *testing.T) {
	for _, algorithm := range []SASAlgorithm{CurrentSAS, FormerSAS} {
		sit(t, &table{}, func(greeter, claimer *exchange) {
			greeter.algorithm, claimer.algorithm = algorithm, algorithm
			if ofGreeter, ofClaimer := both(greeter.greetAll, claimer.greetAll); ofGreeter != nil || ofClaimer != nil {
				t.Fatalf("%v, %v", ofGreeter, ofClaimer)
			}
			if greeter.key != claimer.key || greeter.own != claimer.peer || greeter.peer != claimer.own {
				t.Errorf("greeter %+v, claimer %+v", greeter, claimer)
			}
		})
	}
}

// TestAlgorithmsDoNotMix ends at the first code.
func TestAlgorithmsDoNotMix(t *testing.T) {
	at := &table{}
	sit(t, at, func(greeter, claimer *exchange) {
		claimer.algorithm = FormerSAS
		ofGreeter, ofClaimer := both(greeter.greetAll, claimer.greetAll)
		if !errors.Is(ofClaimer, ErrSASCode) || !isRefused(ofGreeter, protocol.StatusGreetingAttemptCancelled) {
			t.Errorf("%v, %v", ofGreeter, ofClaimer)
		}
	})
	if cancelled := at.attempts[0].cancelled; cancelled.Reason != protocol.InvalidSASCode || cancelled.Origin != protocol.Claimer {
		t.Errorf("%+v", cancelled)
	}
}

// TestOtherNonce ends an attempt whose claimer shows another nonce than it announced.
func TestOtherNonce(t *testing.T) {
	at := &table{tamper: func(from protocol.Side, number int, said []byte) []byte {
		if from == protocol.Claimer && number == 3 {
			return newExchangeNonce()
		}
		return said
	}}
	sit(t, at, func(greeter, claimer *exchange) {
		if ofGreeter, _ := both(greeter.meet, claimer.meet); !errors.Is(ofGreeter, errNonceHash) {
			t.Errorf("%v", ofGreeter)
		}
	})
	if reason := at.attempts[0].cancelled.Reason; reason != protocol.InvalidNonceHash {
		t.Error(reason)
	}
}

// TestStolenKey gives people different codes where somebody in between has put its own
// key.
func TestStolenKey(t *testing.T) {
	at := &table{tamper: func(from protocol.Side, number int, said []byte) []byte {
		if from == protocol.Claimer && number == 0 {
			return append([]byte{9}, make([]byte, 31)...)
		}
		return said
	}}
	sit(t, at, func(greeter, claimer *exchange) {
		if _, ofClaimer := both(greeter.greetAll, claimer.greetAll); !errors.Is(ofClaimer, ErrSASCode) {
			t.Errorf("%v", ofClaimer)
		}
	})
}

// TestRestarts are silent while no person has noticed, and no more than eight.
func TestRestarts(t *testing.T) {
	for _, tt := range []struct {
		times int
		want  protocol.Status
	}{{3, ""}, {maxRestarts, ""}, {maxRestarts + 1, protocol.StatusGreetingAttemptCancelled}} {
		sit(t, &table{}, func(greeter, claimer *exchange) {
			restarting := func(ctx context.Context) error {
				for range tt.times {
					if _, err := claimer.start(ctx); err != nil {
						return err
					}
					if err := sleep.For(ctx, 3*time.Second); err != nil {
						return err
					}
				}
				return claimer.greetAll(ctx)
			}
			ofGreeter, _ := both(greeter.greetAll, func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, 50*time.Second)
				defer cancel()
				return restarting(ctx)
			})
			if tt.want == "" && ofGreeter != nil || tt.want != "" && !isRefused(ofGreeter, tt.want) {
				t.Errorf("%d restarts: %v", tt.times, ofGreeter)
			}
			if starts := greeter.side.(*tableSide).starts; starts > 1+maxRestarts {
				t.Errorf("%d restarts: the greeter starts %d times", tt.times, starts)
			}
		})
	}
}

// TestPolls come as often as those of official clients.
func TestPolls(t *testing.T) {
	sit(t, &table{}, func(greeter, _ *exchange) {
		ctx, cancel := context.WithCancel(context.Background())
		var pauses []time.Duration
		greeter.pause = func(_ context.Context, d time.Duration) error {
			if pauses = append(pauses, d); len(pauses) == 7 {
				cancel()
			}
			return ctx.Err()
		}
		if err := greeter.meet(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		const ms = time.Millisecond
		if want := []time.Duration{62 * ms, 125 * ms, 250 * ms, 500 * ms, time.Second, time.Second, time.Second}; !slices.Equal(pauses, want) {
			t.Errorf("pauses %v", pauses)
		}
	})
}

// TestWhoHearsNothing picks none of the codes.
func TestWhoHearsNothing(t *testing.T) {
	talk := NewTalk()
	talk.Claimer().Say("AAAA")
	talk.Claimer().Say("BBBB")
	if picked := talk.Greeter().Pick(t.Context(), []SASCode{"AAAA", "CCCC"}); picked != "" {
		t.Errorf("picked %s", picked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if picked := talk.Greeter().Pick(ctx, []SASCode{"AAAA"}); picked != "" {
		t.Errorf("picked %s", picked)
	}
}
