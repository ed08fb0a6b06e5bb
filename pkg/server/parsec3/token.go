package parsec3

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	signedKind = "PARSEC-SIGN-ED25519"
	macKind    = "PARSEC-MAC-BLAKE2B"

	// maxSecondsDigits bounds the date of a token: years after 9999 are none.
	maxSecondsDigits = 12
	// tokenProofBytes is the length of a signature, and of a MAC.
	tokenProofBytes = 64
)

// bearer returns the token of an Authorization header
// (docs/protocol/v5/transport.md §4.1).
func bearer(header http.Header) (string, bool) {
	words := strings.Fields(header.Get("Authorization"))
	if len(words) != 2 || !strings.EqualFold(words[0], "Bearer") {
		return "", false
	}
	return words[1], true
}

// parseDeviceToken reads the token of a device (docs/protocol/v5/transport.md §4.2).
// It is false for a header without one, or with one that is malformed.
func parseDeviceToken(header http.Header) (rules.Token, bool) {
	parsed, ok := parseDatedToken(header, signedKind)
	return rules.Token{
		Device: parsec3.DeviceID(parsed.id), Date: parsed.date, Signed: parsed.text, Signature: parsed.proof,
	}, ok
}

// datedToken is what tokens of devices and of accounts have in common.
type datedToken struct {
	id   parsec.UUID
	date parsec.DateTime
	// text is what the proof is of.
	text, proof []byte
}

func parseDatedToken(header http.Header, kind string) (datedToken, bool) {
	token, ok := bearer(header)
	if !ok {
		return datedToken{}, false
	}
	parts := strings.Split(token, ".")
	if len(parts) != 4 || parts[0] != kind {
		return datedToken{}, false
	}
	id, err := parsec.ParseUUID(parts[1])
	if err != nil {
		return datedToken{}, false
	}
	date, ok := parseSeconds(parts[2])
	if !ok {
		return datedToken{}, false
	}
	proof, ok := parseProof(parts[3])
	return datedToken{id, date, []byte(token[:strings.LastIndexByte(token, '.')]), proof}, ok
}

// parseSeconds reads a date in whole seconds, of digits alone.
func parseSeconds(text string) (parsec.DateTime, bool) {
	seconds, err := strconv.ParseUint(text, 10, 64)
	if err != nil || len(text) > maxSecondsDigits || text[0] == '+' {
		return 0, false
	}
	const microseconds = 1_000_000
	date := parsec.DateTime(seconds) * microseconds
	return date, date <= parsec.MaxDateTime
}

// parseProof reads 64 bytes in the one form that they have in base64 for URLs.
func parseProof(text string) ([]byte, bool) {
	// The decoder skips line feeds, so the form is compared as a whole.
	proof, err := base64.URLEncoding.DecodeString(text)
	if err != nil || len(proof) != tokenProofBytes {
		return nil, false
	}
	return proof, bytes.Equal(base64.URLEncoding.AppendEncode(nil, proof), []byte(text))
}

// parseAccountToken reads the token of an account (docs/protocol/v5/transport.md
// §4.3): the id of its authentication method.
func parseAccountToken(header http.Header) (rules.MACToken, bool) {
	parsed, ok := parseDatedToken(header, macKind)
	return rules.MACToken{
		Method: parsec3.AuthMethodID(parsed.id), Date: parsed.date, Text: parsed.text, MAC: parsed.proof,
	}, ok
}

// parseInvitationToken reads the token of an invitation.
func parseInvitationToken(header http.Header) (parsec3.AccessToken, bool) {
	text, ok := bearer(header)
	if !ok {
		return parsec3.AccessToken{}, false
	}
	token, err := parsec3.ParseAccessToken(text)
	return token, err == nil
}
