package parsec2_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec2/rules"
)

// readyWithin is thrice the time that /readyz promises (docs/monitoring.md).
const readyWithin = 15 * time.Second

// stuckStore answers nobody who asks whether it is ready, until it is released.
type stuckStore struct {
	rules.Store
	// stuck is closed to release it; nil does not stick.
	stuck   atomic.Pointer[chan struct{}]
	waiting atomic.Int64
}

func (s *stuckStore) Ready(context.Context) error {
	if stuck := s.stuck.Load(); stuck != nil {
		s.waiting.Add(1)
		defer s.waiting.Add(-1)
		<-*stuck
	}
	return nil
}

// wantReady checks what /readyz answers, and that it does so in time.
func (f *fixture) wantReady(status int, body string) {
	f.t.Helper()
	start := time.Now()
	response := f.get("/readyz")
	got, err := io.ReadAll(response.Body)
	f.ok(err)
	if response.StatusCode != status || string(got) != body {
		f.t.Errorf("readyz: HTTP %d %q, want %d %q", response.StatusCode, got, status, body)
	}
	if spent := time.Since(start); spent > readyWithin {
		f.t.Errorf("readyz answers after %s", spent)
	}
}

// TestReadinessOfWhatHangs has a database that takes the question, and no more:
// however many ask, one question waits.
func TestReadinessOfWhatHangs(t *testing.T) {
	stuck := &stuckStore{}
	f := newEmptyFixture(t, func(options *testkit.InstanceOptions) {
		options.WrapStore = func(store rules.Store) rules.Store {
			stuck.Store = store
			return stuck
		}
	})
	f.wantReady(http.StatusOK, "ok\n")
	release := make(chan struct{})
	stuck.stuck.Store(&release)
	for range 2 {
		f.wantReady(http.StatusServiceUnavailable, "the database does not answer\n")
	}
	if waiting := stuck.waiting.Load(); waiting != 1 {
		t.Errorf("%d questions wait", waiting)
	}
	if response := f.get("/healthz"); response.StatusCode != http.StatusOK {
		t.Errorf("healthz: HTTP %d", response.StatusCode)
	}
	close(release)
	f.wantReady(http.StatusOK, "ok\n")
}

// TestReadinessWithoutBlocks has the block store away: what all commands need is
// there.
func TestReadinessWithoutBlocks(t *testing.T) {
	var away atomic.Bool
	f := newEmptyFixture(t, func(options *testkit.InstanceOptions) {
		options.Server.BlockProblem = func() error {
			if away.Load() {
				return errors.New("connect to storage.example.com: no route")
			}
			return nil
		}
	})
	away.Store(true)
	f.wantReady(http.StatusOK, "ok\nbut the block store does not answer\n")
	away.Store(false)
	f.wantReady(http.StatusOK, "ok\n")
}

// fullStore has no room for what is written.
type fullStore struct{ rules.Store }

func (*fullStore) Ready(context.Context) error { return outage.ErrNoRoom }

// TestReadinessWithoutRoom has commands go on, of which those that write fail.
func TestReadinessWithoutRoom(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) {
		options.WrapStore = func(store rules.Store) rules.Store { return &fullStore{store} }
	})
	f.wantReady(http.StatusServiceUnavailable, "the disk of the database is full\n")
	f.wantPong(f.connect("alice@dev1"))
}
