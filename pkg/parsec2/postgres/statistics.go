package postgres

import (
	"context"

	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// The statements of statistics take the ids of organizations $1, and those of
// the past the instant $2.
const (
	// selectSums and selectCounts are for organizations as they are.
	selectSums = `
SELECT o.organization_id, count(*), sum(r.blocks_size)::bigint, sum(r.vlobs_size)::bigint
FROM organization o JOIN realm r ON r.organization = o.id
WHERE o.organization_id = ANY($1)
GROUP BY o.organization_id`

	selectCounts = `
SELECT o.organization_id, c.profile, c.revoked, c.users
FROM organization o JOIN user_count c ON c.organization = o.id
WHERE o.organization_id = ANY($1)`

	// selectPastSums and selectPastCounts are for organizations as they were.
	// Of a version that is stored under several revisions the first counts. No
	// blob is read for its length. Data of deleted realms may still be there.
	selectPastSums = `
SELECT o.organization_id,
    (SELECT count(*) FROM realm r WHERE r.organization = o.id AND r.created_on <= $2),
    (SELECT coalesce(sum(b.size), 0)::bigint FROM block b
     WHERE b.organization = o.id AND b.upload_token IS NULL AND b.created_on <= $2
         AND NOT EXISTS (SELECT FROM realm r WHERE r.id = b.realm AND r.deleted)),
    (SELECT coalesce(sum(first.length), 0)::bigint FROM (
        SELECT DISTINCT ON (a.vlob, a.version) octet_length(a.blob) AS length
        FROM vlob v JOIN vlob_atom a ON a.vlob = v.id
        WHERE v.organization = o.id AND a.written_on <= $2 AND NOT EXISTS (SELECT FROM realm r WHERE r.id = v.realm AND r.deleted)
        ORDER BY a.vlob, a.version, a.revision
    ) first)
FROM organization o WHERE o.organization_id = ANY($1)`

	selectPastCounts = `
SELECT o.organization_id, u.profile, coalesce(u.revoked_on <= $2, false) AS revoked, count(*)
FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = ANY($1) AND u.created_on <= $2
GROUP BY o.organization_id, u.profile, revoked`
)

// OrganizationStatistics implements rules.StatisticsReader. Without instant it
// sums up the realms, and the counts of users; with one it passes over versions,
// blocks and users.
func (s *Store) OrganizationStatistics(ctx context.Context, ids []parsec.OrganizationID, at *parsec.DateTime) ([]rules.Statistics, error) {
	if at == nil {
		return organizationstore.Statistics(ctx, s.Database, ids, selectSums, selectCounts)
	}
	return organizationstore.Statistics(ctx, s.Database, ids, selectPastSums, selectPastCounts, int64(*at))
}
