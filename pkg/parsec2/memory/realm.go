package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	organizations "parsec-server/pkg/organization"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// realm is the state of a realm.
type realm struct {
	// facts are without Checkpoint and Member.
	facts     rules.Realm
	createdOn parsec.DateTime
	members   map[parsec.UserID]rules.Member
	roles     []rules.RoleCertificate // in order of date, then of insertion
	// certificates are those of the roles, in order of insertion.
	certificates [][]byte
	// log has every version of every vlob; the entry of checkpoint n is at
	// n-1.
	log                   []entry
	reencryption          reencryption
	blocksSize, vlobsSize uint64
}

// seenBy returns the facts for a user, false for a nil realm.
func (r *realm) seenBy(user parsec.UserID) (*rules.Realm, bool) {
	if r == nil {
		return nil, false
	}
	facts := r.facts
	facts.Archiving.DeletionDate = organizationstore.CopyOf(facts.Archiving.DeletionDate)
	facts.Checkpoint = uint64(len(r.log))
	facts.Member = r.members[user]
	return &facts, true
}

// readBy is seenBy, and reports whether the user may read.
func (r *realm) readBy(user parsec.UserID) (facts *rules.Realm, found, readable bool) {
	facts, found = r.seenBy(user)
	return facts, found, found && facts.Member.Role != parsec.RoleNone
}

// changeMember applies a change to what the realm knows of a user.
func (r *realm) changeMember(user parsec.UserID, apply func(*rules.Member)) {
	member := r.members[user]
	apply(&member)
	r.members[user] = member
}

