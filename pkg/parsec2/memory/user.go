package memory

import (
	"bytes"
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// tally counts users by profile.
type tally struct {
	active, revoked map[parsec.UserProfile]int
	// administrators are those active and not frozen.
	administrators int
}

// count adds a user, or takes it away with -1.
func (t *tally) count(user *rules.User, by int) {
	if user.Revocation != nil {
		t.revoked[user.Profile] += by
		return
	}
	t.active[user.Profile] += by
	if user.Profile == parsec.ProfileAdmin && !user.Frozen {
		t.administrators += by
	}
}

// copyUser shares only bytes with the user.
func (o *organization) copyUser(id parsec.UserID) (*rules.User, bool) {
	user, found := o.users[id]
	if !found {
		return nil, false
	}
	value := *user
	value.Revocation = organizationstore.CopyOf(value.Revocation)
	return &value, true
}

// change applies a change to a user, if it exists, and counts it anew.
func (o *organization) change(id parsec.UserID, apply func(*rules.User)) {
	user, found := o.users[id]
	if !found {
		return
	}
	o.tally.count(user, -1)
	apply(user)
	o.tally.count(user, 1)
}

// UserAndDevices implements rules.UserReader.
func (s *Store) UserAndDevices(ctx context.Context, organization parsec.OrganizationID, id parsec.UserID) (rules.UserFacts, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	user, found := o.copyUser(id)
	if !found {
		return rules.UserFacts{}, false, err
	}
	facts := rules.UserFacts{User: *user}
	for _, device := range o.devicesOf[id] {
		facts.Devices = append(facts.Devices, *device)
	}
	facts.ChainDevices, facts.ChainUsers = rules.Follow(rules.Certifiers(user, facts.Devices),
		func(id parsec.DeviceID) *rules.Device { return o.devices[id] },
		func(id parsec.UserID) *rules.User { user, _ := o.copyUser(id); return user })
	return facts, true, err
}

// Author implements rules.UserTx.
func (t *tx) Author() (*rules.User, bool) {
	if _, found := t.organization.devices[t.scope.Author]; !found {
		return nil, false
	}
	return t.organization.copyUser(t.scope.Author.User())
}

// User implements rules.UserTx.
func (t *tx) User(_ context.Context, id parsec.UserID) (*rules.User, bool, error) {
	user, found := t.organization.copyUser(id)
	return user, found, nil
}

// UserByEmail implements rules.UserTx.
func (t *tx) UserByEmail(_ context.Context, email string) (*rules.User, bool, error) {
	id, found := t.organization.humans[email]
	if !found {
		return nil, false, nil
	}
	user, found := t.organization.copyUser(id)
	return user, found, nil
}

// HumanTaken implements rules.UserTx.
func (t *tx) HumanTaken(_ context.Context, email string) (bool, error) {
	_, taken := t.organization.humans[email]
	return taken, nil
}

// ActiveUsers implements rules.UserTx.
func (t *tx) ActiveUsers(context.Context) (users, administrators uint64, err error) {
	for _, count := range t.organization.tally.active {
		users += uint64(count)
	}
	return users, uint64(t.organization.tally.administrators), nil
}

// CreateUser implements rules.UserTx.
func (t *tx) CreateUser(user rules.User) {
	user.Certificate = bytes.Clone(user.Certificate)
	user.RedactedCertificate = bytes.Clone(user.RedactedCertificate)
	_, exists := t.organization.users[user.ID]
	fresh := !exists && user.Revocation == nil && !user.Frozen
	t.Queue("CreateUser", t.scope.LockOrganization && fresh, func() {
		t.organization.users[user.ID] = &user
		t.organization.userNumbers = append(t.organization.userNumbers, user.ID)
		t.organization.tally.count(&user, 1)
		if user.HumanHandle != (parsec.HumanHandle{}) {
			t.organization.humans[user.HumanHandle.Email()] = user.ID
		}
	})
}

// RevokeUser implements rules.UserTx.
func (t *tx) RevokeUser(id parsec.UserID, revocation rules.Revocation) {
	revocation.Certificate = bytes.Clone(revocation.Certificate)
	t.Queue("RevokeUser", t.scope.LockOrganization, func() {
		t.organization.change(id, func(user *rules.User) {
			user.Revocation = &revocation
			if email := user.HumanHandle.Email(); t.organization.humans[email] == id {
				delete(t.organization.humans, email)
			}
		})
	})
}

// FreezeUser implements rules.UserTx.
func (t *tx) FreezeUser(id parsec.UserID, frozen bool) {
	t.Queue("FreezeUser", t.scope.LockOrganization, func() {
		t.organization.change(id, func(user *rules.User) { user.Frozen = frozen })
	})
}
