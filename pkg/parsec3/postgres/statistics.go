package postgres

import (
	"context"

	"parsec-server/pkg/organization"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
)

// The statements of statistics take the ids of organizations $1, and those of the
// past the instant $2. A realm that is deleted never counts.
const (
	// selectSums and selectCounts are for organizations as they are.
	selectSums = `
SELECT r.organization, count(*), sum(c.blocks_size)::bigint, sum(c.vlobs_size)::bigint
FROM parsec3.realm r
JOIN parsec3.realm_counter c ON c.organization = r.organization AND c.realm_id = r.realm_id
WHERE r.organization = ANY($1) AND NOT r.deleted
GROUP BY r.organization`

	selectCounts = `
SELECT c.organization, c.profile, c.revoked, c.users
FROM parsec3.user_count c
WHERE c.organization = ANY($1)`

	// selectPastSums and selectPastCounts are for organizations as they were. No
	// blob is read for its length. Data of deleted realms may still be there.
	selectPastSums = `
SELECT asked.organization,
    (SELECT count(*) FROM parsec3.realm r
     WHERE r.organization = asked.organization AND r.created_on <= $2 AND NOT r.deleted),
    (SELECT coalesce(sum(b.size), 0)::bigint FROM parsec3.block b
     WHERE b.organization = asked.organization AND b.upload_token IS NULL AND b.created_on <= $2 AND NOT EXISTS (
         SELECT FROM erasure e WHERE e.organization_id = b.organization AND e.realm_id = b.realm_id)),
    (SELECT coalesce(sum(octet_length(a.blob)), 0)::bigint FROM parsec3.vlob_atom a
     WHERE a.organization = asked.organization AND a.written_on <= $2 AND NOT EXISTS (
         SELECT FROM erasure e WHERE e.organization_id = a.organization AND e.realm_id = a.realm_id))
FROM unnest($1::text[]) asked (organization)`

	// A user has its first profile before the date of that as well.
	selectPastCounts = `
SELECT u.organization, coalesce(
    (SELECT p.profile FROM parsec3.user_profile p
     WHERE p.organization = u.organization AND p.user_id = u.user_id AND p.since <= $2
     ORDER BY p.since DESC LIMIT 1),
    (SELECT p.profile FROM parsec3.user_profile p
     WHERE p.organization = u.organization AND p.user_id = u.user_id
     ORDER BY p.since LIMIT 1)),
    coalesce(u.revoked_on <= $2, false), count(*)
FROM parsec3.user_ u
WHERE u.organization = ANY($1) AND u.created_on <= $2
GROUP BY 1, 2, 3`
)

// StatisticsOf implements rules.OrganizationReader. Without instant it sums up the
// realms, and the counts of users; with one it passes over versions, blocks and
// users.
func (s *Store) StatisticsOf(ctx context.Context, ids []parsec.OrganizationID, at *parsec.DateTime) ([]organization.Statistics, error) {
	if at == nil {
		return organizationstore.Statistics(ctx, s.Database, ids, selectSums, selectCounts)
	}
	return organizationstore.Statistics(ctx, s.Database, ids, selectPastSums, selectPastCounts, int64(*at))
}
