package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// DeviceCreate adds a device to the author's user
// (docs/protocol/v5/commands.md §8.3).
func (r *Rules) DeviceCreate(ctx context.Context, author *Author, request *protocol.DeviceCreateRequest) (*protocol.DeviceCreateReply, error) {
	now := r.now()
	device, invalid := loadDeviceCreate(author, now, request)
	scope := Scope{Common: Exclusive}
	if invalid == nil {
		scope.Date = device.CreatedOn
	}
	err := r.update(ctx, author, now, scope, func(tx Tx, _ *User) error {
		if invalid != nil {
			return invalid
		}
		exists, err := tx.DeviceExists(ctx, device.ID)
		if err != nil {
			return err
		}
		if exists {
			return protocol.Refuse(protocol.StatusDeviceAlreadyExists)
		}
		if err := checkGreater(device.CreatedOn, tx.Topics().Common); err != nil {
			return err
		}
		signed := signedBy(author, device.CreatedOn, request.DeviceCertificate)
		signed.Redacted = request.RedactedDeviceCertificate
		tx.CreateDevice(*device, signed)
		emitCommon(tx, author, device.CreatedOn)
		return nil
	})
	return &protocol.DeviceCreateReply{}, err
}

// loadDeviceCreate makes the checks 1 to 3 of device_create.
func loadDeviceCreate(author *Author, now parsec.DateTime, request *protocol.DeviceCreateRequest) (*Device, error) {
	full, err := certificate.LoadDevice(request.DeviceCertificate, author.VerifyKey, author.Device)
	if err != nil {
		return nil, errInvalidCertificate
	}
	redacted, err := certificate.LoadDevice(request.RedactedDeviceCertificate, author.VerifyKey, author.Device)
	if err != nil {
		return nil, errInvalidCertificate
	}
	if err := checkBallpark(now, full.Timestamp); err != nil {
		return nil, err
	}
	if full.UserID != author.User || !full.IsFullFormOf(redacted) {
		return nil, errInvalidCertificate
	}
	device := storedDevice(&full)
	return &device, nil
}

func storedDevice(loaded *certificate.Device) Device {
	return Device{ID: loaded.DeviceID, User: loaded.UserID, VerifyKey: loaded.VerifyKey, CreatedOn: loaded.Timestamp}
}

// Device is a device of a user.
type Device struct {
	ID        parsec3.DeviceID
	User      parsec3.UserID
	VerifyKey parsec.VerifyKey
	CreatedOn parsec.DateTime
}

// deviceKey names a device on the whole server.
type deviceKey struct {
	organization parsec.OrganizationID
	device       parsec3.DeviceID
}

// DeviceTx is for devices.
type DeviceTx interface {
	// DeviceExists reports whether the organization has, or had, the device.
	DeviceExists(ctx context.Context, id parsec3.DeviceID) (bool, error)
	// CreateDevice adds a device to its user.
	CreateDevice(device Device, certificate Certificate)
}
