package parsec3_test

import (
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/wire"
)

type badHex struct{ Hex, Why string }

// typeVectors is types.json (docs/protocol/v5/vectors.md), but for what other packages
// test.
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
	Redacted struct {
		UserID      string    `json:"user_id"`
		HumanHandle [2]string `json:"human_handle"`
		DeviceID    string    `json:"device_id"`
		DeviceLabel string    `json:"device_label"`
	} `json:"redacted"`
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

// texts are how the types with a rule of their text are read.
var texts = map[string]func(text string) error{
	"OrganizationID": func(text string) error { _, err := parsec.ParseOrganizationID(text); return err },
	"DeviceLabel":    func(text string) error { _, err := parsec3.ParseDeviceLabel(text); return err },
	"EmailAddress":   func(text string) error { _, err := parsec3.ParseHumanHandle(text, "x"); return err },
	"ApiVersion": func(text string) error {
		version, err := parsec3.ParseAPIVersion(text)
		if err == nil && version.String() != text {
			err = fmt.Errorf("it is written as %s", version)
		}
		return err
	},
}

func TestTextVectors(t *testing.T) {
	for _, item := range loadTypes(t).Texts {
		parse, known := texts[item.Type]
		if !known {
			continue // TestTypesAreTested says why
		}
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
}

// What stands for who is redacted is made of the ids, and is nobody's own: the e-mail
// address is not read as that of a human.
func TestRedactedVectors(t *testing.T) {
	redacted := loadTypes(t).Redacted
	user, err := parsec3.ParseUserID(redacted.UserID)
	wantEmail, wantLabel := parsec3.RedactedHandle(user)
	if email, label := redacted.HumanHandle[0], redacted.HumanHandle[1]; err != nil || email != wantEmail || label != wantLabel {
		t.Errorf("user %s, %v: human handle %q", user, err, redacted.HumanHandle)
	}
	if handle, err := parsec3.ParseHumanHandle(redacted.HumanHandle[0], redacted.HumanHandle[1]); err == nil {
		t.Errorf("the human handle is read as %v", handle)
	}
	device, err := parsec.ParseUUID(redacted.DeviceID)
	label, bad := parsec3.ParseDeviceLabel(redacted.DeviceLabel)
	if err != nil || bad != nil || label.String() != parsec3.DeviceID(device).String() {
		t.Errorf("device %s, %v: label %q, %v", device, err, label, bad)
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
		if err != nil || date != want || date.Short() != *item.Output {
			t.Errorf("%q: got %s, %v, want %s", item.Input, date.Short(), err, *item.Output)
		}
	}
}

// enums are how the enumerations are read.
var enums = map[string]func() encoding.TextUnmarshaler{
	"UserProfile":    func() encoding.TextUnmarshaler { return new(parsec.UserProfile) },
	"RealmRole":      func() encoding.TextUnmarshaler { return new(parsec.RealmRole) },
	"InvitationType": func() encoding.TextUnmarshaler { return new(parsec.InvitationType) },
	"DevicePurpose":  func() encoding.TextUnmarshaler { return new(parsec3.DevicePurpose) },
}

func TestEnumVectors(t *testing.T) {
	for name, value := range enums {
		vectors.CheckEnum(t, name, func(text string) error { return value().UnmarshalText([]byte(text)) })
		for _, text := range loadTypes(t).Enums[name] {
			if value().UnmarshalText([]byte(strings.ToLower(text))) == nil {
				t.Errorf("%s %q is accepted in lower case", name, text)
			}
		}
	}
}

// testedBy are the tests of the entries that are of other packages.
var testedBy = map[string]string{
	"dates":                              "../wire/profile_test.go",
	"dates_bad_hex":                      "../wire/profile_test.go",
	"enums/SigningKeyAlgorithm":          "certificate/algorithm_test.go",
	"enums/PrivateKeyAlgorithm":          "certificate/algorithm_test.go",
	"enums/SecretKeyAlgorithm":           "certificate/algorithm_test.go",
	"enums/HashAlgorithm":                "certificate/algorithm_test.go",
	"enums/OrganizationBootstrapConfig":  "protocol/vectors_test.go",
	"enums/AccountConfig":                "../config/choice_vectors_test.go",
	"enums/AdvisoryDeviceFileProtection": "../config/choice_vectors_test.go",
	"enums/PkiSignatureAlgorithm":        "protocol/enrollment_test.go",
	"enums/EmailSentStatus":              "protocol/enrollment_test.go",
	"enums/SequesterServiceType":         "../server/administration_forms_test.go",
}

// untested are the entries of what the product has not, and why.
var untested = map[string]string{
	"texts/ValidationCode":                 "accounts",
	"enums/InvitationStatus":               "invitations",
	"enums/InvitationStatus (API 4)":       "API 4 is not served",
	"enums/GreeterOrClaimer":               "invitations",
	"enums/CancelledGreetingAttemptReason": "invitations",
	"enums/InvitationEmailSentStatus":      "invitations",
	"enums/UserOnlineStatus":               "invitations",
	"enums/AllowedClientAgent":             "a field that is ignored",
	"enums/AccountVaultStrategy":           "a field that is ignored",
}

// TestTypesAreTested wants each entry of the file to be tested, or to be named as not.
func TestTypesAreTested(t *testing.T) {
	tested := map[string]bool{}
	for field := range reflect.TypeFor[typeVectors]().Fields() {
		tested[field.Tag.Get("json")] = true
	}
	for name := range texts {
		tested["texts/"+name] = true
	}
	for name := range enums {
		tested["enums/"+name] = true
	}
	for entry, file := range testedBy {
		source, err := os.ReadFile(file)
		name := entry[strings.LastIndexByte(entry, '/')+1:]
		if err != nil || !strings.Contains(string(source), name+`"`) {
			t.Errorf("%s does not test %s: %v", file, entry, err)
		}
	}
	for _, entry := range entriesOfTypes(t) {
		_, elsewhere := testedBy[entry]
		_, left := untested[entry]
		switch {
		case !tested[entry] && !elsewhere && !left:
			t.Errorf("%s is not tested", entry)
		case left && (tested[entry] || elsewhere):
			t.Errorf("%s is tested", entry)
		}
	}
}

// entriesOfTypes returns the names of the parts of types.json: its keys, and what is
// below those that have a part for each of several types.
func entriesOfTypes(t *testing.T) (entries []string) {
	t.Helper()
	loaded := loadTypes(t)
	for name := range vectors.Load[map[string]json.RawMessage](t, "v5/types.json") {
		switch name {
		case "about":
		case "texts":
			for _, item := range loaded.Texts {
				entries = append(entries, "texts/"+item.Type)
			}
		case "enums":
			for of := range loaded.Enums {
				entries = append(entries, "enums/"+of)
			}
		default:
			entries = append(entries, name)
		}
	}
	return entries
}
