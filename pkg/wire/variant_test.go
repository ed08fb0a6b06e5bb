package wire_test

import (
	"encoding/hex"
	"reflect"
	"testing"

	"parsec-server/pkg/wire"
)

// proof is a variant whose key "value" has a type by its kind.
type proof struct {
	text  *textProof
	bytes *bytesProof
}

type textProof struct {
	Value string `wire:"value"`
}

type bytesProof struct {
	Value []byte   `wire:"value"`
	Chain [][]byte `wire:"chain"`
}

func (p *proof) MarshalVariant() (kind string, fields any) {
	switch {
	case p.text != nil:
		return "TEXT", p.text
	case p.bytes != nil:
		return "BYTES", p.bytes
	default:
		return "", nil
	}
}

func (p *proof) UnmarshalVariant(kind string) (fields any) {
	*p = proof{}
	switch kind {
	case "TEXT":
		p.text = new(textProof)
		return p.text
	case "BYTES":
		p.bytes = new(bytesProof)
		return p.bytes
	default:
		return nil
	}
}

type proven struct {
	Proof  proof  `wire:"proof"`
	Other  *proof `wire:"other,nullable"`
	Number int64  `wire:"number"`
}

func TestVariant(t *testing.T) {
	for name, want := range map[string]proven{
		"text":  {Proof: proof{text: &textProof{"a"}}, Number: 1},
		"bytes": {Proof: proof{bytes: &bytesProof{[]byte("a"), [][]byte{}}}, Number: 2},
		"both":  {Proof: proof{text: &textProof{""}}, Other: &proof{bytes: &bytesProof{[]byte{}, [][]byte{[]byte("b")}}}, Number: 3},
	} {
		encoded, err := wire.Marshal(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got proven
		if err := wire.Scan(encoded); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := wire.Unmarshal(encoded, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, error %v", name, got, err)
		}
	}
	if _, err := wire.Marshal(proven{}); err == nil {
		t.Error("a variant of no kind is written")
	}
}

// The kind may come last, and what it does not have is ignored.
func TestVariantInAnyOrder(t *testing.T) {
	var got proven
	err := wire.Microseconds.Unmarshal(pairs("proof", pairs("chain", "x", "value", "a", "type", "TEXT"), "other", nil, "number", 1), &got)
	if want := (proven{Proof: proof{text: &textProof{"a"}}, Number: 1}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, error %v", got, err)
	}
}

func TestVariantRefused(t *testing.T) {
	for name, value := range map[string]any{
		"no kind":            pairs("value", "a"),
		"unknown kind":       pairs("type", "OTHER", "value", "a"),
		"a kind of no text":  pairs("type", 1, "value", "a"),
		"value of the other": pairs("type", "BYTES", "value", "a", "chain", []any{}),
		"no value":           pairs("type", "TEXT"),
		"kind twice":         pairs("type", "TEXT", "value", "a", "type", "TEXT"),
		"value twice":        pairs("type", "TEXT", "value", "a", "value", "a"),
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
