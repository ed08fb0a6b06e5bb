package wire

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"unicode/utf8"

	"parsec-server/pkg/parsec"
)

// Lead bytes (the msgpack specification).
const (
	codeFixMap    = 0x80
	codeFixArray  = 0x90
	codeFixStr    = 0xa0
	codeNil       = 0xc0
	codeFalse     = 0xc2
	codeTrue      = 0xc3
	codeBin8      = 0xc4
	codeBin16     = 0xc5
	codeBin32     = 0xc6
	codeExt8      = 0xc7
	codeExt16     = 0xc8
	codeExt32     = 0xc9
	codeFloat64   = 0xcb
	codeUint8     = 0xcc
	codeUint16    = 0xcd
	codeUint32    = 0xce
	codeUint64    = 0xcf
	codeInt8      = 0xd0
	codeInt16     = 0xd1
	codeInt32     = 0xd2
	codeInt64     = 0xd3
	codeFixExt1   = 0xd4
	codeFixExt2   = 0xd5
	codeFixExt4   = 0xd6
	codeFixExt8   = 0xd7
	codeFixExt16  = 0xd8
	codeStr8      = 0xd9
	codeStr16     = 0xda
	codeStr32     = 0xdb
	codeArray16   = 0xdc
	codeArray32   = 0xdd
	codeMap16     = 0xde
	codeMap32     = 0xdf
	minFixInt     = -32
	maxFixInt     = math.MaxInt8
	maxFixStr     = 31
	maxFixContent = 15 // items of the shortest array and map
)

var (
	errDateRange    = errors.New("date outside of years 1 to 9999")
	errVersionRange = errors.New("part of an API version above 2^31-1")
	errKnownCode    = errors.New("extension whose code has a type of its own")
)

// appendHead writes the shortest head of n that has a size of its own.
func appendHead(dst []byte, n int, code8, code16, code32 byte) []byte {
	switch {
	case n <= math.MaxUint8 && code8 != 0:
		return append(dst, code8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, code16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, code32), uint32(n))
	}
}

func appendArrayHead(dst []byte, count int) []byte {
	if count <= maxFixContent {
		return append(dst, codeFixArray|byte(count))
	}
	return appendHead(dst, count, 0, codeArray16, codeArray32)
}

func appendMapHead(dst []byte, count int) []byte {
	if count <= maxFixContent {
		return append(dst, codeFixMap|byte(count))
	}
	return appendHead(dst, count, 0, codeMap16, codeMap32)
}

func (p *Profile) appendText(dst []byte, text string) ([]byte, error) {
	switch {
	case uint64(len(text)) > p.maxBytes:
		return nil, errTooLong
	case !utf8.ValidString(text):
		return nil, errText
	case len(text) <= maxFixStr:
		dst = append(dst, codeFixStr|byte(len(text)))
	default:
		dst = appendHead(dst, len(text), codeStr8, codeStr16, codeStr32)
	}
	return append(dst, text...), nil
}

func (p *Profile) appendBinary(dst, data []byte) ([]byte, error) {
	if uint64(len(data)) > p.maxBytes {
		return nil, errTooLong
	}
	return append(appendHead(dst, len(data), codeBin8, codeBin16, codeBin32), data...), nil
}

func (p *Profile) appendRoom(dst []byte, room Room) ([]byte, error) {
	if uint64(room) > p.maxBytes {
		return nil, errTooLong
	}
	dst = appendHead(dst, int(room), codeBin8, codeBin16, codeBin32)
	return slices.Grow(dst, int(room))[:len(dst)+int(room)], nil
}

func appendBool(dst []byte, value bool) []byte {
	if value {
		return append(dst, codeTrue)
	}
	return append(dst, codeFalse)
}

func appendUint(dst []byte, value uint64) []byte {
	switch {
	case value <= maxFixInt:
		return append(dst, byte(value))
	case value <= math.MaxUint8:
		return append(dst, codeUint8, byte(value))
	case value <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, codeUint16), uint16(value))
	case value <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, codeUint32), uint32(value))
	default:
		return binary.BigEndian.AppendUint64(append(dst, codeUint64), value)
	}
}

func appendInt(dst []byte, value int64) []byte {
	switch {
	case value >= 0:
		return appendUint(dst, uint64(value))
	case value >= minFixInt:
		return append(dst, byte(value))
	case value >= math.MinInt8:
		return append(dst, codeInt8, byte(value))
	case value >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, codeInt16), uint16(value))
	case value >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, codeInt32), uint32(value))
	default:
		return binary.BigEndian.AppendUint64(append(dst, codeInt64), uint64(value))
	}
}

func (p *Profile) encodeString(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	return p.appendText(dst, v.String())
}

func (p *Profile) encodeText(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	text, err := v.Addr().Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return nil, fmt.Errorf("text of %s: %w", v.Type(), err)
	}
	return p.appendText(dst, string(text))
}

func (p *Profile) encodeBinary(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	data, err := v.Addr().Interface().(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return nil, err
	}
	return p.appendBinary(dst, data)
}

func (p *Profile) encodePair(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth == maxDepth {
		return nil, errTooDeep
	}
	first, second := v.Addr().Interface().(pairMarshaler).MarshalPair()
	dst, err := p.appendText(appendArrayHead(dst, 2), first)
	if err != nil {
		return nil, err
	}
	return p.appendText(dst, second)
}

func (p *Profile) encodeBytes(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	return p.appendBinary(dst, v.Bytes())
}

func encodeUUID(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	return append(append(dst, codeFixExt16, byte(uuidCode)), v.Bytes()...), nil
}

func encodeAPIVersion(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth == maxDepth {
		return nil, errTooDeep
	}
	version := v.Addr().Interface().(*parsec.APIVersion)
	if version.Major > math.MaxInt32 || version.Minor > math.MaxInt32 {
		return nil, errVersionRange
	}
	dst = appendUint(appendArrayHead(dst, 2), uint64(version.Major))
	return appendUint(dst, uint64(version.Minor)), nil
}

func encodeExtension(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	extension := v.Addr().Interface().(*Extension)
	if extension.Code == dateTimeCode || extension.Code == uuidCode {
		return nil, errKnownCode
	}
	switch size := len(extension.Data); size {
	case 1:
		dst = append(dst, codeFixExt1)
	case 2:
		dst = append(dst, codeFixExt2)
	case 4:
		dst = append(dst, codeFixExt4)
	case 8:
		dst = append(dst, codeFixExt8)
	case 16:
		dst = append(dst, codeFixExt16)
	default:
		dst = appendHead(dst, size, codeExt8, codeExt16, codeExt32)
	}
	return append(append(dst, byte(extension.Code)), extension.Data...), nil
}

func encodeBool(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	return appendBool(dst, v.Bool()), nil
}

func encodeInt(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	return appendInt(dst, v.Int()), nil
}

func encodeUint(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	return appendUint(dst, v.Uint()), nil
}

func encodeFloat(dst []byte, v reflect.Value, _ int) ([]byte, error) {
	return binary.BigEndian.AppendUint64(append(dst, codeFloat64), math.Float64bits(v.Float())), nil
}

func (p *Profile) encodeInterface(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	return p.appendAny(dst, v.Interface(), depth)
}
