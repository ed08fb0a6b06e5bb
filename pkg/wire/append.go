package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
)

// Field is a key of a reply map and its value, of any type that Append takes.
type Field struct {
	Key   string
	Value any
}

// Room is a bin of so many bytes, not negative, as the value of a Field. Append
// leaves them as they are in the buffer, for who fills them in afterwards: those
// of the last field end the message.
type Room int

// Marshal returns what Append writes.
func Marshal(value any) ([]byte, error) { return Append(nil, value) }

// Append writes value after dst, as the package documentation says: struct
// fields in the order of their declaration, map items in the order of their
// encoded keys, numbers in their shortest form. Nil slices, arrays of bytes
// and maps are empty ones, unless their field may be nil.
//
// On error dst is returned unchanged: the type is not supported, or the value
// is one that ScanReply refuses (a text that is not UTF-8, something over the
// limits, a date outside years 1 to 9999). There is no limit of items: who
// encodes a message for a server keeps to those of Scan.
func Append(dst []byte, value any) ([]byte, error) { return Seconds.Append(dst, value) }

// Append is wire.Append in this profile.
func (p *Profile) Append(dst []byte, value any) ([]byte, error) {
	out, err := p.appendAny(dst, value, 0)
	if err != nil {
		return dst, fmt.Errorf("wire: encode %T: %w", value, err)
	}
	return out, nil
}

// AppendMapHead begins a map of count pairs after dst: the caller appends as many
// keys and values.
func AppendMapHead(dst []byte, count int) []byte { return appendMapHead(dst, count) }

// AppendArrayHead begins an array of count items after dst, as AppendMapHead.
func AppendArrayHead(dst []byte, count int) []byte { return appendArrayHead(dst, count) }

// AppendMap writes one map after dst: the keys of head, then the fields of
// tail, which is nil, a struct, or a pointer to one. Errors are those of
// Append, and a key that is in both.
func AppendMap(dst []byte, head []Field, tail any) ([]byte, error) {
	return Seconds.AppendMap(dst, head, tail)
}

// AppendMap is wire.AppendMap in this profile.
func (p *Profile) AppendMap(dst []byte, head []Field, tail any) ([]byte, error) {
	out, err := p.appendMap(dst, head, tail)
	if err != nil {
		return dst, fmt.Errorf("wire: encode a map ending with %T: %w", tail, err)
	}
	return out, nil
}

func (p *Profile) appendMap(dst []byte, head []Field, tail any) ([]byte, error) {
	v := reflect.ValueOf(tail)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	var last *structEncoder
	count := len(head)
	if v.IsValid() {
		if shapeOf(v.Type()) != shapeStruct {
			return nil, unsupported(v.Type(), "the end of a map must be a struct")
		}
		var err error
		if last, err = p.structEncoderOf(v.Type()); err != nil {
			return nil, err
		}
		v = addressable(v)
		count += last.count(v)
	}
	dst = appendMapHead(dst, count)
	var err error
	for _, f := range head {
		if last != nil && last.has(f.Key) {
			return nil, fmt.Errorf("key %q comes twice", f.Key)
		}
		if dst, err = p.appendText(dst, f.Key); err != nil {
			return nil, err
		}
		if dst, err = p.appendAny(dst, f.Value, 1); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Key, err)
		}
	}
	if last == nil {
		return dst, nil
	}
	return last.appendFields(dst, v, 1)
}

// encodeFunc writes v, which is addressable, after dst; depth counts the
// arrays and maps around it.
type encodeFunc func(dst []byte, v reflect.Value, depth int) ([]byte, error)

// appendAny writes a value whose type is known only now.
func (p *Profile) appendAny(dst []byte, value any, depth int) ([]byte, error) {
	switch value := value.(type) {
	case nil:
		return append(dst, codeNil), nil
	case string:
		return p.appendText(dst, value)
	case []byte:
		return p.appendBinary(dst, value)
	case bool:
		return appendBool(dst, value), nil
	case Room:
		return p.appendRoom(dst, value)
	}
	v := reflect.ValueOf(value)
	encode, err := p.encoderOf(v.Type())
	if err != nil {
		return nil, err
	}
	return encode(dst, addressable(v), depth)
}

// addressable returns v, or a copy whose methods on pointers can be called.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	place := reflect.New(v.Type()).Elem()
	place.Set(v)
	return place
}

func (p *Profile) encoderOf(t reflect.Type) (encodeFunc, error) {
	if known, ok := p.encodes.Load(t); ok {
		return known.(encodeFunc), nil
	}
	encode, err := encoderPlan{p, map[reflect.Type]bool{}}.of(t)
	if err != nil {
		return nil, err
	}
	p.encodes.Store(t, encode)
	return encode, nil
}

// encoderPlan makes an encodeFunc of a profile.
type encoderPlan struct {
	*Profile
	above map[reflect.Type]bool // the types being planned, from the root to the current one
}

