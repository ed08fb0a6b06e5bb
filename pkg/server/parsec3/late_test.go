package parsec3_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/server/parsec3"
)

// TestRefusalsForDatesAreLate holds back what would have a client date ahead of its
// clock, and nothing else.
func TestRefusalsForDatesAreLate(t *testing.T) {
	const step = 500 * time.Millisecond
	now := func() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }
	failure := errors.New("failure")
	for name, test := range map[string]struct {
		answer func() error
		want   time.Duration
	}{
		"accepted":           {func() error { return nil }, 0},
		"failed":             {func() error { return failure }, 0},
		"refused otherwise":  {func() error { return protocol.Refuse(protocol.StatusAuthorNotAllowed) }, 0},
		"by a topic of now":  {func() error { return protocol.RefuseRequireGreaterTimestamp(now()) }, step},
		"by one of long ago": {func() error { return protocol.RefuseRequireGreaterTimestamp(now().Add(-time.Second)) }, 0},
		"by a recent one":    {func() error { return protocol.RefuseRequireGreaterTimestamp(now().Add(-step / 2)) }, step / 2},
		"by one far ahead":   {func() error { return protocol.RefuseRequireGreaterTimestamp(now().Add(time.Minute)) }, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := test.answer()
				rule := parsec3.Late(step, now, func() error { return want })
				begun := time.Now()
				if err := rule(t.Context()); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				if took := time.Since(begun); took != test.want {
					t.Errorf("it took %s, want %s", took, test.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), step/2)
		defer cancel()
		rule := parsec3.Late(step, now, func() error { return protocol.RefuseRequireGreaterTimestamp(now()) })
		if err := rule(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a client that is gone gets %v", err)
		}
	})
}
