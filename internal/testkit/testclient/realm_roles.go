package testclient

import (
	"cmp"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

// VerifyRealmRoles verifies the reply of realm_get_role_certificates and returns
// the role that each user has, parsec.RoleNone once removed
// (docs/protocol/certificates.md §9). users are those whose devices signed. Its
// errors wrap ErrUntrusted.
func VerifyRealmRoles(realm parsec.RealmID, users []*VerifiedUser, certificates [][]byte) (map[parsec.UserID]parsec.RealmRole, error) {
	history := make([]certificate.RealmRole, len(certificates))
	for i, signed := range certificates {
		var err error
		if history[i], err = loadRole(users, signed); err != nil {
			return nil, err
		}
		if history[i].RealmID != realm {
			return nil, untrusted("a role is of realm %s", history[i].RealmID)
		}
	}
	slices.SortStableFunc(history, func(a, b certificate.RealmRole) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	roles := map[parsec.UserID]parsec.RealmRole{}
	for i, change := range history {
		author := change.Author.User()
		entitled := roles[author].MayChange(roles[change.UserID], change.Role)
		if i == 0 {
			entitled = author == change.UserID && change.Role == parsec.RoleOwner
		}
		if !entitled {
			return nil, untrusted("user %s may not make user %s %q", author, change.UserID, change.Role)
		}
		roles[change.UserID] = change.Role
	}
	return roles, nil
}

// loadRole finds the author by trying each device, as loadBy does.
func loadRole(users []*VerifiedUser, signed []byte) (certificate.RealmRole, error) {
	for _, user := range users {
		for _, device := range user.Devices {
			role, err := certificate.LoadRealmRole(signed, device.VerifyKey, device.DeviceID)
			if err != nil {
				continue
			}
			if user.Revocation != nil && role.Timestamp > user.Revocation.Timestamp {
				return role, untrusted("device %s signed at %s, after its revocation", device.DeviceID, role.Timestamp)
			}
			return role, nil
		}
	}
	return certificate.RealmRole{}, untrusted("no author for a role")
}
