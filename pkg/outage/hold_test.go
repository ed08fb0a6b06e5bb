package outage_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/outage"
)

// A hold ends exactly with the patience, after pauses that grow.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holder := outage.Holder{Patience: outage.Patience, Most: 1}
		begin := time.Now()
		hold := holder.Begin()
		defer hold.End()
		tries, last := 0, begin
		for hold.Wait(t.Context()) {
			if pause := time.Since(last); pause > 3*time.Second {
				t.Errorf("a pause of %s", pause)
			}
			tries, last = tries+1, time.Now()
		}
		if held := time.Since(begin); held != outage.Patience {
			t.Errorf("held for %s", held)
		}
		if tries < 45/3 || tries > 60 {
			t.Errorf("%d tries", tries)
		}
	})
}

// Who is held beyond the bound is told at once, until another one ends.
func TestHoldsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holder := outage.Holder{Patience: time.Minute, Most: 2}
		first, second, third := holder.Begin(), holder.Begin(), holder.Begin()
		if !first.Wait(t.Context()) || !second.Wait(t.Context()) || third.Wait(t.Context()) {
			t.Error("not two are held")
		}
		first.End()
		first.End()
		fourth := holder.Begin()
		if !third.Wait(t.Context()) || fourth.Wait(t.Context()) || !second.Wait(t.Context()) {
			t.Error("not two are held, of which one is new")
		}
	})
}

// Nobody is held whose client is gone, or who has waited before.
func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holder := outage.Holder{Patience: time.Minute, Most: 1}
		ctx, cancel := context.WithCancel(t.Context())
		hold := holder.Begin()
		defer hold.End()
		time.AfterFunc(time.Millisecond, cancel)
		begin := time.Now()
		for range 2 {
			if hold.Wait(ctx) || time.Since(begin) != time.Millisecond {
				t.Errorf("held for %s", time.Since(begin))
			}
		}
		hold = holder.Begin()
		time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
		if hold.Wait(t.Context()) {
			t.Error("held for more than a minute")
		}
	})
}
