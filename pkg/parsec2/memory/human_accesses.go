package memory

import (
	"cmp"
	"context"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// Users implements rules.HumanAccessesReader.
func (s *Store) Users(ctx context.Context, organization parsec.OrganizationID) ([]rules.User, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	users := make([]rules.User, 0, len(o.users))
	for _, stored := range o.users {
		user := *stored
		user.Certificate, user.RedactedCertificate = nil, nil
		if user.Revocation != nil {
			user.Revocation = &rules.Revocation{Certifier: user.Revocation.Certifier, On: user.Revocation.On}
		}
		users = append(users, user)
	}
	slices.SortFunc(users, func(a, b rules.User) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return users, err
}

// RoleChanges implements rules.HumanAccessesReader.
func (s *Store) RoleChanges(ctx context.Context, organization parsec.OrganizationID) ([]rules.RoleCertificate, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	var changes []rules.RoleCertificate
	for _, r := range o.realms {
		for _, change := range r.roles {
			change.Certificate = nil
			changes = append(changes, change)
		}
	}
	slices.SortStableFunc(changes, func(a, b rules.RoleCertificate) int { return cmp.Compare(a.CertifiedOn, b.CertifiedOn) })
	return changes, err
}
