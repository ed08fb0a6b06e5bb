package memory

import (
	"context"

	organizations "parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Activities implements organization.ActivityReader.
func (s *Store) Activities(ctx context.Context, id parsec.OrganizationID) (all []organizations.Activity, err error) {
	o, err := s.read(ctx, id)
	defer o.RUnlock()
	for user, devices := range o.devicesOf {
		activity := organizations.Activity{User: user.String(), Devices: uint64(len(devices))}
		for _, device := range devices {
			activity.LastSeen = max(activity.LastSeen, device.CreatedOn)
		}
		for _, realm := range o.realms {
			in := realm.members[user]
			activity.LastSeen = max(activity.LastSeen, in.LastVlobUpdate, in.LastRoleChange, in.LastArchivingChange)
		}
		all = append(all, activity)
	}
	return all, err
}
