package parsec3_test

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/wire"
)

type badHex struct{ Hex, Why string }

// typeVectors is types.json (docs/protocol/v5/vectors.md), but for its dates on the
// wire, which package wire tests.
type typeVectors struct {
	UUIDs []struct {
		Hex        string `json:"hex"`
		MsgpackHex string `json:"msgpack_hex"`
	} `json:"uuids"`
	UUIDsBad    []badHex `json:"uuids_bad_hex"`
	AccessToken struct {
		Good []struct {
			Hex        string `json:"hex"`
			MsgpackHex string `json:"msgpack_hex"`
		} `json:"good"`
		BadText    []string `json:"bad_text"`
		BadMsgpack []badHex `json:"bad_msgpack"`
	} `json:"access_token"`
	Texts []struct {
		Type      string   `json:"type"`
		Good, Bad []string // in lower case in the file
	} `json:"texts"`
	HumanHandles []struct {
		Email, Label string
		Good         bool
		MsgpackHex   string `json:"msgpack_hex"`
	} `json:"human_handles"`
	RFC3339 []struct {
		Input  string
		Output *string
	} `json:"rfc3339"`
	Enums map[string][]string `json:"enums"`
}

func loadTypes(t *testing.T) typeVectors {
	t.Helper()
	return vectors.Load[typeVectors](t, "v5/types.json")
}

// one is a message with one field.
type one[T any] struct {
	Value T `wire:"v"`
}

// decodeOne decodes a value in hexadecimal digits as a field.
func decodeOne[T any](t *testing.T, encoded string) (T, error) {
	t.Helper()
	message := append([]byte{0x81, 0xa1, 'v'}, mustHex(t, encoded)...)
	if err := wire.Microseconds.Scan(message); err != nil {
		var none T
		return none, err
	}
	var decoded one[T]
	err := wire.Microseconds.Unmarshal(message, &decoded)
	return decoded.Value, err
}

// encodeOne returns the hexadecimal digits of a value as a field.
func encodeOne[T any](t *testing.T, value T) string {
	t.Helper()
	message, err := wire.Microseconds.Append(nil, &one[T]{value})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(message[3:])
}

