package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// selectUsage adds to the sums of the organization $1 what its realms hold more,
	// or less, since they were summed up.
	selectUsage = `
SELECT
    (coalesce(sum(c.vlobs_size - c.summed_vlobs), 0)
        + coalesce((SELECT u.vlobs_size FROM parsec3.usage u WHERE u.organization = $1), 0))::bigint,
    (coalesce(sum(c.blocks_size - c.summed_blocks), 0)
        + coalesce((SELECT u.blocks_size FROM parsec3.usage u WHERE u.organization = $1), 0))::bigint
FROM parsec3.realm_counter c
WHERE c.organization = $1 AND c.unsummed`

	// sumUp takes the changes of at most $1 realms to the sums of their organizations.
	// It leaves out a realm that is being written to, and waits for no writer, so that
	// none waits for it for long either. The rows of usage, which only servers that do
	// the same lock, are locked in the order of the organizations.
	sumUp = `
WITH unsummed AS (
    SELECT c.organization, c.realm_id, c.summed_vlobs, c.summed_blocks FROM parsec3.realm_counter c
    WHERE c.unsummed LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
), summed AS (
    UPDATE parsec3.realm_counter c SET summed_vlobs = c.vlobs_size, summed_blocks = c.blocks_size, unsummed = false
    FROM unsummed before WHERE c.organization = before.organization AND c.realm_id = before.realm_id
    RETURNING c.organization, c.vlobs_size - before.summed_vlobs AS vlobs_size, c.blocks_size - before.summed_blocks AS blocks_size
), added AS (
    INSERT INTO parsec3.usage AS u (organization, vlobs_size, blocks_size)
    SELECT s.organization, sum(s.vlobs_size), sum(s.blocks_size) FROM summed s GROUP BY s.organization ORDER BY s.organization
    ON CONFLICT (organization) DO UPDATE
    SET vlobs_size = u.vlobs_size + excluded.vlobs_size, blocks_size = u.blocks_size + excluded.blocks_size
)
SELECT 1 FROM summed`
)

// Usage implements rules.OrganizationReader. It reads the sums of the organization,
// and the realms that were written to in the last minute.
func (s *Store) Usage(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (rules.Standing, rules.Usage, error) {
	var standing standingRow
	var usage rules.Usage
	err := s.Snapshot(ctx, readStanding(&standing, organization, author),
		database.Only(selectUsage, []any{organization.String()}, (*database.Unsigned)(&usage.Metadata), (*database.Unsigned)(&usage.Data)))
	return standing.facts(), usage, err
}

// sumUsage sums up the realms that were written to since the last time, of every
// organization.
func (s *Store) sumUsage(ctx context.Context) error { return s.Repeat(ctx, sumUp) }
