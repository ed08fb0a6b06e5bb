package memory

import (
	"context"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
)

// FindUsers implements backend.UserReader. It scans the users.
func (s *Store) FindUsers(ctx context.Context, organization parsec.OrganizationID, query backend.UserQuery) ([]backend.User, uint64, error) {
	o, err := s.read(ctx, organization)
	if err != nil {
		return nil, 0, err
	}
	defer o.mu.RUnlock()
	users := make([]backend.User, 0, len(o.users))
	for _, user := range o.users {
		users = append(users, *user)
	}
	page, total := query.Select(users)
	for i := range page {
		page[i].Revocation = copyOf(page[i].Revocation)
	}
	return page, total, nil
}
