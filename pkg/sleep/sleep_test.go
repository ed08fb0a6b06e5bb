package sleep_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/sleep"
)

// It lasts as long as it should, or as its context.
func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute)
		defer cancel()
		begin := time.Now()
		for _, want := range []struct {
			after time.Duration
			err   error
		}{{time.Hour, nil}, {90 * time.Minute, context.DeadlineExceeded}} {
			if err := sleep.For(ctx, time.Hour); !errors.Is(err, want.err) || time.Since(begin) != want.after {
				t.Errorf("%v after %s, not %v after %s", err, time.Since(begin), want.err, want.after)
			}
		}
	})
}
