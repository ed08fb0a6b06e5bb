package blockstore_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/outage"
)

func TestLimitedConformance(t *testing.T) {
	exerciseStore(t, func(*testing.T) blockstore.Store {
		return blockstore.NewLimited(blockstore.NewMemory(), blockstore.DefaultLimits())
	})
}

// failing fails so many times, then does nothing.
func failing(times int, err error) func(context.Context) error {
	var mu sync.Mutex
	return func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if times == 0 {
			return nil
		}
		times--
		return err
	}
}

func TestLimitedTriesAgain(t *testing.T) {
	for _, test := range []struct {
		name  string
		state func(context.Context) error
		err   error
		tries int
		// Between them is the time that a call takes.
		from, to time.Duration
	}{
		{"well", nil, nil, 1, 0, 0},
		{"broken once", failing(1, errBroken), nil, 2, 50 * time.Millisecond, 150 * time.Millisecond},
		{"broken twice", failing(2, errBroken), nil, 3, 150 * time.Millisecond, 450 * time.Millisecond},
		{"broken thrice", failing(3, errBroken), errBroken, 3, 150 * time.Millisecond, 450 * time.Millisecond},
		{"absent", absent, blockstore.ErrNotFound, 1, 0, 0},
		{"hanging", hanging, context.DeadlineExceeded, 3, 30 * time.Second, 30 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				node := newFakeNode()
				id := newBlockID()
				mustCreate(t, node.Memory, id, blockOf(10))
				node.set(test.state, nil)
				limited := blockstore.NewLimited(node, blockstore.DefaultLimits())
				begin := time.Now()
				block := make([]byte, 10)
				err := limited.Read(t.Context(), organization(t), id, nil, block)
				if !errors.Is(err, test.err) || (err == nil) != bytes.Equal(block, blockOf(10)) {
					t.Errorf("read %v: %v, want %v", block, err, test.err)
				}
				if took := time.Since(begin); took < test.from || took > test.to {
					t.Errorf("took %v, want %v to %v", took, test.from, test.to)
				}
				if reads, _, _ := node.counts(); reads != test.tries {
					t.Errorf("%d tries, want %d", reads, test.tries)
				}
			})
		})
	}
}

// Each wait is in the mean twice as long as the one before.
func TestLimitedPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := blockstore.DefaultLimits()
		limits.Tries = 6
		node := newFakeNode()
		node.set(nil, broken)
		begin := time.Now()
		if err := blockstore.NewLimited(node, limits).Create(t.Context(), organization(t), newBlockID(), nil); !errors.Is(err, errBroken) {
			t.Errorf("create: %v", err)
		}
		const mean = (100 + 200 + 400 + 800 + 1600) * time.Millisecond
		if took := time.Since(begin); took < mean/2 || took > mean*3/2 {
			t.Errorf("took %v, want about %v", took, mean)
		}
	})
}

func TestLimitedCancelled(t *testing.T) {
	for name, state := range map[string]func(context.Context) error{"hanging": hanging, "broken": broken} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				node := newFakeNode()
				node.set(nil, state)
				limited := blockstore.NewLimited(node, blockstore.DefaultLimits())
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				begin := time.Now()
				err := limited.Create(ctx, organization(t), newBlockID(), nil)
				if err == nil || time.Since(begin) != 10*time.Millisecond {
					t.Errorf("after %v: %v", time.Since(begin), err)
				}
			})
		})
	}
}

// Calls beyond the limit wait, no longer than the limit of a call.
func TestLimitedConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := blockstore.DefaultLimits()
		limits.Concurrency = 4
		limits.Tries = 1
		limits.Call = 15 * time.Second
		node := newFakeNode()
		node.set(nil, hanging)
		limited := blockstore.NewLimited(node, limits)
		begin := time.Now()
		took := make(chan time.Duration, 12)
		for range cap(took) {
			go func() {
				if err := limited.Create(t.Context(), organization(t), newBlockID(), nil); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("create: %v", err)
				}
				took <- time.Since(begin)
			}()
		}
		synctest.Wait()
		if _, creates, running := node.counts(); creates != 4 || running != 4 {
			t.Errorf("%d calls reach the store at once, want 4", running)
		}
		counts := map[time.Duration]int{}
		for range cap(took) {
			counts[<-took]++
		}
		// Four end after the time of a try; four have begun then and, with the
		// four that never could, end with the time of a call.
		if counts[10*time.Second] != 4 || counts[15*time.Second] != 8 {
			t.Errorf("calls ended after %v", counts)
		}
	})
}

func TestLimitedReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newFakeNode()
		limited := blockstore.NewLimited(node, blockstore.DefaultLimits())
		ask := func(want error, asked int) {
			t.Helper()
			if err := limited.Ready(t.Context()); !errors.Is(err, want) {
				t.Errorf("ready: %v, want %v", err, want)
			}
			if reads, _, _ := node.counts(); reads != asked {
				t.Errorf("the store was asked %d times, want %d", reads, asked)
			}
		}
		ask(nil, 1)
		node.set(broken, nil)
		ask(nil, 1)
		<-time.After(time.Second)
		ask(errBroken, 2)
		ask(errBroken, 2)

		// Who leaves does not answer for others.
		<-time.After(time.Second)
		leaving, leave := context.WithCancel(t.Context())
		node.set(hanging, nil)
		ended := make(chan error)
		go func() { ended <- limited.Ready(leaving) }()
		synctest.Wait()
		leave()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ready of a cancelled context: %v", err)
		}
		node.set(nil, nil)
		if err := limited.Ready(t.Context()); err != nil {
			t.Errorf("ready: %v", err)
		}
	})
}

// TestWatch has a store that is away at first, and again later.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Output
		node := newFakeNode()
		found := outage.NewDependency(outage.BlockStore, slog.LevelError, slog.New(slog.NewTextHandler(&log, nil)))
		watch := blockstore.NewWatch(node, found)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		// Pauses of 1, 2, 4, 8, 16, 30 and 30 seconds.
		node.set(failing(7, errBroken), nil)
		go func() {
			defer close(ended)
			watch.Run(ctx)
		}()
		after := func(duration time.Duration, want error, problems, recoveries int) {
			t.Helper()
			<-time.After(duration)
			synctest.Wait()
			if got := found.Problem(); !errors.Is(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			text := log.String()
			if strings.Count(text, `level=ERROR msg="block store not available" error=broken`) != problems || strings.Count(text, `msg="block store available again"`) != recoveries {
				t.Errorf("logged %q", text)
			}
		}
		after(90*time.Second, errBroken, 1, 0)
		after(time.Second, nil, 1, 1)
		node.set(failing(2, errBroken), nil)
		after(15*time.Second, errBroken, 2, 1)
		after(time.Second, errBroken, 2, 1)
		after(2*time.Second, nil, 2, 2)
		after(time.Hour, nil, 2, 2)
		cancel()
		<-ended
	})
}
