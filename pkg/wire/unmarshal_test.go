package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

func TestRoundTripOfEveryKind(t *testing.T) {
	want := full()
	message := marshal(t, want)
	var got everything
	if err := wire.Unmarshal(message, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if again := marshal(t, &got); !bytes.Equal(again, message) {
		t.Errorf("encoded again as %x, want %x", again, message)
	}
}

func TestUnmarshalOptions(t *testing.T) {
	type options struct {
		Required *uint64 `wire:"pointer"`
		Plain    uint64  `wire:"plain"`
		Nullable uint64  `wire:"nullable,nullable"`
		Optional uint64  `wire:"optional,optional"`
		Both     uint64  `wire:"both,nullable,optional"`
	}
	seven, default9 := uint64(7), uint64(9)
	for _, test := range []struct {
		name   string
		change func(object)
		want   options
		errors object
	}{
		{"given", func(object) {}, options{&seven, 7, 7, 7, 7}, nil},
		{"pointer nil", func(m object) { m["pointer"] = nil }, options{nil, 7, 7, 7, 7}, nil},
		{"pointer absent", func(m object) { delete(m, "pointer") }, options{}, object{"pointer": []string{"Missing data for required field."}}},
		{"plain nil", func(m object) { m["plain"] = nil }, options{}, object{"plain": []string{"Field may not be null."}}},
		{"plain absent", func(m object) { delete(m, "plain") }, options{}, object{"plain": []string{"Missing data for required field."}}},
		{"nullable nil", func(m object) { m["nullable"] = nil }, options{&seven, 7, 0, 7, 7}, nil},
		{"nullable absent", func(m object) { delete(m, "nullable") }, options{}, object{"nullable": []string{"Missing data for required field."}}},
		{"optional nil", func(m object) { m["optional"] = nil }, options{&seven, 7, 7, 9, 7}, nil},
		{"optional absent", func(m object) { delete(m, "optional") }, options{&seven, 7, 7, 9, 7}, nil},
		{"both nil", func(m object) { m["both"] = nil }, options{&seven, 7, 7, 7, 0}, nil},
		{"both absent", func(m object) { delete(m, "both") }, options{&seven, 7, 7, 7, 9}, nil},
		{"unknown keys", func(m object) { m["other"] = []any{object{"plain": 1}} }, options{&seven, 7, 7, 7, 7}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			message := object{"pointer": 7, "plain": 7, "nullable": 7, "optional": 7, "both": 7}
			test.change(message)
			got := options{&default9, 9, 9, 9, 9}
			err := wire.Unmarshal(marshal(t, message), &got)
			if test.errors == nil {
				if err != nil || !reflect.DeepEqual(got, test.want) {
					t.Errorf("got %+v, %v; want %+v", got, err, test.want)
				}
				return
			}
			var bad *wire.FieldError
			if !errors.As(err, &bad) || !reflect.DeepEqual(bad.Errors(), test.errors) {
				t.Errorf("got %v, want errors %v", err, test.errors)
			}
		})
	}
}

// one is a struct of one field of type T.
type one[T any] struct {
	Value T `wire:"value"`
}

// decodesAs decodes value, which is in hexadecimal digits, into a T.
func decodesAs[T any](t *testing.T, value string, want T) {
	t.Helper()
	var got one[T]
	if err := wire.Unmarshal(raw(t, "81 a576616c7565"+value), &got); err != nil {
		t.Errorf("%s into %T: %v", value, want, err)
	} else if !reflect.DeepEqual(got.Value, want) {
		t.Errorf("%s into %T: got %v, want %v", value, want, got.Value, want)
	}
}

// refusedAs decodes value, which is not a T.
func refusedAs[T any](t *testing.T, text string, values ...string) {
	t.Helper()
	for _, value := range values {
		var got one[T]
		message := raw(t, "82 a576616c7565"+value+"a1 78 01")
		if err := wire.Scan(message); err != nil {
			t.Errorf("%s: %v", value, err)
		}
		err := wire.Unmarshal(message, &got)
		var bad *wire.FieldError
		if !errors.As(err, &bad) || !reflect.DeepEqual(bad.Errors(), object{"value": []string{text}}) {
			t.Errorf("%s into %T: got %v, want %q", value, got.Value, err, text)
		}
	}
}

