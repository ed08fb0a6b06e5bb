// Package addresses reads the addresses of docs/protocol/transport.md §11 that
// the server only prints, or never sees: tests play the applications that do.
package addresses

import (
	"crypto/ed25519"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"parsec-server/pkg/parsec"
)

// ParseOrganization reads a parsec:// URL with a rvk parameter.
func ParseOrganization(text string) (parsec.OrganizationAddress, error) {
	location, parameters, err := parsec.ParseLocation(text)
	if err != nil {
		return parsec.OrganizationAddress{}, err
	}
	key, err := parseRootVerifyKey(parameters)
	if err != nil {
		return parsec.OrganizationAddress{}, err
	}
	return location.Server().OrganizationAddress(location.Organization(), key), nil
}

// ParseInvitation reads a parsec:// URL whose action is claim_user,
// claim_device or claim_shamir_recovery and whose token is an UUID.
func ParseInvitation(text string) (parsec.InvitationAddress, error) {
	location, parameters, err := parsec.ParseLocation(text)
	if err != nil {
		return parsec.InvitationAddress{}, err
	}
	action, err := parameters.Mandatory("action")
	if err != nil {
		return parsec.InvitationAddress{}, err
	}
	invitation, found := map[string]parsec.InvitationType{
		"claim_user":            parsec.InvitationUser,
		"claim_device":          parsec.InvitationDevice,
		"claim_shamir_recovery": parsec.InvitationShamirRecovery,
	}[action]
	if !found {
		return parsec.InvitationAddress{}, errors.New("invalid `action` param value")
	}
	token, err := parseUUIDParameter(parameters, "token")
	if err != nil {
		return parsec.InvitationAddress{}, err
	}
	return location.Server().InvitationAddress(location.Organization(), invitation, parsec.InvitationToken(token)), nil
}

func parseUUIDParameter(parameters parsec.Parameters, name string) (parsec.UUID, error) {
	text, err := parameters.Mandatory(name)
	if err != nil {
		return parsec.UUID{}, err
	}
	value, err := parsec.ParseUUID(text)
	if err != nil {
		return parsec.UUID{}, fmt.Errorf("invalid `%s` param value", name)
	}
	return value, nil
}

func parseRootVerifyKey(parameters parsec.Parameters) (parsec.VerifyKey, error) {
	text, err := parameters.Mandatory("rvk")
	if err != nil {
		return parsec.VerifyKey{}, err
	}
	key, err := ParseVerifyKey(text)
	if err != nil {
		return parsec.VerifyKey{}, errors.New("invalid `rvk` param value")
	}
	return key, nil
}

// ParseVerifyKey reads the text of an rvk parameter; "=" padding is also read.
func ParseVerifyKey(text string) (parsec.VerifyKey, error) {
	raw, err := decodeBase32(text)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return parsec.VerifyKey{}, errors.New("invalid verify key")
	}
	return parsec.VerifyKey(raw), nil
}

// base32Padding replaces the "=" of base32, which URLs would have to escape.
const base32Padding = "s"

func encodeBase32(raw []byte) string {
	return strings.ReplaceAll(base32.StdEncoding.EncodeToString(raw), "=", base32Padding)
}

// decodeBase32 reads what encodeBase32 prints, or the same with real padding.
func decodeBase32(text string) ([]byte, error) {
	standard := strings.ReplaceAll(text, base32Padding, "=")
	raw, err := base32.StdEncoding.DecodeString(standard)
	if err != nil {
		return nil, err
	}
	// The decoder skips line ends and ignores trailing bits: one value has one
	// text.
	if base32.StdEncoding.EncodeToString(raw) != standard {
		return nil, errors.New("base32 is not canonical")
	}
	return raw, nil
}
