package wire

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"parsec-server/pkg/parsec"
)

// pairMarshaler and pairUnmarshaler are the types whose wire form is an array
// of two str, such as parsec.HumanHandle.
type (
	pairMarshaler   interface{ MarshalPair() (first, second string) }
	pairUnmarshaler interface {
		UnmarshalPair(first, second string) error
	}
)

var (
	dateTimeType   = reflect.TypeFor[parsec.DateTime]()
	apiVersionType = reflect.TypeFor[parsec.APIVersion]()
	extensionType  = reflect.TypeFor[Extension]()
	timeType       = reflect.TypeFor[time.Time]()

	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	binMarshalerType    = reflect.TypeFor[encoding.BinaryMarshaler]()
	binUnmarshalerType  = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	pairMarshalerType   = reflect.TypeFor[pairMarshaler]()
	pairUnmarshalerType = reflect.TypeFor[pairUnmarshaler]()
)

// shape is the wire form of a Go type.
type shape uint8

const (
	shapeUnsupported shape = iota
	shapeDateTime
	shapeAPIVersion
	shapeExtension
	shapeUUID
	shapeByteArray
	shapePair
	shapeText
	shapeBinary
	shapeString
	shapeBytes
	shapeBool
	shapeInt
	shapeUint
	shapeFloat
	shapePointer
	shapeSlice
	shapeMap
	shapeStruct
	shapeInterface
)

func shapeOf(t reflect.Type) shape {
	switch t {
	case dateTimeType:
		return shapeDateTime
	case apiVersionType:
		return shapeAPIVersion
	case extensionType:
		return shapeExtension
	case timeType: // would be a text; the wire wants parsec.DateTime
		return shapeUnsupported
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shapePointer
	case reflect.Interface:
		return shapeInterface
	case reflect.Array:
		switch {
		case t.Elem().Kind() != reflect.Uint8:
			return shapeUnsupported
		case t.Len() == uuidSize:
			return shapeUUID
		default:
			return shapeByteArray
		}
	}
	pointer := reflect.PointerTo(t)
	switch {
	case pointer.Implements(pairMarshalerType), pointer.Implements(pairUnmarshalerType):
		return shapePair
	case pointer.Implements(textMarshalerType), pointer.Implements(textUnmarshalerType):
		return shapeText
	case pointer.Implements(binMarshalerType), pointer.Implements(binUnmarshalerType):
		return shapeBinary
	}
	switch t.Kind() {
	case reflect.String:
		return shapeString
	case reflect.Bool:
		return shapeBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return shapeInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return shapeUint
	case reflect.Float64:
		return shapeFloat
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return shapeBytes
		}
		return shapeSlice
	case reflect.Map:
		return shapeMap
	case reflect.Struct:
		return shapeStruct
	default:
		return shapeUnsupported
	}
}

// isKey reports whether values of this shape may be the keys of a map.
func (s shape) isKey() bool {
	switch s {
	case shapeString, shapeText, shapeUUID, shapeByteArray, shapeInt, shapeUint:
		return true
	default:
		return false
	}
}

// fields is how a struct is seen on the wire.
type fields struct {
	list    []field
	isArray bool // a tuple, otherwise a map
}

// field is one key of a map, or one item of a tuple.
type field struct {
	name  string
	index []int // steps from the outer struct
	typ   reflect.Type

	nullable, optional, omitNil bool
	// variant is what the first field is where this one is there, "" for everywhere.
	variant string
}

// clashes reports whether both fields have one name where both are there.
func (f *field) clashes(with *field) bool {
	return f.name == with.name && (f.variant == with.variant || f.variant == "" || with.variant == "")
}

// variantsOf returns what the first of the fields must be one of, nothing where it is a
// field like any other.
func variantsOf(list []field) map[string]bool {
	variants := make(map[string]bool)
	for i := range list {
		if list[i].variant != "" {
			variants[list[i].variant] = true
		}
	}
	return variants
}

