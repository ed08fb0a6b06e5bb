package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// RealmIDs implements rules.HumanAccessesReader.
func (s *Store) RealmIDs(ctx context.Context, organization parsec.OrganizationID, after parsec.RealmID, most int) ([]parsec.RealmID, error) {
	var realms []parsec.RealmID
	err := s.One(ctx, database.List(&realms, `
SELECT r.realm_id FROM parsec3.realm r WHERE r.organization = $1 AND r.realm_id > $2
ORDER BY r.realm_id LIMIT $3`, []any{organization.String(), database.Key(after), most}, func(realm *parsec.RealmID) []any {
		return []any{(*database.UUID)(realm)}
	}))
	return realms, err
}
