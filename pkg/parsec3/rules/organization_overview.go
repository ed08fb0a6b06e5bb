package rules

import (
	"context"

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
	members := make([]organization.Member, len(all))
	for i := range all {
		member := organization.Member{User: seenByAdministrator(&all[i]), Profile: all[i].Profile, CreatedOn: all[i].CreatedOn}
		member.RevokedOn = all[i].RevokedOn
		members[i] = member
	}
	return organization.WithActivities(ctx, r.store, id, members)
}

// LastActivity implements organization.Overseen.
func (r *Rules) LastActivity(ctx context.Context, id parsec.OrganizationID) (parsec.DateTime, error) {
	return organization.LastOf(ctx, r.store, id)
}
