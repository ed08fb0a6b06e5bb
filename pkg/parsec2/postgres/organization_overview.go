package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// selectActivities reads the devices of each user of the organization $1, and the last
// date of what it has signed in the realms where it has a role, or had.
const selectActivities = `
WITH devices AS (
    SELECT u.id, u.user_id, count(*) AS devices, max(d.created_on) AS last
    FROM organization o JOIN user_ u ON u.organization = o.id JOIN device d ON d.user_ = u.id
    WHERE o.organization_id = $1 GROUP BY u.id
), members AS (
    SELECT m.user_, max(greatest(m.last_vlob_update, m.last_role_change, m.last_archiving_change)) AS last
    FROM organization o JOIN realm r ON r.organization = o.id JOIN realm_member m ON m.realm = r.id
    WHERE o.organization_id = $1 GROUP BY m.user_
)
SELECT d.user_id, d.devices, greatest(d.last, m.last) FROM devices d LEFT JOIN members m ON m.user_ = d.id`

// Activities implements organization.ActivityReader.
func (s *Store) Activities(ctx context.Context, id parsec.OrganizationID) (all []organization.Activity, err error) {
	err = s.One(ctx, database.List(&all, selectActivities, []any{id.String()}, func(a *organization.Activity) []any {
		return []any{&a.User, (*database.Unsigned)(&a.Devices), (*database.Integer)(&a.LastSeen)}
	}))
	return all, err
}