func TestUnmarshalKinds(t *testing.T) {
	const (
		date   = "d701 41d964df496b731d"
		uuid   = "d802 4486e7cf02d747bd9126679ba58e0474"
		uuid8  = "c71002 4486e7cf02d747bd9126679ba58e0474"
		str    = "a161"
		bin    = "c40161"
		float  = "cb 4008000000000000"
		list   = "91 01"
		object = "81 a161 01"
		other  = "d405 00"
	)
	decodesAs(t, "d9 01 61", "a")
	decodesAs(t, "da 0001 61", "a")
	decodesAs(t, "db 00000001 61", "a")
	refusedAs[string](t, "Not a valid string.", bin, "01", "c3", list, object, date, uuid)

	decodesAs(t, "a341 cc8a", must(parsec.ParseUserID("\u00c5"))) // normalised
	decodesAs(t, "a5 4f574e4552", parsec.RoleOwner)
	refusedAs[parsec.RealmRole](t, "Invalid value.", "a5 6f776e6572", "a0")
	refusedAs[parsec.UserID](t, "Invalid value.", "a1 40")
	refusedAs[parsec.UserID](t, "Not a valid string.", bin, "01", uuid)

	decodesAs(t, "c5 0001 61", []byte("a"))
	decodesAs(t, "c6 00000001 61", []byte("a"))
	decodesAs(t, "c400", []byte{})
	refusedAs[[]byte](t, "Not valid bytes.", str, "01", list, uuid, other)

	decodesAs(t, "c404 01020304", [4]byte{1, 2, 3, 4})
	refusedAs[[4]byte](t, "Wrong size.", "c403 010203", "c405 0102030405", "c400")
	refusedAs[parsec.VerifyKey](t, "Not valid bytes.", str, uuid)

	decodesAs(t, uuid8, parsec.BlockID(must(parsec.ParseUUID("4486e7cf02d747bd9126679ba58e0474"))))
	refusedAs[parsec.BlockID](t, "Not an UUID", str, "c410"+strings.Repeat("00", 16), date, "d805"+strings.Repeat("00", 16))

	decodesAs(t, "c70801 41d964df496b731d", must(parsec.ParseDateTime("2024-01-02T03:04:05.678901Z")))
	refusedAs[parsec.DateTime](t, "Not a valid datetime.", str, "01", float, uuid, "d705 41d964df496b731d")

	decodesAs(t, "c2", false)
	refusedAs[bool](t, "Not a valid boolean.", "00", "01", str, float)

	decodesAs(t, "cf 0000000000000003", uint8(3))
	decodesAs(t, "d3 0000000000000003", uint8(3))
	decodesAs(t, "ccff", uint8(255))
	decodesAs(t, "cf 7fffffffffffffff", uint64(math.MaxInt64))
	decodesAs(t, "ff", int8(-1))
	decodesAs(t, "d3 8000000000000000", int64(math.MinInt64))
	decodesAs(t, "cf 7fffffffffffffff", int64(math.MaxInt64))
	decodesAs(t, "d1 ff80", int8(-128))
	refusedAs[uint8](t, "Not a valid integer.", "cd 0100", "ff", float, "c3", "a133", bin)
	refusedAs[uint32](t, "Not a valid integer.", "cf 0000000100000000")
	refusedAs[uint64](t, "Not a valid integer.", "cf 8000000000000000", "d0 80", "ca 40400000")
	refusedAs[int8](t, "Not a valid integer.", "cc 80", "d1 ff7f")
	refusedAs[int64](t, "Not a valid integer.", "cf 8000000000000000", "cf ffffffffffffffff", "c2")

	decodesAs(t, "ca 3fc00000", 1.5)
	decodesAs(t, float, 3.0)
	decodesAs(t, "03", 3.0)
	decodesAs(t, "fd", -3.0)
	refusedAs[float64](t, "Not a valid number.", "a133", "c3", date)

	decodesAs(t, "92 01 ce7fffffff", parsec.APIVersion{Major: 1, Minor: math.MaxInt32})
	refusedAs[parsec.APIVersion](t, "Not a valid API version.", "90", "91 01", "93 010203", "92 01 ff",
		"92 01 ce80000000", "92 a131 01", "92 01 c0", "92 91c0 01", "01", object)

	decodesAs(t, "92 a161 a0", handle{"a", ""})
	refusedAs[handle](t, "Not a pair of strings.", "91 a161", "93 a161 a161 a161", "92 a161 c0", "92 90 a161", "92 c400 a0", str)
	refusedAs[handle](t, "Invalid value.", "92 a0 a161")

	decodesAs(t, "93 010203", []uint16{1, 2, 3})
	decodesAs(t, "90", []uint16{})
	decodesAs(t, "92 00 c0", []*int{new(int), nil})
	refusedAs[[]string](t, "Not a valid list.", object, str, bin)

	decodesAs(t, "82 a161 01 a161 02", map[string]int{"a": 2})
	decodesAs(t, "80", map[string]int{})
	decodesAs(t, "81 cd0001 01", map[uint32]int{1: 1})
	decodesAs(t, "81"+uuid8+"01", map[parsec.UUID]int{must(parsec.ParseUUID("4486e7cf02d747bd9126679ba58e0474")): 1})
	refusedAs[map[string]int](t, "Not a valid mapping.", list, str)
	refusedAs[map[string]int](t, "Invalid key.", "81 01 01", "82 a161 01 01 01")
	refusedAs[map[uint8]int](t, "Invalid key.", "81 a131 01", "81 cd0100 01", "81 ff 01")
	refusedAs[map[parsec.UserID]int](t, "Invalid key.", "81 a140 01", "81 01 9101")
	refusedAs[map[parsec.VlobID]int](t, "Invalid key.", "81 01 01")

	refusedAs[inner](t, "Not a valid mapping.", list, "01")
	decodesAs(t, "93"+date+"a3 614061 c0", tuple{
		Timestamp: must(parsec.ParseDateTime("2024-01-02T03:04:05.678901Z")),
		Author:    must(parsec.ParseDeviceID("a@a")),
	})
	refusedAs[tuple](t, "Not a valid list.", object, "92"+date+"a3 614061", "90")
}

