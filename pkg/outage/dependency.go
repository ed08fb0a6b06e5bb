package outage

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"parsec-server/pkg/throttle"
)

// What is logged of one dependency: so much at once, then one more each hour. One
// that comes and goes fills no log, and a day of it fits on a page.
const (
	loggedOutages  = 5
	loggedFailures = 3
	loggedInterval = time.Hour
)

// The names of what all servers need.
const (
	Database   = "database"
	BlockStore = "block store"
	Email      = "e-mail"
)

// Dependency is what a server needs and does not run itself: its database, its block
// store, an SMTP server. It has one line in the log when it goes, one when it is back,
// and few about what fails because of it. Its methods are safe for concurrent use.
// Nil is one of which nothing is known.
type Dependency struct {
	name   string
	level  slog.Level
	logger *slog.Logger
	// outages and failures are what is logged, with one key.
	outages, failures *throttle.Keyed[struct{}]

	mu sync.Mutex
	// problem is why it cannot be used, nil while it can; since is from when on, and
	// loud reports that it was said at level.
	problem error
	since   time.Time
	loud    bool
	// leftOut counts the outages that were not said at level, since one was.
	leftOut int
}

// NewDependency returns one that is there. level is that of the line about an outage.
func NewDependency(name string, level slog.Level, logger *slog.Logger) *Dependency {
	return &Dependency{
		name: name, level: level, logger: logger,
		outages:  throttle.NewKeyed[struct{}](loggedOutages, loggedInterval, 1, nil),
		failures: throttle.NewKeyed[struct{}](loggedFailures, loggedInterval, 1, nil),
	}
}

// Lost says that it cannot be used now, because of err.
func (d *Dependency) Lost(ctx context.Context, err error, attributes ...slog.Attr) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.problem
	d.problem = err
	attributes = append([]slog.Attr{slog.Any("error", err)}, attributes...)
	if before != nil {
		if before.Error() != err.Error() {
			d.logger.LogAttrs(ctx, slog.LevelDebug, d.name+" still not available", attributes...)
		}
		return
	}
	d.since = time.Now()
	d.loud = d.outages.Take(struct{}{}) == 0
	if !d.loud {
		d.leftOut++
		d.logger.LogAttrs(ctx, slog.LevelDebug, d.name+" not available", attributes...)
		return
	}
	if d.leftOut > 0 {
		attributes = append(attributes, slog.Int("outages_left_out", d.leftOut))
		d.leftOut = 0
	}
	d.logger.LogAttrs(ctx, d.level, d.name+" not available", attributes...)
}

// Back says that it can be used.
func (d *Dependency) Back(ctx context.Context) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.problem == nil {
		return
	}
	d.problem = nil
	level := slog.LevelDebug
	if d.loud {
		level = slog.LevelInfo
	}
	d.logger.LogAttrs(ctx, level, d.name+" available again", slog.Duration("outage", time.Since(d.since)))
}

// Problem returns why it cannot be used, as last found; nil if it can.
func (d *Dependency) Problem() error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.problem
}

// Failed logs that something failed because of it: at WARNING while nobody has said
// that it is away, and not too often; else at DEBUG.
func (d *Dependency) Failed(ctx context.Context, logger *slog.Logger, message string, attributes ...slog.Attr) {
	level := slog.LevelWarn
	if d != nil && (d.Problem() != nil || d.failures.Take(struct{}{}) > 0) {
		level = slog.LevelDebug
	}
	logger.LogAttrs(ctx, level, message, attributes...)
}

// Problem is an error in words that anybody may read, with a cause for the log, which
// may name hosts and users.
type Problem struct {
	Told  string
	Cause error
}

// Error returns what anybody may read.
func (p *Problem) Error() string { return p.Told }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// LogValue implements slog.LogValuer.
func (p *Problem) LogValue() slog.Value { return slog.StringValue(p.Told + ": " + p.Cause.Error()) }

// IsOf reports whether a failure is for what is away, by errors.Is, or was waited for
// in vain while d was.
func (d *Dependency) IsOf(err, away error) bool {
	return errors.Is(err, away) || d.Problem() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled))
}
