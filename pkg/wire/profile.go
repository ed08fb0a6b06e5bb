package wire

import (
	"encoding/binary"
	"math"
	"reflect"
	"sync"

	"parsec-server/pkg/parsec"
)

// Profile is how a generation of the protocol writes dates, in the 8 bytes of
// extension 1, how long a value may be, and what is too lax. Nothing in the bytes
// says which: whoever reads a message knows whom it is from. Scan, Append, Unmarshal
// and the like are those of Seconds.
type Profile struct {
	// dateOf returns false for what is outside of years 1 to 9999; bitsOf gets no
	// such date.
	dateOf func(bits uint64) (parsec.DateTime, bool)
	bitsOf func(date parsec.DateTime) uint64
	// maxBytes bounds a bin or str, maxMapItems a map that a server is sent.
	maxBytes, maxMapItems uint64
	// fieldsOnce is set when a field that a map has twice is refused; otherwise
	// the last one counts.
	fieldsOnce bool
	// digestKeys is set when a bin of 32 bytes may be the key of a map.
	digestKeys bool
	// storable is set when a text with U+0000, which PostgreSQL has none of, is
	// refused.
	storable bool

	// What is known of a reflect.Type: an encodeFunc, a *structEncoder, a
	// decodeFunc.
	encodes, structs, decodes sync.Map
}

var (
	// Seconds is the profile of API 1 to 3: float64
	// (docs/protocol/transport.md §5.1).
	Seconds = &Profile{dateOf: dateOfSeconds, bitsOf: secondsOf, maxBytes: 1 << 20, maxMapItems: 32768}
	// Microseconds is the profile of API 4 and 5: int64, values as long as the
	// longest body, and no known field twice in a map (docs/protocol/v5/types.md §1).
	Microseconds = &Profile{
		dateOf: dateOfMicroseconds, bitsOf: microsecondsOf,
		maxBytes: 16 << 20, maxMapItems: maxArrayItems, fieldsOnce: true, digestKeys: true, storable: true,
	}
)

// Scan is wire.Scan in this profile.
func (p *Profile) Scan(data []byte) error { return p.scanWhole(data, true) }

// ScanReply is wire.ScanReply in this profile.
func (p *Profile) ScanReply(data []byte) error { return p.scanWhole(data, false) }

// Bounds of the seconds of a date-time: years 1 to 9999.
const (
	minSeconds = float64(parsec.MinDateTime / 1_000_000)
	endSeconds = float64((parsec.MaxDateTime + 1) / 1_000_000) // exclusive
)

// dateOfSeconds rounds to the nearest microsecond.
func dateOfSeconds(bits uint64) (parsec.DateTime, bool) {
	seconds := math.Float64frombits(bits)
	// A NaN fails both comparisons.
	if !(seconds >= minSeconds && seconds < endSeconds) {
		return 0, false
	}
	return parsec.DateTime(math.RoundToEven(seconds * 1e6)), true
}

func secondsOf(date parsec.DateTime) uint64 {
	seconds := float64(date) / 1e6
	if seconds >= endSeconds {
		// The last microseconds of year 9999 have no float64 of their own.
		seconds = math.Nextafter(endSeconds, 0)
	}
	return math.Float64bits(seconds)
}

func dateOfMicroseconds(bits uint64) (parsec.DateTime, bool) {
	date := parsec.DateTime(bits)
	return date, date >= parsec.MinDateTime && date <= parsec.MaxDateTime
}

func microsecondsOf(date parsec.DateTime) uint64 { return uint64(date) }

// parseDateTime reads the body of extension 1.
func (p *Profile) parseDateTime(body []byte) (parsec.DateTime, bool) {
	if len(body) != dateTimeSize {
		return 0, false
	}
	return p.dateOf(binary.BigEndian.Uint64(body))
}

func (p *Profile) decodeDateTime(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindExtension || t.code != dateTimeCode {
		return d.problem(textDateTime)
	}
	date, ok := p.parseDateTime(d.body(t))
	if !ok {
		return d.problem(textDateTime)
	}
	v.SetInt(int64(date))
	return nil
}

func (p *Profile) encodeDateTime(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	date := parsec.DateTime(v.Int())
	if date < parsec.MinDateTime || date > parsec.MaxDateTime {
		return nil, errDateRange
	}
	return binary.BigEndian.AppendUint64(append(dst, codeFixExt8, byte(dateTimeCode)), p.bitsOf(date)), nil
}
