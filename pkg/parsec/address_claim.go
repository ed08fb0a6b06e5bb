package parsec

import "errors"

// claimLocation is what the claim addresses of API 1 share. They carry the
// invited name, in place of the invitation token of later clients.
type claimLocation struct {
	organizationLocation
	token         string
	rootVerifyKey VerifyKey
}

// Token is the text that the inviter gave, possibly empty.
func (l claimLocation) Token() string { return l.token }

// RootVerifyKey is the key that signs the first certificates of the
// organization.
func (l claimLocation) RootVerifyKey() VerifyKey { return l.rootVerifyKey }

// printClaim has no_ssl where the clients of API 1 have it.
func (l claimLocation) printClaim(action, idName, id string) string {
	parameters := form{{"action", action}, {idName, id}}
	if l.token != "" {
		parameters = append(parameters, parameter{"token", l.token})
	}
	if l.server.clear {
		parameters = append(parameters, parameter{"no_ssl", "true"})
	}
	parameters = append(parameters, parameter{"rvk", l.rootVerifyKey.String()})
	return addressPrefix + l.server.hostAndPort() + l.path() + parameters.String()
}

func parseClaimLocation(text, action, idName string) (location claimLocation, id string, err error) {
	organization, parameters, err := parseActionAddress(text, action)
	if err != nil {
		return claimLocation{}, "", err
	}
	id, err = parameters.mandatory(idName)
	if err != nil {
		return claimLocation{}, "", err
	}
	token, _, err := parameters.one("token")
	if err != nil {
		return claimLocation{}, "", err
	}
	key, err := parseRootVerifyKey(parameters)
	if err != nil {
		return claimLocation{}, "", err
	}
	return claimLocation{organization, token, key}, id, nil
}

// UserClaimAddress invites a user by its id (API 1, releases up to 1.13).
type UserClaimAddress struct {
	claimLocation
	user UserID
}

// ParseUserClaimAddress reads a parsec:// URL whose action is claim_user and
// which names the user.
func ParseUserClaimAddress(text string) (UserClaimAddress, error) {
	location, id, err := parseClaimLocation(text, actionClaimUser, "user_id")
	if err != nil {
		return UserClaimAddress{}, err
	}
	user, err := ParseUserID(id)
	if err != nil {
		return UserClaimAddress{}, errors.New("invalid `user_id` param value")
	}
	return UserClaimAddress{location, user}, nil
}

// User is who is invited.
func (a UserClaimAddress) User() UserID { return a.user }

// String is the canonical form.
func (a UserClaimAddress) String() string {
	return a.printClaim(actionClaimUser, "user_id", a.user.String())
}

// DeviceClaimAddress invites a device by its id (API 1, releases up to 1.13).
type DeviceClaimAddress struct {
	claimLocation
	device DeviceID
}

// ParseDeviceClaimAddress reads a parsec:// URL whose action is claim_device
// and which names the device.
func ParseDeviceClaimAddress(text string) (DeviceClaimAddress, error) {
	location, id, err := parseClaimLocation(text, actionClaimDevice, "device_id")
	if err != nil {
		return DeviceClaimAddress{}, err
	}
	device, err := ParseDeviceID(id)
	if err != nil {
		return DeviceClaimAddress{}, errors.New("invalid `device_id` param value")
	}
	return DeviceClaimAddress{location, device}, nil
}

// Device is what is invited.
func (a DeviceClaimAddress) Device() DeviceID { return a.device }

// String is the canonical form.
func (a DeviceClaimAddress) String() string {
	return a.printClaim(actionClaimDevice, "device_id", a.device.String())
}