func TestFieldErrorNestsLikeTheMessage(t *testing.T) {
	type message struct {
		ID     parsec.VlobID              `wire:"id"`
		Counts []uint16                   `wire:"counts"`
		Inners []inner                    `wire:"inners"`
		Inner  inner                      `wire:"inner"`
		Tuple  tuple                      `wire:"tuple"`
		ByText map[string]uint8           `wire:"by_text"`
		ByVlob map[parsec.VlobID][]string `wire:"by_vlob"`
		ByInt  map[int64]uint8            `wire:"by_int"`
		Last   bool                       `wire:"last"`
	}
	vlob := parsec.VlobID{1}
	data := marshal(t, object{
		"id":      "x",
		"counts":  []any{1, -1, nil, []any{[]any{}}, 70000, 5},
		"inners":  []any{object{"name": "a"}, object{"name": 1, "count": "x"}, 3, nil},
		"inner":   object{"count": 1},
		"tuple":   []any{1, "a@b", nil},
		"by_text": object{"good": 1, "bad": object{"x": []any{}}, "nil": nil},
		"by_vlob": map[parsec.VlobID]any{vlob: []any{"a", 1}},
		"by_int":  map[int]any{-7: "x", 7: "x"},
		"last":    true,
	})
	var got message
	err := wire.Unmarshal(data, &got)
	var bad *wire.FieldError
	if !errors.As(err, &bad) {
		t.Fatalf("got %v, want a FieldError", err)
	}
	integer, null := []string{"Not a valid integer."}, []string{"Field may not be null."}
	want := object{
		"id":     []string{"Not an UUID"},
		"counts": map[int]any{1: integer, 2: null, 3: integer, 4: integer},
		"inners": map[int]any{
			1: object{"name": []string{"Not a valid string."}, "count": integer},
			2: []string{"Not a valid mapping."},
			3: null,
		},
		"inner":   object{"name": []string{"Missing data for required field."}},
		"tuple":   map[int]any{0: []string{"Not a valid datetime."}},
		"by_text": object{"bad": integer, "nil": null},
		"by_vlob": object{vlob.String(): map[int]any{1: []string{"Not a valid string."}}},
		"by_int":  object{"-7": integer, "7": integer},
	}
	if !reflect.DeepEqual(bad.Errors(), want) {
		t.Errorf("got  %v\nwant %v", bad.Errors(), want)
	}
	if !got.Last {
		t.Error("the field after the bad ones was not decoded")
	}
	marshal(t, bad.Errors())
	line := bad.Error()
	if strings.Contains(line, "\n") || !strings.Contains(line, `, "inners.1.name": Not a valid string.`) {
		t.Errorf("unexpected line %s", line)
	}
}

func TestFieldErrorIsBounded(t *testing.T) {
	type message struct {
		Counts []uint16         `wire:"counts"`
		ByText map[string]uint8 `wire:"by_text"`
		Inners []inner          `wire:"inners"`
	}
	key := strings.Repeat("é\n", 500)
	counts := repeat("x", 5000)
	for _, test := range []struct {
		name string
		data object
	}{
		{"items", object{"counts": counts, "by_text": object{}, "inners": counts}},
		{"fields", object{"counts": []any{}, "by_text": object{}, "inners": repeat(object{}, 5000)}},
		{"long key", object{"counts": []any{}, "by_text": object{key: "x"}, "inners": []any{}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got message
			err := wire.Unmarshal(marshal(t, test.data), &got)
			var bad *wire.FieldError
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a FieldError", err)
			}
			if size := len(marshal(t, bad.Errors())); size > 10_000 {
				t.Errorf("errors take %d bytes", size)
			}
			if strings.Contains(bad.Error(), "\n") {
				t.Errorf("more than a line: %s", bad.Error())
			}
		})
	}
}

func repeat(value any, count int) []any {
	list := make([]any, count)
	for i := range list {
		list[i] = value
	}
	return list
}

