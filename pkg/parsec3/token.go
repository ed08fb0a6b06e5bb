package parsec3

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
)

// accessTokenBytes is the length of an AccessToken.
const accessTokenBytes = 16

var errAccessToken = errors.New("must be 32 hexadecimal digits")

// AccessToken is a secret that lets its holder in: of a bootstrap, of an invitation
// (docs/protocol/v5/types.md §2). The zero value is a token like another.
type AccessToken struct{ bytes [accessTokenBytes]byte }

// NewAccessToken returns a random one.
func NewAccessToken() AccessToken {
	var token AccessToken
	_, _ = rand.Read(token.bytes[:]) // it never fails
	return token
}

// ParseAccessToken reads the text form: 32 hexadecimal digits, in either case.
func ParseAccessToken(text string) (AccessToken, error) {
	var token AccessToken
	if len(text) != hex.EncodedLen(accessTokenBytes) {
		return AccessToken{}, errAccessToken
	}
	if _, err := hex.Decode(token.bytes[:], []byte(text)); err != nil {
		return AccessToken{}, errAccessToken
	}
	return token, nil
}

// String returns the form of REST and headers: 32 lower-case hexadecimal digits.
func (t AccessToken) String() string { return hex.EncodeToString(t.bytes[:]) }

// Equal reports whether both tokens are the same, in a time that does not depend on
// where they differ.
func (t AccessToken) Equal(other AccessToken) bool {
	return subtle.ConstantTimeCompare(t.bytes[:], other.bytes[:]) == 1
}

// MarshalBinary returns the wire form.
func (t AccessToken) MarshalBinary() ([]byte, error) { return t.bytes[:], nil }

// UnmarshalBinary parses the wire form.
func (t *AccessToken) UnmarshalBinary(data []byte) error {
	if len(data) != accessTokenBytes {
		return errors.New("must be 16 bytes")
	}
	copy(t.bytes[:], data)
	return nil
}
