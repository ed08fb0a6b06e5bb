package postgres

import (
	"context"

	"parsec-server/pkg/database"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// Authentication implements rules.AuthenticationReader.
func (s *Store) Authentication(ctx context.Context, organization parsec.OrganizationID, id parsec.DeviceID) (rules.AuthenticationFacts, error) {
	var found bool
	var facts rules.AuthenticationFacts
	var inOrganization rules.Organization
	var user rules.User
	var device rules.Device
	targets := append(append(organizationstore.Targets(&inOrganization), userTargets(&user)...), deviceTargets(&device)...)
	err := s.One(ctx, database.Row(&found, selectDevice,
		[]any{organization.String(), id.User().String(), id.Name().String()}, targets...))
	if err != nil || !found {
		return facts, err
	}
	facts.Organization = &inOrganization
	if user.ID != (parsec.UserID{}) {
		facts.User = &user
	}
	if device.ID != (parsec.DeviceID{}) {
		facts.Device = &device
	}
	return facts, nil
}

const selectDevice = "SELECT " + organizationstore.Columns + ", " + userColumns + ", " + deviceColumns + `
FROM organization o
LEFT JOIN user_ u ON u.organization = o.id AND u.user_id = $2
LEFT JOIN device d ON d.user_ = u.id AND d.name = $3
WHERE o.organization_id = $1`