func TestLastDuplicateWins(t *testing.T) {
	type message struct {
		Text  string         `wire:"t"`
		Inner inner          `wire:"i,optional"`
		Map   map[string]int `wire:"m,optional"`
	}
	const good, bad, nothing = "a174 a161", "a174 01", "a174 c0"
	for _, test := range []struct {
		name, message string
		want          message
		ok            bool
	}{
		{"good after bad", "82" + bad + good, message{Text: "a"}, true},
		{"good after nil", "82" + nothing + good, message{Text: "a"}, true},
		{"bad after good", "82" + good + bad, message{}, false},
		{"nil after good", "82" + good + nothing, message{}, false},
		{"nothing is left of the first", "83" + good + "a169 82 a46e616d65 a161 a5636f756e74 01" + "a169 81 a46e616d65 a162", message{Text: "a", Inner: inner{Name: "b"}}, true},
		{"item good after bad", "82" + good + "a16d 82 a178 a0 a178 01", message{Text: "a", Map: map[string]int{"x": 1}}, true},
		{"item bad after good", "82" + good + "a16d 82 a178 01 a178 a0", message{}, false},
		{"item good after bad of another key", "82" + good + "a16d 82 a178 a0 a179 01", message{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got message
			err := wire.Unmarshal(raw(t, test.message), &got)
			if (err == nil) != test.ok {
				t.Fatalf("got %v, want ok: %t", err, test.ok)
			}
			if test.ok && !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestUnmarshalAliasesMessage(t *testing.T) {
	message := marshal(t, object{"value": []byte("abc")})
	message = append(message, 'x')[:len(message)] // room after the value
	var got one[[]byte]
	if err := wire.Unmarshal(message, &got); err != nil {
		t.Fatal(err)
	}
	_ = append(got.Value, 'y')
	if message[:len(message)+1][len(message)] != 'x' {
		t.Error("appending to a decoded value wrote beyond it")
	}
	message[len(message)-1] = 'z'
	if string(got.Value) != "abz" {
		t.Errorf("the value %q is a copy", got.Value)
	}
}

func TestUnmarshalGrowsLongLists(t *testing.T) {
	want := make([]uint32, 5000)
	for i := range want {
		want[i] = uint32(i)
	}
	var got one[[]uint32]
	if err := wire.Unmarshal(marshal(t, one[[]uint32]{want}), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Value, want) {
		t.Error("items differ")
	}
}

func TestUnmarshalRoot(t *testing.T) {
	for _, message := range []string{"", "90", "c0", "a0", "dc 0001 c0"} {
		if err := wire.Unmarshal(raw(t, message), new(inner)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q: got %v, want ErrMalformed", message, err)
		}
	}
	if err := wire.Unmarshal(raw(t, "81 a46e616d65"), new(inner)); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("truncated: got %v, want ErrMalformed", err)
	}
}

func TestUnmarshalIntoEmbeddedDefaults(t *testing.T) {
	type limits struct {
		Size int `wire:"size,optional"`
	}
	type message struct {
		limits
		Wait bool `wire:"wait,optional"`
	}
	got := message{limits{1000}, true}
	if err := wire.Unmarshal(raw(t, "80"), &got); err != nil || got != (message{limits{1000}, true}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestManyFields(t *testing.T) {
	members := make([]reflect.StructField, 100)
	want := make(map[any]any)
	for i := range members {
		members[i] = reflect.StructField{
			Name: fmt.Sprintf("F%d", i), Type: reflect.TypeFor[int](),
			Tag: reflect.StructTag(fmt.Sprintf(`wire:"f%d"`, i)),
		}
		want[fmt.Sprintf("f%d", i)] = int64(i)
	}
	target := reflect.New(reflect.StructOf(members))
	message := marshal(t, want)
	if err := wire.Unmarshal(message, target.Interface()); err != nil {
		t.Fatal(err)
	}
	if got := decode(t, marshal(t, target.Interface())); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestUnsupportedTargets(t *testing.T) {
	type recursive struct {
		Next []recursive `wire:"next"`
	}
	for _, target := range []any{
		nil, inner{}, (*inner)(nil), new(string), new(map[string]int), new(parsec.UserID),
		new(recursive),
		new(one[any]), new(one[func()]), new(one[chan int]), new(one[float32]), new(one[complex128]), new(one[[3]int]),
		new(one[[]any]), new(one[*any]), new(one[map[float64]int]), new(one[map[string]any]), new(one[wire.Extension]),
		new(struct{ Opaque int }),
		new(tuple),
	} {
		err := wire.Unmarshal(raw(t, "81 a576616c7565 c0"), target)
		var bad *wire.FieldError
		if err == nil || errors.As(err, &bad) || errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%T: got %v, want a programming error", target, err)
		}
	}
}
