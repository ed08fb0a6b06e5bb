package memory

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// Registration implements rules.SessionReader. It scans the realms.
func (s *Store) Registration(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (rules.Standing, []parsec.RealmID, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	user := o.userOf(device)
	var realms []parsec.RealmID
	for id, realm := range o.realms {
		if realm.members[user].role != parsec.RoleNone {
			realms = append(realms, id)
		}
	}
	return o.standing(device), realms, err
}
