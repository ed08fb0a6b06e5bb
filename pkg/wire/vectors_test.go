package wire_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

type msgpackVectors struct {
	DateTime []struct {
		Value            string
		Payload, Encoded []byte
		Note             string
	}
	DateTimeDecode []struct {
		Payload []byte
		Value   string
	} `json:"datetime_decode"`
	UUID []struct {
		Value   string
		Encoded []byte
		Note    string
	}
	InvalidExt []struct {
		Name    string
		Encoded []byte
	} `json:"invalid_ext"`
	Values []struct {
		JSON    json.RawMessage
		Encoded []byte
	}
}

func loadMsgpack(t testing.TB) msgpackVectors {
	t.Helper()
	return vectors.Load[msgpackVectors](t, "msgpack.json")
}

func decode(t testing.TB, data []byte) any {
	t.Helper()
	value, err := msgpack.Decode(data)
	if err != nil {
		t.Fatalf("Decode(%x): %v", data, err)
	}
	return value
}

func TestDateTimeVectors(t *testing.T) {
	loaded := loadMsgpack(t)
	if len(loaded.DateTime) == 0 || len(loaded.DateTimeDecode) == 0 {
		t.Fatal("no vectors")
	}
	for _, item := range loaded.DateTime {
		want := must(parsec.ParseDateTime(item.Value))
		if got := decode(t, item.Encoded); got != want {
			t.Errorf("%x decodes as %v, want %v", item.Encoded, got, want)
		}
		encoded := item.Encoded
		if strings.HasPrefix(item.Note, "ext8") {
			encoded = append([]byte{0xd7, 1}, item.Payload...)
		}
		if got := marshal(t, want); !bytes.Equal(got, encoded) {
			t.Errorf("%v encodes as %x, want %x", want, got, encoded)
		}
	}
	for _, item := range loaded.DateTimeDecode {
		want := must(parsec.ParseDateTime(item.Value))
		if got := decode(t, append([]byte{0xd7, 1}, item.Payload...)); got != want {
			t.Errorf("payload %x decodes as %v, want %v", item.Payload, got, want)
		}
	}
}

func TestUUIDVectors(t *testing.T) {
	loaded := loadMsgpack(t)
	if len(loaded.UUID) == 0 {
		t.Fatal("no vectors")
	}
	for _, item := range loaded.UUID {
		want := must(parsec.ParseUUID(item.Value))
		if got := decode(t, item.Encoded); got != want {
			t.Errorf("%x decodes as %v, want %v", item.Encoded, got, want)
		}
		encoded := item.Encoded
		if strings.HasPrefix(item.Note, "ext8") {
			encoded = append([]byte{0xd8, 2}, want[:]...)
		}
		if got := marshal(t, want); !bytes.Equal(got, encoded) {
			t.Errorf("%v encodes as %x, want %x", want, got, encoded)
		}
	}
}

func TestInvalidExtensionVectors(t *testing.T) {
	loaded := loadMsgpack(t)
	if len(loaded.InvalidExt) == 0 {
		t.Fatal("no vectors")
	}
	for _, item := range loaded.InvalidExt {
		t.Run(item.Name, func(t *testing.T) {
			if err := wire.Scan(item.Encoded); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("Scan: %v, want ErrMalformed", err)
			}
			if value, err := msgpack.Decode(item.Encoded); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("Decode: %v, %v, want ErrMalformed", value, err)
			}
		})
	}
}

func TestValueVectors(t *testing.T) {
	loaded := loadMsgpack(t)
	if len(loaded.Values) == 0 {
		t.Fatal("no vectors")
	}
	for _, item := range loaded.Values {
		t.Run(string(item.JSON), func(t *testing.T) {
			want := fromJSON(t, item.JSON)
			if got := marshal(t, want); !bytes.Equal(got, item.Encoded) {
				t.Errorf("encoded as %x, want %x", got, item.Encoded)
			}
			if got := decode(t, item.Encoded); !reflect.DeepEqual(got, want) {
				t.Errorf("decoded as %#v, want %#v", got, want)
			}
		})
	}
}

// fromJSON reads a value as Decode returns it.
func fromJSON(t testing.TB, text json.RawMessage) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	switch value := value.(type) {
	case json.Number:
		if integer, err := value.Int64(); err == nil {
			return integer
		}
		return must(value.Float64())
	case []any:
		if len(value) > 0 {
			t.Fatal("items of arrays are not expected in these vectors")
		}
	case map[string]any:
		if bin, ok := value["$bin"]; ok {
			return must(base64.StdEncoding.DecodeString(bin.(string)))
		}
		if len(value) > 0 {
			t.Fatal("items of maps are not expected in these vectors")
		}
		return map[any]any{}
	}
	return value
}

type malformedMessage struct {
	Name    string
	Opcode  string
	Message []byte
	Build   string
	Reply   struct{ Status string }
}

func TestMalformedMessageVectors(t *testing.T) {
	items := vectors.Load[[]malformedMessage](t, "malformed_messages.json")
	refused := 0
	for _, item := range items {
		if item.Opcode != "binary" {
			continue // decided by the transport
		}
		t.Run(item.Name, func(t *testing.T) {
			message := item.Message
			if item.Name == "bin_over_1_mib" {
				message = append(raw(t, "82 a3636d64 ac626c6f636b5f637265617465 a5626c6f636b c6 00100001"), make([]byte, 1<<20+1)...)
			} else if item.Build != "" {
				t.Fatalf("do not know how to build %q", item.Build)
			}
			err := wire.Scan(message)
			if err != nil && !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("Scan: %v does not wrap ErrMalformed", err)
			}
			legal := err == nil && wire.IsMap(message)
			if want := item.Reply.Status != "invalid_msg_format"; legal != want {
				t.Errorf("legal: %t (Scan: %v), want %t", legal, err, want)
			}
			if !legal {
				refused++
			}
		})
	}
	if refused == 0 {
		t.Error("no vector was refused")
	}
}
