package parsec

import (
	"fmt"
	"time"
)

// DateTime is a UTC instant in microseconds since 1970-01-01T00:00:00Z, the
// precision of every date of the protocol (docs/protocol/types.md §6). Values
// compare with the ordinary operators.
type DateTime int64

// Bounds of the dates that may cross the wire: years 1 to 9999.
const (
	MinDateTime DateTime = -62135596800_000_000
	MaxDateTime DateTime = 253402300799_999_999
)

// DateTimeOf truncates t to a microsecond.
func DateTimeOf(t time.Time) DateTime { return DateTime(t.UnixMicro()) }

// Time returns the instant as a time.Time in UTC.
func (d DateTime) Time() time.Time { return time.UnixMicro(int64(d)).UTC() }

// Add returns d moved by duration, truncated to a microsecond.
func (d DateTime) Add(duration time.Duration) DateTime {
	return d + DateTime(duration/time.Microsecond)
}

// Sub returns the time elapsed from other to d. It saturates like
// time.Time.Sub.
func (d DateTime) Sub(other DateTime) time.Duration { return d.Time().Sub(other.Time()) }

// String returns the RFC 3339 text with six decimals.
func (d DateTime) String() string { return d.Time().Format("2006-01-02T15:04:05.000000Z07:00") }

// Short returns the RFC 3339 text with no more decimals than the instant needs: none,
// three or six (docs/protocol/v5/types.md §8).
func (d DateTime) Short() string {
	switch {
	case d%1_000_000 == 0:
		return d.Time().Format(time.RFC3339)
	case d%1_000 == 0:
		return d.Time().Format("2006-01-02T15:04:05.000Z07:00")
	default:
		return d.String()
	}
}

// ParseDateTime reads RFC 3339 text; digits beyond the microsecond are cut.
func ParseDateTime(text string) (DateTime, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, fmt.Errorf("parse date-time: %w", err)
	}
	d := DateTimeOf(t)
	if d < MinDateTime || d > MaxDateTime {
		return 0, fmt.Errorf("parse date-time: %s is outside of years 1 to 9999", text)
	}
	return d, nil
}
