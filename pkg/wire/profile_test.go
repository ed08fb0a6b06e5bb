package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// dated has dates where a codec finds them: in a struct, behind a pointer, in a
// list, as an item and as a value of any type.
type dated struct {
	Date    parsec.DateTime            `wire:"date"`
	Pointer *parsec.DateTime           `wire:"pointer"`
	List    []parsec.DateTime          `wire:"list"`
	Map     map[string]parsec.DateTime `wire:"map"`
}

func datedOf(date parsec.DateTime) dated {
	return dated{date, &date, []parsec.DateTime{date}, map[string]parsec.DateTime{"a": date}}
}

// datedMessage returns a dated whose dates are all encoded so.
func datedMessage(t *testing.T, date string) []byte {
	t.Helper()
	return raw(t, fmt.Sprintf("84 a464617465 %[1]s a7706f696e746572 %[1]s a46c697374 91 %[1]s a36d6170 81 a161 %[1]s", date))
}

func TestMicrosecondsVectors(t *testing.T) {
	loaded := vectors.Load[struct {
		Dates []struct {
			RFC3339    string `json:"rfc3339"`
			UnixUS     int64  `json:"unix_us"`
			MsgpackHex string `json:"msgpack_hex"`
		} `json:"dates"`
		DatesBad []struct{ Hex, Why string } `json:"dates_bad_hex"`
	}](t, "v5/types.json")
	if len(loaded.Dates) == 0 || len(loaded.DatesBad) == 0 {
		t.Fatal("no vectors")
	}
	for _, item := range loaded.Dates {
		date := must(parsec.ParseDateTime(item.RFC3339))
		if int64(date) != item.UnixUS || date.Short() != item.RFC3339 {
			t.Errorf("%s is %d, want %d; it is written as %s", item.RFC3339, date, item.UnixUS, date.Short())
		}
		checkProfile(t, wire.Microseconds, date, item.MsgpackHex)
		// The other form of the head is legal input.
		ext8 := datedMessage(t, "c708"+strings.TrimPrefix(item.MsgpackHex, "d7"))
		var got dated
		if err := wire.Microseconds.Unmarshal(ext8, &got); err != nil || got.Date != date {
			t.Errorf("%x decodes as %v, %v", ext8, got.Date, err)
		}
	}
	for _, item := range loaded.DatesBad {
		var got one[parsec.DateTime]
		message := raw(t, "81 a576616c7565"+item.Hex)
		malformed := wire.Microseconds.Scan(message)
		var fields *wire.FieldError
		if err := wire.Microseconds.Unmarshal(message, &got); malformed == nil && !errors.As(err, &fields) {
			t.Errorf("%s (%s) decodes as %v, %v", item.Hex, item.Why, got.Value, err)
		}
	}
}

// checkProfile wants a profile to write date as encoded, which is in hexadecimal
// digits, wherever it is, and to read it again.
func checkProfile(t *testing.T, profile *wire.Profile, date parsec.DateTime, encoded string) {
	t.Helper()
	message := datedMessage(t, encoded)
	if err := profile.Scan(message); err != nil {
		t.Errorf("%v: %v", date, err)
	}
	if err := profile.ScanReply(message); err != nil {
		t.Errorf("%v in a reply: %v", date, err)
	}
	if got, err := profile.Append(nil, datedOf(date)); err != nil || !bytes.Equal(got, message) {
		t.Errorf("%v is written as %x, %v; want %x", date, got, err, message)
	}
	if got, err := profile.AppendMap(nil, nil, datedOf(date)); err != nil || !bytes.Equal(got, message) {
		t.Errorf("%v ends a map as %x, %v; want %x", date, got, err, message)
	}
	if got, err := profile.AppendMap(nil, []wire.Field{{Key: "a", Value: date}, {Key: "b", Value: []any{date}}}, nil); err != nil || !bytes.Equal(got, raw(t, "82 a161"+encoded+"a162 91"+encoded)) {
		t.Errorf("%v in values of any type is written as %x, %v", date, got, err)
	}
	var got dated
	if err := profile.Unmarshal(message, &got); err != nil || got.Date != date || *got.Pointer != date || got.List[0] != date || got.Map["a"] != date {
		t.Errorf("%x decodes as %v, %v; want %v", message, got, err, date)
	}
}

