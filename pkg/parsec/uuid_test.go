package parsec_test

import (
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
)

func TestParseUUID(t *testing.T) {
	for _, item := range vectors.Load[struct{ UUID []struct{ Value string } }](t, "msgpack.json").UUID {
		if value, err := parsec.ParseUUID(item.Value); err != nil || value.String() != item.Value {
			t.Errorf("%s gives %v with error %v", item.Value, value, err)
		}
	}
	want := parsec.UUID{0xA0, 15: 0x0B}
	for _, text := range []string{
		"a000000000000000000000000000000b",
		"A000000000000000000000000000000B",
		"a0000000-0000-0000-0000-00000000000b",
		"{A0000000-0000-0000-0000-00000000000B}",
		"{a000000000000000000000000000000b}",
		"urn:uuid:a0000000-0000-0000-0000-00000000000b",
		want.Hex(),
		want.String(),
	} {
		if value, err := parsec.ParseUUID(text); err != nil || value != want {
			t.Errorf("%s gives %v with error %v", text, value, err)
		}
	}
	for _, text := range []string{
		"",
		"{",
		"{}",
		"urn:uuid:",
		"a000000000000000000000000000000",
		"a000000000000000000000000000000b0",
		"g000000000000000000000000000000b",
		"a0000000+0000-0000-0000-00000000000b",
		"a00000000-000-0000-0000-00000000000b",
		"{a0000000-0000-0000-0000-00000000000b",
		"a0000000-0000-0000-0000-00000000000b}",
		"xa0000000-0000-0000-0000-00000000000bx",
		"urn:uuid:{a000000000000000000000000000000b}",
		"{urn:uuid:a000000000000000000000000000000b}",
		" a000000000000000000000000000000b",
	} {
		if value, err := parsec.ParseUUID(text); err == nil || value != (parsec.UUID{}) {
			t.Errorf("%q gives %v with error %v", text, value, err)
		}
	}
}

func TestNewUUID(t *testing.T) {
	first, second := parsec.NewUUID(), parsec.NewUUID()
	if first == second {
		t.Errorf("%v twice", first)
	}
	if first[6]>>4 != 4 || first[8]>>6 != 0b10 {
		t.Errorf("%v is not of version 4", first)
	}
}

func TestUUIDNames(t *testing.T) {
	value := parsec.UUID{0xA0, 15: 0x0B}
	for _, id := range []interface{ String() string }{
		parsec.RealmID(value), parsec.VlobID(value), parsec.BlockID(value),
		parsec.SequesterServiceID(value), parsec.InvitationToken(value),
	} {
		if id.String() != "a0000000-0000-0000-0000-00000000000b" {
			t.Errorf("%T prints as %s", id, id)
		}
	}
}
