package wire

import (
	"fmt"
	"reflect"
)

// structEncoder writes the fields of one type of struct as keys of a map.
type structEncoder struct {
	list    []field
	keys    [][]byte // encoded names
	encodes []encodeFunc
}

func (p *Profile) structEncoderOf(t reflect.Type) (*structEncoder, error) {
	if known, ok := p.structs.Load(t); ok {
		return known.(*structEncoder), nil
	}
	shown, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	if shown.isArray {
		return nil, unsupported(t, "it is an array, not a map")
	}
	encoder, err := encoderPlan{p, map[reflect.Type]bool{t: true}}.structure(shown.list)
	if err != nil {
		return nil, err
	}
	p.structs.Store(t, encoder)
	return encoder, nil
}

func (p encoderPlan) structure(list []field) (*structEncoder, error) {
	encodes, err := p.each(list)
	if err != nil {
		return nil, err
	}
	if variants := variantsOf(list); len(variants) > 0 {
		encodes[0] = encodeKind(variants, encodes[0])
	}
	encoder := &structEncoder{list: list, encodes: encodes, keys: make([][]byte, len(list))}
	for i, f := range list {
		if encoder.keys[i], err = p.appendText(nil, f.name); err != nil {
			return nil, err
		}
	}
	return encoder, nil
}

// has reports whether a field is called name.
func (e *structEncoder) has(name string) bool {
	for i := range e.list {
		if e.list[i].name == name {
			return true
		}
	}
	return false
}

// count returns how many fields of v are written.
func (e *structEncoder) count(v reflect.Value) int {
	count := 0
	for i := range e.list {
		if e.writes(&e.list[i], v) {
			count++
		}
	}
	return count
}

func (e *structEncoder) writes(f *field, v reflect.Value) bool {
	isLeftOut := f.omitNil && f.zeroIsNil() && f.of(v).IsZero()
	return !isLeftOut && f.isOf(v, &e.list[0])
}

func (e *structEncoder) append(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	if depth == maxDepth {
		return nil, errTooDeep
	}
	return e.appendFields(appendMapHead(dst, e.count(v)), v, depth+1)
}

// appendFields writes keys and values without the head of their map.
func (e *structEncoder) appendFields(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	for i := range e.list {
		f := &e.list[i]
		if !e.writes(f, v) {
			continue
		}
		value := f.of(v)
		dst = append(dst, e.keys[i]...)
		if f.zeroIsNil() && value.IsZero() {
			dst = append(dst, codeNil)
			continue
		}
		var err error
		if dst, err = e.encodes[i](dst, value, depth); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return dst, nil
}

// encodeKind returns encode for the first field of a struct that has these variants.
func encodeKind(variants map[string]bool, encode encodeFunc) encodeFunc {
	return func(dst []byte, v reflect.Value, depth int) ([]byte, error) {
		if !variants[v.String()] {
			return nil, fmt.Errorf("%q is no variant", v.String())
		}
		return encode(dst, v, depth)
	}
}
