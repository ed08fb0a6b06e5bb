package parsec3

import "net/http"

// What tests of this package see of it.
var (
	ParseDeviceToken     = parseDeviceToken
	ParseInvitationToken = parseInvitationToken
)

// ParseAccountToken returns whether the header has the token of an account.
func ParseAccountToken(header http.Header) bool {
	_, ok := parseAccountToken(header)
	return ok
}