// TestProfilesAreApart has both write the same types, in turns.
func TestProfilesAreApart(t *testing.T) {
	date := must(parsec.ParseDateTime("2024-01-02T03:04:05.678901Z"))
	for range 2 {
		checkProfile(t, wire.Seconds, date, "d701 41d964df496b731d")
		checkProfile(t, wire.Microseconds, date, "d701 00060dedc0582f35")
	}
}

// TestMicrosecondsRefuseFieldsTwice, at the root and below, whatever they hold; an
// unknown key may come twice.
func TestMicrosecondsRefuseFieldsTwice(t *testing.T) {
	type nest struct {
		Name string `wire:"n"`
	}
	type message struct {
		Text  string `wire:"t"`
		Inner *nest  `wire:"i,optional"`
	}
	const field, same, inner = "a174 a161", "a174 a161", "a169 82 a16e a161 a16e a161"
	for name, item := range map[string]struct {
		message string
		refused bool
	}{
		"field":       {"82" + field + same, true},
		"inner field": {"82" + field + inner, true},
		"unknown key": {"83" + field + "a178 01 a178 02", false},
	} {
		var got message
		err := wire.Microseconds.Unmarshal(raw(t, item.message), &got)
		var fields *wire.FieldError
		if errors.As(err, &fields) != item.refused {
			t.Errorf("%s twice: got %v", name, err)
		}
		if err := wire.Unmarshal(raw(t, item.message), &message{}); err != nil {
			t.Errorf("%s twice in the profile of seconds: got %v", name, err)
		}
	}
	if text, ok := wire.Microseconds.LookupString(raw(t, "82"+field+same), "t"); ok {
		t.Errorf("text twice: got %q", text)
	}
	if text, ok := wire.Microseconds.LookupString(raw(t, "82"+field+"a178 01"), "t"); !ok || text != "a" {
		t.Errorf("text once: got %q, %t", text, ok)
	}
}

func TestMicrosecondsBounds(t *testing.T) {
	checkProfile(t, wire.Microseconds, parsec.MinDateTime, "d701 ff23400100d44000")
	checkProfile(t, wire.Microseconds, parsec.MaxDateTime, "d701 0384440ccc735fff")
	for _, outside := range []string{"ff23400100d43fff", "0384440ccc736000", "7fffffffffffffff", "8000000000000000"} {
		message := raw(t, "81 a576616c7565 d701"+outside)
		if err := wire.Microseconds.Scan(message); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", outside, err)
		}
		var fields *wire.FieldError
		if err := wire.Microseconds.Unmarshal(message, new(one[parsec.DateTime])); !errors.As(err, &fields) {
			t.Errorf("%s: %v, want a FieldError", outside, err)
		}
	}
	for _, outside := range []parsec.DateTime{parsec.MinDateTime - 1, parsec.MaxDateTime + 1} {
		if got, err := wire.Microseconds.Append(nil, outside); err == nil {
			t.Errorf("%d is written as %x", outside, got)
		}
	}
}

