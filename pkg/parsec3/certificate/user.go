package certificate

import (
	"crypto/ed25519"
	"errors"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// User is a user_certificate. In its redacted form it has no human handle.
type User struct {
	// Author is zero when the root key signs.
	Author      parsec3.DeviceID
	Timestamp   parsec.DateTime
	UserID      parsec3.UserID
	HumanHandle parsec.HumanHandle
	PublicKey   parsec.PublicKey
	Profile     parsec.UserProfile
}

// UserUpdate is a user_update_certificate: another profile of a user.
type UserUpdate struct {
	Author     parsec3.DeviceID   `wire:"author"`
	Timestamp  parsec.DateTime    `wire:"timestamp"`
	UserID     parsec3.UserID     `wire:"user_id"`
	NewProfile parsec.UserProfile `wire:"new_profile"`
}

// RevokedUser is a revoked_user_certificate.
type RevokedUser struct {
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	UserID    parsec3.UserID   `wire:"user_id"`
}

// LoadUser reads a certificate that author, zero for the root key, signed with
// key. Errors wrap a Failure.
func LoadUser(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (User, error) {
	return load[User](signed, key, author)
}

// LoadUserUpdate reads a certificate that author signed with key. Errors wrap a
// Failure.
func LoadUserUpdate(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (UserUpdate, error) {
	return load[UserUpdate](signed, key, author)
}

// LoadRevokedUser reads a certificate that author signed with key. Errors wrap a
// Failure.
func LoadRevokedUser(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (RevokedUser, error) {
	return load[RevokedUser](signed, key, author)
}

// Sign makes the certificate with the key of u.Author. It fails on fields that are
// not valid.
func (u User) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&u, key) }

// Sign makes the certificate with the key of u.Author. It fails on fields that are
// not valid.
func (u UserUpdate) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&u, key) }

// Sign makes the certificate with the key of r.Author. It fails on fields that are
// not valid.
func (r RevokedUser) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&r, key) }

// Redacted returns the form for whoever must not learn people's names.
func (u User) Redacted() User {
	u.HumanHandle = parsec.HumanHandle{}
	return u
}

// IsFullFormOf reports whether u has a human handle, and redacted has everything
// of u but that.
func (u User) IsFullFormOf(redacted User) bool { return u != redacted && u.Redacted() == redacted }

// userFields is a User on the wire.
type userFields struct {
	Author      *parsec3.DeviceID   `wire:"author,nullable"`
	Timestamp   parsec.DateTime     `wire:"timestamp"`
	UserID      parsec3.UserID      `wire:"user_id"`
	HumanHandle humanHandle         `wire:"human_handle,nullable"`
	PublicKey   parsec.PublicKey    `wire:"public_key"`
	Algorithm   privateKeyAlgorithm `wire:"algorithm"`
	Profile     parsec.UserProfile  `wire:"profile"`
}

// humanHandle has the stricter form of Parsec 3.
type humanHandle struct{ parsec.HumanHandle }

// UnmarshalPair parses the wire form.
func (h *humanHandle) UnmarshalPair(email, label string) (err error) {
	h.HumanHandle, err = parsec3.ParseHumanHandle(email, label)
	return err
}

func (*User) name() string { return "user_certificate" }

func (u *User) author() parsec3.DeviceID { return u.Author }

func (u *User) fields() any {
	return &userFields{
		Author: signerField(u.Author), Timestamp: u.Timestamp, UserID: u.UserID,
		HumanHandle: humanHandle{u.HumanHandle}, PublicKey: u.PublicKey, Profile: u.Profile,
	}
}

func (u *User) decode(encoded []byte) error {
	var fields userFields
	if err := unmarshal(encoded, &fields); err != nil {
		return err
	}
	if fields.UserID == (parsec3.UserID{}) {
		return FailureSchema.because(errors.New("user_id is zero"))
	}
	author, err := signer(fields.Author)
	if err != nil {
		return err
	}
	*u = User{
		Author: author, Timestamp: fields.Timestamp, UserID: fields.UserID,
		HumanHandle: fields.HumanHandle.HumanHandle, PublicKey: fields.PublicKey, Profile: fields.Profile,
	}
	return nil
}

func (*UserUpdate) name() string                  { return "user_update_certificate" }
func (u *UserUpdate) author() parsec3.DeviceID    { return u.Author }
func (u *UserUpdate) fields() any                 { return u }
func (u *UserUpdate) decode(encoded []byte) error { return unmarshal(encoded, u) }

func (*RevokedUser) name() string                  { return "revoked_user_certificate" }
func (r *RevokedUser) author() parsec3.DeviceID    { return r.Author }
func (r *RevokedUser) fields() any                 { return r }
func (r *RevokedUser) decode(encoded []byte) error { return unmarshal(encoded, r) }
