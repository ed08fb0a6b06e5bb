package wire

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// maxPreallocated bounds the room made for items because of a declared count;
// beyond it, containers grow with the items read.
const maxPreallocated = 1024

// Unmarshal decodes data, a map that Scan accepted, into the struct target
// points to, as the package documentation says. Unknown keys are ignored; of
// duplicate keys the last wins, where the profile allows them. Every []byte decoded
// aliases data.
//
// If fields do not decode, it returns a *FieldError; target is then partly set.
// If the root is not a map, it returns an error that wraps ErrMalformed. Any other
// error is a target that no message fits.
func Unmarshal(data []byte, target any) error { return Seconds.Unmarshal(data, target) }

// Unmarshal is wire.Unmarshal in this profile.
func (p *Profile) Unmarshal(data []byte, target any) error {
	pointer := reflect.ValueOf(target)
	if pointer.Kind() != reflect.Pointer || pointer.IsNil() || shapeOf(pointer.Type().Elem()) != shapeStruct {
		return fmt.Errorf("wire: decode into %T: not a pointer to a struct", target)
	}
	decode, err := p.decoderOf(pointer.Type().Elem())
	if err != nil {
		return fmt.Errorf("wire: decode into %T: %w", target, err)
	}
	if !IsMap(data) {
		return errNotMap
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	d.cursor = cursor{data: data}
	found := decode(d, d.token(), pointer.Elem())
	if d.err != nil {
		return d.err
	}
	switch found := found.(type) {
	case nil:
		return nil
	case map[string]any:
		return &FieldError{fields: found}
	default:
		return errors.New("wire: decode into an array: the root is a map")
	}
}

// decoder reads one message. It stops at the first malformed byte (err), which
// scanned data does not have, and once enough is known to be wrong (problems).
type decoder struct {
	cursor
	err      error
	problems int
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func (d *decoder) release() {
	*d = decoder{}
	decoders.Put(d)
}

func (d *decoder) stopped() bool { return d.err != nil || d.problems >= maxProblems }

// token is next with its error kept in d; the token is then illegal, and so no
// value of any type.
func (d *decoder) token() token {
	t, err := d.next()
	if err != nil {
		d.fail(err)
	}
	return t
}

// skipAll is skip with its error kept in d.
func (d *decoder) skipAll() {
	if err := d.skip(); err != nil {
		d.fail(err)
	}
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.pos = len(d.data)
}

// decodeFunc decodes the value whose head t was just read, never nil, into v.
// When it returns a problem, the cursor is anywhere inside of the value.
type decodeFunc func(d *decoder, t token, v reflect.Value) problem

// decodeItem decodes the next value into v, nil only where a nil may be.
func (d *decoder) decodeItem(decode decodeFunc, nullable bool, v reflect.Value) problem {
	start := d.pos
	t := d.token()
	if t.kind == kindNil {
		if !nullable {
			return d.problem(textNull)
		}
		v.SetZero()
		return nil
	}
	found := decode(d, t, v)
	if found != nil && d.err == nil {
		d.pos = start
		d.skipAll()
	}
	return found
}

func (p *Profile) decoderOf(t reflect.Type) (decodeFunc, error) {
	if known, ok := p.decodes.Load(t); ok {
		return known.(decodeFunc), nil
	}
	decode, err := decoderPlan{p, map[reflect.Type]bool{}}.of(t)
	if err != nil {
		return nil, err
	}
	p.decodes.Store(t, decode)
	return decode, nil
}

// decoderPlan makes a decodeFunc of a profile.
type decoderPlan struct {
	*Profile
	above map[reflect.Type]bool // the types being planned, from the root to the current one
}

func (p decoderPlan) of(t reflect.Type) (decodeFunc, error) {
	if p.above[t] {
		return nil, unsupported(t, "it is recursive")
	}
	p.above[t] = true
	defer delete(p.above, t)
	switch shapeOf(t) {
	case shapeDateTime:
		return p.decodeDateTime, nil
	case shapeAPIVersion:
		return decodeAPIVersion, nil
	case shapeUUID:
		return decodeUUID, nil
	case shapeByteArray:
		return decodeByteArray, nil
	case shapePair:
		if reflect.PointerTo(t).Implements(pairUnmarshalerType) {
			return p.decodePair, nil
		}
	case shapeText:
		if reflect.PointerTo(t).Implements(textUnmarshalerType) {
			return p.decodeText, nil
		}
	case shapeBinary:
		if reflect.PointerTo(t).Implements(binUnmarshalerType) {
			return decodeBinary, nil
		}
	case shapeString:
		return p.decodeString, nil
	case shapeBytes:
		return decodeBytes, nil
	case shapeBool:
		return decodeBool, nil
	case shapeInt:
		return decodeInt, nil
	case shapeUint:
		return decodeUint, nil
	case shapeFloat:
		return decodeFloat, nil
	case shapePointer:
		return p.pointer(t)
	case shapeSlice:
		return p.slice(t)
	case shapeMap:
		return p.mapping(t)
	case shapeStruct:
		shown, err := fieldsOf(t)
		if err != nil {
			return nil, err
		}
		if shown.isArray {
			return p.tuple(shown.list)
		}
		return p.structure(shown.list)
	}
	return nil, unsupported(t, "it cannot be decoded")
}

func (p decoderPlan) pointer(t reflect.Type) (decodeFunc, error) {
	decode, err := p.of(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(d *decoder, t token, v reflect.Value) problem {
		v.Set(reflect.New(v.Type().Elem()))
		return decode(d, t, v.Elem())
	}, nil
}

func (p decoderPlan) slice(t reflect.Type) (decodeFunc, error) {
	decode, err := p.of(t.Elem())
	if err != nil {
		return nil, err
	}
	nullable := t.Elem().Kind() == reflect.Pointer
	return func(d *decoder, t token, v reflect.Value) problem {
		if t.kind != kindArray {
			return d.problem(textList)
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, int(min(t.n, maxPreallocated))))
		var problems map[int]any
		for i := range int(t.n) {
			if d.stopped() {
				break
			}
			if i == v.Cap() {
				v.Grow(1)
			}
			v.SetLen(i + 1)
			if found := d.decodeItem(decode, nullable, v.Index(i)); found != nil {
				problems = add(problems, i, found)
			}
		}
		return nested(problems)
	}, nil
}

func (p decoderPlan) mapping(t reflect.Type) (decodeFunc, error) {
	if !shapeOf(t.Key()).isKey() {
		return nil, unsupported(t, "its keys cannot be decoded")
	}
	decodeKey, err := p.of(t.Key())
	if err != nil {
		return nil, err
	}
	decode, err := p.of(t.Elem())
	if err != nil {
		return nil, err
	}
	nullable := t.Elem().Kind() == reflect.Pointer
	return func(d *decoder, t token, v reflect.Value) problem {
		if t.kind != kindMap {
			return d.problem(textMapping)
		}
		v.Set(reflect.MakeMapWithSize(v.Type(), int(min(t.n, maxPreallocated))))
		key := reflect.New(v.Type().Key()).Elem()
		item := reflect.New(v.Type().Elem()).Elem()
		var problems map[string]any
		for range t.n {
			if d.stopped() {
				break
			}
			head, keyEnd := d.token(), d.pos
			key.SetZero()
			if decodeKey(d, head, key) != nil {
				return []string{textKey}
			}
			item.SetZero()
			found := d.decodeItem(decode, nullable, item)
			if found != nil {
				problems = add(problems, d.keyName(head, keyEnd), found)
				continue
			}
			v.SetMapIndex(key, item)
			if problems != nil { // the last of duplicates wins
				delete(problems, d.keyName(head, keyEnd))
			}
		}
		return nested(clipNames(problems))
	}, nil
}

func (p decoderPlan) tuple(list []field) (decodeFunc, error) {
	decodes, err := p.each(list)
	if err != nil {
		return nil, err
	}
	return func(d *decoder, t token, v reflect.Value) problem {
		if t.kind != kindArray || t.n != uint64(len(list)) {
			return d.problem(textList)
		}
		var problems map[int]any
		for i := range list {
			if found := d.decodeItem(decodes[i], list[i].nullable, list[i].of(v)); found != nil {
				problems = add(problems, i, found)
			}
		}
		return nested(problems)
	}, nil
}

func (p decoderPlan) each(list []field) ([]decodeFunc, error) {
	decodes := make([]decodeFunc, len(list))
	for i, f := range list {
		decode, err := p.of(f.typ)
		if err != nil {
			return nil, err
		}
		decodes[i] = decode
	}
	return decodes, nil
}

func (p decoderPlan) structure(list []field) (decodeFunc, error) {
	decodes, err := p.each(list)
	if err != nil {
		return nil, err
	}
	if variants := variantsOf(list); len(variants) > 0 {
		decodes[0] = decodeKind(variants, decodes[0])
	}
	// Fields of different variants may share a name, and so the place of its start.
	byName := make(map[string]int, len(list))
	places := make([]int, len(list))
	for i, f := range list {
		if _, isKnown := byName[f.name]; !isKnown {
			byName[f.name] = i
		}
		places[i] = byName[f.name]
	}
	return func(d *decoder, t token, v reflect.Value) problem {
		if t.kind != kindMap {
			return d.problem(textMapping)
		}
		// First find where the last value of each field starts: no value is
		// ever at 0, where the root map is.
		var buffer [24]int
		starts := buffer[:]
		var problems map[string]any
		if len(list) > len(buffer) {
			starts = make([]int, len(list))
		}
		for range t.n {
			if d.stopped() {
				return nil
			}
			key := d.token()
			if key.kind == kindString {
				if i, ok := byName[string(d.body(key))]; ok {
					if starts[i] != 0 && p.fieldsOnce {
						starts[i] = twice
					} else {
						starts[i] = d.pos
					}
				}
			}
			d.skipAll()
		}
		end := d.pos
		for i := range list {
			if d.stopped() {
				break
			}
			if !list[i].isOf(v, &list[0]) {
				continue
			}
			found := d.decodeField(&list[i], decodes[i], starts[places[i]], v)
			if found != nil {
				problems = add(problems, list[i].name, found)
			}
		}
		d.pos = end
		return nested(problems)
	}, nil
}

// twice is where a field starts that comes more than once and may not.
const twice = -1

// decodeKind returns decode for the first field of a struct that has these variants.
func decodeKind(variants map[string]bool, decode decodeFunc) decodeFunc {
	return func(d *decoder, t token, v reflect.Value) problem {
		found := decode(d, t, v)
		if found == nil && !variants[v.String()] {
			return d.problem(textValue)
		}
		return found
	}
}

// decodeField decodes the value at start, 0 if there is none, or twice, into its field
// of the struct v.
func (d *decoder) decodeField(f *field, decode decodeFunc, start int, v reflect.Value) problem {
	switch {
	case start == twice:
		return d.problem(textTwice)
	case start == 0 && f.optional:
		return nil
	case start == 0:
		return d.problem(textMissing)
	}
	d.pos = start
	t := d.token()
	switch {
	case t.kind != kindNil:
		return decode(d, t, f.of(v))
	case f.nullable:
		f.of(v).SetZero()
		return nil
	case f.optional:
		return nil
	default:
		return d.problem(textNull)
	}
}
