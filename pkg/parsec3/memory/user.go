package memory

import (
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// user is the state of a user.
type user struct {
	facts rules.User
	// profiles are those that the user has had, in order of date.
	profiles []datedProfile
	// signed, given and managing are those of rules.Traces.
	signed, given, managing parsec.DateTime
	// shamir are the certificates of the topic of Shamir recovery that the user sees,
	// in order of date; of the same date, the brief before the share.
	shamir     []rules.Certificate
	totp       rules.TOTPSetup
	opaqueKeys map[parsec3.OpaqueKeyID]rules.OpaqueKey
}

type datedProfile struct {
	since   parsec.DateTime
	profile parsec.UserProfile
}

// profileAt returns the last profile whose date is reached.
func (u *user) profileAt(reached func(parsec.DateTime) bool) parsec.UserProfile {
	profile := u.profiles[0].profile
	for _, dated := range u.profiles[1:] {
		if reached(dated.since) {
			profile = dated.profile
		}
	}
	return profile
}

// copyUser shares only bytes with the user.
func (o *organization) copyUser(id parsec3.UserID) (*rules.User, bool) {
	stored, found := o.users[id]
	if !found {
		return nil, false
	}
	value := stored.facts
	value.RevokedOn = organizationstore.CopyOf(value.RevokedOn)
	value.AcceptedTOS = organizationstore.CopyOf(value.AcceptedTOS)
	return &value, true
}

// sign raises the last date of what the devices of the author's user have signed.
func (o *organization) sign(author parsec3.DeviceID, date parsec.DateTime) {
	if by, found := o.users[o.userOf(author)]; found {
		by.signed = max(by.signed, date)
	}
}

// addUser adds a user that is new.
func (o *organization) addUser(added rules.User, certificate rules.Certificate, device rules.Device, deviceCertificate rules.Certificate) {
	o.users[added.ID] = &user{facts: added, profiles: []datedProfile{{certificate.Timestamp, added.Profile}}}
	o.ids = append(o.ids, added.ID)
	o.humans[added.HumanHandle.Email()] = added.ID
	o.devices[device.ID] = &device
	o.addCommon(certificate)
	o.addCommon(deviceCertificate)
}

// FrozenUsers implements rules.UserReader.
func (s *Store) FrozenUsers(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (rules.Standing, []parsec3.UserID, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	var frozen []parsec3.UserID
	for _, id := range o.ids {
		if o.users[id].facts.Frozen {
			frozen = append(frozen, id)
		}
	}
	return o.standing(author), frozen, err
}

// Users implements rules.UserReader.
func (s *Store) Users(ctx context.Context, organization parsec.OrganizationID) ([]rules.User, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	users := make([]rules.User, 0, len(o.ids))
	for _, id := range o.ids {
		user, _ := o.copyUser(id)
		users = append(users, *user)
	}
	return users, err
}

// User implements rules.UserTx.
func (t *tx) User(_ context.Context, id parsec3.UserID) (*rules.User, bool, error) {
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

// ActiveUsers implements rules.UserTx.
func (t *tx) ActiveUsers(context.Context) (uint64, error) {
	var active uint64
	for _, user := range t.organization.users {
		if user.facts.RevokedOn == nil {
			active++
		}
	}
	return active, nil
}

// Traces implements rules.UserTx. They hold still while the common topic is locked
// exclusively, for whoever leaves some holds it shared.
func (t *tx) Traces(_ context.Context, id parsec3.UserID) (rules.Traces, error) {
	t.Allow("Traces", t.scope.Common == rules.Exclusive)
	user, found := t.organization.users[id]
	if !found {
		return rules.Traces{}, nil
	}
	traces := rules.Traces{Signed: user.signed, Given: user.given, Managing: user.managing, Shamir: user.lastShamir()}
	for _, realm := range t.organization.realms {
		if realm.members[id].role != parsec.RoleNone {
			traces.Realms = max(traces.Realms, realm.facts.Timestamp, realm.facts.LastVlob)
		}
	}
	return traces, nil
}

// CreateUser implements rules.UserTx.
func (t *tx) CreateUser(created rules.User, certificate rules.Certificate, device rules.Device, deviceCertificate rules.Certificate) {
	deviceCertificate = copyCertificate(deviceCertificate)
	_, userExists := t.organization.users[created.ID]
	_, deviceExists := t.organization.devices[device.ID]
	_, taken := t.organization.humans[created.HumanHandle.Email()]
	possible := !userExists && !deviceExists && !taken && device.User == created.ID &&
		created.RevokedOn == nil && !created.Frozen && certificate.Timestamp == deviceCertificate.Timestamp &&
		t.scope.Common == rules.Exclusive && certificate.Timestamp > t.common
	certificate = copyCertificate(certificate)
	t.common = max(t.common, certificate.Timestamp)
	t.Queue("CreateUser", possible, func() {
		t.organization.topics.Common = certificate.Timestamp
		t.organization.addUser(created, certificate, device, deviceCertificate)
	})
}

// UpdateProfile implements rules.UserTx.
func (t *tx) UpdateProfile(id parsec3.UserID, profile parsec.UserProfile, certificate rules.Certificate) {
	user, found := t.organization.users[id]
	t.queueCommon("UpdateProfile", found, certificate, func(certificate rules.Certificate) {
		user.facts.Profile = profile
		user.profiles = append(user.profiles, datedProfile{certificate.Timestamp, profile})
	})
}

// RevokeUser implements rules.UserTx.
func (t *tx) RevokeUser(id parsec3.UserID, certificate rules.Certificate) {
	user, found := t.organization.users[id]
	possible := found && user.facts.RevokedOn == nil
	t.queueCommon("RevokeUser", possible, certificate, func(certificate rules.Certificate) {
		user.facts.RevokedOn = &certificate.Timestamp
		delete(t.organization.humans, user.facts.HumanHandle.Email())
	})
}

// FreezeUser implements rules.UserTx.
func (t *tx) FreezeUser(id parsec3.UserID, frozen bool) {
	user, found := t.organization.users[id]
	t.Queue("FreezeUser", found, func() { user.facts.Frozen = frozen })
}

// AcceptTOS implements rules.UserTx.
func (t *tx) AcceptTOS(id parsec3.UserID, of parsec.DateTime) {
	user, found := t.organization.users[id]
	t.Queue("AcceptTOS", found, func() {
		if accepted := user.facts.AcceptedTOS; accepted == nil || *accepted < of {
			user.facts.AcceptedTOS = &of
		}
	})
}
