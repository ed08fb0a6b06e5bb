package database

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// CompareClocks is compareClocks.
func (d *Database) CompareClocks(ctx context.Context) error { return d.compareClocks(ctx) }

// TestSlowClock does not take the time of a slow answer for a wrong clock.
func TestSlowClock(t *testing.T) {
	for _, row := range []struct {
		offset, took time.Duration
		differ       bool
	}{
		{2 * time.Second, 0, true}, {-2 * time.Second, time.Second, true}, {time.Second, 0, false},
		{2 * time.Second, 3 * time.Second, false}, {-2 * time.Second, 3 * time.Second, false}, {301 * time.Second, 10 * time.Second, true},
	} {
		var log bytes.Buffer
		new(clocks).settle(t.Context(), clockReading{row.offset, row.took}, slog.New(slog.NewTextHandler(&log, nil)))
		if differ := strings.Contains(log.String(), "differ"); differ != row.differ {
			t.Errorf("%+v: logged %q", row, &log)
		}
	}
}
