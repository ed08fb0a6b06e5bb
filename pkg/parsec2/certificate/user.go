package certificate

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
)

// User is a user_certificate. In its redacted form it has no human handle.
type User struct {
	// Author is zero when the root key signs.
	Author      parsec.DeviceID
	Timestamp   parsec.DateTime
	UserID      parsec.UserID
	HumanHandle parsec.HumanHandle
	PublicKey   parsec.PublicKey
	Profile     parsec.UserProfile
}

// RevokedUser is a revoked_user_certificate.
type RevokedUser struct {
	Author    parsec.DeviceID `wire:"author"`
	Timestamp parsec.DateTime `wire:"timestamp"`
	UserID    parsec.UserID   `wire:"user_id"`
}

// LoadUser reads a certificate that author, zero for the root key, signed with
// key. Errors wrap a Failure.
func LoadUser(signed []byte, key parsec.VerifyKey, author parsec.DeviceID) (User, error) {
	return load[User](signed, key, author)
}

// LoadKeptUser is LoadUser of a certificate that was accepted when it came: its human
// handle is one of its time (parsec.KeptHumanHandle).
func LoadKeptUser(signed []byte, key parsec.VerifyKey, author parsec.DeviceID) (User, error) {
	kept, err := load[keptUser](signed, key, author)
	return kept.User, err
}

// LoadRevokedUser reads a certificate that author signed with key. Errors wrap
// a Failure.
func LoadRevokedUser(signed []byte, key parsec.VerifyKey, author parsec.DeviceID) (RevokedUser, error) {
	return load[RevokedUser](signed, key, author)
}

// Sign makes the certificate with the key of u.Author. It fails on fields that
// are not valid.
func (u User) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&u, key) }

// Sign makes the certificate with the key of r.Author. It fails on fields that
// are not valid.
func (r RevokedUser) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&r, key) }

// Redacted returns the form for whoever must not learn people's names.
func (u User) Redacted() User {
	u.HumanHandle = parsec.HumanHandle{}
	return u
}

// userFields is a User on the wire.
type userFields struct {
	Author      parsec.DeviceID    `wire:"author,nullable"`
	Timestamp   parsec.DateTime    `wire:"timestamp"`
	UserID      parsec.UserID      `wire:"user_id"`
	HumanHandle keptHandle         `wire:"human_handle,nullable,optional"`
	PublicKey   parsec.PublicKey   `wire:"public_key"`
	IsAdmin     bool               `wire:"is_admin"`
	Profile     parsec.UserProfile `wire:"profile,nullable,optional"`
}

// keptHandle is a handle of whatever form.
type keptHandle struct{ parsec.HumanHandle }

// UnmarshalPair takes the wire form as it is.
func (h *keptHandle) UnmarshalPair(email, label string) error {
	h.HumanHandle = parsec.KeptHumanHandle(email, label)
	return nil
}

// keptUser is a User whose human handle is not checked.
type keptUser struct{ User }

// absentProfile stands for an absent profile, which is not a nil one. It is no
// value of the wire.
const absentProfile parsec.UserProfile = "absent"

func (*User) name() string { return "user_certificate" }

func (u *User) author() parsec.DeviceID { return u.Author }

func (u *User) fields() any {
	return &userFields{
		Author: u.Author, Timestamp: u.Timestamp, UserID: u.UserID, HumanHandle: keptHandle{u.HumanHandle},
		PublicKey: u.PublicKey, IsAdmin: u.Profile == parsec.ProfileAdmin, Profile: u.Profile,
	}
}

func (u *User) decode(encoded []byte) error {
	var kept keptUser
	if err := kept.decode(encoded); err != nil {
		return err
	}
	if handle := kept.HumanHandle; handle != (parsec.HumanHandle{}) {
		var err error
		if kept.HumanHandle, err = parsec.ParseHumanHandle(handle.Email(), handle.Label()); err != nil {
			return FailureSchema.because(fmt.Errorf("human_handle: %w", err))
		}
	}
	*u = kept.User
	return nil
}

func (u *keptUser) decode(encoded []byte) error {
	fields := userFields{Profile: absentProfile}
	if err := unmarshal(encoded, &fields); err != nil {
		return err
	}
	profile := fields.Profile
	switch {
	case profile == "":
		return FailureSchema.because(errors.New("profile is nil"))
	case profile == absentProfile && fields.IsAdmin:
		profile = parsec.ProfileAdmin
	case profile == absentProfile:
		profile = parsec.ProfileStandard
	}
	u.User = User{
		Author: fields.Author, Timestamp: fields.Timestamp, UserID: fields.UserID,
		HumanHandle: fields.HumanHandle.HumanHandle, PublicKey: fields.PublicKey, Profile: profile,
	}
	return nil
}

func (*RevokedUser) name() string { return "revoked_user_certificate" }

func (r *RevokedUser) author() parsec.DeviceID { return r.Author }

func (r *RevokedUser) fields() any { return r }

func (r *RevokedUser) decode(encoded []byte) error { return unmarshal(encoded, r) }