// Realm implements rules.RealmReader.
func (s *Store) Realm(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (*rules.Realm, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	facts, found := o.realms[id].seenBy(user)
	return facts, found, err
}

// RealmStatistics implements rules.RealmReader.
func (s *Store) RealmStatistics(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (facts *rules.Realm, blocksSize, vlobsSize uint64, found bool, err error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	if facts, found = o.realms[id].seenBy(user); found {
		blocksSize, vlobsSize = o.realms[id].blocksSize, o.realms[id].vlobsSize
	}
	return facts, blocksSize, vlobsSize, found, err
}

// RoleCertificates implements rules.RealmReader.
func (s *Store) RoleCertificates(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (*rules.Realm, []rules.RoleCertificate, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	facts, found, readable := o.realms[id].readBy(user)
	if !readable {
		return facts, nil, found, err
	}
	return facts, slices.Clone(o.realms[id].roles), true, err
}

// RealmsOf implements rules.RealmReader.
func (s *Store) RealmsOf(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID) ([]rules.Realm, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	realms := make([]rules.Realm, 0, len(o.realmsOf[user]))
	for _, r := range o.realmsOf[user] {
		facts, _ := r.seenBy(user)
		realms = append(realms, *facts)
	}
	return realms, err
}

// Realm implements rules.RealmTx.
func (t *tx) Realm() (*rules.Realm, bool) {
	if t.createsRealm {
		return nil, false
	}
	return t.realm.seenBy(t.scope.Author.User())
}

// Member implements rules.RealmTx.
func (t *tx) Member(_ context.Context, user parsec.UserID) (rules.Member, error) {
	if t.realm == nil {
		return rules.Member{}, nil
	}
	return t.realm.members[user], nil
}

// Participants implements rules.RealmTx.
func (t *tx) Participants(context.Context) ([]parsec.UserID, error) {
	if t.realm == nil {
		return nil, nil
	}
	var participants []parsec.UserID
	for id, member := range t.realm.members {
		user, found := t.organization.users[id]
		if member.Role != parsec.RoleNone && found && user.Revocation == nil {
			participants = append(participants, id)
		}
	}
	return participants, nil
}

// CreateRealm implements rules.RealmTx.
func (t *tx) CreateRealm(createdOn parsec.DateTime) {
	allowed := t.scope.By == rules.RealmExclusive && t.realm == nil
	if !t.Allow("CreateRealm", allowed) {
		return
	}
	created := &realm{
		facts:     rules.Realm{ID: t.scope.Realm, EncryptionRevision: 1},
		createdOn: createdOn,
		members:   map[parsec.UserID]rules.Member{},
	}
	t.realm, t.createsRealm = created, true
	t.Queue("CreateRealm", true, func() { t.organization.realms[created.facts.ID] = created })
}

// queueOnRealm queues an effect on the realm, which is locked alone.
func (t *tx) queueOnRealm(name string, effect func(*realm)) {
	allowed := t.scope.By == rules.RealmExclusive && t.realm != nil
	t.Queue(name, allowed, func() { effect(t.realm) })
}

// MarkRealmDeleted implements rules.RealmTx.
func (t *tx) MarkRealmDeleted() {
	if !t.Allow("MarkRealmDeleted", !t.createsRealm) {
		return
	}
	t.queueOnRealm("MarkRealmDeleted", func(r *realm) {
		o := t.organization
		o.metadataSize -= r.vlobsSize
		o.dataSize -= r.blocksSize
		maps.DeleteFunc(o.blocks, func(_ parsec.BlockID, block rules.Block) bool { return block.Realm == r.facts.ID })
		maps.DeleteFunc(o.vlobs, func(_ parsec.VlobID, v *vlob) bool { return v.realm == r })
		r.facts.Deleted, r.log, r.vlobsSize, r.blocksSize = true, nil, 0, 0
	})
}

// RealmEnd implements organization.RealmEndReader.
func (s *Store) RealmEnd(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID) (end *organizations.RealmEnd, err error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	if facts, found := o.realms[id].seenBy(parsec.UserID{}); found {
		end = facts.End()
	}
	return end, err
}

// RealmEnds implements organization.RealmEndReader. It passes over all realms.
func (s *Store) RealmEnds(ctx context.Context, organization parsec.OrganizationID) (ends []organizations.RealmEnd, err error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	for _, r := range o.realms {
		facts, _ := r.seenBy(parsec.UserID{})
		if end := facts.End(); !end.Deleted && end.Planned != nil {
			ends = append(ends, *end)
		}
	}
	slices.SortFunc(ends, func(a, b organizations.RealmEnd) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return ends, err
}

// AddRole implements rules.RealmTx.
func (t *tx) AddRole(role rules.RoleCertificate) {
	role.Certificate = bytes.Clone(role.Certificate)
	if !t.Allow("AddRole", role.Realm == t.scope.Realm) {
		return
	}
	t.queueOnRealm("AddRole", func(r *realm) {
		place, _ := slices.BinarySearchFunc(r.roles, role, func(present, added rules.RoleCertificate) int {
			if present.CertifiedOn == added.CertifiedOn {
				return -1 // after those of the same date
			}
			return cmp.Compare(present.CertifiedOn, added.CertifiedOn)
		})
		r.roles = slices.Insert(r.roles, place, role)
		r.certificates = append(r.certificates, role.Certificate)
		r.changeMember(role.User, func(m *rules.Member) {
			m.Role, m.RoleCertifiedOn = role.Role, role.CertifiedOn
		})
		t.organization.indexRole(role.User, r, role.Role)
	})
}

// indexRole keeps realmsOf.
func (o *organization) indexRole(user parsec.UserID, r *realm, role parsec.RealmRole) {
	if role == parsec.RoleNone {
		delete(o.realmsOf[user], r.facts.ID)
		return
	}
	if o.realmsOf[user] == nil {
		o.realmsOf[user] = map[parsec.RealmID]*realm{}
	}
	o.realmsOf[user][r.facts.ID] = r
}

// TouchRoleChange implements rules.RealmTx.
func (t *tx) TouchRoleChange(user parsec.UserID, date parsec.DateTime) {
	t.queueOnRealm("TouchRoleChange", func(r *realm) {
		r.changeMember(user, func(m *rules.Member) { m.LastRoleChange = max(m.LastRoleChange, date) })
	})
}

// TouchArchivingChange implements rules.RealmTx.
func (t *tx) TouchArchivingChange(user parsec.UserID, date parsec.DateTime) {
	t.queueOnRealm("TouchArchivingChange", func(r *realm) {
		r.changeMember(user, func(m *rules.Member) { m.LastArchivingChange = max(m.LastArchivingChange, date) })
	})
}

// AddArchiving implements rules.RealmTx.
func (t *tx) AddArchiving(archiving rules.Archiving, _ []byte) {
	archiving.DeletionDate = organizationstore.CopyOf(archiving.DeletionDate)
	t.queueOnRealm("AddArchiving", func(r *realm) { r.facts.Archiving = archiving })
}
