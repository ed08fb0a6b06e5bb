package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// maxArrayItems bounds an array that a server is sent
// (docs/protocol/transport.md §5.2): each item of it may take more memory than the
// message. What a server says is not bounded.
const maxArrayItems = 131072

// maxDepth is how many arrays and maps may enclose each other. Legal messages
// stay below 10; the specification wants a refusal above 512.
const maxDepth = 64

// Extension codes of the profile (docs/protocol/transport.md §5.1).
const (
	dateTimeCode int8 = 1
	uuidCode     int8 = 2

	dateTimeSize = 8
	uuidSize     = 16
	digestSize   = 32
)

// ErrMalformed is what is not one complete legal msgpack value: the reply is
// invalid_msg_format. Errors of this package wrap it with a short reason.
var ErrMalformed = errors.New("malformed msgpack")

var (
	errTruncated    = fmt.Errorf("%w: truncated", ErrMalformed)
	errNeverUsed    = fmt.Errorf("%w: byte 0xc1", ErrMalformed)
	errTooLong      = fmt.Errorf("%w: too many bytes of bin or str", ErrMalformed)
	errTooManyItems = fmt.Errorf("%w: too many items of array or map", ErrMalformed)
	errTooDeep      = fmt.Errorf("%w: nested more than %d times", ErrMalformed, maxDepth)
	errText         = fmt.Errorf("%w: str is not UTF-8", ErrMalformed)
	errKey          = fmt.Errorf("%w: map key is not a str, UUID or int", ErrMalformed)
	errDateTime     = fmt.Errorf("%w: not a date-time of years 1 to 9999", ErrMalformed)
	errUUID         = fmt.Errorf("%w: UUID is not of %d bytes", ErrMalformed, uuidSize)
	errTrailing     = fmt.Errorf("%w: trailing bytes", ErrMalformed)
	errNotMap       = fmt.Errorf("%w: root is not a map", ErrMalformed)
)

type kind uint8

const (
	kindIllegal kind = iota
	kindNil
	kindBool
	kindUint // any integer ≥ 0, whatever its form
	kindInt  // any integer < 0
	kindFloat
	kindString
	kindBinary
	kindExtension
	kindArray
	kindMap
)

// token is the head of a value: its kind and what its number means. n is the
// boolean, the integer (two's complement when negative), the bits of the
// float64, the size of the body, or the count of items.
type token struct {
	n    uint64
	kind kind
	code int8 // of an extension
}

// isKey reports whether the profile allows the value as the key of a map.
func (p *Profile) isKey(t token) bool {
	switch t.kind {
	case kindString, kindUint, kindInt:
		return true
	case kindBinary:
		return p.digestKeys && t.n == digestSize
	case kindExtension:
		return t.code == uuidCode
	default:
		return false
	}
}

// formats describes the lead bytes 0xc0 to 0xdf: width is the size of the
// number that follows.
var formats = [32]struct {
	kind  kind
	width uint8
}{
	0x00: {kindNil, 0},
	0x02: {kindBool, 0}, 0x03: {kindBool, 0},
	0x04: {kindBinary, 1}, 0x05: {kindBinary, 2}, 0x06: {kindBinary, 4},
	0x07: {kindExtension, 1}, 0x08: {kindExtension, 2}, 0x09: {kindExtension, 4},
	0x0a: {kindFloat, 4}, 0x0b: {kindFloat, 8},
	0x0c: {kindUint, 1}, 0x0d: {kindUint, 2}, 0x0e: {kindUint, 4}, 0x0f: {kindUint, 8},
	0x10: {kindInt, 1}, 0x11: {kindInt, 2}, 0x12: {kindInt, 4}, 0x13: {kindInt, 8},
	0x14: {kindExtension, 0}, 0x15: {kindExtension, 0}, 0x16: {kindExtension, 0},
	0x17: {kindExtension, 0}, 0x18: {kindExtension, 0},
	0x19: {kindString, 1}, 0x1a: {kindString, 2}, 0x1b: {kindString, 4},
	0x1c: {kindArray, 2}, 0x1d: {kindArray, 4},
	0x1e: {kindMap, 2}, 0x1f: {kindMap, 4},
}

// cursor reads a message from head to head. It never moves beyond the end of
// data, and the sizes and counts it returns fit in the bytes left.
type cursor struct {
	data []byte
	pos  int
}

// next reads one head, and the body of a str, bin or extension, so that the
// items of an array or map come next. Errors wrap ErrMalformed.
func (c *cursor) next() (token, error) {
	if c.pos >= len(c.data) {
		return token{}, errTruncated
	}
	lead := c.data[c.pos]
	c.pos++
	var t token
	switch {
	case lead <= 0x7f:
		return token{kind: kindUint, n: uint64(lead)}, nil
	case lead >= 0xe0:
		return token{kind: kindInt, n: uint64(int8(lead))}, nil
	case lead <= 0x8f:
		t = token{kind: kindMap, n: uint64(lead & 0x0f)}
	case lead <= 0x9f:
		t = token{kind: kindArray, n: uint64(lead & 0x0f)}
	case lead <= 0xbf:
		t = token{kind: kindString, n: uint64(lead & 0x1f)}
	default:
		var err error
		if t, err = c.long(lead); err != nil {
			return token{}, err
		}
	}
	left := uint64(len(c.data) - c.pos)
	switch t.kind {
	case kindString, kindBinary, kindExtension:
		if t.n > left {
			return token{}, errTruncated
		}
		c.pos += int(t.n)
	case kindArray:
		if t.n > left {
			return token{}, errTruncated
		}
	case kindMap:
		if 2*t.n > left {
			return token{}, errTruncated
		}
	}
	return t, nil
}

// long reads the rest of a head whose lead byte is one of formats.
func (c *cursor) long(lead byte) (token, error) {
	format := formats[lead-0xc0]
	rest := c.data[c.pos:]
	if len(rest) < int(format.width) {
		return token{}, errTruncated
	}
	c.pos += int(format.width)
	t := token{kind: format.kind}
	switch format.width {
	case 1:
		t.n = uint64(rest[0])
	case 2:
		t.n = uint64(binary.BigEndian.Uint16(rest))
	case 4:
		t.n = uint64(binary.BigEndian.Uint32(rest))
	case 8:
		t.n = binary.BigEndian.Uint64(rest)
	}
	switch format.kind {
	case kindIllegal:
		return token{}, errNeverUsed
	case kindBool:
		t.n = uint64(lead & 1)
	case kindInt:
		unused := 64 - 8*format.width
		value := int64(t.n<<unused) >> unused
		if value >= 0 {
			t.kind = kindUint
		}
		t.n = uint64(value)
	case kindFloat:
		if format.width == 4 {
			t.n = math.Float64bits(float64(math.Float32frombits(uint32(t.n))))
		}
	case kindExtension:
		if format.width == 0 {
			t.n = 1 << (lead - 0xd4)
		}
		if c.pos == len(c.data) {
			return token{}, errTruncated
		}
		t.code = int8(c.data[c.pos])
		c.pos++
	}
	return t, nil
}

// body returns the content of the str, bin or extension t just read. Appending
// to it does not touch the message.
func (c *cursor) body(t token) []byte {
	return c.data[c.pos-int(t.n) : c.pos : c.pos]
}

// skip moves over one whole value.
func (c *cursor) skip() error {
	for pending := uint64(1); pending > 0; pending-- {
		t, err := c.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case kindArray:
			pending += t.n
		case kindMap:
			pending += 2 * t.n
		}
	}
	return nil
}
