package parsec_test

import (
	"math"
	"testing"
	"time"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
)

func TestDateTimeText(t *testing.T) {
	for _, item := range vectors.Load[struct {
		DateTime []struct {
			Value   string
			Seconds float64
		} `json:"datetime"`
	}](t, "msgpack.json").DateTime {
		date, err := parsec.ParseDateTime(item.Value)
		if err != nil || date.String() != item.Value {
			t.Errorf("%s gives %v with error %v", item.Value, date, err)
		}
		if want := parsec.DateTime(math.Round(item.Seconds * 1e6)); date != want {
			t.Errorf("%s is %d, want %d", item.Value, date, want)
		}
	}
	for text, want := range map[string]parsec.DateTime{
		"1970-01-01T00:00:01Z":                1_000_000,
		"1970-01-01T01:00:00.5+01:00":         500_000,
		"1970-01-01T00:00:00.0000019Z":        1,
		"1969-12-31T23:59:59.9999991Z":        -1,
		"0001-01-01T00:00:00Z":                parsec.MinDateTime,
		"9999-12-31T23:59:59.999999999Z":      parsec.MaxDateTime,
		"9999-12-31T22:59:59.999999999-01:00": parsec.MaxDateTime,
	} {
		if date, err := parsec.ParseDateTime(text); err != nil || date != want {
			t.Errorf("%s gives %d with error %v, want %d", text, date, err, want)
		}
	}
	for _, text := range []string{
		"",
		"2024-01-02",
		"2024-01-02T03:04:05",
		"2024-01-02 03:04:05Z",
		"2024-01-02T03:04:60Z",
		"2023-02-29T00:00:00Z",
		"0000-12-31T23:59:59Z",
		"0001-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01",
		"10000-01-01T00:00:00Z",
		"2024-01-02T03:04:05Z ",
	} {
		if date, err := parsec.ParseDateTime(text); err == nil || date != 0 {
			t.Errorf("%q gives %v with error %v", text, date, err)
		}
	}
}

func TestDateTimeOf(t *testing.T) {
	zone := time.FixedZone("", -3600)
	for _, item := range []struct {
		instant time.Time
		want    parsec.DateTime
	}{
		{time.Unix(0, 0), 0},
		{time.Unix(1, 1_999), 1_000_001},
		{time.Unix(-1, 999_999_999), -1},
		{time.Date(1970, 1, 1, 0, 0, 0, 0, zone), 3_600_000_000},
		{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), parsec.MinDateTime},
		{time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), parsec.MaxDateTime},
	} {
		date := parsec.DateTimeOf(item.instant)
		if date != item.want {
			t.Errorf("%v is %d, want %d", item.instant, date, item.want)
		}
		if back := date.Time(); back.Location() != time.UTC || parsec.DateTimeOf(back) != date {
			t.Errorf("%v comes back as %v", item.instant, back)
		}
	}
}

func TestDateTimeArithmetic(t *testing.T) {
	const date parsec.DateTime = 10
	for duration, want := range map[time.Duration]parsec.DateTime{
		0:                       10,
		time.Microsecond:        11,
		1_999 * time.Nanosecond: 11,
		-time.Microsecond:       9,
		320 * time.Second:       320_000_010,
	} {
		if got := date.Add(duration); got != want {
			t.Errorf("%v later is %d, want %d", duration, got, want)
		}
	}
	for _, item := range []struct {
		date, other parsec.DateTime
		want        time.Duration
	}{
		{11, 10, time.Microsecond},
		{10, 11, -time.Microsecond},
		{parsec.MaxDateTime, parsec.MinDateTime, math.MaxInt64},
		{parsec.MinDateTime, parsec.MaxDateTime, math.MinInt64},
	} {
		if got := item.date.Sub(item.other); got != item.want {
			t.Errorf("from %v to %v: %v, want %v", item.other, item.date, got, item.want)
		}
	}
}

func TestDateTimeShort(t *testing.T) {
	for date, want := range map[parsec.DateTime]string{
		946_684_800_000_000:  "2000-01-01T00:00:00Z",
		946_684_800_123_000:  "2000-01-01T00:00:00.123Z",
		946_684_800_120_000:  "2000-01-01T00:00:00.120Z",
		946_684_800_123_456:  "2000-01-01T00:00:00.123456Z",
		946_684_800_000_001:  "2000-01-01T00:00:00.000001Z",
		-1_000:               "1969-12-31T23:59:59.999Z",
		parsec.MaxDateTime:   "9999-12-31T23:59:59.999999Z",
		parsec.MinDateTime:   "0001-01-01T00:00:00Z",
		0:                    "1970-01-01T00:00:00Z",
		parsec.DateTime(999): "1970-01-01T00:00:00.000999Z",
	} {
		if got := date.Short(); got != want {
			t.Errorf("%d: got %s, want %s", date, got, want)
		}
	}
}
