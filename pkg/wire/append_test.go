package wire_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

func TestAppend(t *testing.T) {
	type opaqueText string
	three := 3
	var noPointer *int
	for _, test := range []struct {
		name  string
		value any
		want  string
	}{
		{"nil", nil, "c0"},
		{"nil pointer", noPointer, "c0"},
		{"pointer", &three, "03"},
		{"uint64 max", uint64(math.MaxUint64), "cf ffffffffffffffff"},
		{"uint 65535", uint(65535), "cd ffff"},
		{"uint 2^32-1", uint32(math.MaxUint32), "ce ffffffff"},
		{"int 127", 127, "7f"},
		{"int -32", -32, "e0"},
		{"int -33", -33, "d0 df"},
		{"int -128", -128, "d0 80"},
		{"int -129", -129, "d1 ff7f"},
		{"int -32768", -32768, "d1 8000"},
		{"int -32769", -32769, "d2 ffff7fff"},
		{"int -2^31", math.MinInt32, "d2 80000000"},
		{"int -2^31-1", math.MinInt32 - 1, "d3 ffffffff7fffffff"},
		{"integral float", 300.0, "cb 4072c00000000000"},
		{"text of 31", strings.Repeat("a", 31), "bf" + strings.Repeat("61", 31)},
		{"text of 32", strings.Repeat("a", 32), "d920" + strings.Repeat("61", 32)},
		{"text of 256", strings.Repeat("a", 256), "da0100" + strings.Repeat("61", 256)},
		{"named text", opaqueText("a"), "a1 61"},
		{"profile", parsec.ProfileAdmin, "a5 41444d494e"},
		{"identifier", must(parsec.ParseDeviceID("a@b")), "a3 614062"},
		{"bin of 256", make([]byte, 256), "c5 0100" + strings.Repeat("00", 256)},
		{"nil bin", []byte(nil), "c400"},
		{"array of bytes", [4]byte{1, 2, 3, 4}, "c404 01020304"},
		{"UUID", parsec.VlobID{15: 1}, "d802" + strings.Repeat("00", 15) + "01"},
		{"date", must(parsec.ParseDateTime("2024-01-02T03:04:05.678901Z")), "d701 41d964df496b731d"},
		{"last date", parsec.MaxDateTime, "d701 424d7ffa20bfffff"},
		{"first date", parsec.MinDateTime, "d701 c22cef23ee000000"},
		{"API versions", parsec.SupportedAPIVersions[:], "93 920103 92020a 920304"},
		{"pair", handle{"a", "b"}, "92 a161 a162"},
		{"human", parsec.HumanHandle{}, "92 a0 a0"},
		{"nil list", []int(nil), "90"},
		{"list of 16", make([]int, 16), "dc 0010" + strings.Repeat("00", 16)},
		{"list of anything", []any{1, "a", nil, []byte{2}}, "94 01 a161 c0 c40102"},
		{"nil map", map[string]int(nil), "80"},
		{"sorted texts", map[string]int{"b": 2, "a": 1, "c": 3}, "83 a161 01 a162 02 a163 03"},
		{"sorted numbers", map[uint32]int{300: 3, 1: 1, 200: 2}, "83 01 01 ccc8 02 cd012c 03"},
		{"map of 16", sixteen(), "de 0010 " + sixteenHex},
		{"struct", inner{"a", 1}, "82 a46e616d65 a161 a5636f756e74 01"},
		{"struct as array", tuple{Timestamp: 0, Author: must(parsec.ParseDeviceID("a@b"))}, "93 d7010000000000000000 a3 614062 c0"},
		{"empty struct", struct{}{}, "80"},
		{"extension of 1", wire.Extension{Code: 5, Data: []byte{1}}, "d405 01"},
		{"extension of 3", wire.Extension{Code: -2, Data: []byte{1, 2, 3}}, "c703fe 010203"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := append([]byte("before"), raw(t, test.want)...)
			got, err := wire.Append([]byte("before"), test.value)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %x, %v; want %x", got, err, want)
			}
			if err := wire.Scan(raw(t, test.want)); err != nil {
				t.Errorf("Scan: %v", err)
			}
		})
	}
}

const sixteenHex = "0000 0100 0200 0300 0400 0500 0600 0700 0800 0900 0a00 0b00 0c00 0d00 0e00 0f00"

func sixteen() map[uint8]int {
	items := make(map[uint8]int)
	for i := range uint8(16) {
		items[i] = 0
	}
	return items
}

func TestAppendOptions(t *testing.T) {
	type options struct {
		Plain    []byte             `wire:"p"`
		Role     parsec.RealmRole   `wire:"r,nullable"`
		Human    parsec.HumanHandle `wire:"h,optional"`
		Device   parsec.DeviceID    `wire:"d,nullable,optional"`
		Date     *parsec.DateTime   `wire:"t"`
		List     [][]byte           `wire:"l,nullable"`
		Map      map[string]int     `wire:"m,nullable"`
		Wait     bool               `wire:"w,optional"`
		Deletion *parsec.DateTime   `wire:"x,optional,omitnil"`
	}
	date := parsec.DateTime(0)
	for _, test := range []struct {
		name  string
		value options
		want  string
	}{
		{"zero", options{}, "88 a170 c400 a172 c0 a168 c0 a164 c0 a174 c0 a16c c0 a16d c0 a177 c2"},
		{"empty", options{
			Plain: []byte{}, Role: parsec.RoleOwner, Date: &date, List: [][]byte{}, Map: map[string]int{}, Wait: true, Deletion: &date,
		}, "89 a170 c400 a172 a54f574e4552 a168 c0 a164 c0 a174 d7010000000000000000 a16c 90 a16d 80 a177 c3 a178 d7010000000000000000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := marshal(t, test.value); !bytes.Equal(got, raw(t, test.want)) {
				t.Errorf("got %x, want %s", got, test.want)
			}
		})
	}
}

