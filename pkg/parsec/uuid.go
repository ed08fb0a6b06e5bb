package parsec

import (
	"encoding/hex"
	"errors"
	"strings"

	"github.com/google/uuid"
)

var errUUID = errors.New("invalid UUID")

// UUID is any 128-bit value: version and variant bits are not checked
// (docs/protocol/types.md §1).
type UUID [16]byte

// RealmID identifies a realm (a workspace or a user manifest's) inside its
// organization.
type RealmID UUID

// VlobID identifies a versioned blob inside its organization.
type VlobID UUID

// BlockID identifies a block inside its organization.
type BlockID UUID

// SequesterServiceID identifies a sequester service.
type SequesterServiceID UUID

// InvitationToken identifies an invitation inside its organization.
type InvitationToken UUID

// EnrollmentID identifies a PKI enrollment inside its organization.
type EnrollmentID UUID

// NewUUID returns a random version 4 value.
func NewUUID() UUID { return UUID(uuid.New()) }

// ParseUUID reads 32 hexadecimal digits in either case, with or without the
// four hyphens, possibly in braces or after "urn:uuid:".
func ParseUUID(text string) (UUID, error) {
	digits, found := strings.CutPrefix(text, "urn:uuid:")
	if !found && strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
		digits = text[1 : len(text)-1]
	}
	if len(digits) != 32 && len(digits) != 36 {
		return UUID{}, errUUID
	}
	value, err := uuid.Parse(digits)
	if err != nil {
		return UUID{}, errUUID
	}
	return UUID(value), nil
}

// String returns the hyphenated lower-case form.
func (u UUID) String() string { return uuid.UUID(u).String() }

// Hex returns the form of URLs, headers and e-mails: 32 lower-case digits.
func (u UUID) Hex() string { return hex.EncodeToString(u[:]) }

func (r RealmID) String() string            { return UUID(r).String() }
func (v VlobID) String() string             { return UUID(v).String() }
func (b BlockID) String() string            { return UUID(b).String() }
func (s SequesterServiceID) String() string { return UUID(s).String() }
func (t InvitationToken) String() string    { return UUID(t).String() }
