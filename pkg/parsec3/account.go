package parsec3

import (
	"crypto/rand"
	"errors"
	"strings"

	"parsec-server/pkg/parsec"
)

// AuthMethodID identifies a way to authenticate of an account, on the whole server
// (docs/protocol/v5/account.md §2). Clients derive it from a secret.
type AuthMethodID parsec.UUID

// String returns the form of tokens and logs: 32 lower-case hexadecimal digits.
func (a AuthMethodID) String() string { return parsec.UUID(a).Hex() }

const (
	// codeAlphabet has no characters that people take for one another. Its 32 are
	// drawn alike by bytes.
	codeAlphabet   = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	codeCharacters = 6
)

var errValidationCode = errors.New("must be 6 capital letters or digits, without I, O, 0 and 1")

// ValidationCode is what an e-mail brings to prove that its reader owns the mailbox
// (docs/protocol/v5/types.md §2). The zero value is none.
type ValidationCode struct{ text string }

// NewValidationCode draws one.
func NewValidationCode() ValidationCode {
	drawn := make([]byte, codeCharacters)
	rand.Read(drawn) // never fails
	for i, b := range drawn {
		drawn[i] = codeAlphabet[int(b)%len(codeAlphabet)]
	}
	return ValidationCode{string(drawn)}
}

// ParseValidationCode checks the form of a code.
func ParseValidationCode(text string) (ValidationCode, error) {
	if len(text) != codeCharacters || strings.Trim(text, codeAlphabet) != "" {
		return ValidationCode{}, errValidationCode
	}
	return ValidationCode{text}, nil
}

// String returns the characters, which are a secret.
func (c ValidationCode) String() string { return c.text }

// MarshalText returns the wire form.
func (c ValidationCode) MarshalText() ([]byte, error) { return []byte(c.text), nil }

// UnmarshalText parses the wire form.
func (c *ValidationCode) UnmarshalText(text []byte) (err error) {
	*c, err = ParseValidationCode(string(text))
	return err
}
