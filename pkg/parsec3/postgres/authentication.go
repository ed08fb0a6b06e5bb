package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// standingColumns are of the organization $1, of the device $2, and of its user;
	// both may be missing.
	standingColumns = organizationstore.Columns + ", " + userColumns + ", d.device_id, d.verify_key, d.created_on"

	fromStanding = standingTables + ofOrganization

	standingTables = `
FROM organization o
LEFT JOIN parsec3.device d ON d.organization = $1 AND d.device_id = $2
LEFT JOIN parsec3.user_ u ON u.organization = $1 AND u.user_id = ` + theUser

	ofOrganization = `
WHERE o.organization_id = $1`

	// theUser is the user of the device $2. What is joined by it, and not by a
	// column, is found by its whole key, however small its table was when the
	// statement was planned.
	theUser = "(SELECT d.user_id FROM parsec3.device d WHERE d.organization = $1 AND d.device_id = $2)"
)

// standingRow is who asks, if found.
type standingRow struct {
	found        bool
	organization organization.Organization
	user         rules.User
	device       rules.Device
}

func (s *standingRow) targets() []any {
	return append(append(organizationstore.Targets(&s.organization), userTargets(&s.user)...),
		(*database.UUID)(&s.device.ID), (*database.VerifyKey)(&s.device.VerifyKey), (*database.Integer)(&s.device.CreatedOn))
}

// facts returns values that the caller may change.
func (s *standingRow) facts() (standing rules.Standing) {
	if !s.found {
		return standing
	}
	standing.Organization = new(s.organization)
	if s.device.ID != (parsec3.DeviceID{}) {
		s.device.User = s.user.ID
		standing.User, standing.Device = new(s.user), new(s.device)
	}
	return standing
}

// Authentication implements rules.AuthenticationReader.
func (s *Store) Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (rules.Standing, error) {
	read := standingRead{organization: organization, device: device}
	if err := s.ask(ctx, &read); err != nil {
		return rules.Standing{}, err
	}
	return read.found.facts(), nil
}

func readStanding(into *standingRow, organization parsec.OrganizationID, device parsec3.DeviceID) database.Statement {
	return database.Row(&into.found, "SELECT "+standingColumns+fromStanding, args(organization, device), into.targets()...)
}

// args returns the first arguments of what a device reads.
func args(organization parsec.OrganizationID, device parsec3.DeviceID, more ...any) []any {
	return append([]any{organization.String(), database.Key(device)}, more...)
}
