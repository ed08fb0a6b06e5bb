package parsec

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// HumanHandle is who is behind a user: two handles with the same e-mail are
// the same human (docs/protocol/types.md §2). The zero value, nil on the wire,
// is no handle.
type HumanHandle struct{ email, label string }

// DeviceLabel is the text a person knows a device by: 1 to 255 bytes in NFC
// without line feed. The zero value, nil on the wire, is no label.
type DeviceLabel struct{ text string }

const (
	maxHumanPartBytes   = 254
	maxDeviceLabelBytes = 255
)

// ParseHumanHandle normalises both parts and checks their form. An e-mail
// has no ASCII control character; a label may hold any, line feeds included.
func ParseHumanHandle(email, label string) (HumanHandle, error) {
	email, ok := normalize(email, maxHumanPartBytes)
	if !ok || !isEmail(email) {
		return HumanHandle{}, errors.New("invalid e-mail address")
	}
	label, ok = normalize(label, maxHumanPartBytes)
	if !ok || strings.ContainsAny(label, `<>@,:;\"[]`) {
		return HumanHandle{}, errors.New("invalid name")
	}
	return HumanHandle{email, label}, nil
}

// KeptHumanHandle returns one that was accepted when it came, and is not checked again:
// releases up to 2.11 took e-mail addresses that ParseHumanHandle refuses
// (docs/protocol/types.md §2).
func KeptHumanHandle(email, label string) HumanHandle { return HumanHandle{email, label} }

// ParseDeviceLabel normalises text and checks its form.
func ParseDeviceLabel(text string) (DeviceLabel, error) {
	text, ok := normalize(text, maxDeviceLabelBytes)
	if !ok || strings.Contains(text, "\n") {
		return DeviceLabel{}, errors.New("must be 1 to 255 bytes without line feed")
	}
	return DeviceLabel{text}, nil
}

// Email identifies the human, byte for byte.
func (h HumanHandle) Email() string { return h.email }

// Label returns the name shown to people.
func (h HumanHandle) Label() string { return h.label }

// MarshalPair returns the wire form, an array of e-mail and label.
func (h HumanHandle) MarshalPair() (string, string) { return h.email, h.label }

// UnmarshalPair parses the wire form.
func (h *HumanHandle) UnmarshalPair(email, label string) (err error) {
	*h, err = ParseHumanHandle(email, label)
	return err
}

func (h HumanHandle) String() string {
	if h == (HumanHandle{}) {
		return ""
	}
	return h.label + " <" + h.email + ">"
}

func (l DeviceLabel) String() string { return l.text }

// MarshalText returns the wire form.
func (l DeviceLabel) MarshalText() ([]byte, error) { return []byte(l.text), nil }

// UnmarshalText parses the wire form.
func (l *DeviceLabel) UnmarshalText(text []byte) (err error) {
	*l, err = ParseDeviceLabel(string(text))
	return err
}

// isEmail applies the e-mail form of docs/protocol/types.md §2 (releases 2.12
// and later) to valid UTF-8. One space is tolerated at either end.
func isEmail(text string) bool {
	text = strings.TrimPrefix(text, " ")
	text = strings.TrimSuffix(text, " ")
	if strings.HasPrefix(text, `"`) {
		domain, found := strings.CutPrefix(afterQuotedString(text), "@")
		return found && isEmailDomain(domain)
	}
	local, domain, found := strings.Cut(text, "@")
	return found && isDotAtom(local) && isEmailDomain(domain)
}

// afterQuotedString returns what follows the quoted string that text begins
// with, empty when the string is malformed.
func afterQuotedString(text string) string {
	for i := 1; i < len(text); i++ {
		if text[i] == '"' {
			return text[i+1:]
		}
		if text[i] == '\\' {
			i++
		}
		if i == len(text) || isControl(text[i]) {
			return ""
		}
	}
	return ""
}

func isEmailDomain(text string) bool {
	literal, found := strings.CutPrefix(text, "[")
	if !found {
		return isDotAtom(text)
	}
	literal, found = strings.CutSuffix(literal, "]")
	return found && literal != "" && !strings.ContainsFunc(literal, func(r rune) bool {
		return r == ' ' || r == '[' || r == ']' || r == '\\' || r < utf8.RuneSelf && isControl(byte(r))
	})
}

// isDotAtom wants atom characters and dots, where a dot has neither an end of
// text, a dot nor a hyphen beside it, and a hyphen is at neither end.
func isDotAtom(text string) bool {
	previous := byte('.') // The start refuses what a dot refuses after it.
	for i := range len(text) {
		current := text[i]
		switch {
		case current != '.' && !isAtomCharacter(current):
			return false
		case previous == '.' && (current == '.' || current == '-'):
			return false
		case previous == '-' && current == '.':
			return false
		}
		previous = current
	}
	return previous != '.' && previous != '-'
}

// isAtomCharacter takes any byte of a character outside of ASCII.
func isAtomCharacter(c byte) bool {
	return isAlphanumeric(rune(c)) || c >= utf8.RuneSelf || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isControl(c byte) bool { return c < ' ' || c == 0x7F }
