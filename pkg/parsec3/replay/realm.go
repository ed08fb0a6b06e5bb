package replay

import (
	"maps"
	"slices"
	"strconv"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// Realm is what the certificates of its topic say so far.
type Realm struct {
	ID parsec.RealmID
	// CreatedOn and Last are the dates of the first and the last certificate, zero for
	// none.
	CreatedOn, Last parsec.DateTime
	KeyIndex        uint64
	// Rotated is who added the key of each index, from 1 on, and when.
	Rotated []Since[parsec3.DeviceID]
	Named   bool
	// Archiving is the type of the last archiving certificate, "" before the first, and
	// DeletionDate that of the deletion that it plans.
	Archiving    parsec.ArchivingType
	DeletionDate *parsec.DateTime
	// Roles are those that each user has had, and has.
	Roles map[parsec3.UserID][]Since[parsec.RealmRole]
}

// NewRealm returns a realm of which nothing is followed yet.
func NewRealm(id parsec.RealmID) *Realm {
	return &Realm{ID: id, Roles: map[parsec3.UserID][]Since[parsec.RealmRole]{}}
}

// RoleAt returns the role of a user at a date.
func (r *Realm) RoleAt(user parsec3.UserID, date parsec.DateTime) parsec.RealmRole {
	return at(r.Roles[user], date)
}

// Role returns the present role of a user.
func (r *Realm) Role(user parsec3.UserID) parsec.RealmRole { return r.RoleAt(user, parsec.MaxDateTime) }

// Members returns the present role of each user that has one.
func (r *Realm) Members() map[parsec3.UserID]parsec.RealmRole {
	members := map[parsec3.UserID]parsec.RealmRole{}
	for user := range r.Roles {
		if role := r.Role(user); role != parsec.RoleNone {
			members[user] = role
		}
	}
	return members
}

// FollowRealm follows the next certificate of the topic of a realm.
func (o *Organization) FollowRealm(realm *Realm, signed []byte) Step {
	claim, step, readable := begin("a certificate", signed)
	if !readable {
		return step
	}
	if claim.Timestamp <= realm.Last {
		step.object(Dates, "%s at %s after one at %s", claim.Type, claim.Timestamp, realm.Last)
	}
	if claim.Author == nil {
		step.object(Author, "%s at %s by the root key, which is unknown or younger here", claim.Type, claim.Timestamp)
		return step
	}
	by := o.signerOf(&step, &claim, false)
	switch claim.Type {
	case "realm_role_certificate":
		o.followRole(realm, &step, signed, by)
	case "realm_key_rotation_certificate":
		realm.followRotation(&step, signed, by)
	case "realm_name_certificate":
		realm.followName(&step, signed, by)
	case "realm_archiving_certificate":
		realm.followArchiving(&step, signed, by)
	default:
		step.object(Topic, "%s in a realm", claim.Type)
	}
	realm.Last = max(realm.Last, claim.Timestamp)
	if realm.CreatedOn == 0 {
		realm.CreatedOn = claim.Timestamp
	}
	return step
}

func (o *Organization) followRole(realm *Realm, step *Step, signed []byte, by signer) {
	role, readable := read(step, "a role", signed, by, certificate.LoadRealmRole, certificate.Read[certificate.RealmRole])
	if !readable {
		return
	}
	target := o.Users[role.UserID]
	switch {
	case role.RealmID != realm.ID:
		step.object(RealmTopic, "a role in realm %s", role.RealmID)
		return
	case target == nil || target.CreatedOn > role.Timestamp:
		step.object(RealmRoles, "a role of %s, who is unknown", role.UserID)
	case role.Role != parsec.RoleNone && !target.ActiveAt(role.Timestamp):
		step.object(RealmRevoked, "a role of %s, who is revoked at %s", role.UserID, role.Timestamp)
	case by.user == nil:
	case len(realm.Roles) == 0:
		checkCreation(step, by.user, &role)
	case role.UserID == by.user.ID:
		o.checkSelfPromotion(realm, step, by.user, &role)
	default:
		checkGrant(realm, step, by.user, target, &role)
	}
	step.Member, step.Role = role.UserID, role.Role
	realm.Roles[role.UserID] = append(realm.Roles[role.UserID], Since[parsec.RealmRole]{role.Timestamp, role.Role})
}

func checkCreation(step *Step, by *User, role *certificate.RealmRole) {
	profile := by.ProfileAt(role.Timestamp)
	if role.UserID != by.ID || role.Role != parsec.RoleOwner || profile == parsec.ProfileOutsider {
		step.object(RealmFirst, "the first certificate gives %s to %s, by %s, %s", role.Role, role.UserID, by.ID, profile)
	}
}

// checkSelfPromotion wants no active member with a higher role, of those that are no
// OUTSIDER.
func (o *Organization) checkSelfPromotion(realm *Realm, step *Step, by *User, role *certificate.RealmRole) {
	own, profile := realm.Role(by.ID), by.ProfileAt(role.Timestamp)
	if role.Role != parsec.RoleOwner || own == parsec.RoleNone || own == parsec.RoleOwner || profile == parsec.ProfileOutsider {
		step.object(RealmOwnRole, "%s, %s and %s, gives itself %q", by.ID, profile, own, role.Role)
		return
	}
	for id, member := range realm.Members() {
		user := o.Users[id]
		if user != nil && user.ActiveAt(role.Timestamp) && user.ProfileAt(role.Timestamp) != parsec.ProfileOutsider && member.Rank() > own.Rank() {
			step.object(RealmPromotion, "%s promotes itself beside %s, who is %s", by.ID, id, member)
			return
		}
	}
}

func checkGrant(realm *Realm, step *Step, by, target *User, role *certificate.RealmRole) {
	own, present := realm.Role(by.ID), realm.Role(target.ID)
	switch {
	case !own.MayChange(present, role.Role):
		step.object(RealmRoles, "%s, %q, gives %q to %s, who has %q", by.ID, own, role.Role, target.ID, present)
	case present == role.Role:
		step.object(RealmRoles, "%s has %q twice", target.ID, present)
	case role.Role.Manages() && target.ProfileAt(role.Timestamp) == parsec.ProfileOutsider:
		step.object(RealmOutsider, "%s, OUTSIDER, becomes %s", target.ID, role.Role)
	}
}

func (r *Realm) checkOwner(step *Step, by signer, what string) {
	if by.user == nil {
		return
	}
	if role := r.Role(by.user.ID); role != parsec.RoleOwner {
		step.object(RealmOwner, "%s by %s, who is %q", what, by.user.ID, role)
	}
}

// isHere objects to a certificate of another realm.
func (r *Realm) isHere(step *Step, what string, realm parsec.RealmID) bool {
	if realm != r.ID {
		step.object(RealmTopic, "%s of realm %s", what, realm)
	}
	return realm == r.ID
}

func (r *Realm) followRotation(step *Step, signed []byte, by signer) {
	rotation, readable := read(step, "a key rotation", signed, by, certificate.LoadRealmKeyRotation, certificate.Read[certificate.RealmKeyRotation])
	if !readable || !r.isHere(step, "rotation "+strconv.FormatUint(rotation.KeyIndex, 10), rotation.RealmID) {
		return
	}
	r.checkOwner(step, by, "a key rotation")
	if rotation.KeyIndex != r.KeyIndex+1 {
		step.object(RealmKeys, "rotation %d after %d", rotation.KeyIndex, r.KeyIndex)
		if rotation.KeyIndex <= r.KeyIndex || rotation.KeyIndex > r.KeyIndex+maxKeyGap {
			return
		}
	}
	for r.KeyIndex < rotation.KeyIndex {
		r.KeyIndex, r.Rotated = r.KeyIndex+1, append(r.Rotated, Since[parsec3.DeviceID]{rotation.Timestamp, by.device})
	}
}

// maxKeyGap bounds the rotations that may be missing for those after them to count.
const maxKeyGap = 1000

func (r *Realm) followName(step *Step, signed []byte, by signer) {
	name, readable := read(step, "a name", signed, by, certificate.LoadRealmName, certificate.Read[certificate.RealmName])
	if !readable || !r.isHere(step, "a name", name.RealmID) {
		return
	}
	r.checkOwner(step, by, "a name")
	if name.KeyIndex > r.KeyIndex {
		step.object(RealmKeys, "a name with key %d of %d", name.KeyIndex, r.KeyIndex)
	}
	r.Named = true
}

func (r *Realm) followArchiving(step *Step, signed []byte, by signer) {
	archiving, readable := read(step, "an archiving", signed, by, certificate.LoadRealmArchiving, certificate.Read[certificate.RealmArchiving])
	if !readable || !r.isHere(step, "an archiving", archiving.RealmID) {
		return
	}
	r.checkOwner(step, by, "an archiving")
	if archiving.DeletionDate != nil && *archiving.DeletionDate < archiving.Timestamp {
		step.object(RealmDeletion, "a deletion on %s, planned at %s", archiving.DeletionDate, archiving.Timestamp)
	}
	r.Archiving, r.DeletionDate = archiving.Type, archiving.DeletionDate
}

// HasOwner reports whether a user of the realm is OWNER, revoked or not.
func (r *Realm) HasOwner() bool {
	return slices.Contains(slices.Collect(maps.Values(r.Members())), parsec.RoleOwner)
}
