// Package msgpack reads messages of the protocol whose form a test does not
// know, or wants to see whole.
package msgpack

import (
	"encoding/binary"
	"math"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// Decode scans data and returns its value: map[any]any, []any, string, []byte,
// int64, uint64 (only above 2^63-1), float64, bool, nil, parsec.DateTime,
// parsec.UUID or wire.Extension; [32]byte for a key of bytes. Bytes alias data. Its errors wrap
// wire.ErrMalformed. Dates are those of API 1 to 3.
func Decode(data []byte) (any, error) { return DecodeProfile(wire.Seconds, data) }

// DecodeProfile is Decode for messages of a profile.
func DecodeProfile(profile *wire.Profile, data []byte) (any, error) {
	if err := profile.Scan(data); err != nil {
		return nil, err
	}
	d := decoder{profile: profile, data: data}
	return d.value(), nil
}

// decoder reads what the profile's Scan accepted.
type decoder struct {
	profile *wire.Profile
	data    []byte
	pos     int
}

func (d *decoder) value() any {
	start := d.pos
	lead := d.take(1)[0]
	switch {
	case lead <= 0x7f:
		return int64(lead)
	case lead <= 0x8f:
		return d.mapping(uint64(lead & 0x0f))
	case lead <= 0x9f:
		return d.list(uint64(lead & 0x0f))
	case lead <= 0xbf:
		return string(d.take(uint64(lead & 0x1f)))
	case lead >= 0xe0:
		return int64(int8(lead))
	}
	switch lead {
	case 0xc2, 0xc3:
		return lead == 0xc3
	case 0xc4, 0xc5, 0xc6:
		return d.take(d.number(lead - 0xc4))
	case 0xc7, 0xc8, 0xc9:
		return d.extension(start, d.number(lead-0xc7))
	case 0xca:
		return float64(math.Float32frombits(uint32(d.number(2))))
	case 0xcb:
		return math.Float64frombits(d.number(3))
	case 0xcc, 0xcd, 0xce, 0xcf:
		n := d.number(lead - 0xcc)
		if n > math.MaxInt64 {
			return n
		}
		return int64(n)
	case 0xd0, 0xd1, 0xd2, 0xd3:
		unused := 64 - 8<<(lead-0xd0)
		return int64(d.number(lead-0xd0)<<unused) >> unused
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return d.extension(start, 1<<(lead-0xd4))
	case 0xd9, 0xda, 0xdb:
		return string(d.take(d.number(lead - 0xd9)))
	case 0xdc, 0xdd:
		return d.list(d.number(lead - 0xdb))
	case 0xde, 0xdf:
		return d.mapping(d.number(lead - 0xdd))
	default: // 0xc0: no other is legal
		return nil
	}
}

// take returns the next n bytes.
func (d *decoder) take(n uint64) []byte {
	end := d.pos + int(n)
	taken := d.data[d.pos:end:end]
	d.pos = end
	return taken
}

// number reads a number of 2 to the power of size bytes.
func (d *decoder) number(size byte) uint64 {
	var padded [8]byte
	width := uint64(1) << size
	copy(padded[8-width:], d.take(width))
	return binary.BigEndian.Uint64(padded[:])
}

func (d *decoder) list(count uint64) []any {
	items := []any{}
	for range count {
		items = append(items, d.value())
	}
	return items
}

func (d *decoder) mapping(count uint64) map[any]any {
	items := map[any]any{}
	for range count {
		key := d.value()
		if digest, isBytes := key.([]byte); isBytes {
			key = [32]byte(digest) // no other bytes are a key
		}
		items[key] = d.value()
	}
	return items
}

// extension reads dates and UUIDs as requests do.
func (d *decoder) extension(start int, size uint64) any {
	code := int8(d.take(1)[0])
	body := d.take(size)
	switch code {
	case 1:
		return unmarshal[parsec.DateTime](d.profile, d.data[start:d.pos])
	case 2:
		return unmarshal[parsec.UUID](d.profile, d.data[start:d.pos])
	default:
		return wire.Extension{Code: code, Data: body}
	}
}

// unmarshal decodes a value as the only field of a message.
func unmarshal[T any](profile *wire.Profile, encoded []byte) T {
	var message struct {
		Value T `wire:"v"`
	}
	if err := profile.Unmarshal(append([]byte{0x81, 0xa1, 'v'}, encoded...), &message); err != nil {
		panic(err) // Scan accepted it
	}
	return message.Value
}
