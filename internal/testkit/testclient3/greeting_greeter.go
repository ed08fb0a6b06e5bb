package testclient3

import (
	"context"
	"errors"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// GreetUser greets the claimer of a USER invitation, who becomes a user with a profile,
// and completes the invitation.
func (r *Resident) GreetUser(ctx context.Context, token parsec3.AccessToken, profile parsec.UserProfile, person Person) (parsec3.UserID, error) {
	var data inviteUserData
	confirmation := inviteUserConfirmation{
		UserID: parsec3.UserID(parsec.NewUUID()), DeviceID: parsec3.DeviceID(parsec.NewUUID()),
		Profile: profile, RootVerifyKey: r.Device.RootVerifyKey,
	}
	err := r.greet(ctx, token, person, inviteUserDataType, &data, inviteUserConfirmationType, func(x *exchange) (any, error) {
		confirmation.DeviceLabel, confirmation.HumanHandle = data.RequestedDeviceLabel, data.RequestedHumanHandle
		return &confirmation, certify(ctx, r, protocol.UserCreate, aheadCommon, func(now parsec.DateTime) (*protocol.UserCreateRequest, error) {
			return certifyNewcomer(r.Device, newcomer{
				user: confirmation.UserID, device: confirmation.DeviceID, label: confirmation.DeviceLabel,
				handle: confirmation.HumanHandle, profile: profile, publicKey: data.PublicKey, verifyKey: data.VerifyKey,
			}, now)
		})
	})
	if err != nil {
		return parsec3.UserID{}, err
	}
	return confirmation.UserID, r.complete(ctx, token)
}

// GreetDevice greets another device of the user, and completes the invitation.
func (r *Resident) GreetDevice(ctx context.Context, token parsec3.AccessToken, person Person) (parsec3.DeviceID, error) {
	var data inviteDeviceData
	device := parsec3.DeviceID(parsec.NewUUID())
	err := r.greet(ctx, token, person, inviteDeviceDataType, &data, inviteDeviceConfirmationType, func(*exchange) (any, error) {
		err := certify(ctx, r, protocol.DeviceCreate, aheadCommon, func(now parsec.DateTime) (*protocol.DeviceCreateRequest, error) {
			full := certificate.Device{
				Author: r.Device.ID, Timestamp: now, UserID: r.Device.User, DeviceID: device,
				DeviceLabel: data.RequestedDeviceLabel, VerifyKey: data.VerifyKey, Purpose: parsec3.PurposeStandard,
			}
			signed, redacted, err := signBoth(full, r.Device)
			return &protocol.DeviceCreateRequest{DeviceCertificate: signed, RedactedDeviceCertificate: redacted}, err
		})
		return &inviteDeviceConfirmation{
			UserID: r.Device.User, DeviceID: device, DeviceLabel: data.RequestedDeviceLabel,
			HumanHandle: r.Device.HumanHandle, Profile: r.Device.Profile,
			PrivateKey:  [32]byte(r.Device.PrivateKey.Bytes()),
			UserRealmID: userRealmOf(r.Device.User), UserRealmKey: UserKeys(r.Device).own,
			RootVerifyKey: r.Device.RootVerifyKey,
		}, err
	})
	if err != nil {
		return parsec3.DeviceID{}, err
	}
	return device, r.complete(ctx, token)
}

// GreetShamirRecovery hands its shares to the claimer of a SHAMIR_RECOVERY invitation,
// who completes it when it has enough of them.
func (r *Resident) GreetShamirRecovery(ctx context.Context, token parsec3.AccessToken, shares [][]byte, person Person) error {
	return r.greet(ctx, token, person, inviteShamirDataType, &inviteShamirData{}, inviteShamirConfirmationType, func(*exchange) (any, error) {
		return &inviteShamirConfirmation{WeightedShare: shares}, nil
	})
}

// greet is the greeter's side of an attempt. create makes of the claimer's request, once
// data has it, what the claimer is told.
func (r *Resident) greet(ctx context.Context, token parsec3.AccessToken, person Person, dataType string, data any, confirmationType string, create func(*exchange) (any, error)) error {
	x := &exchange{side: greeterSide{r.rpc, token}, person: person, pause: r.pause}
	if err := x.meet(ctx); err != nil {
		return err
	}
	if err := x.compare(ctx); err != nil {
		return err
	}
	sealed, err := x.say(ctx, 6, nothing)
	if err != nil {
		return err
	}
	if err := x.read(ctx, sealed, dataType, data); err != nil {
		return err
	}
	confirmation, err := create(x)
	if err != nil {
		return errors.Join(err, x.cancel(ctx, x.attempt, protocol.ManuallyCancelled))
	}
	if sealed, err = x.key.sealPayload(confirmationType, confirmation); err != nil {
		return err
	}
	if _, err := x.say(ctx, 7, sealed); err != nil {
		return err
	}
	_, err = x.say(ctx, 8, nothing)
	return err
}

func (r *Resident) complete(ctx context.Context, token parsec3.AccessToken) error {
	_, err := client3.Call(ctx, r.rpc, protocol.InviteComplete, &protocol.InviteCompleteRequest{Token: token})
	return err
}

// userRealmOf is where a client of these tests would keep what its user knows.
func userRealmOf(user parsec3.UserID) parsec.RealmID { return parsec.RealmID(user) }

// newcomer is a user whose secrets another client has.
type newcomer struct {
	user      parsec3.UserID
	device    parsec3.DeviceID
	label     parsec3.DeviceLabel
	handle    parsec.HumanHandle
	profile   parsec.UserProfile
	publicKey parsec.PublicKey
	verifyKey parsec.VerifyKey
}

// certifyNewcomer returns the request by which author makes a user of a newcomer.
func certifyNewcomer(author *client3.Device, n newcomer, now parsec.DateTime) (*protocol.UserCreateRequest, error) {
	user := certificate.User{
		Author: author.ID, Timestamp: now, UserID: n.user,
		HumanHandle: n.handle, PublicKey: n.publicKey, Profile: n.profile,
	}
	full, err := user.Sign(author.SigningKey)
	if err != nil {
		return nil, err
	}
	redacted, err := user.Redacted().Sign(author.SigningKey)
	if err != nil {
		return nil, err
	}
	device, redactedDevice, err := signBoth(certificate.Device{
		Author: author.ID, Timestamp: now, UserID: n.user, DeviceID: n.device,
		DeviceLabel: n.label, VerifyKey: n.verifyKey, Purpose: parsec3.PurposeStandard,
	}, author)
	return &protocol.UserCreateRequest{
		UserCertificate: full, RedactedUserCertificate: redacted,
		DeviceCertificate: device, RedactedDeviceCertificate: redactedDevice,
	}, err
}

func signBoth(device certificate.Device, author *client3.Device) (full, redacted []byte, err error) {
	if full, err = device.Sign(author.SigningKey); err != nil {
		return nil, nil, err
	}
	redacted, err = device.Redacted().Sign(author.SigningKey)
	return full, redacted, err
}
