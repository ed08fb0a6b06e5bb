package server_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
)

// recorder is an observer of commands.
type recorder struct {
	server.Unobserved
	ended chan server.EndedCommand
}

// CommandEnded implements server.Observer.
func (r recorder) CommandEnded(_ context.Context, ended server.EndedCommand) { r.ended <- ended }

// TestFailureOfACommand has a rule end in every way: the client, the log and the
// observer are told.
func TestFailureOfACommand(t *testing.T) {
	for _, item := range []struct {
		name   string
		rule   func(context.Context) (any, error)
		status int
		told   string
		log    []string
	}{
		{"internal error", func(context.Context) (any, error) { return nil, errBroken }, http.StatusInternalServerError, "failed",
			[]string{`"level":"ERROR"`, errBroken.Error(), "tiny"}},
		{"panic", func(context.Context) (any, error) { panic("out of order") }, http.StatusInternalServerError, "failed",
			[]string{`"level":"ERROR"`, "out of order", "goroutine", "run_test.go", "tiny"}},
		{"reply that does not encode", func(context.Context) (any, error) { return make(chan int), nil }, http.StatusInternalServerError, "failed",
			[]string{`"level":"ERROR"`, "tiny"}},
		{"refusal", func(context.Context) (any, error) { return nil, &rpc.Refusal{Status: "not_today", Reason: "no"} }, http.StatusOK, "not_today",
			[]string{`"level":"INFO"`, "not_today", "tiny"}},
		{"reply", func(context.Context) (any, error) { return nil, nil }, http.StatusOK, "ok", []string{`"level":"INFO"`, `"status":"ok"`, "tiny"}},
	} {
		t.Run(item.name, func(t *testing.T) {
			observer := recorder{ended: make(chan server.EndedCommand, 1)}
			f := newFixture(t, func(options *options) { options.Observer = observer })
			f.wing.rule = item.rule
			if status := <-f.post(nil); status != item.status {
				t.Errorf("HTTP %d, want %d", status, item.status)
			}
			if ended := <-observer.ended; ended.Told() != item.told || ended.Name() != "tiny" || ended.Kind != "tiny" {
				t.Errorf("the observer is told of %s by %s: %s, want %s", ended.Name(), ended.Kind, ended.Told(), item.told)
			}
			log := f.logs.String()
			for _, text := range item.log {
				if !strings.Contains(log, text) {
					t.Errorf("the log does not tell %q", text)
				}
			}
			if item.told != "failed" && strings.Contains(log, `"level":"ERROR"`) {
				t.Error("the log holds an error")
			}
			f.wing.rule = func(context.Context) (any, error) { return nil, nil }
			if status := <-f.post(nil); status != http.StatusOK {
				t.Errorf("then HTTP %d", status)
			}
		})
	}
}

// A command whose client goes ends, and is no failure.
func TestEndOfClientAbandonsTheCommand(t *testing.T) {
	observer := recorder{ended: make(chan server.EndedCommand, 1)}
	f := newFixture(t, func(options *options) { options.Observer = observer })
	entered := make(chan struct{})
	f.wing.rule = func(ctx context.Context) (any, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	raw := f.unfinished(http.MethodPost, "/anonymous/CoolOrg", 0, nil)
	f.await(entered)
	f.ok(raw.conn.Close())
	select {
	case ended := <-observer.ended:
		if ended.Told() != "abandoned" {
			t.Errorf("the observer is told %s", ended.Told())
		}
	case <-f.ctx.Done():
		t.Error("the command does not end")
	}
	if strings.Contains(f.logs.String(), `"level":"ERROR"`) {
		t.Error("the log holds an error")
	}
}

// TestLimitedCommands has each network send a burst of what is limited, then one
// more each interval.
func TestLimitedCommands(t *testing.T) {
	const burst, interval = 100, 3 * time.Second
	f := newFixture(t, withTrustedLoopback)
	send := func(address string) *http.Response {
		return f.do(http.MethodPost, "/anonymous/CoolOrg", nil, "Limited: yes", "X-Forwarded-For: "+address)
	}
	for i := range burst {
		if status := send("192.0.2.1").StatusCode; status != http.StatusOK {
			t.Fatalf("command %d: HTTP %d", i, status)
		}
	}
	refused := send("192.0.2.1")
	if wait, err := strconv.Atoi(refused.Header.Get("Retry-After")); refused.StatusCode != http.StatusTooManyRequests || err != nil || wait != int(interval.Seconds()) {
		t.Errorf("HTTP %d, Retry-After %q", refused.StatusCode, refused.Header.Get("Retry-After"))
	}
	if status := send("192.0.2.2").StatusCode; status != http.StatusOK {
		t.Errorf("another network: HTTP %d", status)
	}
	if response := f.do(http.MethodPost, "/anonymous/CoolOrg", nil, "X-Forwarded-For: 192.0.2.1"); response.StatusCode != http.StatusOK {
		t.Errorf("what is not limited: HTTP %d", response.StatusCode)
	}
	if response := f.do(http.MethodPost, "/anonymous/CoolOrg", nil, "Limited: if spontaneous", "X-Forwarded-For: 192.0.2.1"); response.StatusCode != http.StatusOK {
		t.Errorf("what is limited where anybody may bootstrap: HTTP %d", response.StatusCode)
	}
	f.clock.Advance(interval)
	for _, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		if status := send("192.0.2.1").StatusCode; status != want {
			t.Errorf("after the interval: HTTP %d, want %d", status, want)
		}
	}
}

// TestLogsHoldNoSecrets looks at the lowest level of logs for what must not be
// there, in every form.
func TestLogsHoldNoSecrets(t *testing.T) {
	f := newFixture(t)
	const wrongToken, queried, sent = "a-wrong-token", "a-token-of-a-link", "a-text-of-a-body"
	var created struct {
		BootstrapToken string `json:"bootstrap_token"`
	}
	_, answer := f.administrate("POST", "organizations", `{"organization_id": "EmptyOrg"}`)
	f.ok(json.Unmarshal([]byte(answer), &created))
	if created.BootstrapToken == "" {
		t.Fatal("no bootstrap token")
	}
	f.get("/administration/stats", "Authorization: Bearer "+wrongToken)
	f.get("/redirect/CoolOrg?token=" + queried)
	f.do(http.MethodPost, "/anonymous/CoolOrg?token="+queried, []byte(sent))
	log := f.logs.String()
	for _, secret := range []string{administrationToken, wrongToken, queried, sent, created.BootstrapToken} {
		for _, form := range []string{
			secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(log, form) {
				t.Errorf("the log holds %q", form)
			}
		}
	}
	for _, told := range []string{"wrong administration token", "create_organization", `"command":"tiny"`, `"duration":`} {
		if !strings.Contains(log, told) {
			t.Errorf("the log does not tell %s", told)
		}
	}
}