func (p encoderPlan) of(t reflect.Type) (encodeFunc, error) {
	if p.above[t] {
		return nil, unsupported(t, "it is recursive")
	}
	p.above[t] = true
	defer delete(p.above, t)
	switch shapeOf(t) {
	case shapeDateTime:
		return p.encodeDateTime, nil
	case shapeAPIVersion:
		return encodeAPIVersion, nil
	case shapeExtension:
		return encodeExtension, nil
	case shapeUUID:
		return encodeUUID, nil
	case shapeByteArray:
		return p.encodeBytes, nil
	case shapePair:
		if reflect.PointerTo(t).Implements(pairMarshalerType) {
			return p.encodePair, nil
		}
	case shapeText:
		if reflect.PointerTo(t).Implements(textMarshalerType) {
			return p.encodeText, nil
		}
		if t.Kind() == reflect.String {
			return p.encodeString, nil
		}
	case shapeBinary:
		if reflect.PointerTo(t).Implements(binMarshalerType) {
			return p.encodeBinary, nil
		}
	case shapeString:
		return p.encodeString, nil
	case shapeBytes:
		return p.encodeBytes, nil
	case shapeBool:
		return encodeBool, nil
	case shapeInt:
		return encodeInt, nil
	case shapeUint:
		return encodeUint, nil
	case shapeFloat:
		return encodeFloat, nil
	case shapePointer:
		return p.pointer(t)
	case shapeSlice:
		return p.slice(t)
	case shapeMap:
		return p.mapping(t)
	case shapeInterface:
		return p.encodeInterface, nil
	case shapeStruct:
		shown, err := fieldsOf(t)
		if err != nil {
			return nil, err
		}
		if shown.isArray {
			return p.tuple(shown.list)
		}
		encoder, err := p.structure(shown.list)
		if err != nil {
			return nil, err
		}
		return encoder.append, nil
	}
	return nil, unsupported(t, "it cannot be encoded")
}

func (p encoderPlan) pointer(t reflect.Type) (encodeFunc, error) {
	encode, err := p.of(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		if v.IsNil() {
			return append(dst, codeNil), nil
		}
		return encode(dst, v.Elem(), depth)
	}, nil
}

func (p encoderPlan) slice(t reflect.Type) (encodeFunc, error) {
	encode, err := p.of(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		if depth == maxDepth {
			return nil, errTooDeep
		}
		dst = appendArrayHead(dst, v.Len())
		var err error
		for i := range v.Len() {
			if dst, err = encode(dst, v.Index(i), depth+1); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}, nil
}

func (p encoderPlan) mapping(t reflect.Type) (encodeFunc, error) {
	if keys := shapeOf(t.Key()); !keys.isKey() && keys != shapeInterface {
		return nil, unsupported(t, "its keys cannot be encoded")
	}
	encodeKey, err := p.of(t.Key())
	if err != nil {
		return nil, err
	}
	encode, err := p.of(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		if depth == maxDepth {
			return nil, errTooDeep
		}
		dst = appendMapHead(dst, v.Len())
		// Items are encoded aside, then sorted by their encoded keys.
		type span struct{ start, keyEnd, end int }
		var (
			aside []byte
			err   error
			spans = make([]span, 0, v.Len())
			key   = reflect.New(v.Type().Key()).Elem()
			item  = reflect.New(v.Type().Elem()).Elem()
		)
		for iterator := v.MapRange(); iterator.Next(); {
			key.SetIterKey(iterator)
			item.SetIterValue(iterator)
			s := span{start: len(aside)}
			if aside, err = encodeKey(aside, key, depth+1); err != nil {
				return nil, err
			}
			s.keyEnd = len(aside)
			written := cursor{data: aside, pos: s.start}
			if head, err := written.next(); err != nil || !p.isKey(head) {
				return nil, errKey
			}
			if aside, err = encode(aside, item, depth+1); err != nil {
				return nil, err
			}
			s.end = len(aside)
			spans = append(spans, s)
		}
		slices.SortFunc(spans, func(a, b span) int {
			return bytes.Compare(aside[a.start:a.keyEnd], aside[b.start:b.keyEnd])
		})
		for _, s := range spans {
			dst = append(dst, aside[s.start:s.end]...)
		}
		return dst, nil
	}, nil
}

func (p encoderPlan) tuple(list []field) (encodeFunc, error) {
	encodes, err := p.each(list)
	if err != nil {
		return nil, err
	}
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		if depth == maxDepth {
			return nil, errTooDeep
		}
		dst = appendArrayHead(dst, len(list))
		var err error
		for i := range list {
			if dst, err = encodes[i](dst, list[i].of(v), depth+1); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}, nil
}

func (p encoderPlan) each(list []field) ([]encodeFunc, error) {
	encodes := make([]encodeFunc, len(list))
	for i, f := range list {
		encode, err := p.of(f.typ)
		if err != nil {
			return nil, err
		}
		encodes[i] = encode
	}
	return encodes, nil
}
