package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"time"

	"github.com/getsentry/sentry-go"
)

const (
	// reportTimeout bounds the delivery of one report, and reportQueue the
	// reports that wait for it; those beyond are dropped.
	reportTimeout = 5 * time.Second
	reportQueue   = 100
	// flushTimeout bounds how long the end of the process waits for reports.
	flushTimeout = 3 * time.Second
	// maxBreadcrumbs are the warnings that come with an error.
	maxBreadcrumbs = 20
)

// SentryOptions says where errors are reported.
type SentryOptions struct {
	// DSN is that of a Sentry project.
	DSN         string
	Environment string
	// Release is the version of this program.
	Release string
}

// reportedAttributes are the only ones that leave the server: none says who a
// client is.
var reportedAttributes = map[string]bool{
	"command": true, "status": true, "kind": true, "transport": true, "api": true, "server_api": true,
	"node": true, "operation": true, "error": true, "cause": true, "stack": true, "file": true, "place": true,
}

// WithSentry makes a logger that also reports errors, with the warnings that
// came before them, but no personal data. The filter and the level of the log
// do not count for reports. flush waits for them, within bounds. The error is
// that of a wrong DSN, and does not hold it.
func WithSentry(logger *slog.Logger, options SentryOptions) (reporting *slog.Logger, flush func(), err error) {
	transport := sentry.NewHTTPTransport()
	transport.Timeout, transport.BufferSize = reportTimeout, reportQueue
	client, err := sentry.NewClient(sentry.ClientOptions{
		Dsn:            options.DSN,
		Environment:    options.Environment,
		Release:        "parsec@" + options.Release,
		MaxBreadcrumbs: maxBreadcrumbs,
		Transport:      transport,
	})
	if err != nil {
		return nil, nil, errBadDSN // the error of the library holds the key
	}
	hub := sentry.NewHub(client, sentry.NewScope())
	return slog.New(sentryHandler{inner: logger.Handler(), hub: hub}), func() { hub.Flush(flushTimeout); client.Close() }, nil
}

var errBadDSN = errors.New("Invalid value for '--sentry-dsn': must be `https://<key>@<host>/<project>`") //nolint:staticcheck // as every setting

// sentryHandler reports what it hands on.
type sentryHandler struct {
	inner      slog.Handler
	hub        *sentry.Hub
	attributes map[string]slog.Value // never changed once made
	grouped    bool
}

// Enabled implements slog.Handler.
func (h sentryHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.inner.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h sentryHandler) Handle(ctx context.Context, record slog.Record) error {
	switch {
	case record.Level >= slog.LevelError:
		h.hub.CaptureEvent(h.event(record))
	case record.Level >= slog.LevelWarn:
		h.hub.AddBreadcrumb(&sentry.Breadcrumb{
			Level: sentry.LevelWarning, Message: scrub(record.Message), Timestamp: record.Time, Data: texts(h.all(record)),
		}, nil)
	}
	if !h.inner.Enabled(ctx, record.Level) {
		return nil
	}
	return h.inner.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h sentryHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	h.inner = h.inner.WithAttrs(attributes)
	if h.grouped {
		return h
	}
	kept := maps.Clone(h.attributes)
	for _, attribute := range attributes {
		kept = keep(kept, attribute)
	}
	h.attributes = kept
	return h
}

// WithGroup implements slog.Handler. What is in groups is not reported.
func (h sentryHandler) WithGroup(name string) slog.Handler {
	h.inner = h.inner.WithGroup(name)
	h.grouped = h.grouped || name != ""
	return h
}

func keep(attributes map[string]slog.Value, attribute slog.Attr) map[string]slog.Value {
	if !reportedAttributes[attribute.Key] {
		return attributes
	}
	if attributes == nil {
		attributes = map[string]slog.Value{}
	}
	attributes[attribute.Key] = attribute.Value
	return attributes
}

// all returns the attributes of a record that may be reported.
func (h sentryHandler) all(record slog.Record) map[string]slog.Value {
	found := maps.Clone(h.attributes)
	if !h.grouped {
		record.Attrs(func(attribute slog.Attr) bool {
			found = keep(found, attribute)
			return true
		})
	}
	return found
}

// event makes one issue in Sentry of each kind of error of each command.
func (h sentryHandler) event(record slog.Record) *sentry.Event {
	attributes := h.all(record)
	event := sentry.NewEvent()
	event.Level = sentry.LevelError
	if record.Level >= LevelCritical {
		event.Level = sentry.LevelFatal
	}
	event.Timestamp = record.Time
	event.Logger = "parsec"
	event.Message = scrub(record.Message)
	var kind string
	if value, found := attributes["error"]; found {
		err, _ := value.Any().(error)
		kind = fmt.Sprintf("%T", innermost(err))
		event.Exception = []sentry.Exception{{Type: event.Message, Value: scrub(value.String())}}
	}
	event.Fingerprint = []string{event.Message, attributes["command"].String(), kind}
	event.Tags = map[string]string{}
	for _, name := range []string{"command", "kind", "transport", "api"} {
		if value, found := attributes[name]; found {
			event.Tags[name] = scrub(value.String())
		}
	}
	event.Contexts["log"] = texts(attributes)
	return event
}

func innermost(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}

func texts(attributes map[string]slog.Value) map[string]any {
	shown := make(map[string]any, len(attributes))
	for name, value := range attributes {
		shown[name] = scrub(value.Resolve().String())
	}
	return shown
}

// personal are addresses of people and of their devices, credentials in URLs,
// and IP addresses.
var personal = regexp.MustCompile(`[^\s@"'` + "`" + `(<]+@[^\s@"'` + "`" + `)>,]+|\b\d{1,3}(\.\d{1,3}){3}\b|\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\]`)

// scrub leaves out what may be personal.
func scrub(text string) string { return personal.ReplaceAllString(text, "[removed]") }
