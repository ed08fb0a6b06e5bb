package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Device is a device of a user.
type Device struct {
	ID        parsec3.DeviceID
	User      parsec3.UserID
	VerifyKey parsec.VerifyKey
	CreatedOn parsec.DateTime
}

// DeviceTx is for devices.
type DeviceTx interface {
	// DeviceExists reports whether the organization has, or had, the device.
	DeviceExists(ctx context.Context, id parsec3.DeviceID) (bool, error)
	// CreateDevice adds a device to its user.
	CreateDevice(device Device, certificate Certificate)
}
