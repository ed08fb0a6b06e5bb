package organization_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// TestWatchTokens has the log tell of named tokens that cannot be read, and that they can
// again, once each, before anybody asks with one.
func TestWatchTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure atomic.Value
		var logs bytes.Buffer
		administration := organization.New(nil, nil, func() parsec.DateTime { return 5 }, slog.New(slog.NewJSONHandler(&logs, nil)), organization.Options{
			NamedTokens: func() ([]organization.NamedToken, error) {
				wrong, _ := failure.Load().(string)
				if wrong == "" {
					return nil, nil
				}
				return nil, errors.New(wrong)
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		go administration.WatchTokens(ctx)
		after := func(want ...string) {
			t.Helper()
			time.Sleep(time.Minute) //nolint:forbidigo // It is the clock of the bubble.
			synctest.Wait()
			got := logs.String()
			if strings.Count(got, "\n") != len(want) {
				t.Errorf("logged %s, want %q", got, want)
			}
			for _, text := range want {
				if !strings.Contains(got, text) {
					t.Errorf("logged %s, want %q", got, text)
				}
			}
		}
		after()
		failure.Store("line 2: wrong")
		after(`"level":"ERROR","msg":"the administration tokens stay as they were","error":"line 2: wrong"`)
		failure.Store("")
		after("line 2: wrong", `"level":"INFO","msg":"the administration tokens are read again"`)
		stop()
		synctest.Wait()
	})
}
