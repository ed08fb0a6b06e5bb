package memory

import (
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// FindUsers implements rules.FindReader. It scans the users.
func (s *Store) FindUsers(ctx context.Context, organization parsec.OrganizationID, query rules.UserQuery) ([]rules.User, uint64, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	users := make([]rules.User, 0, len(o.users))
	for _, user := range o.users {
		users = append(users, *user)
	}
	page, total := query.Select(users)
	for i := range page {
		page[i].Revocation = organizationstore.CopyOf(page[i].Revocation)
	}
	return page, total, err
}
