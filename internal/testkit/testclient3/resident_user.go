package testclient3

import (
	"context"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// AddUser creates a user, and returns its first device.
func (r *Resident) AddUser(ctx context.Context, person client3.Person, profile parsec.UserProfile) (device *client3.Device, err error) {
	err = certify(ctx, r, protocol.UserCreate, aheadCommon, func(now parsec.DateTime) (request *protocol.UserCreateRequest, err error) {
		device, request, err = r.Device.NewUser(person, profile, now)
		return request, err
	})
	return device, err
}

// AddDevice creates another device of the user.
func (r *Resident) AddDevice(ctx context.Context, label parsec3.DeviceLabel) (device *client3.Device, err error) {
	err = certify(ctx, r, protocol.DeviceCreate, aheadCommon, func(now parsec.DateTime) (request *protocol.DeviceCreateRequest, err error) {
		device, request, err = r.Device.NewDevice(label, now)
		return request, err
	})
	return device, err
}

// addDeviceFor creates a device of the user that is no person's.
func (r *Resident) addDeviceFor(ctx context.Context, purpose parsec3.DevicePurpose) (*client3.Device, error) {
	device := *r.Device
	device.ID, device.SigningKey = parsec3.DeviceID(parsec.NewUUID()), newSigningKey()
	err := certify(ctx, r, protocol.DeviceCreate, aheadCommon, func(now parsec.DateTime) (*protocol.DeviceCreateRequest, error) {
		signed, redacted, err := signBoth(certificate.Device{
			Author: r.Device.ID, Timestamp: now, UserID: device.User, DeviceID: device.ID, DeviceLabel: device.Label,
			VerifyKey: device.VerifyKey(), Purpose: purpose,
		}, r.Device)
		return &protocol.DeviceCreateRequest{DeviceCertificate: signed, RedactedDeviceCertificate: redacted}, err
	})
	return &device, r.polledAfter(ctx, err)
}

// SetProfile changes the profile of another user. One that the user has already is
// fine.
func (r *Resident) SetProfile(ctx context.Context, user parsec3.UserID, profile parsec.UserProfile) error {
	err := certify(ctx, r, protocol.UserUpdate, aheadCommon, func(now parsec.DateTime) (*protocol.UserUpdateRequest, error) {
		return UpdateProfile(r.Device, user, profile, now)
	})
	if isRefused(err, protocol.StatusUserNoChanges) {
		err = nil
	}
	return r.polledAfter(ctx, err)
}

// Revoke revokes another user. One that is revoked already is fine.
func (r *Resident) Revoke(ctx context.Context, user parsec3.UserID) error {
	err := certify(ctx, r, protocol.UserRevoke, aheadCommon, func(now parsec.DateTime) (*protocol.UserRevokeRequest, error) {
		return RevokeUser(r.Device, user, now)
	})
	if isRefused(err, protocol.StatusUserAlreadyRevoked) {
		err = nil
	}
	return r.polledAfter(ctx, err)
}

// polledAfter polls once something has succeeded: an author learns of its own
// certificates that way.
func (r *Resident) polledAfter(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return r.Poll(ctx)
}
