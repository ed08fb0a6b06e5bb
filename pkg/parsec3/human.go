package parsec3

import (
	"errors"
	"strings"
	"unicode/utf8"

	"parsec-server/pkg/parsec"
)

// redactedDomain is that of the addresses which stand for the human handle of a
// redacted certificate.
const redactedDomain = "redacted.invalid"

// ParseHumanHandle checks the form of a human handle, and normalises its label. The
// e-mail address is ASCII, of at most 254 bytes, and not of the domain
// redacted.invalid: the only ones that every release reads
// (docs/protocol/v5/types.md §3).
func ParseHumanHandle(email, label string) (parsec.HumanHandle, error) {
	for i := range len(email) {
		if email[i] >= utf8.RuneSelf {
			return parsec.HumanHandle{}, errors.New("the e-mail address is not ASCII")
		}
	}
	if domain := email[strings.LastIndexByte(email, '@')+1:]; strings.EqualFold(domain, redactedDomain) {
		return parsec.HumanHandle{}, errors.New("the domain of the e-mail address is reserved")
	}
	return parsec.ParseHumanHandle(email, label)
}

// RedactedHandle returns what stands for the human handle of a user whose certificate has
// none: nobody can have this e-mail address.
func RedactedHandle(user UserID) (email, label string) {
	return user.String() + "@" + redactedDomain, user.String()
}

// CheckEmail refuses an e-mail address that ParseHumanHandle refuses.
func CheckEmail(email string) error {
	_, err := ParseHumanHandle(email, "nobody")
	return err
}

// Mailbox returns what two e-mail addresses have in common that differ in case alone
// (docs/protocol/v5/types.md §3).
func Mailbox(email string) string {
	folded := []byte(email)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// EmailAddress is the address of a person, in the form of ParseHumanHandle
// (docs/protocol/v5/types.md §3). The zero value is none.
type EmailAddress struct{ text string }

// ParseEmailAddress checks the form of an address.
func ParseEmailAddress(text string) (EmailAddress, error) {
	const anybody = "x"
	handle, err := ParseHumanHandle(text, anybody)
	return EmailAddress{handle.Email()}, err
}

func (e EmailAddress) String() string { return e.text }

// Mailbox returns what the address has in common with all that bring an e-mail to the
// same place: they differ in case, and by the space that may be at either end.
func (e EmailAddress) Mailbox() string { return Mailbox(strings.Trim(e.text, " ")) }

// MarshalText returns the wire form.
func (e EmailAddress) MarshalText() ([]byte, error) { return []byte(e.text), nil }

// UnmarshalText parses the wire form.
func (e *EmailAddress) UnmarshalText(text []byte) (err error) {
	*e, err = ParseEmailAddress(string(text))
	return err
}
