package parsec3

import "parsec-server/pkg/parsec"

// UserID identifies a user inside its organization
// (docs/protocol/v5/types.md §2). The zero value is no user.
type UserID parsec.UUID

// DeviceID identifies a device inside its organization. Only its certificate
// says whose it is. The zero value, nil on the wire, is the root key as the
// author of a certificate.
type DeviceID parsec.UUID

// GreetingAttemptID identifies a greeting attempt inside its organization.
type GreetingAttemptID parsec.UUID

// ParseUserID reads the text forms of a UUID.
func ParseUserID(text string) (UserID, error) {
	id, err := parsec.ParseUUID(text)
	return UserID(id), err
}

// String returns the form of tokens, REST and logs: 32 lower-case hexadecimal
// digits.
func (u UserID) String() string { return parsec.UUID(u).Hex() }

// String returns the form of tokens, REST and logs: 32 lower-case hexadecimal
// digits.
func (d DeviceID) String() string { return parsec.UUID(d).Hex() }

// EnrollmentID identifies an asynchronous enrollment inside its organization. Who
// submits it chooses it, and has no other secret to ask for it by.
type EnrollmentID parsec.UUID

// OpaqueKeyID identifies an OpaqueKey of a user.
type OpaqueKeyID parsec.UUID

// OpaqueKey is a secret key that the server keeps for a user, and gives out for a
// one-time password (docs/protocol/v5/enrollment.md §4).
type OpaqueKey [32]byte
