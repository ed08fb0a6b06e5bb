// Package sleep is time.Sleep for work that may have to end meanwhile.
package sleep

import (
	"context"
	"time"
)

// For returns after a duration, or with the error of ctx once that is done.
func For(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
