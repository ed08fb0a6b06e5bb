package parsec_test

import (
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
)

type textVector struct {
	Value      string
	Accept     bool
	Normalized *string
}

// kept returns the text to print after parsing.
func (v textVector) kept() string {
	if v.Normalized != nil {
		return *v.Normalized
	}
	return v.Value
}

type idVectors struct {
	OrganizationID []textVector `json:"organization_id"`
	DeviceID       []struct {
		textVector
		UserID     string `json:"user_id"`
		DeviceName string `json:"device_name"`
	} `json:"device_id"`
	DeviceLabel []textVector `json:"device_label"`
	HumanHandle []struct {
		Email, Label string
		Accept       bool
		Normalized   *[2]string
	} `json:"human_handle"`
}

func loadIDs(t testing.TB) idVectors { return vectors.Load[idVectors](t, "ids.json") }

// textParser makes one function of a Parse function and the String and text
// methods of what it returns.
func textParser[T interface {
	comparable
	String() string
	MarshalText() ([]byte, error)
}, P interface {
	*T
	UnmarshalText([]byte) error
}](parse func(string) (T, error)) func(t *testing.T, text string) (string, error) {
	return func(t *testing.T, text string) (string, error) {
		t.Helper()
		value, err := parse(text)
		var zero, unmarshalled T
		if err != nil && value != zero {
			t.Errorf("refused with value %v", value)
		}
		if unmarshalErr := P(&unmarshalled).UnmarshalText([]byte(text)); (unmarshalErr == nil) != (err == nil) || unmarshalled != value {
			t.Errorf("UnmarshalText gives %v and error %v, parsing gives %v and error %v", unmarshalled, unmarshalErr, value, err)
		}
		marshalled, marshalErr := value.MarshalText()
		if marshalErr != nil || string(marshalled) != value.String() {
			t.Errorf("MarshalText gives %q and error %v, want %q", marshalled, marshalErr, value)
		}
		return value.String(), err
	}
}

func TestIdentifiers(t *testing.T) {
	for kind, parse := range map[string]func(*testing.T, string) (string, error){
		"organization": textParser(parsec.ParseOrganizationID),
		"user":         textParser(parsec.ParseUserID),
		"device name":  textParser(parsec.ParseDeviceName),
	} {
		for _, item := range append(loadIDs(t).OrganizationID,
			// The character with the most bytes to compose: 32 bytes out of 112.
			textVector{strings.Repeat("\u1FBE\u0308\u0301", 16), true, new(strings.Repeat("\u0390", 16))},
			textVector{Value: "a\x7Fb"},
			textVector{Value: "a\xFFb"},
			textVector{Value: "a\uFFFDb"},
			textVector{Value: "\u24B6", Accept: true}, // Other_Alphabetic symbol.
			textVector{Value: strings.Repeat("a", 1<<20)},
		) {
			t.Run(kind+" "+abridge(item.Value), func(t *testing.T) { checkText(t, parse, item) })
		}
	}
}

func TestDeviceLabel(t *testing.T) {
	// The vector that is accepted only once composed does not say what is
	// kept; docs/protocol/types.md §2 does.
	decomposed := strings.Repeat("e\u0301", 127) + "x"
	composed := strings.Repeat("\u00E9", 127) + "x"
	for _, item := range append(loadIDs(t).DeviceLabel, textVector{Value: "a\xFF"}) {
		if item.Value == decomposed && item.Normalized == nil {
			item.Normalized = &composed
		}
		t.Run(abridge(item.Value), func(t *testing.T) { checkText(t, textParser(parsec.ParseDeviceLabel), item) })
	}
}

func checkText(t *testing.T, parse func(*testing.T, string) (string, error), item textVector) {
	t.Helper()
	switch text, err := parse(t, item.Value); {
	case (err == nil) != item.Accept:
		t.Errorf("accept = %t, want %t (%v)", err == nil, item.Accept, err)
	case item.Accept && text != item.kept():
		t.Errorf("kept %q, want %q", text, item.kept())
	}
}

func abridge(text string) string { return text[:min(len(text), 40)] }

func TestDeviceID(t *testing.T) {
	for _, item := range loadIDs(t).DeviceID {
		t.Run(item.Value, func(t *testing.T) {
			checkText(t, textParser(parsec.ParseDeviceID), item.textVector)
			device, err := parsec.ParseDeviceID(item.Value)
			if err != nil {
				return
			}
			if device.User().String() != item.UserID || device.Name().String() != item.DeviceName {
				t.Errorf("parts %q and %q, want %q and %q", device.User(), device.Name(), item.UserID, item.DeviceName)
			}
			if device.User().Device(device.Name()) != device {
				t.Error("its parts do not make it")
			}
		})
	}
}

