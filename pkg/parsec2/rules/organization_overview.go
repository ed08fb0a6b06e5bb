package rules

import (
	"context"
	"slices"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ organization.Overseen = (*Rules)(nil)

// Members implements organization.Overseen.
func (r *Rules) Members(ctx context.Context, id parsec.OrganizationID) ([]organization.Member, error) {
	all, err := r.store.Users(ctx, id)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b User) int { return compareCreation(&a, &b) })
	members := make([]organization.Member, len(all))
	for i := range all {
		member := organization.Member{User: seenByAdministrator(&all[i]), Profile: all[i].Profile, CreatedOn: all[i].CreatedOn}
		if all[i].Revocation != nil {
			member.RevokedOn = &all[i].Revocation.On
		}
		members[i] = member
	}
	return organization.WithActivities(ctx, r.store, id, members)
}

// LastActivity implements organization.Overseen.
func (r *Rules) LastActivity(ctx context.Context, id parsec.OrganizationID) (parsec.DateTime, error) {
	return organization.LastOf(ctx, r.store, id)
}
