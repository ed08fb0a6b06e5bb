// Package telemetry logs what the server does, for the administrator.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/lmittmann/tint"
)

// LevelCritical is for what ends the server or loses data, above
// slog.LevelError.
const LevelCritical = slog.LevelError + 4

// Format is how a line of the log is written.
type Format string

const (
	// Console is for people: coloured when written to a terminal.
	Console Format = "CONSOLE"
	// ConsoleNoTimestamp is Console for what dates each line itself, such as journald.
	ConsoleNoTimestamp Format = "CONSOLE_NO_TIMESTAMP"
	// JSON is one object a line, with at least timestamp, level and event.
	JSON Format = "JSON"
)

// standardError as a LogOptions.File is that stream.
const standardError = "-"

// The dates of lines: RFC 3339 for programs, and the time of the place for people.
const (
	jsonLayout    = "2006-01-02T15:04:05.000000Z07:00"
	consoleLayout = "2006-01-02 15:04:05 -07:00"
)

// LogOptions says what is logged, how and where.
type LogOptions struct {
	// Level is the lowest logged.
	Level  slog.Level
	Format Format
	// File is appended to; empty or "-" is the standard error.
	File string
	// Filter drops the events whose text it does not match at its start. Nil
	// drops none.
	Filter *regexp.Regexp
}

// NewLogger opens the log. The error is that of opening the file.
func NewLogger(options LogOptions, stderr io.Writer) (*slog.Logger, *Output, error) {
	output, err := openOutput(options, stderr)
	if err != nil {
		return nil, nil, err
	}
	var handler slog.Handler
	if options.Format == JSON {
		handler = slog.NewJSONHandler(output, &slog.HandlerOptions{Level: options.Level, ReplaceAttr: jsonAttribute})
	} else {
		handler = tint.NewTextHandler(output, &tint.Options{
			Level:       options.Level,
			TimeFormat:  consoleLayout,
			NoColor:     !isTerminal(output.writer) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb",
			ReplaceAttr: consoleAttribute(options.Format != ConsoleNoTimestamp),
		})
	}
	if options.Filter != nil {
		handler = filterHandler{handler, options.Filter}
	}
	return slog.New(handler), output, nil
}

// LevelName returns the name of a level in logs and in --log-level.
func LevelName(level slog.Level) string {
	switch {
	case level >= LevelCritical:
		return "CRITICAL"
	case level >= slog.LevelError:
		return "ERROR"
	case level >= slog.LevelWarn:
		return "WARNING"
	case level >= slog.LevelInfo:
		return "INFO"
	default:
		return "DEBUG"
	}
}

// consoleAttribute writes the date of a line, if dated, and levels by their names.
func consoleAttribute(dated bool) func(groups []string, attribute slog.Attr) slog.Attr {
	return func(groups []string, attribute slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return attribute
		}
		switch value := attribute.Value.Any().(type) {
		case time.Time:
			if attribute.Key == slog.TimeKey && !dated {
				return slog.Attr{} // is left out
			}
		case slog.Level:
			if attribute.Key == slog.LevelKey {
				return tint.Attr(levelColor(value), slog.String(slog.LevelKey, LevelName(value)))
			}
		}
		return attribute
	}
}

// jsonAttribute renames the standard attributes as collectors of Parsec's logs
// know them, and writes durations in seconds, as numbers.
func jsonAttribute(groups []string, attribute slog.Attr) slog.Attr {
	switch attribute.Value.Kind() {
	case slog.KindDuration:
		return slog.Float64(attribute.Key, attribute.Value.Duration().Seconds())
	case slog.KindTime:
		attribute.Value = slog.StringValue(attribute.Value.Time().UTC().Format(jsonLayout))
	}
	if len(groups) > 0 {
		return attribute
	}
	switch attribute.Key {
	case slog.TimeKey:
		attribute.Key = "timestamp"
	case slog.LevelKey:
		if level, ok := attribute.Value.Any().(slog.Level); ok {
			return slog.String(slog.LevelKey, LevelName(level))
		}
	case slog.MessageKey:
		attribute.Key = "event"
	}
	return attribute
}

// levelColor is of the 16 colours of ANSI terminals.
func levelColor(level slog.Level) uint8 {
	const red, green, yellow, blue = 9, 10, 11, 12
	switch {
	case level >= slog.LevelError:
		return red
	case level >= slog.LevelWarn:
		return yellow
	case level >= slog.LevelInfo:
		return green
	default:
		return blue
	}
}

func isTerminal(output io.Writer) bool {
	file, ok := output.(*os.File)
	if !ok {
		return false
	}
	information, err := file.Stat()
	return err == nil && information.Mode()&os.ModeCharDevice != 0
}

// filterHandler passes the events whose text matches at its start.
type filterHandler struct {
	slog.Handler
	filter *regexp.Regexp
}

func (h filterHandler) Handle(ctx context.Context, record slog.Record) error {
	// The leftmost match begins at 0 if any does.
	if match := h.filter.FindStringIndex(record.Message); match == nil || match[0] != 0 {
		return nil
	}
	return h.Handler.Handle(ctx, record)
}

func (h filterHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return filterHandler{h.Handler.WithAttrs(attributes), h.filter}
}

func (h filterHandler) WithGroup(name string) slog.Handler {
	return filterHandler{h.Handler.WithGroup(name), h.filter}
}
