package testclient3

import (
	"crypto/rsa"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

func (k *Knowledge) learnRealm(id parsec.RealmID, signed []byte) error {
	claim, err := claims(signed)
	if err != nil {
		return incoherent("a certificate: %w", err)
	}
	realm := k.realms[id]
	if realm == nil {
		realm = &KnownRealm{roles: map[parsec3.UserID][]since[parsec.RealmRole]{}}
	}
	if claim.Timestamp <= realm.Last {
		return incoherent("%s at %s after one at %s", claim.Type, claim.Timestamp, realm.Last)
	}
	author, key, err := k.signerOf(claim, false)
	if err != nil {
		return err
	}
	by := k.users[k.devices[author].user]
	switch claim.Type {
	case "realm_role_certificate":
		err = k.learnRole(realm, id, signed, author, by, key)
	case "realm_key_rotation_certificate":
		err = realm.learnRotation(id, signed, author, by, key)
	case "realm_name_certificate":
		err = realm.learnName(id, signed, author, by, key)
	case "realm_archiving_certificate":
		err = realm.learnArchiving(id, signed, author, by, key)
	default:
		err = incoherent("%s in a realm", claim.Type)
	}
	if err != nil {
		return err
	}
	realm.Last = claim.Timestamp
	k.realms[id] = realm
	return nil
}

// RoleAt returns the role of a user at a date.
func (r *KnownRealm) RoleAt(user parsec3.UserID, date parsec.DateTime) parsec.RealmRole {
	role, _ := at(r.roles[user], date)
	return role
}

// Role returns the present role of a user.
func (r *KnownRealm) Role(user parsec3.UserID) parsec.RealmRole {
	return r.RoleAt(user, parsec.MaxDateTime)
}

// Members returns the present role of each user that has one.
func (r *KnownRealm) Members() map[parsec3.UserID]parsec.RealmRole {
	members := map[parsec3.UserID]parsec.RealmRole{}
	for user := range r.roles {
		if role := r.Role(user); role != parsec.RoleNone {
			members[user] = role
		}
	}
	return members
}

func (k *Knowledge) learnRole(realm *KnownRealm, id parsec.RealmID, signed []byte, author parsec3.DeviceID, by *KnownUser, key parsec.VerifyKey) error {
	role, err := certificate.LoadRealmRole(signed, key, author)
	if err != nil {
		return incoherent("a role: %w", err)
	}
	target := k.users[role.UserID]
	switch {
	case role.RealmID != id:
		return incoherent("a role in realm %s", role.RealmID)
	case target == nil || target.CreatedOn > role.Timestamp:
		return incoherent("a role of %s, who is unknown", role.UserID)
	case role.Role != parsec.RoleNone && !target.activeAt(role.Timestamp):
		return incoherent("a role of %s, who is revoked at %s", role.UserID, role.Timestamp)
	case len(realm.roles) == 0:
		err = checkCreation(by, role)
	case role.UserID == by.ID:
		err = k.checkSelfPromotion(realm, by, role)
	default:
		err = checkGrant(realm, by, target, role)
	}
	if err != nil {
		return err
	}
	realm.roles[role.UserID] = append(realm.roles[role.UserID], since[parsec.RealmRole]{role.Timestamp, role.Role})
	return nil
}

func checkCreation(by *KnownUser, role certificate.RealmRole) error {
	profile, _ := at(by.profiles, role.Timestamp)
	if role.UserID != by.ID || role.Role != parsec.RoleOwner || profile == parsec.ProfileOutsider {
		return incoherent("the first certificate gives %s to %s, by %s, %s", role.Role, role.UserID, by.ID, profile)
	}
	return nil
}

// checkSelfPromotion wants no active member with a higher role, of those that are
// no OUTSIDER.
func (k *Knowledge) checkSelfPromotion(realm *KnownRealm, by *KnownUser, role certificate.RealmRole) error {
	own := realm.Role(by.ID)
	profile, _ := at(by.profiles, role.Timestamp)
	if role.Role != parsec.RoleOwner || own == parsec.RoleNone || own == parsec.RoleOwner || profile == parsec.ProfileOutsider {
		return incoherent("%s, %s and %s, gives itself %q", by.ID, profile, own, role.Role)
	}
	for id, member := range realm.Members() {
		user := k.users[id]
		profile, _ := at(user.profiles, role.Timestamp)
		if user.activeAt(role.Timestamp) && profile != parsec.ProfileOutsider && rank(member) > rank(own) {
			return incoherent("%s promotes itself beside %s, who is %s", by.ID, id, member)
		}
	}
	return nil
}

func rank(role parsec.RealmRole) int {
	switch role {
	case parsec.RoleOwner:
		return 4
	case parsec.RoleManager:
		return 3
	case parsec.RoleContributor:
		return 2
	case parsec.RoleReader:
		return 1
	default:
		return 0
	}
}

func checkGrant(realm *KnownRealm, by, target *KnownUser, role certificate.RealmRole) error {
	own, present := realm.Role(by.ID), realm.Role(target.ID)
	needed := parsec.RoleManager
	if rank(present) >= rank(parsec.RoleManager) || rank(role.Role) >= rank(parsec.RoleManager) {
		needed = parsec.RoleOwner
	}
	profile, _ := at(target.profiles, role.Timestamp)
	switch {
	case rank(own) < rank(needed):
		return incoherent("%s, %q, gives %q to %s, who has %q", by.ID, own, role.Role, target.ID, present)
	case present == role.Role:
		return incoherent("%s has %q twice", target.ID, present)
	case profile == parsec.ProfileOutsider && rank(role.Role) >= rank(parsec.RoleManager):
		return incoherent("%s, OUTSIDER, becomes %s", target.ID, role.Role)
	default:
		return nil
	}
}

func (r *KnownRealm) checkOwner(by *KnownUser, what string) error {
	if role := r.Role(by.ID); role != parsec.RoleOwner {
		return incoherent("%s by %s, who is %q", what, by.ID, role)
	}
	return nil
}

func (r *KnownRealm) learnRotation(id parsec.RealmID, signed []byte, author parsec3.DeviceID, by *KnownUser, key parsec.VerifyKey) error {
	rotation, err := certificate.LoadRealmKeyRotation(signed, key, author)
	if err != nil {
		return incoherent("a key rotation: %w", err)
	}
	if rotation.RealmID != id || rotation.KeyIndex != r.KeyIndex+1 {
		return incoherent("rotation %d of realm %s after %d", rotation.KeyIndex, rotation.RealmID, r.KeyIndex)
	}
	r.KeyIndex, r.Rotated = rotation.KeyIndex, append(r.Rotated, author)
	return r.checkOwner(by, "a key rotation")
}

func (r *KnownRealm) learnName(id parsec.RealmID, signed []byte, author parsec3.DeviceID, by *KnownUser, key parsec.VerifyKey) error {
	name, err := certificate.LoadRealmName(signed, key, author)
	if err != nil {
		return incoherent("a name: %w", err)
	}
	if name.RealmID != id || name.KeyIndex > r.KeyIndex {
		return incoherent("a name of realm %s with key %d of %d", name.RealmID, name.KeyIndex, r.KeyIndex)
	}
	r.Named = true
	return r.checkOwner(by, "a name")
}

func (r *KnownRealm) learnArchiving(id parsec.RealmID, signed []byte, author parsec3.DeviceID, by *KnownUser, key parsec.VerifyKey) error {
	archiving, err := certificate.LoadRealmArchiving(signed, key, author)
	if err != nil {
		return incoherent("an archiving: %w", err)
	}
	if archiving.RealmID != id {
		return incoherent("an archiving of realm %s", archiving.RealmID)
	}
	r.Archiving = archiving.Type
	return r.checkOwner(by, "an archiving")
}

// Realm returns what is known of a realm, nil for nothing.
func (k *Knowledge) Realm(id parsec.RealmID) *KnownRealm { return k.realms[id] }

// User returns what is known of a user, nil for nothing.
func (k *Knowledge) User(id parsec3.UserID) *KnownUser { return k.users[id] }

// forgets reports whether who knows next, and knew k, must ask for everything again:
// OUTSIDERs are not told what others are called.
func (k *Knowledge) forgets(next *Knowledge) bool {
	before, now := k.users[k.self], next.users[k.self]
	return before != nil && (before.Profile() == parsec.ProfileOutsider) != (now.Profile() == parsec.ProfileOutsider)
}

// Dates returns the dates up to which the common topic and that of a realm are
// known, zero for nothing.
func (k *Knowledge) Dates(realm parsec.RealmID) (common, ofRealm parsec.DateTime) {
	if known := k.realms[realm]; known != nil {
		ofRealm = known.Last
	}
	return k.common, ofRealm
}

// Participants returns who gets an access at a rotation of a realm: its members,
// revoked ones too, and the sequester services.
func (k *Knowledge) Participants(id parsec.RealmID) Participants {
	to := Participants{Users: map[parsec3.UserID]parsec.PublicKey{}}
	if realm := k.realms[id]; realm != nil {
		for user := range realm.Members() {
			to.Users[user] = k.users[user].PublicKey
		}
	}
	if k.authority != nil {
		to.Services = map[parsec.SequesterServiceID]*rsa.PublicKey{}
		for service, known := range k.services {
			if !known.revoked {
				to.Services[service] = known.key
			}
		}
	}
	return to
}

// Signer returns the key of a device that may have signed something in a realm at a
// date, as a user who has one of the roles that write.
func (k *Knowledge) Signer(realm parsec.RealmID, author parsec3.DeviceID, date parsec.DateTime) (parsec.VerifyKey, error) {
	device, known := k.devices[author], k.realms[realm]
	if device == nil || known == nil {
		return parsec.VerifyKey{}, fmt.Errorf("%w: data by %s, who is unknown", ErrIncoherent, author)
	}
	if device.createdOn > date || !k.users[device.user].activeAt(date) {
		return parsec.VerifyKey{}, incoherent("data at %s by %s, who is younger or revoked", date, author)
	}
	if role := known.RoleAt(device.user, date); rank(role) < rank(parsec.RoleContributor) {
		return parsec.VerifyKey{}, incoherent("data at %s by %s, who is %q", date, author, role)
	}
	return device.key, nil
}

// KeyOf returns the key of a device that is known.
func (k *Knowledge) KeyOf(device parsec3.DeviceID) (parsec.VerifyKey, bool) {
	known, found := k.devices[device]
	if !found {
		return parsec.VerifyKey{}, false
	}
	return known.key, true
}
