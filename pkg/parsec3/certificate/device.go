package certificate

import (
	"cmp"
	"crypto/ed25519"
	"errors"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Device is a device_certificate. In its redacted form it has no label.
type Device struct {
	// Author is zero when the root key signs.
	Author      parsec3.DeviceID
	Timestamp   parsec.DateTime
	Purpose     parsec3.DevicePurpose
	UserID      parsec3.UserID
	DeviceID    parsec3.DeviceID
	DeviceLabel parsec3.DeviceLabel
	VerifyKey   parsec.VerifyKey
}

// LoadDevice reads a certificate that author, zero for the root key, signed with
// key. Errors wrap a Failure.
func LoadDevice(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (Device, error) {
	return load[Device](signed, key, author)
}

// Sign makes the certificate with the key of d.Author. It fails on fields that are
// not valid. Without a purpose, that of the device is STANDARD.
func (d Device) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&d, key) }

// Redacted returns the form for whoever must not learn people's names.
func (d Device) Redacted() Device {
	d.DeviceLabel = parsec3.DeviceLabel{}
	return d
}

// IsFullFormOf reports whether d has a label, and redacted has everything of d but
// that.
func (d Device) IsFullFormOf(redacted Device) bool { return d != redacted && d.Redacted() == redacted }

// deviceFields is a Device on the wire.
type deviceFields struct {
	Author      *parsec3.DeviceID     `wire:"author,nullable"`
	Timestamp   parsec.DateTime       `wire:"timestamp"`
	Purpose     parsec3.DevicePurpose `wire:"purpose,nullable,optional"`
	UserID      parsec3.UserID        `wire:"user_id"`
	DeviceID    parsec3.DeviceID      `wire:"device_id"`
	DeviceLabel parsec3.DeviceLabel   `wire:"device_label,nullable"`
	VerifyKey   parsec.VerifyKey      `wire:"verify_key"`
	Algorithm   signingKeyAlgorithm   `wire:"algorithm"`
}

func (*Device) name() string { return "device_certificate" }

func (d *Device) author() parsec3.DeviceID { return d.Author }

func (d *Device) fields() any {
	return &deviceFields{
		Author: signerField(d.Author), Timestamp: d.Timestamp, Purpose: cmp.Or(d.Purpose, parsec3.PurposeStandard),
		UserID: d.UserID, DeviceID: d.DeviceID, DeviceLabel: d.DeviceLabel, VerifyKey: d.VerifyKey,
	}
}

func (d *Device) decode(encoded []byte) error {
	var fields deviceFields
	if err := unmarshal(encoded, &fields); err != nil {
		return err
	}
	switch {
	case fields.UserID == parsec3.UserID{}:
		return FailureSchema.because(errors.New("user_id is zero"))
	case fields.DeviceID == parsec3.DeviceID{}:
		return FailureSchema.because(errors.New("device_id is zero"))
	}
	author, err := signer(fields.Author)
	if err != nil {
		return err
	}
	*d = Device{
		Author: author, Timestamp: fields.Timestamp, Purpose: cmp.Or(fields.Purpose, parsec3.PurposeStandard),
		UserID: fields.UserID, DeviceID: fields.DeviceID, DeviceLabel: fields.DeviceLabel, VerifyKey: fields.VerifyKey,
	}
	return nil
}
