package mail

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

const (
	// watchPeriod is the time between two looks at an SMTP server that answers, and
	// the longest one while it does not, or refuses this one: a login that is refused
	// too often locks out.
	watchPeriod = 15 * time.Minute
	// firstWatchPause is before the second look at one that does not answer. It doubles
	// for each next one.
	firstWatchPause = 10 * time.Second
	// watchLimit bounds each look.
	watchLimit = time.Minute
)

// outageOf returns what is told whether e-mails can be handed over.
func outageOf(options Options, logger *slog.Logger) *outage.Dependency {
	if options.Outage != nil || logger == nil {
		return options.Outage
	}
	return outage.NewDependency(outage.Email, slog.LevelError, logger)
}

// Watch looks after the SMTP server of options: it connects and logs in, and sends
// nothing. Nobody waits for an e-mail to learn that none can be sent.
type Watch struct {
	found *outage.Dependency
	// look connects, greets and logs in; nil without a server.
	look func(ctx context.Context) error
}

// NewWatch looks at nothing until Run, which tells the Outage of options. It presents
// itself as the server at address.
func NewWatch(options Options, address parsec.ServerAddress) *Watch {
	w := &Watch{found: options.Outage}
	if options.Host != "" {
		w.look = (&smtpServer{options: options, hello: helloName(address)}).answers
	}
	return w
}

// Run looks at the server until ctx is done. It does nothing without a host.
func (w *Watch) Run(ctx context.Context) {
	if w.look == nil {
		return
	}
	ticker := time.NewTicker(firstWatchPause)
	defer ticker.Stop()
	for pause := firstWatchPause; ; {
		err := w.look(ctx)
		looked, next := time.Now(), pause
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			w.found.Back(ctx)
			pause, next = firstWatchPause, firstWatchPause
		case isMisconfigured(err):
			w.found.Lost(ctx, err)
			next = watchPeriod
		default:
			w.found.Lost(ctx, err)
			pause = min(2*pause, watchPeriod)
		}
		// An e-mail may fail meanwhile.
		for since := time.Duration(0); since < watchPeriod && (w.found.Problem() == nil || since < next); since = time.Since(looked) {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// answers connects, greets and logs in.
func (s *smtpServer) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	return s.loggedIn(ctx, func(login *login) error {
		connection, err := s.connect(ctx)
		if err != nil {
			return fmt.Errorf("connect to the SMTP server: %w", err)
		}
		defer connection.Close()
		defer context.AfterFunc(ctx, func() { connection.Close() })()
		client, err := s.client(connection, true, login)
		if err != nil {
			return err
		}
		if err := client.DialWithContext(ctx); err != nil {
			return err
		}
		_ = client.Close() // whatever it says, it has answered
		return nil
	})
}