// PostgreSQL has no text with U+0000. That of unknown keys is nobody's.
func TestMicrosecondsRefuseTextWithZero(t *testing.T) {
	type message struct {
		Text string               `wire:"t,optional"`
		Name parsec.DeviceLabel   `wire:"n,optional"`
		Pair parsec.HumanHandle   `wire:"p,optional"`
		Map  map[string]bool      `wire:"m,optional"`
		List []parsec.UserProfile `wire:"l,optional"`
	}
	for name, item := range map[string]struct {
		message string
		refused bool
	}{
		"text":        {"81 a174 a3610062", true},
		"parsed text": {"81 a16e a3610062", true},
		"pair":        {"81 a170 92 a3614062 a3610062", true},
		"key":         {"81 a16d 81 a100 c3", true},
		"unknown key": {"82 a178 a3610062 a174 a161", false},
	} {
		var fields *wire.FieldError
		if err := wire.Microseconds.Unmarshal(raw(t, item.message), &message{}); errors.As(err, &fields) != item.refused {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := wire.Seconds.Unmarshal(raw(t, "81 a174 a3610062"), &message{}); err != nil {
		t.Errorf("in the profile of seconds: got %v", err)
	}
}

// A value of API 5 may be as long as the longest body.
func TestMicrosecondsLengths(t *testing.T) {
	const most = 16 << 20
	for size, legal := range map[int]bool{1<<20 + 1: true, most: true, most + 1: false} {
		for head, value := range map[string]any{"c6": make([]byte, size), "db": strings.Repeat("a", size)} {
			message := append(raw(t, head+fmt.Sprintf("%08x", size)), bytes.Repeat([]byte("a"), size)...)
			if err := wire.Microseconds.Scan(message); (err == nil) != legal {
				t.Errorf("%s of %d: %v", head, size, err)
			}
			if _, err := wire.Microseconds.Append(nil, value); (err == nil) != legal {
				t.Errorf("%T of %d: %v", value, size, err)
			}
			if err := wire.Seconds.Scan(message); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%s of %d in the profile of seconds: %v", head, size, err)
			}
		}
	}
	for items, legal := range map[int]bool{32769: true, 131072: true, 131073: false} {
		message := raw(t, "df"+fmt.Sprintf("%08x", items))
		for i := range items {
			message = append(message, 0xce, byte(i>>24), byte(i>>16), byte(i>>8), byte(i), 0xc0)
		}
		if err := wire.Microseconds.Scan(message); (err == nil) != legal {
			t.Errorf("map of %d: %v", items, err)
		}
	}
}

// token is a bin that its type parses.
type token struct{ bytes [2]byte }

func (t token) MarshalBinary() ([]byte, error) { return t.bytes[:], nil }

func (t *token) UnmarshalBinary(data []byte) error {
	if len(data) != len(t.bytes) {
		return errors.New("not 2 bytes")
	}
	copy(t.bytes[:], data)
	return nil
}

func TestBinaryMarshaler(t *testing.T) {
	type message struct {
		Token token `wire:"t"`
	}
	want := message{token{[2]byte{1, 2}}}
	encoded := raw(t, "81 a174 c402 0102")
	if got, err := wire.Marshal(want); err != nil || !bytes.Equal(got, encoded) {
		t.Errorf("written as %x, %v", got, err)
	}
	var got message
	if err := wire.Unmarshal(encoded, &got); err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	for _, other := range []string{"81 a174 c401 01", "81 a174 a2 6162", "81 a174 c0"} {
		var fields *wire.FieldError
		if err := wire.Unmarshal(raw(t, other), &got); !errors.As(err, &fields) {
			t.Errorf("%s: got %v", other, err)
		}
	}
}

// TestDigestKeys has API 5 take bytes of 32 as the keys of maps, and no others.
func TestDigestKeys(t *testing.T) {
	type digest [32]byte
	type message struct {
		Items map[digest][]byte `wire:"items"`
	}
	first, second := digest{1}, digest{2}
	encoded := raw(t, fmt.Sprintf("81 a5 6974656d73 82 c420%x c401aa c420%x c400", first, second))
	want := message{map[digest][]byte{first: {0xaa}, second: {}}}
	if got, err := wire.Microseconds.Append(nil, want); err != nil || !bytes.Equal(got, encoded) {
		t.Errorf("written as %x, %v", got, err)
	}
	var got message
	if err := wire.Microseconds.Scan(encoded); err != nil {
		t.Error(err)
	}
	if err := wire.Microseconds.Unmarshal(encoded, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read as %v, %v", got, err)
	}
	if _, err := wire.Seconds.Append(nil, want); err == nil || wire.Seconds.Scan(encoded) == nil {
		t.Error("API 1 to 3 take them too")
	}
	for _, wrong := range []string{
		fmt.Sprintf("81 a5 6974656d73 81 c41f%x c400", first[1:]),
		"81 a5 6974656d73 81 c400 c400",
	} {
		if wire.Microseconds.Scan(raw(t, wrong)) == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
	var fields *wire.FieldError
	if err := wire.Microseconds.Unmarshal(raw(t, fmt.Sprintf("81 a5 6974656d73 81 c420%x 01", first)), &got); !errors.As(err, &fields) {
		t.Errorf("an item that is a number: %v", err)
	}
	if err := wire.Microseconds.Unmarshal(raw(t, "81 a5 6974656d73 81 a161 c400"), &got); !errors.As(err, &fields) {
		t.Errorf("a key that is a text: %v", err)
	}
}
