package wire

import (
	"bytes"
	"encoding"
	"math"
	"reflect"

	"parsec-server/pkg/parsec"
)

func (p *Profile) decodeString(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindString {
		return d.problem(textString)
	}
	if !p.mayStore(d.body(t)) {
		return d.problem(textValue)
	}
	v.SetString(string(d.body(t)))
	return nil
}

// mayStore reports whether the profile takes the text.
func (p *Profile) mayStore(text []byte) bool { return !p.storable || bytes.IndexByte(text, 0) < 0 }

func (p *Profile) decodeText(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindString {
		return d.problem(textString)
	}
	if !p.mayStore(d.body(t)) {
		return d.problem(textValue)
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(d.body(t)); err != nil {
		return d.problem(textValue)
	}
	return nil
}

func decodeBinary(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindBinary {
		return d.problem(textBytes)
	}
	if err := v.Addr().Interface().(encoding.BinaryUnmarshaler).UnmarshalBinary(d.body(t)); err != nil {
		return d.problem(textValue)
	}
	return nil
}

func (p *Profile) decodePair(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindArray || t.n != 2 {
		return d.problem(textPair)
	}
	var parts [2]string
	for i := range parts {
		part := d.token()
		if part.kind != kindString {
			return d.problem(textPair)
		}
		if !p.mayStore(d.body(part)) {
			return d.problem(textValue)
		}
		parts[i] = string(d.body(part))
	}
	if err := v.Addr().Interface().(pairUnmarshaler).UnmarshalPair(parts[0], parts[1]); err != nil {
		return d.problem(textValue)
	}
	return nil
}

func decodeBytes(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindBinary {
		return d.problem(textBytes)
	}
	v.SetBytes(d.body(t))
	return nil
}

func decodeByteArray(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindBinary {
		return d.problem(textBytes)
	}
	if t.n != uint64(v.Len()) {
		return d.problem(textSize)
	}
	copy(v.Bytes(), d.body(t))
	return nil
}

func decodeUUID(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindExtension || t.code != uuidCode || t.n != uuidSize {
		return d.problem(textUUID)
	}
	copy(v.Bytes(), d.body(t))
	return nil
}

func decodeAPIVersion(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindArray || t.n != 2 {
		return d.problem(textAPIVersion)
	}
	major, minor := d.token(), d.token()
	if !isVersionPart(major) || !isVersionPart(minor) {
		return d.problem(textAPIVersion)
	}
	*v.Addr().Interface().(*parsec.APIVersion) = parsec.APIVersion{Major: uint32(major.n), Minor: uint32(minor.n)}
	return nil
}

func isVersionPart(t token) bool { return t.kind == kindUint && t.n <= math.MaxInt32 }

func decodeBool(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindBool {
		return d.problem(textBoolean)
	}
	v.SetBool(t.n == 1)
	return nil
}

func decodeInt(d *decoder, t token, v reflect.Value) problem {
	integer := t.kind == kindInt || t.kind == kindUint && t.n <= math.MaxInt64
	if !integer || v.OverflowInt(int64(t.n)) {
		return d.problem(textInteger)
	}
	v.SetInt(int64(t.n))
	return nil
}

func decodeUint(d *decoder, t token, v reflect.Value) problem {
	if t.kind != kindUint || t.n > math.MaxInt64 || v.OverflowUint(t.n) {
		return d.problem(textInteger)
	}
	v.SetUint(t.n)
	return nil
}

func decodeFloat(d *decoder, t token, v reflect.Value) problem {
	switch t.kind {
	case kindFloat:
		v.SetFloat(math.Float64frombits(t.n))
	case kindUint:
		v.SetFloat(float64(t.n))
	case kindInt:
		v.SetFloat(float64(int64(t.n)))
	default:
		return d.problem(textNumber)
	}
	return nil
}
