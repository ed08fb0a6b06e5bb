package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// selectCommon and selectSequester take the date to begin after, $3. Nobody who
	// is unknown sees any.
	selectCommon = `
SELECT CASE
    WHEN (SELECT u.profile FROM parsec3.user_ u WHERE u.organization = $1 AND u.user_id = ` + theUser + `) = 'OUTSIDER'
    THEN coalesce(c.redacted, c.certificate) ELSE c.certificate
END
FROM parsec3.certificate c
WHERE c.organization = $1 AND c.topic = 'common' AND c.realm_id = '00000000-0000-0000-0000-000000000000'
    AND c.dated > $3 AND ` + theUser + ` IS NOT NULL
ORDER BY c.dated, c.sequence`

	selectSequester = `
SELECT c.certificate FROM parsec3.certificate c
WHERE c.organization = $1 AND c.topic = 'sequester' AND c.realm_id = '00000000-0000-0000-0000-000000000000'
    AND c.dated > $3 AND ` + theUser + ` IS NOT NULL
ORDER BY c.dated, c.sequence`

	// selectOfRealms goes through the realms where the user has, or had, a role. It
	// takes realms $3, and the dates to begin after in them, $4. Those of one realm
	// come one after the other.
	selectOfRealms = `
SELECT m.realm_id, c.certificate
FROM parsec3.realm_member m
LEFT JOIN unnest($3::uuid[], $4::bigint[]) wanted (realm_id, after) ON wanted.realm_id = m.realm_id
CROSS JOIN LATERAL (
    SELECT c.dated, c.certificate FROM parsec3.certificate c
    WHERE c.organization = $1 AND c.topic = 'realm' AND c.realm_id = m.realm_id
        AND c.dated > coalesce(wanted.after, ` + beforeAll + `)
        AND (m.role IS NOT NULL OR c.dated <= m.role_date)
    ORDER BY c.dated
) c
WHERE m.organization = $1 AND m.user_id = ` + theUser

	// beforeAll is earlier than every date.
	beforeAll = "(-9223372036854775808)::bigint"
)

// Certificates implements rules.CertificateReader. What it costs depends on what is
// new, and on the realms of the user, on nothing else of the organization.
func (s *Store) Certificates(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, after rules.CertificatesAfter) (rules.Standing, rules.Certificates, error) {
	var standing standingRow
	var found rules.Certificates
	ids, dates := make([]pgtype.UUID, 0, len(after.Realms)), make([]int64, 0, len(after.Realms))
	for id, date := range after.Realms {
		ids, dates = append(ids, database.Key(id)), append(dates, int64(date))
	}
	err := s.Snapshot(ctx,
		readStanding(&standing, organization, author),
		database.List(&found.Common, selectCommon, args(organization, author, since(after.Common)), bytesTarget),
		database.List(&found.Sequester, selectSequester, args(organization, author, since(after.Sequester)), bytesTarget),
		database.Statement{SQL: selectOfRealms, Args: args(organization, author, ids, dates), Rows: func(rows pgx.Rows) error {
			found.Realms = map[parsec.RealmID][][]byte{}
			var realm parsec.RealmID
			var certificate []byte
			_, err := pgx.ForEachRow(rows, []any{(*database.UUID)(&realm), &certificate}, func() error {
				found.Realms[realm] = append(found.Realms[realm], certificate)
				return nil
			})
			return err
		}})
	return standing.facts(), found, err
}

func bytesTarget(target *[]byte) []any { return []any{target} }

// since returns the parameter of a date to begin after, before all for nil.
func since(date *parsec.DateTime) int64 {
	if date == nil {
		return math.MinInt64
	}
	return int64(*date)
}
