package memory

import (
	"bytes"
	"context"
	"slices"

	organizations "parsec-server/pkg/organization"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// realm is the state of a realm.
type realm struct {
	// facts are without Role.
	facts     rules.Realm
	createdOn parsec.DateTime
	// deletion is the date that is planned, nil for none.
	deletion     *parsec.DateTime
	certificates []rules.Certificate // in order of date
	// members are the users that have, or had, a role.
	members map[parsec3.UserID]member
	// bundles are those of the rotations; that of key index n is at n-1.
	bundles []keysBundle

	// sessions are those of CryptPad, by document.
	sessions map[parsec.VlobID]rules.CryptpadSession

	vlobs map[parsec.VlobID]*vlob
	// log is the vlob of every version; the entry of checkpoint n is at n-1.
	log   []*vlob
	usage rules.Usage
}

// member is what a realm knows of a user.
type member struct {
	role parsec.RealmRole
	// sees is how many certificates the user still sees without a role.
	sees int
}

// keysBundle is a rotation, with the accesses of each user, in order of date, and that
// of each sequester service.
type keysBundle struct {
	rotatedOn parsec.DateTime
	bundle    []byte
	accesses  map[parsec3.UserID][]access
	services  map[parsec.SequesterServiceID][]byte
}

// access is that of a user, who may be given another one later.
type access struct {
	dated  parsec.DateTime
	access []byte
}

// accessOf returns the latest access of a user, nil for none.
func (b *keysBundle) accessOf(user parsec3.UserID) []byte {
	given := b.accesses[user]
	if len(given) == 0 {
		return nil
	}
	return given[len(given)-1].access
}

// give adds an access of a user.
func (b *keysBundle) give(user parsec3.UserID, dated parsec.DateTime, given []byte) {
	b.accesses[user] = append(b.accesses[user], access{dated, given})
}

// as returns the facts for a user, nil for a nil realm.
func (r *realm) as(user parsec3.UserID) *rules.Realm {
	if r == nil {
		return nil
	}
	facts := r.facts
	facts.Role = r.members[user].role
	return &facts
}

// setRole follows the certificate that was added last.
func (r *realm) setRole(user parsec3.UserID, role parsec.RealmRole) {
	r.members[user] = member{role, len(r.certificates)}
}

// give keeps the last date at which a user was given a role, and one that an OUTSIDER
// may not be given.
func (o *organization) give(id parsec3.UserID, role parsec.RealmRole, date parsec.DateTime) {
	user, found := o.users[id]
	if !found || role == parsec.RoleNone {
		return
	}
	user.given = max(user.given, date)
	if role == parsec.RoleOwner || role == parsec.RoleManager {
		user.managing = max(user.managing, date)
	}
}

// KeysBundle implements rules.RealmReader.
func (s *Store) KeysBundle(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, id parsec.RealmID, keyIndex uint64) (rules.Standing, *rules.Realm, rules.KeysBundle, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	r, user := o.realms[id], o.userOf(author)
	var keys rules.KeysBundle
	if r != nil && keyIndex >= 1 && keyIndex <= uint64(len(r.bundles)) {
		keys = rules.KeysBundle{Bundle: r.bundles[keyIndex-1].bundle, Access: r.bundles[keyIndex-1].accessOf(user)}
	}
	return o.standing(author), r.as(user), keys, err
}

// Realm implements rules.RealmTx.
func (t *tx) Realm() (*rules.Realm, bool) {
	if t.realm == nil || t.createsRealm {
		return nil, false
	}
	return t.realm.as(t.organization.userOf(t.scope.Author)), true
}

// RealmRole implements rules.RealmTx.
func (t *tx) RealmRole(_ context.Context, user parsec3.UserID) (parsec.RealmRole, error) {
	if t.realm == nil {
		return parsec.RoleNone, nil
	}
	return t.realm.members[user].role, nil
}

// Members implements rules.RealmTx.
func (t *tx) Members(context.Context) ([]rules.Member, error) {
	if t.realm == nil {
		return nil, nil
	}
	var members []rules.Member
	for id, member := range t.realm.members {
		if user, found := t.organization.users[id]; found && member.role != parsec.RoleNone {
			members = append(members, rules.Member{
				User: id, Role: member.role, Profile: user.facts.Profile, Revoked: user.facts.RevokedOn != nil,
			})
		}
	}
	return members, nil
}

// endOf returns what decides whether a realm may be deleted, nil for a nil realm.
func (o *organization) endOf(r *realm) *organizations.RealmEnd {
	if r == nil {
		return nil
	}
	end := &organizations.RealmEnd{ID: r.facts.ID, Deleted: r.facts.Deleted, Planned: organizationstore.CopyOf(r.deletion)}
	var last parsec.DateTime
	for id, member := range r.members {
		user, found := o.users[id]
		switch {
		case !found || member.role == parsec.RoleNone:
		case user.facts.RevokedOn == nil:
			return end
		default:
			last = max(last, *user.facts.RevokedOn)
		}
	}
	if last != 0 {
		end.Orphaned = &last
	}
	return end
}

// RealmEnd implements organization.RealmEndReader.
func (s *Store) RealmEnd(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID) (*organizations.RealmEnd, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	return o.endOf(o.realms[id]), err
}

// RealmEnds implements organization.RealmEndReader. It passes over all realms.
func (s *Store) RealmEnds(ctx context.Context, organization parsec.OrganizationID) ([]organizations.RealmEnd, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	var ends []organizations.RealmEnd
	for _, r := range o.realms {
		if end := o.endOf(r); !end.Deleted && (end.Planned != nil || end.Orphaned != nil) {
			ends = append(ends, *end)
		}
	}
	slices.SortFunc(ends, func(a, b organizations.RealmEnd) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return ends, err
}

// RealmEnd implements rules.RealmTx.
func (t *tx) RealmEnd(context.Context) (*organizations.RealmEnd, error) {
	if t.createsRealm {
		return nil, nil
	}
	return t.organization.endOf(t.realm), nil
}

// CreateRealm implements rules.RealmTx.
func (t *tx) CreateRealm(owner parsec3.UserID, certificate rules.Certificate) {
	_, owned := t.organization.users[owner]
	if !t.Allow("CreateRealm", t.realm == nil && owned) {
		return
	}
	t.realm, t.createsRealm = &realm{
		facts:     rules.Realm{ID: t.scope.Realm, Archiving: parsec.ArchivingAvailable},
		createdOn: certificate.Timestamp,
		members:   map[parsec3.UserID]member{},
		sessions:  map[parsec.VlobID]rules.CryptpadSession{},
		vlobs:     map[parsec.VlobID]*vlob{},
	}, true
	t.queueRealm("CreateRealm", true, certificate, func(r *realm) {
		t.organization.realms[r.facts.ID] = r
		r.setRole(owner, parsec.RoleOwner)
		t.organization.give(owner, parsec.RoleOwner, certificate.Timestamp)
	})
}

// SetRole implements rules.RealmTx.
func (t *tx) SetRole(user parsec3.UserID, role parsec.RealmRole, access []byte, certificate rules.Certificate) {
	access = bytes.Clone(access)
	_, found := t.organization.users[user]
	possible := found && (access == nil || t.realm != nil && len(t.realm.bundles) > 0)
	t.queueRealm("SetRole", possible, certificate, func(r *realm) {
		r.setRole(user, role)
		t.organization.give(user, role, certificate.Timestamp)
		if access != nil {
			r.bundles[len(r.bundles)-1].give(user, certificate.Timestamp, access)
		}
	})
}

// NameRealm implements rules.RealmTx.
func (t *tx) NameRealm(certificate rules.Certificate) {
	t.queueRealm("NameRealm", true, certificate, func(r *realm) { r.facts.Named = true })
}

// own returns a copy that is not nil.
func own(given []byte) []byte { return append([]byte{}, given...) }

// RotateKey implements rules.RealmTx. The services are those of the sequester
// topic, which is locked if there is one.
func (t *tx) RotateKey(rotation rules.KeyRotation, certificate rules.Certificate) {
	added := keysBundle{certificate.Timestamp, own(rotation.KeysBundle), map[parsec3.UserID][]access{}, map[parsec.SequesterServiceID][]byte{}}
	for user, given := range rotation.Participants {
		added.give(user, certificate.Timestamp, own(given))
	}
	for service, given := range rotation.Services {
		added.services[service] = own(given)
	}
	possible := t.realm != nil && rotation.KeyIndex == t.realm.facts.KeyIndex+1 &&
		(t.organization.topics.Sequester == 0 || t.scope.Sequester != rules.Unlocked)
	t.queueRealm("RotateKey", possible, certificate, func(r *realm) {
		r.bundles = append(r.bundles, added)
		r.facts.KeyIndex = rotation.KeyIndex
	})
}

// ArchiveRealm implements rules.RealmTx.
func (t *tx) ArchiveRealm(archiving parsec.ArchivingType, deletion *parsec.DateTime, certificate rules.Certificate) {
	deletion = organizationstore.CopyOf(deletion)
	t.queueRealm("ArchiveRealm", true, certificate, func(r *realm) { r.facts.Archiving, r.deletion = archiving, deletion })
}

// MarkRealmDeleted implements rules.RealmTx.
func (t *tx) MarkRealmDeleted() {
	allowed := t.scope.RealmLock == rules.Exclusive && t.realm != nil && !t.realm.facts.Deleted && !t.createsRealm
	t.Queue("MarkRealmDeleted", allowed, func() {
		o, r := t.organization, t.realm
		o.usage.Metadata -= r.usage.Metadata
		o.usage.Data -= r.usage.Data
		for id := range o.blocks {
			if o.blocks[id].Realm == r.facts.ID {
				delete(o.blocks, id)
			}
		}
		r.facts.Deleted, r.usage = true, rules.Usage{}
		r.bundles, r.log, r.vlobs = nil, nil, map[parsec.VlobID]*vlob{}
		clear(r.sessions)
	})
}
