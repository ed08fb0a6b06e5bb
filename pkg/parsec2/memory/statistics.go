package memory

import (
	"context"

	organizations "parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// OrganizationStatistics implements rules.StatisticsReader.
func (s *Store) OrganizationStatistics(ctx context.Context, ids []parsec.OrganizationID, at *parsec.DateTime) ([]rules.Statistics, error) {
	all := make([]rules.Statistics, len(ids))
	for i, id := range ids {
		cell, _ := s.Cell(id)
		cell.RLock()
		all[i] = stateOf(cell).statistics(at)
		cell.RUnlock()
	}
	return all, ctx.Err()
}

// statistics returns the statistics at a date, or now if at is nil.
func (o *organization) statistics(at *parsec.DateTime) rules.Statistics {
	statistics := organizations.NewStatistics()
	if at == nil {
		statistics.DataSize, statistics.MetadataSize, statistics.Realms = o.dataSize, o.metadataSize, uint64(len(o.realms))
		for _, profile := range parsec.UserProfiles {
			statistics.Active[profile] = uint64(o.tally.active[profile])
			statistics.Revoked[profile] = uint64(o.tally.revoked[profile])
		}
		return statistics
	}
	for _, user := range o.users {
		switch {
		case user.CreatedOn > *at:
		case user.Revocation != nil && user.Revocation.On <= *at:
			statistics.Revoked[user.Profile]++
		default:
			statistics.Active[user.Profile]++
		}
	}
	for _, realm := range o.realms {
		if realm.createdOn <= *at {
			statistics.Realms++
		}
	}
	for _, block := range o.blocks {
		if block.CreatedOn <= *at {
			statistics.DataSize += block.Size
		}
	}
	for _, vlob := range o.vlobs {
		for i := range vlob.versions {
			if vlob.versions[i].timestamp <= *at {
				statistics.MetadataSize += uint64(len(vlob.versions[i].blob))
			}
		}
	}
	return statistics
}
