package outage_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/outage"
)

var errGone = errors.New("connection refused")

// newDependency returns one and its log.
func newDependency(level slog.Level) (*outage.Dependency, *slog.Logger, *testkit.Output) {
	var log testkit.Output
	logger := slog.New(slog.NewTextHandler(&log, nil))
	return outage.NewDependency("SMTP", level, logger), logger, &log
}

// page is how many lines fit on one.
const page = 60

// TestDayOfOutage has somebody look each second, and requests fail all the while.
func TestDayOfOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away, logger, log := newDependency(slog.LevelError)
		away.Failed(t.Context(), logger, "request failed")
		for range 24 * 60 * 60 {
			away.Lost(t.Context(), errGone, slog.String("type", "letter"))
			away.Failed(t.Context(), logger, "request failed")
			<-time.After(time.Second)
		}
		if problem := away.Problem(); !errors.Is(problem, errGone) {
			t.Errorf("the problem is %v", problem)
		}
		away.Back(t.Context())
		away.Back(t.Context())
		text := log.String()
		for line, count := range map[string]int{
			`level=ERROR msg="SMTP not available" error="connection refused" type=letter`: 1,
			`level=INFO msg="SMTP available again" outage=24h0m0s`:                        1,
			`level=WARN msg="request failed"`:                                             1,
		} {
			if strings.Count(text, line) != count {
				t.Errorf("not %d times %s", count, line)
			}
		}
		if lines := strings.Count(text, "\n"); lines != 3 {
			t.Errorf("%d lines:\n%s", lines, text)
		}
	})
}

// TestDayOfFlapping has it go and come back each minute, and requests fail that nobody
// knows the reason of.
func TestDayOfFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away, logger, log := newDependency(slog.LevelError)
		for range 24 * 60 {
			away.Failed(t.Context(), logger, "request failed")
			away.Lost(t.Context(), errGone)
			away.Back(t.Context())
			<-time.After(time.Minute)
		}
		text := log.String()
		went, came, failed := strings.Count(text, "level=ERROR"), strings.Count(text, "level=INFO"), strings.Count(text, "level=WARN")
		if went < 24 || went > 30 || came != went || failed < 24 || failed > 30 || strings.Count(text, "outages_left_out=59") < 20 {
			t.Errorf("%d go, %d come back, %d requests:\n%s", went, came, failed, text)
		}
		if lines := strings.Count(text, "\n"); lines > 2*page {
			t.Errorf("%d lines", lines)
		}
	})
}

// TestNobodyKnows has a dependency that nobody looks after.
func TestNobodyKnows(t *testing.T) {
	_, logger, log := newDependency(slog.LevelWarn)
	var unknown *outage.Dependency
	unknown.Lost(t.Context(), errGone)
	unknown.Back(t.Context())
	for range 10 {
		unknown.Failed(t.Context(), logger, "request failed", slog.Any("error", unknown.Problem()))
	}
	if text := log.String(); strings.Count(text, "level=WARN") != 10 || strings.Count(text, "\n") != 10 {
		t.Error(text)
	}
}

// TestProblem tells strangers less than the log.
func TestProblem(t *testing.T) {
	away, _, log := newDependency(slog.LevelError)
	problem := &outage.Problem{Told: "no answer", Cause: errGone}
	away.Lost(t.Context(), problem)
	if !errors.Is(away.Problem(), errGone) || away.Problem().Error() != "no answer" {
		t.Errorf("%v is told", away.Problem())
	}
	if text := log.String(); !strings.Contains(text, `error="no answer: connection refused"`) {
		t.Errorf("logged %s", text)
	}
}
