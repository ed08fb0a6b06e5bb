package certificate

import (
	"crypto/ed25519"

	"parsec-server/pkg/parsec"
)

// Device is a device_certificate; the owner is in the device id. In its
// redacted form it has no label.
type Device struct {
	// Author is zero when the root key signs.
	Author      parsec.DeviceID    `wire:"author,nullable"`
	Timestamp   parsec.DateTime    `wire:"timestamp"`
	DeviceID    parsec.DeviceID    `wire:"device_id"`
	DeviceLabel parsec.DeviceLabel `wire:"device_label,nullable,optional"`
	VerifyKey   parsec.VerifyKey   `wire:"verify_key"`
}

// LoadDevice reads a certificate that author, zero for the root key, signed
// with key. Errors wrap a Failure.
func LoadDevice(signed []byte, key parsec.VerifyKey, author parsec.DeviceID) (Device, error) {
	return load[Device](signed, key, author)
}

// Sign makes the certificate with the key of d.Author. It fails on fields that
// are not valid.
func (d Device) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&d, key) }

// Redacted returns the form for whoever must not learn people's devices.
func (d Device) Redacted() Device {
	d.DeviceLabel = parsec.DeviceLabel{}
	return d
}

func (*Device) name() string { return "device_certificate" }

func (d *Device) author() parsec.DeviceID { return d.Author }

func (d *Device) fields() any { return d }

func (d *Device) decode(encoded []byte) error { return unmarshal(encoded, d) }
