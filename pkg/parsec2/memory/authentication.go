package memory

import (
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// Authentication implements rules.AuthenticationReader.
func (s *Store) Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec.DeviceID) (rules.AuthenticationFacts, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	user, _ := o.copyUser(device.User())
	return rules.AuthenticationFacts{
		Organization: o.Organization(),
		Device:       organizationstore.CopyOf(o.devices[device]),
		User:         user,
	}, err
}
