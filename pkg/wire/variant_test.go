package wire_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"parsec-server/pkg/wire"
)

// proof is a variant whose key "value" has a type by its kind.
type proof struct {
	Kind   string   `wire:"type"`
	Common *int     `wire:"common,optional,omitnil"`
	Text   string   `wire:"value,if=TEXT"`
	Bytes  []byte   `wire:"value,if=BYTES"`
	Chain  [][]byte `wire:"chain,if=BYTES"`
	Count  *int     `wire:"count,if=BYTES"`
	Note   string   `wire:"note,optional,omitnil,if=TEXT"`
}

type proven struct {
	Proof  proof  `wire:"proof"`
	Other  *proof `wire:"other,nullable"`
	Number int64  `wire:"number"`
}

func TestVariant(t *testing.T) {
	for name, test := range map[string]struct {
		want    proven
		written encodedMap
	}{
		"text": {
			proven{Proof: proof{Kind: "TEXT", Text: "a"}, Number: 1},
			pairs("proof", pairs("type", "TEXT", "value", "a"), "other", nil, "number", 1),
		},
		"bytes": {
			proven{Proof: proof{Kind: "BYTES", Common: new(5), Bytes: []byte("a"), Chain: [][]byte{}, Count: new(6)}, Number: 2},
			pairs("proof", pairs("type", "BYTES", "common", 5, "value", []byte("a"), "chain", []any{}, "count", 6), "other", nil, "number", 2),
		},
		"both": {
			proven{
				Proof:  proof{Kind: "TEXT", Note: "b"},
				Other:  &proof{Kind: "BYTES", Bytes: []byte{}, Chain: [][]byte{[]byte("c")}},
				Number: 3,
			},
			pairs("proof", pairs("type", "TEXT", "value", "", "note", "b"),
				"other", pairs("type", "BYTES", "value", []byte{}, "chain", []any{[]byte("c")}, "count", nil), "number", 3),
		},
	} {
		written, err := wire.Marshal(test.want)
		if err != nil || !bytes.Equal(written, test.written) {
			t.Errorf("%s is written as %x, error %v, want %x", name, written, err, test.written)
		}
		if err := wire.Scan(test.written); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got proven
		if err := wire.Unmarshal(test.written, &got); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s is read as %+v, error %v", name, got, err)
		}
	}
}

// What belongs to the other kind is not written.
func TestVariantIsOfOneKind(t *testing.T) {
	written, err := wire.Marshal(proof{Kind: "TEXT", Text: "a", Bytes: []byte("b"), Count: new(1)})
	if want := pairs("type", "TEXT", "value", "a"); err != nil || !bytes.Equal(written, want) {
		t.Errorf("written as %x, error %v, want %x", written, err, want)
	}
}

func TestVariantOfNoKindIsNotWritten(t *testing.T) {
	for _, kind := range []string{"", "OTHER"} {
		for name, value := range map[string]any{
			"alone": proof{Kind: kind}, "in another": proven{Proof: proof{Kind: kind}}, "at the end": []*proof{{Kind: "TEXT"}, {Kind: kind}},
		} {
			if written, err := wire.Marshal(value); err == nil {
				t.Errorf("%q %s is written as %x", kind, name, written)
			}
		}
		if written, err := wire.AppendMap(nil, []wire.Field{{"status", "ok"}}, &proof{Kind: kind}); err == nil {
			t.Errorf("%q ends a map: %x", kind, written)
		}
	}
}

// The kind may come last, and what it does not have is ignored, whatever it is and
// however often it comes.
func TestVariantInAnyOrder(t *testing.T) {
	message := pairs("proof", pairs("chain", "x", "unknown", 1, "value", "a", "chain", nil, "unknown", 2, "type", "TEXT"), "other", nil, "number", 1)
	var got proven
	err := wire.Microseconds.Unmarshal(message, &got)
	if want := (proven{Proof: proof{Kind: "TEXT", Text: "a"}, Number: 1}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, error %v", got, err)
	}
}

// Where a profile allows for duplicates, the last one wins.
func TestVariantTwice(t *testing.T) {
	var got proof
	err := wire.Seconds.Unmarshal(pairs("type", "BYTES", "value", []byte("a"), "type", "TEXT", "value", "b"), &got)
	if want := (proof{Kind: "TEXT", Text: "b"}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestVariantRefused(t *testing.T) {
	for name, value := range map[string]any{
		"no kind":            pairs("value", "a"),
		"unknown kind":       pairs("type", "OTHER", "value", "a"),
		"empty kind":         pairs("type", "", "value", "a"),
		"a kind of no text":  pairs("type", 1, "value", "a"),
		"a kind that is nil": pairs("type", nil, "value", "a"),
		"value of the other": pairs("type", "BYTES", "value", "a", "chain", []any{}, "count", nil),
		"no value":           pairs("type", "TEXT"),
		"no nullable value":  pairs("type", "BYTES", "value", []byte("a"), "chain", []any{}),
		"kind twice":         pairs("type", "TEXT", "value", "a", "type", "TEXT"),
		"kind thrice":        pairs("type", "TEXT", "value", "a", "type", "TEXT", "type", "TEXT"),
		"value twice":        pairs("type", "TEXT", "value", "a", "value", "a"),
		"option twice":       pairs("type", "TEXT", "value", "a", "note", "a", "note", "a"),
		"common twice":       pairs("type", "TEXT", "value", "a", "common", 1, "common", 1),
		"nil":                nil,
		"no map":             "TEXT",
	} {
		message := pairs("proof", value, "other", nil, "number", 1)
		var got proven
		if err := wire.Microseconds.Unmarshal(message, &got); err == nil {
			t.Errorf("%s decodes: %s", name, hex.EncodeToString(message))
		}
	}
}

func TestVariantsThatAreProgrammingErrors(t *testing.T) {
	for name, target := range map[string]any{
		"the first field": &struct {
			A string `wire:"a,if=B"`
		}{},
		"after no text": &struct {
			A int `wire:"a"`
			B int `wire:"b,if=B"`
		}{},
		"after an option": &struct {
			A string `wire:"a,optional"`
			B int    `wire:"b,if=B"`
		}{},
		"after what may be nil": &struct {
			A string `wire:"a,nullable"`
			B int    `wire:"b,if=B"`
		}{},
		"one name in one variant": &struct {
			A string `wire:"a"`
			B int    `wire:"b,if=B"`
			C int    `wire:"b,if=C"`
			D int    `wire:"b,if=B"`
		}{},
		"the name of a field of all": &struct {
			A string `wire:"a"`
			B int    `wire:"b,if=B"`
			C int    `wire:"b"`
		}{},
		"the name of the kind": &struct {
			A string `wire:"a"`
			B int    `wire:"a,if=B"`
		}{},
	} {
		err := wire.Microseconds.Unmarshal(pairs(), target)
		if err == nil || !strings.Contains(err.Error(), "is not supported") {
			t.Errorf("%s: %v", name, err)
		}
		if written, err := wire.Marshal(target); err == nil || !strings.Contains(err.Error(), "is not supported") {
			t.Errorf("%s is written as %x, error %v", name, written, err)
		}
	}
}

// pairs is a map in which keys may come twice; its values may be such maps.
func pairs(items ...any) encodedMap {
	encoded := wire.AppendMapHead(nil, len(items)/2)
	for _, item := range items {
		if pair, is := item.(encodedMap); is {
			encoded = append(encoded, pair...)
			continue
		}
		var err error
		if encoded, err = wire.Append(encoded, item); err != nil {
			panic(err)
		}
	}
	return encoded
}

type encodedMap []byte
