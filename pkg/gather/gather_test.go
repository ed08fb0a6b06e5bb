package gather_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/gather"
)

// kitchen runs what is gathered, each time once it is told to.
type kitchen struct {
	gather.Gatherer[string, int]
	// meals are what was done together.
	meals [][]int
	// cook has the next meal done; it may take its members earlier.
	cook chan func(take func() []*gather.Member[int])
	// contexts are those of the meals.
	contexts []context.Context
	group    sync.WaitGroup
}

func newKitchen() *kitchen {
	k := &kitchen{cook: make(chan func(func() []*gather.Member[int]))}
	k.Compare = cmp.Compare[int]
	k.Run = func(ctx context.Context, take func() []*gather.Member[int]) {
		k.contexts = append(k.contexts, ctx)
		select {
		case cook := <-k.cook:
			cook(take)
		case <-ctx.Done():
		}
		var meal []int
		for _, m := range take() {
			meal = append(meal, m.Work)
		}
		k.meals = append(k.meals, meal)
	}
	return k
}

// order asks for work, whose outcome is in got once it is there.
func (k *kitchen) order(ctx context.Context, topic string, work int) (got *error) {
	return k.orderLarge(ctx, topic, work, 0)
}

var (
	errNotYet = errors.New("not done yet")
	errAlone  = errors.New("done alone")
)

func (k *kitchen) orderLarge(ctx context.Context, topic string, work, size int) (got *error) {
	outcome := errNotYet
	k.group.Go(func() { outcome = k.Do(ctx, topic, work, size, func() error { return errAlone }) })
	synctest.Wait()
	return &outcome
}

// serve has the next meal done.
func (k *kitchen) serve(cook func(take func() []*gather.Member[int])) {
	k.cook <- cook
	synctest.Wait()
}

func nothing(func() []*gather.Member[int]) {}

func (k *kitchen) want(t *testing.T, meals ...[]int) {
	t.Helper()
	if !slices.EqualFunc(k.meals, meals, slices.Equal) {
		t.Errorf("done together: %v, want %v", k.meals, meals)
	}
	if k.Gathered() != 0 {
		t.Errorf("%d are gathered after all", k.Gathered())
	}
}

// TestTogether begins at once with what is asked alone, and does together, in order,
// what was asked until then.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKitchen()
		failure := errors.New("refused")
		first := k.order(t.Context(), "a", 5)
		if len(k.contexts) != 1 {
			t.Fatal("the first one waits")
		}
		var second *error
		k.serve(func(take func() []*gather.Member[int]) {
			take() // From here on others wait for the next meal.
			k.group.Go(func() {
				err := k.Do(t.Context(), "a", 3, 0, nil)
				second = &err
			})
			k.group.Go(func() { _ = k.Do(t.Context(), "a", 1, 0, nil) })
			k.group.Go(func() { _ = k.Do(t.Context(), "a", 2, 0, nil) })
			for k.Gathered() < 3 {
				runtime.Gosched()
			}
		})
		if *first != nil {
			t.Errorf("the first one gets %v", *first)
		}
		k.serve(func(take func() []*gather.Member[int]) { take()[2].Err = failure })
		k.group.Wait()
		if !errors.Is(*second, failure) {
			t.Errorf("the one refused gets %v", *second)
		}
		k.want(t, []int{5}, []int{1, 2, 3})
	})
}

// TestNoneIsGatheredAlone counts none while one after the other is done alone, the moment
// after it is told so included.
func TestNoneIsGatheredAlone(t *testing.T) {
	g := gather.Gatherer[string, int]{
		Run:     func(_ context.Context, take func() []*gather.Member[int]) { take() },
		Compare: cmp.Compare[int],
	}
	for work := range 10_000 {
		if err := g.Do(t.Context(), "a", work, 0, nil); err != nil {
			t.Fatal(err)
		}
		if got := g.Gathered(); got != 0 {
			t.Fatalf("%d are gathered", got)
		}
	}
}

// TestTakenLate has what comes before the members are taken be among them.
func TestTakenLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKitchen()
		for work := range 3 {
			k.order(t.Context(), "a", work)
		}
		if got := k.Gathered(); got != 2 {
			t.Errorf("%d are gathered", got)
		}
		k.serve(nothing)
		k.group.Wait()
		k.want(t, []int{0, 1, 2})
	})
}

// TestTopicsAreApart has one topic go on while another one waits.
func TestTopicsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKitchen()
		one, other := k.order(t.Context(), "a", 1), k.order(t.Context(), "b", 2)
		k.serve(nothing)
		if (*one == nil) == (*other == nil) {
			t.Errorf("the topics get %v and %v", *one, *other)
		}
		k.serve(nothing)
		k.group.Wait()
		if len(k.meals) != 2 {
			t.Errorf("done together: %v", k.meals)
		}
	})
}

// TestBounds has no more done together than may be, those first that came first.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKitchen()
		for work := range gather.MaxMembers + 1 {
			k.order(t.Context(), "a", gather.MaxMembers-work)
		}
		k.serve(nothing)
		k.serve(nothing)
		var all []int
		for work := range gather.MaxMembers {
			all = append(all, work+1)
		}
		k.want(t, all, []int{0})

		k.meals = nil
		for work, size := range []int{gather.MaxSize + 1, 1, gather.MaxSize - 1, 1} {
			k.orderLarge(t.Context(), "a", work, size)
		}
		for range 3 {
			k.serve(nothing)
		}
		k.group.Wait()
		k.want(t, []int{0}, []int{1, 2}, []int{3})
	})
}