func mustHex(t *testing.T, digits string) []byte {
	t.Helper()
	data, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestUUIDVectors(t *testing.T) {
	loaded := loadTypes(t)
	if len(loaded.UUIDs) == 0 || len(loaded.UUIDsBad) == 0 {
		t.Fatal("no vectors")
	}
	for _, item := range loaded.UUIDs {
		user, err := decodeOne[parsec3.UserID](t, item.MsgpackHex)
		if err != nil || user.String() != item.Hex || encodeOne(t, user) != item.MsgpackHex {
			t.Errorf("user %s: got %s, %v", item.Hex, user, err)
		}
		device, err := decodeOne[parsec3.DeviceID](t, item.MsgpackHex)
		if err != nil || device.String() != item.Hex || encodeOne(t, device) != item.MsgpackHex {
			t.Errorf("device %s: got %s, %v", item.Hex, device, err)
		}
		for _, text := range []string{item.Hex, strings.ToUpper(item.Hex), parsec.UUID(user).String()} {
			if parsed, err := parsec3.ParseUserID(text); err != nil || parsed != user {
				t.Errorf("user %q: got %s, %v", text, parsed, err)
			}
			if parsed, err := parsec.ParseUUID(text); err != nil || parsec3.DeviceID(parsed) != device {
				t.Errorf("device %q: got %s, %v", text, parsed, err)
			}
		}
	}
	for _, item := range loaded.UUIDsBad {
		if id, err := decodeOne[parsec3.UserID](t, item.Hex); err == nil {
			t.Errorf("%s (%s): got %s", item.Hex, item.Why, id)
		}
	}
}

func TestAccessTokenVectors(t *testing.T) {
	loaded := loadTypes(t).AccessToken
	if len(loaded.Good) == 0 || len(loaded.BadText) == 0 || len(loaded.BadMsgpack) == 0 {
		t.Fatal("no vectors")
	}
	for _, item := range loaded.Good {
		token, err := decodeOne[parsec3.AccessToken](t, item.MsgpackHex)
		if err != nil || token.String() != item.Hex || encodeOne(t, token) != item.MsgpackHex {
			t.Errorf("%s: got %s, %v", item.Hex, token, err)
		}
		for _, text := range []string{item.Hex, strings.ToUpper(item.Hex)} {
			if parsed, err := parsec3.ParseAccessToken(text); err != nil || !parsed.Equal(token) {
				t.Errorf("%q: got %s, %v", text, parsed, err)
			}
		}
		// Hyphens are of UUIDs alone.
		if parsed, err := parsec3.ParseAccessToken(parsec.UUID(mustHex(t, item.Hex)).String()); err == nil {
			t.Errorf("with hyphens: got %s", parsed)
		}
	}
	for _, text := range loaded.BadText {
		if token, err := parsec3.ParseAccessToken(text); err == nil {
			t.Errorf("%q: got %s", text, token)
		}
	}
	for _, item := range loaded.BadMsgpack {
		if token, err := decodeOne[parsec3.AccessToken](t, item.Hex); err == nil {
			t.Errorf("%s (%s): got %s", item.Hex, item.Why, token)
		}
	}
}

// TestTextVectors leaves out what is built with accounts.
func TestTextVectors(t *testing.T) {
	parse := map[string]func(text string) error{
		"OrganizationID": func(text string) error { _, err := parsec.ParseOrganizationID(text); return err },
		"DeviceLabel":    func(text string) error { _, err := parsec3.ParseDeviceLabel(text); return err },
		"EmailAddress":   func(text string) error { _, err := parsec3.ParseHumanHandle(text, "x"); return err },
	}
	tried := 0
	for _, item := range loadTypes(t).Texts {
		parse, known := parse[item.Type]
		if !known {
			continue
		}
		tried++
		for _, text := range item.Good {
			if err := parse(text); err != nil {
				t.Errorf("%s %q: %v", item.Type, text, err)
			}
		}
		for _, text := range item.Bad {
			if parse(text) == nil {
				t.Errorf("%s %q is accepted", item.Type, text)
			}
		}
	}
	if tried != len(parse) {
		t.Errorf("vectors of %d types, want %d", tried, len(parse))
	}
}

func TestHumanHandleVectors(t *testing.T) {
	items := loadTypes(t).HumanHandles
	if len(items) == 0 {
		t.Fatal("no vectors")
	}
	for _, item := range items {
		handle, err := parsec3.ParseHumanHandle(item.Email, item.Label)
		if (err == nil) != item.Good {
			t.Errorf("%q %q: got %v", item.Email, item.Label, err)
		}
		if item.Good && encodeOne(t, handle) != item.MsgpackHex {
			t.Errorf("%q %q: written as %s", item.Email, item.Label, encodeOne(t, handle))
		}
	}
}

// TestHumanHandles that API 1 to 3 accept, or other releases of API 5.
func TestHumanHandles(t *testing.T) {
	long := strings.Repeat("a", 250) + "@b.c"
	for email, good := range map[string]bool{
		long: true, "a" + long: false, "\u212Aevin@example.com": false, `"a b"@[127.0.0.1]`: true, `"a@b"@redacted.invalid`: false,
		"a@Redacted.Invalid": false, "a@sub.redacted.invalid": true, "a\n@b.c": false, "é@b.c": false,
	} {
		if handle, err := parsec3.ParseHumanHandle(email, "x"); (err == nil) != good {
			t.Errorf("%q: got %v, %v", email, handle, err)
		}
	}
	decomposed, err := parsec3.ParseHumanHandle("a@b.c", "e\u0301")
	if err != nil || decomposed.Label() != "é" {
		t.Errorf("a label is %q, %v", decomposed.Label(), err)
	}
}

func TestDeviceLabels(t *testing.T) {
	long := strings.Repeat("é", 127) + "a"
	for text, want := range map[string]string{
		"two\nlines": "two\nlines", "e\u0301": "é", long: long,
		strings.ReplaceAll(long, "é", "e\u0301"): long,
	} {
		if label, err := parsec3.ParseDeviceLabel(text); err != nil || label.String() != want {
			t.Errorf("%q: got %q, %v", text, label, err)
		}
	}
	for _, text := range []string{"", long + "a", "\xff", strings.Repeat("a", 1<<20)} {
		if label, err := parsec3.ParseDeviceLabel(text); err == nil {
			t.Errorf("%d bytes: got %q", len(text), label)
		}
	}
}

func TestRFC3339Vectors(t *testing.T) {
	items := loadTypes(t).RFC3339
	if len(items) == 0 {
		t.Fatal("no vectors")
	}
	for _, item := range items {
		date, err := parsec.ParseDateTime(item.Input)
		if item.Output == nil {
			if err == nil {
				t.Errorf("%q: got %s", item.Input, date)
			}
			continue
		}
		want, bad := parsec.ParseDateTime(*item.Output)
		if bad != nil {
			t.Fatal(bad)
		}
		if err != nil || date != want {
			t.Errorf("%q: got %s, %v, want %s", item.Input, date, err, want)
		}
	}
}

// TestEnumVectors accepts the texts of each enumeration, and no other of all.
func TestEnumVectors(t *testing.T) {
	enums := loadTypes(t).Enums
	var all []string
	for _, texts := range enums {
		all = append(all, texts...)
	}
	for name, value := range map[string]encoding.TextUnmarshaler{
		"UserProfile":    new(parsec.UserProfile),
		"RealmRole":      new(parsec.RealmRole),
		"InvitationType": new(parsec.InvitationType),
		"DevicePurpose":  new(parsec3.DevicePurpose),
	} {
		if len(enums[name]) == 0 {
			t.Errorf("no vectors of %s", name)
		}
		for _, text := range all {
			if err := value.UnmarshalText([]byte(text)); (err == nil) != slices.Contains(enums[name], text) {
				t.Errorf("%s %q: got %v", name, text, err)
			}
			if err := value.UnmarshalText(bytes.ToLower([]byte(text))); err == nil {
				t.Errorf("%s %q is accepted in lower case", name, text)
			}
		}
	}
}
