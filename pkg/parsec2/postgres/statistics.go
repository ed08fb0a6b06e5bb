package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// The statements of a survey take the id to begin after $1, the most
// organizations $2, and the instant $3; the largest one stands for none.
const (
	surveyed = `
WITH surveyed AS MATERIALIZED (
    SELECT * FROM organization
    WHERE organization_id > $1 AND created_on <= $3
    ORDER BY organization_id LIMIT $2
)`
	selectSurveyed = surveyed + `
SELECT ` + organizationColumns + ` FROM surveyed o ORDER BY o.organization_id`

	// selectSums and selectCounts are for an organization as it is.
	selectSums = surveyed + `
SELECT o.organization_id, count(*), sum(r.blocks_size)::bigint, sum(r.vlobs_size)::bigint
FROM surveyed o JOIN realm r ON r.organization = o.id
GROUP BY o.organization_id`

	selectCounts = surveyed + `
SELECT o.organization_id, c.profile, c.revoked, c.users
FROM surveyed o JOIN user_count c ON c.organization = o.id`

	// selectPastSums and selectPastCounts are for an organization as it was.
	// Of a version that is stored under several revisions the first counts. No
	// blob is read for its length.
	selectPastSums = surveyed + `
SELECT o.organization_id,
    (SELECT count(*) FROM realm r WHERE r.organization = o.id AND r.created_on <= $3),
    (SELECT coalesce(sum(b.size), 0)::bigint FROM block b
     WHERE b.organization = o.id AND b.upload_token IS NULL AND b.created_on <= $3),
    (SELECT coalesce(sum(first.length), 0)::bigint FROM (
        SELECT DISTINCT ON (a.vlob, a.version) octet_length(a.blob) AS length
        FROM vlob v JOIN vlob_atom a ON a.vlob = v.id
        WHERE v.organization = o.id AND a.written_on <= $3
        ORDER BY a.vlob, a.version, a.revision
    ) first)
FROM surveyed o`

	selectPastCounts = surveyed + `
SELECT o.organization_id, u.profile, coalesce(u.revoked_on <= $3, false) AS revoked, count(*)
FROM surveyed o JOIN user_ u ON u.organization = o.id
WHERE u.created_on <= $3
GROUP BY o.organization_id, u.profile, revoked`
)

// organizationSums are of the realms of an organization.
type organizationSums struct {
	organization                   parsec.OrganizationID
	realms, dataSize, metadataSize uint64
}

func scanSums(row pgx.CollectableRow) (sums organizationSums, err error) {
	err = row.Scan(parsed{&sums.organization}, (*unsigned)(&sums.realms), (*unsigned)(&sums.dataSize), (*unsigned)(&sums.metadataSize))
	return sums, err
}

// organizationCount is the users of an organization that are alike.
type organizationCount struct {
	organization parsec.OrganizationID
	userCount
}

func scanOrganizationCount(row pgx.CollectableRow) (count organizationCount, err error) {
	err = row.Scan(parsed{&count.organization}, parsed{&count.profile}, &count.revoked, (*unsigned)(&count.users))
	return count, err
}

func scanOrganization(row pgx.CollectableRow) (rules.Organization, error) {
	var organization organizationRow
	err := row.Scan(organization.targets()...)
	return *organization.facts(), err
}

// Survey implements rules.StatisticsReader. Without instant it sums up the
// realms, and the counts of users; with one it passes over versions, blocks
// and users.
func (s *Store) Survey(ctx context.Context, after parsec.OrganizationID, limit int, at *parsec.DateTime) ([]rules.SurveyedOrganization, error) {
	sumsOf, countsOf, until := selectSums, selectCounts, parsec.MaxDateTime
	if at != nil {
		sumsOf, countsOf, until = selectPastSums, selectPastCounts, *at
	}
	args := []any{after.String(), limit, int64(until)}
	var organizations []rules.Organization
	var sums []organizationSums
	var counts []organizationCount
	err := s.Snapshot(ctx,
		database.List(&organizations, selectSurveyed, args, scanOrganization),
		database.List(&sums, sumsOf, args, scanSums),
		database.List(&counts, countsOf, args, scanOrganizationCount))
	if err != nil {
		return nil, err
	}
	found := make([]rules.SurveyedOrganization, len(organizations))
	statistics := make(map[parsec.OrganizationID]*rules.Statistics, len(organizations))
	for i := range organizations {
		found[i] = rules.SurveyedOrganization{
			Organization: organizations[i],
			Statistics:   rules.Statistics{Active: map[parsec.UserProfile]uint64{}, Revoked: map[parsec.UserProfile]uint64{}},
		}
		statistics[organizations[i].ID] = &found[i].Statistics
	}
	for _, sum := range sums {
		of := statistics[sum.organization]
		of.Realms, of.DataSize, of.MetadataSize = sum.realms, sum.dataSize, sum.metadataSize
	}
	for _, count := range counts {
		count.addTo(statistics[count.organization])
	}
	return found, nil
}

func (c userCount) addTo(statistics *rules.Statistics) {
	if c.revoked {
		statistics.Revoked[c.profile] += c.users
	} else {
		statistics.Active[c.profile] += c.users
	}
}
