package addresses

import (
	"errors"
	"strings"

	"parsec-server/pkg/parsec"
)

// claimLocation is what the claim addresses of API 1 share. They carry the
// invited name, in place of the invitation token of later clients.
type claimLocation struct {
	parsec.Location
	token         string
	rootVerifyKey parsec.VerifyKey
}

// Token returns the text that the inviter gave, possibly empty.
func (l claimLocation) Token() string { return l.token }

// RootVerifyKey returns the key that signs the first certificates of the
// organization.
func (l claimLocation) RootVerifyKey() parsec.VerifyKey { return l.rootVerifyKey }

// printClaim has no_ssl where the clients of API 1 have it.
func (l claimLocation) printClaim(action, idName, id string) string {
	parameters := parsec.Parameters{}.With("action", action).With(idName, id)
	if l.token != "" {
		parameters = parameters.With("token", l.token)
	}
	if !l.Server().TLS() {
		parameters = parameters.With("no_ssl", "true")
	}
	parameters = parameters.With("rvk", l.rootVerifyKey.String())
	bare, _, _ := strings.Cut(l.Print(nil), "?")
	return bare + parameters.String()
}

func parseClaimLocation(text, action, idName string) (location claimLocation, id string, err error) {
	organization, parameters, err := parsec.ParseAction(text, action)
	if err != nil {
		return claimLocation{}, "", err
	}
	id, err = parameters.Mandatory(idName)
	if err != nil {
		return claimLocation{}, "", err
	}
	token, _, err := parameters.One("token")
	if err != nil {
		return claimLocation{}, "", err
	}
	key, err := parseRootVerifyKey(parameters)
	if err != nil {
		return claimLocation{}, "", err
	}
	return claimLocation{organization, token, key}, id, nil
}

// UserClaim invites a user by its id (API 1, releases up to 1.13).
type UserClaim struct {
	claimLocation
	user parsec.UserID
}

// ParseUserClaim reads a parsec:// URL whose action is claim_user and
// which names the user.
func ParseUserClaim(text string) (UserClaim, error) {
	location, id, err := parseClaimLocation(text, "claim_user", "user_id")
	if err != nil {
		return UserClaim{}, err
	}
	user, err := parsec.ParseUserID(id)
	if err != nil {
		return UserClaim{}, errors.New("invalid `user_id` param value")
	}
	return UserClaim{location, user}, nil
}

// User returns who is invited.
func (a UserClaim) User() parsec.UserID { return a.user }

// String returns the canonical form.
func (a UserClaim) String() string {
	return a.printClaim("claim_user", "user_id", a.user.String())
}

// DeviceClaim invites a device by its id (API 1, releases up to 1.13).
type DeviceClaim struct {
	claimLocation
	device parsec.DeviceID
}

// ParseDeviceClaim reads a parsec:// URL whose action is claim_device
// and which names the device.
func ParseDeviceClaim(text string) (DeviceClaim, error) {
	location, id, err := parseClaimLocation(text, "claim_device", "device_id")
	if err != nil {
		return DeviceClaim{}, err
	}
	device, err := parsec.ParseDeviceID(id)
	if err != nil {
		return DeviceClaim{}, errors.New("invalid `device_id` param value")
	}
	return DeviceClaim{location, device}, nil
}

// Device returns what is invited.
func (a DeviceClaim) Device() parsec.DeviceID { return a.device }

// String returns the canonical form.
func (a DeviceClaim) String() string {
	return a.printClaim("claim_device", "device_id", a.device.String())
}
