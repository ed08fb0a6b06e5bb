package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

const (
	selectCandidates = `
SELECT u.user_id, u.human_email, u.human_label, u.revoked_on
FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1`

	selectPage = "SELECT " + userColumns + `
FROM organization o JOIN user_ u ON u.organization = o.id
JOIN unnest($2::text[]) WITH ORDINALITY page(user_id, place) ON page.user_id = u.user_id
WHERE o.organization_id = $1
ORDER BY page.place`
)

// FindUsers implements rules.FindReader, in two round trips. It reads the
// id, handle and revocation of every user of the organization, about 100 bytes
// each, for rules.UserQuery.Select to choose from, then the users of the
// page.
func (s *Store) FindUsers(ctx context.Context, organization parsec.OrganizationID, query rules.UserQuery) ([]rules.User, uint64, error) {
	var users []rules.User
	var total uint64
	var candidates []rules.User
	err := s.SnapshotOfTwo(ctx,
		database.List(&candidates, selectCandidates, []any{organization.String()}, candidateTargets),
		func() database.Statement {
			var page []rules.User
			page, total = query.Select(candidates)
			ids := make([]string, len(page))
			for i := range page {
				ids[i] = page[i].ID.String()
			}
			return database.List(&users, selectPage, []any{organization.String(), ids}, userTargets)
		})
	return users, total, err
}

// candidateTargets are what rules.UserQuery.Select looks at.
func candidateTargets(u *rules.User) []any {
	h := &handle{into: &u.HumanHandle}
	return []any{database.Parsed(&u.ID), (*database.Text)(&h.email), h, &revocation{into: &u.Revocation}}
}
