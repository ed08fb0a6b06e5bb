//go:build !without_postgresql

package database_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
)

// TestClocks sets the clock of a server off, and right again.
func TestClocks(t *testing.T) {
	var off atomic.Int64
	var log testkit.Output
	settings := options(testkit.NewPostgres(t, testkit.Unsound))
	settings.Logger = slog.New(slog.NewTextHandler(&log, nil))
	settings.Now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
	store := open(t, settings, testkit.NewBus(t))
	told := func(text string) int { return strings.Count(log.String(), text) }
	testkit.Await(t, "the clocks are compared at the start", func() bool { return store.Statistics().ClockOffset != 0 })
	for _, step := range []struct {
		off            time.Duration
		differ, agreed int
	}{
		{900 * time.Millisecond, 0, 0}, {2 * time.Second, 1, 0}, {3 * time.Second, 1, 0}, {0, 1, 1}, {-2 * time.Second, 2, 1}, {-300 * time.Second, 2, 1}, {0, 2, 2},
	} {
		off.Store(int64(step.off))
		if err := store.CompareClocks(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := store.Statistics().ClockOffset; (got - step.off).Abs() > time.Second/2 {
			t.Errorf("set off by %s: %s is found", step.off, got)
		}
		if told("differ") != step.differ || told("agree again") != step.agreed {
			t.Errorf("set off by %s: logged\n%s", step.off, log.String())
		}
	}
}

// TestClockAtStart is told without anybody asking.
func TestClockAtStart(t *testing.T) {
	var log testkit.Output
	settings := options(testkit.NewPostgres(t, testkit.Unsound))
	settings.Logger = slog.New(slog.NewTextHandler(&log, nil))
	settings.Now = func() time.Time { return time.Now().Add(2500 * time.Millisecond) }
	open(t, settings, testkit.NewBus(t))
	testkit.Await(t, "the log says so", func() bool {
		return strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "ahead=2")
	})
}
