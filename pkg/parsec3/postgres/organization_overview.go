package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// selectActivities reads the devices of each user of the organization $1, and the last
// date of what it has signed.
const selectActivities = `
SELECT d.user_id, count(*), greatest(max(d.created_on), (
    SELECT max(l.last_date) FROM parsec3.last_signed l WHERE l.organization = $1 AND l.user_id = d.user_id
))
FROM parsec3.device d WHERE d.organization = $1 GROUP BY d.user_id`

// Activities implements organization.ActivityReader.
func (s *Store) Activities(ctx context.Context, id parsec.OrganizationID) ([]organization.Activity, error) {
	type row struct {
		user parsec3.UserID
		organization.Activity
	}
	var rows []row
	err := s.One(ctx, database.List(&rows, selectActivities, []any{id.String()}, func(r *row) []any {
		return []any{(*database.UUID)(&r.user), (*database.Unsigned)(&r.Devices), (*database.Integer)(&r.LastSeen)}
	}))
	all := make([]organization.Activity, len(rows))
	for i, row := range rows {
		row.User = row.user.String()
		all[i] = row.Activity
	}
	return all, err
}
