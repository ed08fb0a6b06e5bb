package memory

import (
	"cmp"
	"context"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// Survey implements rules.StatisticsReader.
func (s *Store) Survey(ctx context.Context, after parsec.OrganizationID, limit int, at *parsec.DateTime) ([]rules.SurveyedOrganization, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	all := make([]*organization, 0, len(s.organizations))
	for id, o := range s.organizations {
		if id.String() > after.String() {
			all = append(all, o)
		}
	}
	s.mu.RUnlock()
	var page []rules.SurveyedOrganization
	for _, o := range all {
		o.mu.RLock()
		if at == nil || o.facts.CreatedOn <= *at {
			page = append(page, rules.SurveyedOrganization{Organization: *copyOrganization(o.facts), Statistics: o.statistics(at)})
		}
		o.mu.RUnlock()
	}
	slices.SortFunc(page, func(a, b rules.SurveyedOrganization) int {
		return cmp.Compare(a.Organization.ID.String(), b.Organization.ID.String())
	})
	return page[:min(limit, len(page))], nil
}

// statistics are those of now if at is nil.
func (o *organization) statistics(at *parsec.DateTime) rules.Statistics {
	statistics := rules.Statistics{Active: map[parsec.UserProfile]uint64{}, Revoked: map[parsec.UserProfile]uint64{}}
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