func TestAppendMap(t *testing.T) {
	type sometimes struct {
		Date *parsec.DateTime `wire:"d,optional,omitnil"`
		Pong string           `wire:"p"`
	}
	head := []wire.Field{{Key: "status", Value: "ok"}}
	date := parsec.DateTime(0)
	for _, test := range []struct {
		name string
		head []wire.Field
		tail any
		want string
	}{
		{"nothing", nil, nil, "80"},
		{"head", head, nil, "81 a6737461747573 a26f6b"},
		{"nil pointer", head, (*inner)(nil), "81 a6737461747573 a26f6b"},
		{"no field", head, struct{}{}, "81 a6737461747573 a26f6b"},
		{"tail", nil, inner{"a", 1}, "82 a46e616d65 a161 a5636f756e74 01"},
		{"both", head, &sometimes{Pong: "a"}, "82 a6737461747573 a26f6b a170 a161"},
		{"both, nothing omitted", head, sometimes{&date, "a"}, "83 a6737461747573 a26f6b a164 d7010000000000000000 a170 a161"},
		{"value of any type", []wire.Field{{"e", object{"f": []string{"g"}}}, {"n", nil}}, nil, "82 a165 81 a166 91 a167 a16e c0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := wire.AppendMap([]byte("before"), test.head, test.tail)
			if err != nil || !bytes.Equal(got, append([]byte("before"), raw(t, test.want)...)) {
				t.Errorf("got %x, %v; want %s", got, err, test.want)
			}
		})
	}
	for name, tail := range map[string]any{
		"key twice": struct {
			S int `wire:"status"`
		}{},
		"not a struct":        map[string]int{},
		"text":                parsec.UserID{},
		"array":               tuple{},
		"unsupported field":   one[func()]{},
		"pointer to pointer":  new(*inner),
		"illegal field value": one[string]{"\xff"},
	} {
		if got, err := wire.AppendMap([]byte("x"), head, tail); err == nil || string(got) != "x" {
			t.Errorf("%s: got %x, %v; want x and an error", name, got, err)
		}
	}
}

// Room is a bin whose bytes are filled in afterwards.
func TestRoom(t *testing.T) {
	for _, size := range []int{0, 1, 255, 256, 65535, 65536, 1 << 20} {
		content := bytes.Repeat([]byte{7}, size)
		want, err := wire.AppendMap([]byte("before"), []wire.Field{{"status", "ok"}, {"block", content}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.AppendMap([]byte("before"), []wire.Field{{"status", "ok"}, {"block", wire.Room(size)}}, nil)
		if err != nil || len(got) != len(want) {
			t.Fatalf("room for %d bytes: %d, %v; want %d", size, len(got), err, len(want))
		}
		copy(got[len(got)-size:], content)
		if !bytes.Equal(got, want) {
			t.Errorf("room for %d bytes is not the bin", size)
		}
	}
	if got, err := wire.AppendMap([]byte("x"), []wire.Field{{"block", wire.Room(1 << 40)}}, nil); err == nil || string(got) != "x" {
		t.Errorf("room for too much: %x, %v", got, err)
	}
}

// readOnly decodes but has no text form to encode.
type readOnly struct{ text string }

func (r *readOnly) UnmarshalText(text []byte) error { r.text = string(text); return nil }

// failing has no text.
type failing struct{}

func (failing) MarshalText() ([]byte, error) { return nil, errors.New("no text") }

func TestAppendRefuses(t *testing.T) {
	type recursive struct {
		Next *recursive `wire:"next"`
	}
	deep := any(1)
	for range 65 {
		deep = []any{deep}
	}
	cycle := object{}
	cycle["x"] = cycle
	for name, value := range map[string]any{
		"func":             func() {},
		"channel":          make(chan int),
		"float32":          float32(1),
		"array":            [2]int{},
		"time":             time.Time{},
		"opaque struct":    struct{ secret int }{1},
		"recursive type":   recursive{},
		"no text to write": readOnly{},
		"text error":       failing{},
		"unsupported item": []any{1, func() {}},
		"float key":        map[float64]int{1: 1},
		"bool key":         map[any]any{true: 1},
		"nil key":          map[any]any{nil: 1},
		"two names":        struct{ A, B int }{},
		"same name": struct {
			A int `wire:"a"`
			B int `wire:"a"`
		}{},
		"unknown option": struct {
			A int `wire:"a,omitempty"`
		}{},
		"no name": struct {
			A int `wire:",nullable"`
		}{},
		"not exported": struct {
			a int `wire:"a"`
		}{1},
		"omitnil alone": struct {
			A *int `wire:"a,omitnil"`
		}{},
		"tagged array item": struct {
			_ struct{} `wire:",array"`
			A int      `wire:"a"`
		}{},
		"text not UTF-8":    "\xff",
		"key not UTF-8":     map[string]int{"\xff": 1},
		"long text":         strings.Repeat("a", 1<<20+1),
		"long bin":          make([]byte, 1<<20+1),
		"date after 9999":   parsec.MaxDateTime + 1,
		"date before 1":     parsec.MinDateTime - 1,
		"API version":       parsec.APIVersion{Major: 1 << 31},
		"known extension":   wire.Extension{Code: 2, Data: make([]byte, 16)},
		"65 arrays":         deep,
		"map inside itself": cycle,
		"pair not UTF-8":    handle{"a", "\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := wire.Append([]byte("x"), value); err == nil || string(got) != "x" {
				t.Errorf("got %x, %v; want x and an error", got, err)
			}
		})
	}
}
