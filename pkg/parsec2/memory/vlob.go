package memory

import (
	"bytes"
	"context"
	"maps"
	"sort"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// vlob is the versions of a vlob; version n is at n-1.
type vlob struct {
	id       parsec.VlobID
	realm    *realm
	versions []version
}

// version is a version of a vlob, under the revision where it is complete,
// and reencrypted under the next one once saved.
type version struct {
	blob        []byte
	reencrypted []byte
	revision    uint64
	author      parsec.DeviceID
	timestamp   parsec.DateTime
	saved       bool
	// copies are those for sequester services, nil without.
	copies map[parsec.SequesterServiceID][]byte
}

// entry is one of the change log of a realm.
type entry struct {
	vlob    *vlob
	version uint32
}

// under returns the blob of a revision.
func (v *version) under(revision uint64) ([]byte, bool) {
	if v.saved && revision == v.revision+1 {
		return v.reencrypted, true
	}
	return v.blob, revision == v.revision
}

// facts returns version number, without its blob.
func (v *vlob) facts(number uint32) rules.VlobVersion {
	stored := &v.versions[number-1]
	return rules.VlobVersion{
		Version:               number,
		Author:                stored.author,
		Timestamp:             stored.timestamp,
		AuthorRoleCertifiedOn: v.realm.members[stored.author.User()].RoleCertifiedOn,
	}
}

// find selects a version; nil if there is none.
func (v *vlob) find(selection *rules.VlobSelection) *rules.VlobVersion {
	last, first := uint32(len(v.versions)), uint32(1)
	switch {
	case selection.Version != nil:
		if *selection.Version > last {
			return nil
		}
		first, last = max(1, *selection.Version), *selection.Version
	case selection.Timestamp != nil:
		last = uint32(sort.Search(len(v.versions), func(i int) bool {
			return v.versions[i].timestamp > *selection.Timestamp
		}))
	}
	// All versions are under one revision, but under the next one while it is
	// being filled.
	for number := last; number >= first; number-- {
		if blob, found := v.versions[number-1].under(selection.EncryptionRevision); found {
			facts := v.facts(number)
			facts.Blob = blob
			return &facts
		}
	}
	return nil
}

// ReadVlob implements rules.VlobReader.
func (s *Store) ReadVlob(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection rules.VlobSelection) (*rules.Realm, *rules.VlobVersion, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	v, found := o.vlobs[selection.Vlob]
	if !found {
		return nil, nil, false, err
	}
	realm, _, readable := v.realm.readBy(user)
	if !readable {
		return realm, nil, true, err
	}
	return realm, v.find(&selection), true, err
}

// VlobVersions implements rules.VlobReader.
func (s *Store) VlobVersions(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.VlobID) (*rules.Realm, []rules.VlobVersion, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	v, found := o.vlobs[id]
	if !found {
		return nil, nil, false, err
	}
	realm, _, readable := v.realm.readBy(user)
	if !readable {
		return realm, nil, true, err
	}
	versions := make([]rules.VlobVersion, len(v.versions))
	for i := range versions {
		versions[i] = v.facts(uint32(i) + 1)
	}
	return realm, versions, true, err
}

// Changes implements rules.VlobReader.
func (s *Store) Changes(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.RealmID, checkpoint uint64) (*rules.Realm, map[parsec.VlobID]uint32, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	r := o.realms[id]
	facts, found, readable := r.readBy(user)
	if !readable {
		return facts, nil, found, err
	}
	changes := map[parsec.VlobID]uint32{}
	for _, entry := range r.log[min(checkpoint, uint64(len(r.log))):] {
		changes[entry.vlob.id] = entry.version
	}
	return facts, changes, true, err
}

// Vlob implements rules.VlobTx.
func (t *tx) Vlob() (*rules.Vlob, bool) {
	if t.vlob == nil {
		return nil, false
	}
	latest := len(t.vlob.versions)
	return &rules.Vlob{
		ID:        t.vlob.id,
		Realm:     t.vlob.realm.facts.ID,
		Version:   uint32(latest),
		Timestamp: t.vlob.versions[latest-1].timestamp,
	}, true
}

// WriteVlob implements rules.VlobTx.
func (t *tx) WriteVlob(written rules.VlobVersion, checkpoint uint64, sequester map[parsec.SequesterServiceID][]byte) {
	blob, copies := bytes.Clone(written.Blob), maps.Clone(sequester)
	for service, blob := range copies {
		copies[service] = append([]byte{}, blob...)
	}
	t.Queue("WriteVlob", t.inSequence(&written, checkpoint), func() {
		r, v := t.realm, t.vlob
		if v == nil {
			v = &vlob{id: t.scope.Vlob, realm: r}
			t.organization.vlobs[v.id] = v
		}
		v.versions = append(v.versions, version{
			blob:      blob,
			revision:  r.facts.EncryptionRevision,
			author:    written.Author,
			timestamp: written.Timestamp,
			copies:    copies,
		})
		r.log = append(r.log, entry{v, written.Version})
		r.vlobsSize += uint64(len(blob))
		t.organization.metadataSize += uint64(len(blob))
		r.changeMember(written.Author.User(), func(m *rules.Member) {
			m.LastVlobUpdate = max(m.LastVlobUpdate, written.Timestamp)
		})
	})
}

// inSequence reports whether the scope allows to write this version next.
func (t *tx) inSequence(written *rules.VlobVersion, checkpoint uint64) bool {
	if t.realm == nil || checkpoint != uint64(len(t.realm.log))+1 {
		return false
	}
	switch t.scope.By {
	case rules.RealmVlobCreate:
		return t.vlob == nil && written.Version == 1
	case rules.RealmVlobUpdate:
		return uint64(written.Version) == uint64(len(t.vlob.versions))+1
	default:
		return false
	}
}
