package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// sums are of the realms of an organization.
type sums struct {
	organization                   parsec.OrganizationID
	realms, dataSize, metadataSize uint64
}

func (s *sums) targets() []any {
	return []any{database.Parsed(&s.organization), (*database.Unsigned)(&s.realms), (*database.Unsigned)(&s.dataSize), (*database.Unsigned)(&s.metadataSize)}
}

// count is the users of an organization that are alike.
type count struct {
	organization parsec.OrganizationID
	profile      parsec.UserProfile
	revoked      bool
	users        uint64
}

func (c *count) targets() []any {
	return []any{database.Parsed(&c.organization), database.Parsed(&c.profile), &c.revoked, (*database.Unsigned)(&c.users)}
}

// Statistics returns the statistics of organizations, in the order given, by two
// statements of a wing in one snapshot. Both take the ids of organizations as $1,
// then more. One returns the id of an organization, the number of its realms, and
// the sizes of data and metadata; the other an id, a profile, whether such users are
// revoked, and how many there are. What they leave out is 0.
func Statistics(ctx context.Context, on *database.Database, ids []parsec.OrganizationID, selectSums, selectCounts string, more ...any) ([]organization.Statistics, error) {
	all := make([]organization.Statistics, len(ids))
	names := make([]string, len(ids))
	of := make(map[parsec.OrganizationID]*organization.Statistics, len(ids))
	for i, id := range ids {
		all[i], names[i] = organization.NewStatistics(), id.String()
		of[id] = &all[i]
	}
	args := append([]any{names}, more...)
	var totals []sums
	var counts []count
	err := on.Snapshot(ctx,
		database.List(&totals, selectSums, args, (*sums).targets),
		database.List(&counts, selectCounts, args, (*count).targets))
	for _, total := range totals {
		into := of[total.organization]
		into.Realms, into.DataSize, into.MetadataSize = total.realms, total.dataSize, total.metadataSize
	}
	for _, count := range counts {
		users := of[count.organization].Active
		if count.revoked {
			users = of[count.organization].Revoked
		}
		users[count.profile] += count.users
	}
	return all, err
}