func TestHumanHandle(t *testing.T) {
	type handle struct {
		email, label string
		accept       bool
		normalized   [2]string
	}
	var handles []handle
	for _, item := range loadIDs(t).HumanHandle {
		normalized := [2]string{item.Email, item.Label}
		if item.Normalized != nil {
			normalized = *item.Normalized
		}
		handles = append(handles, handle{item.Email, item.Label, item.Accept, normalized})
	}
	for email, accept := range map[string]bool{
		`"a@b"@c.d`:       true,
		`"a\"b"@c.d`:      true,
		`"a\\"@c.d`:       true,
		`"a\"@c.d`:        false,
		`"a`:              false,
		`"a"b@c.d`:        false,
		`"a\`:             false,
		"\"a\nb\"@c.d":    false,
		"\"a\\\nb\"@c.d":  false,
		`a"b"@c.d`:        false,
		"a@[IPv6:::1]":    true,
		"a@[":             false,
		"a@[]":            false,
		"a@[b]c":          false,
		"a@[b[c]":         false,
		"a@[b\x00]":       false,
		"a@":              false,
		"a-.b@c":          false,
		"a.-b@c":          false,
		"a@b-":            false,
		"  a@b.c":         false,
		"a@b.c  ":         false,
		"a\x7F@b.c":       false,
		"a\xFF@b.c":       false,
		"!#$%&'*+-/=?^@b": true,
		"a@_`{|}~":        true,
		`a\@b`:            false,
	} {
		handles = append(handles, handle{email, "x", accept, [2]string{email, "x"}})
	}
	handles = append(handles, handle{"a@b", "x\xFF", false, [2]string{}})
	for _, item := range handles {
		t.Run(abridge(item.label)+" "+abridge(item.email), func(t *testing.T) {
			human, err := parsec.ParseHumanHandle(item.email, item.label)
			if (err == nil) != item.accept {
				t.Fatalf("accept = %t, want %t (%v)", err == nil, item.accept, err)
			}
			var unmarshalled parsec.HumanHandle
			if unmarshalErr := unmarshalled.UnmarshalPair(item.email, item.label); (unmarshalErr == nil) != item.accept || unmarshalled != human {
				t.Errorf("UnmarshalPair gives %v and error %v", unmarshalled, unmarshalErr)
			}
			if !item.accept {
				if human != (parsec.HumanHandle{}) || human.String() != "" {
					t.Errorf("refused with value %v", human)
				}
				return
			}
			email, label := human.MarshalPair()
			if want := item.normalized; email != want[0] || label != want[1] || human.Email() != email || human.Label() != label {
				t.Errorf("kept %q and %q, want %q", email, label, want)
			}
			if want := label + " <" + email + ">"; human.String() != want {
				t.Errorf("String() = %q, want %q", human, want)
			}
		})
	}
}

func FuzzParseDeviceID(f *testing.F) {
	ids := loadIDs(f)
	for _, item := range ids.DeviceID {
		f.Add(item.Value)
	}
	for _, item := range ids.OrganizationID {
		f.Add(item.Value + "@" + item.Value)
	}
	f.Fuzz(func(t *testing.T, text string) {
		device, err := parsec.ParseDeviceID(text)
		if err != nil {
			return
		}
		if printed := device.String(); len(printed) > 65 {
			t.Errorf("%q has more than 65 bytes", printed)
		}
		if again, err := parsec.ParseDeviceID(device.String()); err != nil || again != device {
			t.Errorf("%q prints as %q, read as %v with error %v", text, device, again, err)
		}
	})
}

func FuzzParseHumanHandle(f *testing.F) {
	for _, item := range loadIDs(f).HumanHandle {
		f.Add(item.Email, item.Label)
	}
	f.Fuzz(func(t *testing.T, email, label string) {
		human, err := parsec.ParseHumanHandle(email, label)
		if err != nil {
			return
		}
		if strings.ContainsAny(human.Email(), "\x00\r\n") {
			t.Errorf("%q would split an e-mail header", human.Email())
		}
		if again, err := parsec.ParseHumanHandle(human.MarshalPair()); err != nil || again != human {
			t.Errorf("%q is read again as %q with error %v", human, again, err)
		}
	})
}
