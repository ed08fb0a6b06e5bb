package mail

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/outage"
)

// TestWatch has an SMTP server that is away for two minutes, comes back, and then
// refuses somebody for an hour.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Output
		var looks []time.Duration
		begin := time.Now()
		answer := func(since time.Duration) error {
			switch {
			case since < 2*time.Minute:
				return &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			case since > time.Hour && since < 2*time.Hour:
				return errors.New("who are you")
			default:
				return nil
			}
		}
		found := outage.NewDependency(outage.Email, slog.LevelError, slog.New(slog.NewTextHandler(&log, nil)))
		watch := &Watch{found: found, look: func(context.Context) error {
			looks = append(looks, time.Since(begin))
			return answer(time.Since(begin))
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			watch.Run(ctx)
		}()
		<-time.After(30 * time.Minute)
		if len(looks) != 6 || found.Problem() != nil { // after 0, 10, 30, 70, 150 and 1050 s
			t.Errorf("looks at %s, %v", looks, found.Problem())
		}
		found.Lost(ctx, errors.New("an e-mail fails"))
		<-time.After(11 * time.Second)
		if found.Problem() != nil {
			t.Error("nobody looks after a failure")
		}
		<-time.After(3 * time.Hour)
		cancel()
		<-ended
		if len(looks) > 25 || strings.Count(log.String(), "level=ERROR") != 3 || strings.Count(log.String(), "level=INFO") != 3 {
			t.Errorf("looks at %s, logged\n%s", looks, &log)
		}
	})
}

// TestWatchLogsIn has real servers: one that takes this one, one that does not, none.
func TestWatchLogsIn(t *testing.T) {
	t.Parallel()
	taking := testkit.StartSMTP(t, testkit.SMTPOptions{Encryption: config.EmailClear, User: "parsec", Password: "right", Mechanisms: []string{"PLAIN"}})
	options := optionsOf(taking.Settings())
	if err := NewWatch(options, address).look(t.Context()); err != nil {
		t.Error(err)
	}
	options.Password = func() string { return "wrong" }
	if err := NewWatch(options, address).look(t.Context()); err == nil || !isMisconfigured(err) {
		t.Errorf("a wrong password: %v", err)
	}
	options.Port = 1
	if err := NewWatch(options, address).look(t.Context()); err == nil || isMisconfigured(err) {
		t.Errorf("no server: %v", err)
	}
	if !taking.Empty() {
		t.Error("an e-mail is sent")
	}
}
