package memory

import (
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// Authentication implements rules.AuthenticationReader.
func (s *Store) Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (rules.Standing, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	return o.standing(device), err
}

// standing returns copies of what is known of a device.
func (o *organization) standing(id parsec3.DeviceID) rules.Standing {
	standing := rules.Standing{Organization: o.Organization(), Device: organizationstore.CopyOf(o.devices[id])}
	if standing.Device != nil {
		standing.User, _ = o.copyUser(standing.Device.User)
	}
	return standing
}

// userOf returns the user of a device, zero if it is unknown.
func (o *organization) userOf(id parsec3.DeviceID) parsec3.UserID {
	if device, found := o.devices[id]; found {
		return device.User
	}
	return parsec3.UserID{}
}