// isOf reports whether the field is one of those that v has, whose first field is set.
func (f *field) isOf(v reflect.Value, first *field) bool {
	return f.variant == "" || first.of(v).String() == f.variant
}

// zeroIsNil reports whether the zero value is written as nil. That of an
// optional number or boolean is a value like another: nil would be read as its
// default.
func (f *field) zeroIsNil() bool {
	if f.nullable {
		return true
	}
	switch f.typ.Kind() {
	case reflect.Bool, reflect.Float64, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return false
	default:
		return f.optional
	}
}

func (f *field) of(v reflect.Value) reflect.Value {
	for _, step := range f.index {
		v = v.Field(step)
	}
	return v
}

func unsupported(t reflect.Type, reason string) error {
	return fmt.Errorf("type %s is not supported: %s", t, reason)
}

// fieldsOf reads the tags of t, a struct.
func fieldsOf(t reflect.Type) (fields, error) {
	if t.NumField() > 0 && t.Field(0).Name == "_" && t.Field(0).Tag.Get("wire") == ",array" {
		list, err := tupleFields(t)
		return fields{list: list, isArray: true}, err
	}
	list, err := appendFields(nil, t, nil)
	if err != nil {
		return fields{}, err
	}
	// What an opaque struct holds would silently be lost.
	if len(list) == 0 && t.Size() > 0 {
		return fields{}, unsupported(t, "it has no tagged field")
	}
	for i := range list {
		if slices.ContainsFunc(list[:i], func(f field) bool { return f.clashes(&list[i]) }) {
			return fields{}, unsupported(t, "two fields are named "+list[i].name)
		}
	}
	return fields{list: list}, nil
}

func tupleFields(t reflect.Type) ([]field, error) {
	var list []field
	for i := 1; i < t.NumField(); i++ {
		member := t.Field(i)
		if _, tagged := member.Tag.Lookup("wire"); tagged || !member.IsExported() {
			return nil, unsupported(t, "field "+member.Name+" of an array is tagged or not exported")
		}
		list = append(list, field{index: []int{i}, typ: member.Type, nullable: member.Type.Kind() == reflect.Pointer})
	}
	return list, nil
}

func appendFields(list []field, t reflect.Type, path []int) ([]field, error) {
	for i := range t.NumField() {
		member := t.Field(i)
		index := slices.Concat(path, []int{i})
		tag, tagged := member.Tag.Lookup("wire")
		switch {
		case !tagged && member.Anonymous && member.Type.Kind() == reflect.Struct:
			var err error
			if list, err = appendFields(list, member.Type, index); err != nil {
				return nil, err
			}
			continue
		case !tagged || tag == "-":
			continue
		case !member.IsExported():
			return nil, unsupported(t, "field "+member.Name+" is tagged but not exported")
		}
		name, options, hasOptions := strings.Cut(tag, ",")
		if name == "" {
			return nil, unsupported(t, "field "+member.Name+" has no name in its tag")
		}
		f := field{name: name, index: index, typ: member.Type}
		if !hasOptions {
			f.nullable = member.Type.Kind() == reflect.Pointer
			list = append(list, f)
			continue
		}
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "nullable":
				f.nullable = true
			case "optional":
				f.optional = true
			case "omitnil":
				f.omitNil = true
			default:
				var isVariant bool
				if f.variant, isVariant = strings.CutPrefix(option, "if="); !isVariant {
					return nil, unsupported(t, "field "+member.Name+" has the unknown option "+option)
				}
				if len(list) == 0 || list[0].typ.Kind() != reflect.String || list[0].nullable || list[0].optional {
					return nil, unsupported(t, "field "+member.Name+" follows no text")
				}
				f.nullable = f.nullable || member.Type.Kind() == reflect.Pointer
			}
		}
		if f.omitNil && !f.optional {
			return nil, unsupported(t, "field "+member.Name+" is omitnil but not optional")
		}
		list = append(list, f)
	}
	return list, nil
}
