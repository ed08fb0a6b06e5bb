package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// Registration implements rules.SessionReader.
func (s *Store) Registration(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (rules.Standing, []parsec.RealmID, error) {
	var standing standingRow
	var realms []parsec.RealmID
	err := s.Snapshot(ctx, readStanding(&standing, organization, device), database.List(&realms, `
SELECT m.realm_id FROM parsec3.realm_member m
WHERE m.organization = $1 AND m.user_id = `+theUser+` AND m.role IS NOT NULL`,
		args(organization, device), func(realm *parsec.RealmID) []any { return []any{(*database.UUID)(realm)} }))
	return standing.facts(), realms, err
}
