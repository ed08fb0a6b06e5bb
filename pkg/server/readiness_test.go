package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/server"
)

// readyWithin is thrice the time that /readyz promises (docs/monitoring.md).
const readyWithin = 15 * time.Second

// withReady has the only wing be ready as a function says.
func withReady(ready func(context.Context) error) func(*options) {
	return func(options *options) {
		wing := newTinyWing(organization.Parsec2, parsec.APIVersion{Major: 3, Minor: 4})
		wing.ready = ready
		options.wings = []*tinyWing{wing}
	}
}

var errBroken = errors.New("connect to database.example.com: no route")

// withBrokenWing has a wing that knows that it cannot read.
func withBrokenWing(options *options) {
	withReady(func(context.Context) error { return errBroken })(options)
}

func TestReadiness(t *testing.T) {
	f := newEmptyFixture(t, withBrokenWing)
	response := f.get("/readyz")
	body, err := io.ReadAll(response.Body)
	f.ok(err)
	if response.StatusCode != http.StatusServiceUnavailable || !bytes.Contains(body, []byte(errBroken.Error())) {
		t.Errorf("readyz: HTTP %d %s", response.StatusCode, body)
	}
	if response := f.get("/healthz"); response.StatusCode != http.StatusOK {
		t.Errorf("healthz: HTTP %d", response.StatusCode)
	}
	// A link needs no database: the client tries again by itself.
	if response := f.get("/redirect/CoolOrg"); response.StatusCode != http.StatusFound {
		t.Errorf("redirect: HTTP %d", response.StatusCode)
	}
	// Never a refused handshake: clients would take it as final.
	for _, target := range []string{"/", "/ws", "/anonymous/CoolOrg", "/dummy"} {
		_, response := f.tryUpgrade(target, upgradeHeaders()...)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s: HTTP %d, Retry-After %q", target, response.StatusCode, response.Header.Get("Retry-After"))
		}
	}
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
	var stuck atomic.Pointer[chan struct{}] // closed to let go; nil does not stick
	var waiting atomic.Int64
	f := newEmptyFixture(t, withReady(func(context.Context) error {
		if stuck := stuck.Load(); stuck != nil {
			waiting.Add(1)
			defer waiting.Add(-1)
			<-*stuck
		}
		return nil
	}))
	f.wantReady(http.StatusOK, "ok\n")
	release := make(chan struct{})
	stuck.Store(&release)
	for range 2 {
		f.wantReady(http.StatusServiceUnavailable, "the database does not answer\n")
	}
	if waiting := waiting.Load(); waiting != 1 {
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
	f := newEmptyFixture(t, func(options *options) {
		options.BlockProblem = func() error {
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

// TestReadinessWithoutRoom has commands go on, of which those that write fail.
func TestReadinessWithoutRoom(t *testing.T) {
	f := newFixture(t, withReady(func(context.Context) error { return outage.ErrNoRoom }))
	f.wantReady(http.StatusServiceUnavailable, "the disk of the database is full\n")
	if response := f.do(http.MethodPost, "/anonymous/CoolOrg", nil); response.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d", response.StatusCode)
	}
}

// OPTIONS tells what GET would: a balancer that looks with it shall not send
// people to a server that is not ready.
func TestOptionsOfAServerThatIsNotReady(t *testing.T) {
	f := newEmptyFixture(t, withBrokenWing)
	for target, want := range map[string]int{
		"/": http.StatusServiceUnavailable, "/readyz": http.StatusServiceUnavailable, "/healthz": http.StatusOK,
	} {
		response := f.do(http.MethodOptions, target, nil)
		if response.StatusCode != want {
			t.Errorf("%s: HTTP %d, want %d", target, response.StatusCode, want)
		}
		if allow := response.Header.Get("Allow"); target != "/" && !strings.Contains(allow, "OPTIONS") {
			t.Errorf("%s: Allow %s", target, allow)
		}
	}
}

// A server that ends is not ready, and begins nothing.
func TestDrainingServerRefuses(t *testing.T) {
	f := newEmptyFixture(t)
	front := server.New(f.Organizations, f.clock.Now, discard(), server.Options{})
	front.Shutdown(f.ctx)
	answer := httptest.NewRecorder()
	front.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/readyz", nil))
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("HTTP %d", answer.Code)
	}
	if front.Start(func() {}) {
		t.Error("work begins")
	}
}

// What a wing has wait comes to it while no command can run, and nothing else does.
func TestPatientRoutes(t *testing.T) {
	f := newEmptyFixture(t, withBrokenWing, func(options *options) {
		options.wings[0].patient = []string{"/authenticated/{organization}"}
	})
	f.get("/readyz") // by then the server knows
	for target, comes := range map[string]bool{"/authenticated/EmptyOrg": true, "/anonymous/EmptyOrg": false} {
		response := f.do(http.MethodPost, target, nil, "Api-Version: 3.4", "User: bob")
		if got := response.Header.Get("Generation"); got != "2" || comes != (response.StatusCode != http.StatusServiceUnavailable) {
			t.Errorf("%s: HTTP %d of generation %q", target, response.StatusCode, got)
		}
	}
}