// TestLeaving has who waits leave, and who is taken stay. The run ends when nobody waits
// for it.
func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKitchen()
		ctx, cancel := context.WithCancel(t.Context())
		if err := k.Do(canceled(t), "a", 9, 0, nil); !errors.Is(err, context.Canceled) || len(k.contexts) != 0 {
			t.Errorf("asked too late: %v", err)
		}
		first, second, third := k.order(ctx, "a", 1), k.order(t.Context(), "a", 2), k.order(ctx, "a", 3)
		cancel()
		synctest.Wait()
		if !errors.Is(*first, context.Canceled) || !errors.Is(*third, context.Canceled) || !errors.Is(*second, errNotYet) {
			t.Errorf("they get %v, %v and %v", *first, *second, *third)
		}
		k.serve(nothing)
		if *second != nil {
			t.Errorf("who stays gets %v", *second)
		}

		ctx, cancel = context.WithCancel(t.Context())
		taken := k.order(ctx, "a", 4)
		goOn := make(chan struct{})
		k.serve(func(take func() []*gather.Member[int]) {
			take()
			<-goOn
		})
		cancel()
		synctest.Wait()
		if !errors.Is(*taken, errNotYet) || k.contexts[len(k.contexts)-1].Err() != nil {
			t.Errorf("who is taken gets %v", *taken)
		}
		close(goOn)
		synctest.Wait()
		if *taken != nil {
			t.Errorf("who is taken gets %v", *taken)
		}

		ctx, cancel = context.WithCancel(t.Context())
		last := k.order(ctx, "a", 5)
		cancel()
		k.group.Wait()
		if !errors.Is(*last, context.Canceled) || k.contexts[len(k.contexts)-1].Err() == nil {
			t.Errorf("the last one gets %v", *last)
		}
		synctest.Wait()
		k.want(t, []int{2}, []int{4}, nil)
	})
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestComingAfterTheLastOneLeft is not done by a run whose context is over.
func TestComingAfterTheLastOneLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKitchen()
		run := k.Run
		over := make(chan struct{})
		var late *error
		k.Run = func(ctx context.Context, take func() []*gather.Member[int]) {
			if len(k.contexts) == 0 {
				<-ctx.Done()
				<-over
			}
			run(ctx, take)
		}
		ctx, cancel := context.WithCancel(t.Context())
		k.order(ctx, "a", 1)
		cancel()
		synctest.Wait()
		late = k.order(t.Context(), "a", 2)
		close(over)
		synctest.Wait()
		if !errors.Is(*late, errNotYet) {
			t.Errorf("who comes late gets %v", *late)
		}
		k.serve(nothing)
		k.group.Wait()
		if *late != nil {
			t.Errorf("who comes late gets %v", *late)
		}
		k.want(t, nil, []int{2})
	})
}

// TestPanics are those of whom they concern.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKitchen()
		panicked := func() (value any) {
			defer func() { value = recover() }()
			return k.Do(t.Context(), "a", 1, 0, func() error { panic("alone") })
		}
		var own any
		k.group.Go(func() { own = panicked() })
		synctest.Wait()
		other := k.order(t.Context(), "a", 2)
		k.serve(func(take func() []*gather.Member[int]) {
			take()[0].Err = gather.Guard(func() error { panic("together") })
			if err := gather.Guard(func() error { return errNotYet }); !errors.Is(err, errNotYet) {
				t.Errorf("the guard returns %v", err)
			}
		})
		if own != "alone" || *other != nil {
			t.Errorf("they get %v and %v", own, *other)
		}

		k.group.Go(func() { own = panicked() })
		synctest.Wait()
		k.serve(func(func() []*gather.Member[int]) { panic("of all") })
		k.group.Wait()
		if text := fmt.Sprint(own); !strings.HasPrefix(text, "of all\n") || !strings.Contains(text, "TestPanics") {
			t.Errorf("the panic is %q", text)
		}

		last := k.order(t.Context(), "a", 3)
		k.serve(func(func() []*gather.Member[int]) { runtime.Goexit() })
		if !errors.Is(*last, errAlone) {
			t.Errorf("after the end of the goroutine: %v", *last)
		}
		k.order(t.Context(), "a", 4)
		k.serve(nothing)
		k.group.Wait()
		synctest.Wait()
		if k.Gathered() != 0 {
			t.Errorf("%d are gathered after all", k.Gathered())
		}
	})
}

// TestPause has those who ask again once they are answered, one after the other, be done
// together again, and does not wait long for those who do not.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const commit = 4 * time.Millisecond
		k := newKitchen()
		pass := func(long time.Duration) { time.Sleep(long) } //nolint:forbidigo // in a bubble
		slowly := func(take func() []*gather.Member[int]) {
			take()
			pass(commit)
		}
		for work := 1; work <= 3; work++ {
			k.order(t.Context(), "a", work)
		}
		k.serve(slowly)
		pass(commit)
		synctest.Wait()
		for work := 4; work <= 6; work++ {
			if len(k.contexts) != 1 {
				t.Errorf("%d does not wait for others", work)
			}
			k.order(t.Context(), "a", work)
			pass(100 * time.Microsecond)
		}
		if len(k.contexts) != 2 {
			t.Error("the pause goes on when all have come")
		}
		k.serve(slowly)
		pass(commit)
		synctest.Wait()
		k.order(t.Context(), "a", 7) // the others do not come
		pass(commit / 2)
		synctest.Wait()
		if len(k.contexts) != 3 {
			t.Error("the pause has no end")
		}
		k.serve(nothing)
		k.group.Wait()
		k.want(t, []int{1, 2, 3}, []int{4, 5, 6}, []int{7})
	})
}
