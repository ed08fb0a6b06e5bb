package rules

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// The certificates of a user and its first device
// (docs/protocol/v5/certificates.md §6), of user_create, async_enrollment_accept and
// organization_bootstrap.

// signedUser is what a request has.
type signedUser struct{ user, redactedUser, device, redactedDevice []byte }

// loadedUser is a signedUser that loads.
type loadedUser struct {
	user, redactedUser     certificate.User
	device, redactedDevice certificate.Device
	signed                 signedUser
}

// newUser is a user with its first device, as stored.
type newUser struct {
	user              User
	userCertificate   Certificate
	device            Device
	deviceCertificate Certificate
	publicKey         parsec.PublicKey
	label             parsec3.DeviceLabel
}

// loadNewUser loads what author, zero for the root key, signed with key.
func loadNewUser(signed signedUser, key parsec.VerifyKey, author parsec3.DeviceID) (*loadedUser, error) {
	loaded := &loadedUser{signed: signed}
	var err error
	if loaded.user, err = certificate.LoadUser(signed.user, key, author); err != nil {
		return nil, errInvalidCertificate
	}
	if loaded.device, err = certificate.LoadDevice(signed.device, key, author); err != nil {
		return nil, errInvalidCertificate
	}
	if loaded.redactedUser, err = certificate.LoadUser(signed.redactedUser, key, author); err != nil {
		return nil, errInvalidCertificate
	}
	if loaded.redactedDevice, err = certificate.LoadDevice(signed.redactedDevice, key, author); err != nil {
		return nil, errInvalidCertificate
	}
	return loaded, nil
}

func (l *loadedUser) sameDate() bool { return l.user.Timestamp == l.device.Timestamp }

func (l *loadedUser) sameUser() bool { return l.user.UserID == l.device.UserID }

// redacts reports whether the redacted certificates are those of the full ones.
func (l *loadedUser) redacts() bool {
	return l.user.IsFullFormOf(l.redactedUser) && l.device.IsFullFormOf(l.redactedDevice)
}

func (l *loadedUser) stored() newUser {
	return newUser{
		user: User{
			ID: l.user.UserID, HumanHandle: l.user.HumanHandle, Profile: l.user.Profile, CreatedOn: l.user.Timestamp,
		},
		userCertificate: Certificate{
			Timestamp: l.user.Timestamp, Author: l.user.Author, Bytes: l.signed.user, Redacted: l.signed.redactedUser,
		},
		device: storedDevice(&l.device),
		deviceCertificate: Certificate{
			Timestamp: l.device.Timestamp, Author: l.device.Author, Bytes: l.signed.device, Redacted: l.signed.redactedDevice,
		},
		publicKey: l.user.PublicKey, label: l.device.DeviceLabel,
	}
}
