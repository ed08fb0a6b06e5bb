package database

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestBatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, goOn := make(chan []int, 10), make(chan struct{})
		b := &Batcher[int]{
			Run:  func(requests []int) { runs <- requests; <-goOn },
			Most: 3, Runs: 2, Patience: time.Millisecond,
		}
		expect := func(want ...int) {
			t.Helper()
			synctest.Wait()
			select {
			case got := <-runs:
				if !slices.Equal(got, want) {
					t.Errorf("a run of %v, not of %v", got, want)
				}
			default:
				if want != nil {
					t.Errorf("no run of %v", want)
				}
			}
		}
		b.Add(1)
		expect(1) // alone, at once
		b.Add(2)
		b.Add(3)
		expect() // They wait,
		goOn <- struct{}{}
		expect(2, 3) // and run together.
		for request := range 3 {
			b.Add(4 + request)
		}
		expect(4, 5, 6) // As many as can run together do not wait.
		for request := range 4 {
			b.Add(7 + request)
		}
		expect() // No more than two run.
		goOn <- struct{}{}
		expect(7, 8, 9)
		goOn <- struct{}{}
		expect(10)
		goOn <- struct{}{}
		expect() // One still runs.
		b.Add(11)
		expect()
		<-time.After(2 * time.Millisecond) // of the clock of synctest
		b.Add(12)
		expect(11, 12) // One that is slow is not waited for.
		goOn <- struct{}{}
		goOn <- struct{}{}
		synctest.Wait()
		if b.running != 0 || len(b.waiting) != 0 {
			t.Errorf("%d run and %d wait at the end", b.running, len(b.waiting))
		}
	})
}
