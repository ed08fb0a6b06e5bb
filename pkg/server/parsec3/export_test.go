package parsec3

import (
	"net/http"

	"parsec-server/pkg/parsec"
)

// What tests of this package see of it.
var (
	ParseDeviceToken     = parseDeviceToken
	ParseInvitationToken = parseInvitationToken
)

// DatedToken is what the token of an account says.
type DatedToken struct {
	ID          parsec.UUID
	Date        parsec.DateTime
	Text, Proof []byte
}

// ParseAccountToken reads the token of an account.
func ParseAccountToken(header http.Header) (DatedToken, bool) {
	token, ok := parseAccountToken(header)
	return DatedToken{token.id, token.date, token.text, token.proof}, ok
}
