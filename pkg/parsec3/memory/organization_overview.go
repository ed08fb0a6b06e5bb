package memory

import (
	"context"

	organizations "parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Activities implements organization.ActivityReader.
func (s *Store) Activities(ctx context.Context, id parsec.OrganizationID) (all []organizations.Activity, err error) {
	o, err := s.read(ctx, id)
	defer o.RUnlock()
	of := map[parsec3.UserID]organizations.Activity{}
	for _, device := range o.devices {
		activity := of[device.User]
		activity.Devices++
		activity.LastSeen = max(activity.LastSeen, device.CreatedOn)
		of[device.User] = activity
	}
	for user, activity := range of {
		activity.User, activity.LastSeen = user.String(), max(activity.LastSeen, o.users[user].signed)
		all = append(all, activity)
	}
	return all, err
}
