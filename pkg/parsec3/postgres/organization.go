package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// selectUsage sums up the realms of an organization.
const selectUsage = `
SELECT coalesce(sum(c.vlobs_size), 0)::bigint, coalesce(sum(c.blocks_size), 0)::bigint
FROM parsec3.realm_counter c
WHERE c.organization = $1`

// Usage implements rules.OrganizationReader.
func (s *Store) Usage(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (rules.Standing, rules.Usage, error) {
	var standing standingRow
	var usage rules.Usage
	err := s.Snapshot(ctx, readStanding(&standing, organization, author),
		database.Only(selectUsage, []any{organization.String()}, (*database.Unsigned)(&usage.Metadata), (*database.Unsigned)(&usage.Data)))
	return standing.facts(), usage, err
}

// found makes the topics $2. Of one that there is not yet the last date is 0.
const found = `
INSERT INTO parsec3.topic (organization, topic, last_date)
SELECT $1, made.topic, 0 FROM unnest($2::text[]) made (topic)`

// Found implements rules.OrganizationTx.
func (t *tx) Found(user rules.User, certificate rules.Certificate, device rules.Device, deviceCertificate rules.Certificate, authority *rules.Certificate) {
	topics := []string{string(common), string(shamir), string(enrollment), string(invitation)}
	if authority != nil {
		topics = append(topics, string(sequester))
	}
	t.QueueAll(len(topics), found, t.organizationName(), topics)
	t.CreateUser(user, certificate, device, deviceCertificate)
	if authority != nil {
		t.certify(sequester, outside, 0, *authority)
	}
}
