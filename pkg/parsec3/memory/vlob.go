package memory

import (
	"bytes"
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// vlob is the versions of a vlob; version n is at n-1.
type vlob struct {
	id       parsec.VlobID
	versions []rules.VlobVersion
}

// until returns the highest version dated at or before a date, the latest one for
// nil; nil for none.
func (v *vlob) until(at *parsec.DateTime) *rules.VlobVersion {
	for i := len(v.versions) - 1; i >= 0; i-- {
		if at == nil || v.versions[i].Timestamp <= *at {
			return &v.versions[i]
		}
	}
	return nil
}

// ReadVlobs implements rules.VlobReader.
func (s *Store) ReadVlobs(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, vlobs []parsec.VlobID, at *parsec.DateTime, limit uint64) (rules.VlobReading, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	reading, readable := o.readVlobs(author, realm)
	for _, id := range vlobs {
		if found := readable[id]; found != nil {
			if version := found.until(at); version != nil {
				reading.Versions = append(reading.Versions, *version)
			}
		}
	}
	bound(&reading, limit)
	return reading, err
}

// ReadVersions implements rules.VlobReader.
func (s *Store) ReadVersions(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, items []rules.VlobNumber, limit uint64) (rules.VlobReading, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	reading, readable := o.readVlobs(author, realm)
	for _, item := range items {
		found := readable[item.Vlob]
		if found != nil && item.Version >= 1 && uint64(item.Version) <= uint64(len(found.versions)) {
			reading.Versions = append(reading.Versions, found.versions[item.Version-1])
		}
	}
	bound(&reading, limit)
	return reading, err
}

// bound empties a reading whose blobs have more than limit bytes together.
func bound(reading *rules.VlobReading, limit uint64) {
	var size uint64
	for i := range reading.Versions {
		size += uint64(len(reading.Versions[i].Blob))
	}
	if size > limit {
		reading.Versions, reading.TooLong = nil, true
	}
}

// readVlobs returns a reading without versions, and the vlobs of the realm that
// the author may read.
func (o *organization) readVlobs(author parsec3.DeviceID, id parsec.RealmID) (rules.VlobReading, map[parsec.VlobID]*vlob) {
	r := o.realms[id]
	reading := rules.VlobReading{Standing: o.standing(author), Topics: o.topics, Realm: r.as(o.userOf(author))}
	if reading.Realm == nil || reading.Realm.Role == parsec.RoleNone {
		return reading, nil
	}
	return reading, r.vlobs
}

// Changes implements rules.VlobReader.
func (s *Store) Changes(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, checkpoint uint64) (rules.Standing, *rules.Realm, []rules.VlobChange, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	reading, readable := o.readVlobs(author, realm)
	if readable == nil {
		return reading.Standing, reading.Realm, nil, err
	}
	var changes []rules.VlobChange
	log, listed := o.realms[realm].log, map[parsec.VlobID]bool{}
	for _, changed := range log[min(checkpoint, uint64(len(log))):] {
		if !listed[changed.id] {
			listed[changed.id] = true
			changes = append(changes, rules.VlobChange{Vlob: changed.id, Version: uint32(len(changed.versions))})
		}
	}
	return reading.Standing, reading.Realm, changes, err
}

// Vlob implements rules.VlobTx.
func (t *tx) Vlob() uint32 {
	if t.vlob == nil {
		return 0
	}
	return uint32(len(t.vlob.versions))
}

// WriteVlob implements rules.VlobTx.
func (t *tx) WriteVlob(version rules.VlobVersion) {
	version.Blob = bytes.Clone(version.Blob)
	allowed := t.holdsRealm() && !t.realm.facts.Deleted && version.Vlob == t.scope.Vlob &&
		uint64(version.Version) == uint64(t.Vlob())+1
	t.Queue("WriteVlob", allowed, func() {
		o, r, v := t.organization, t.realm, t.vlob
		if v == nil {
			v = &vlob{id: version.Vlob}
			r.vlobs[v.id] = v
		}
		v.versions = append(v.versions, version)
		r.log = append(r.log, v)
		r.facts.Checkpoint++
		r.facts.LastVlob = max(r.facts.LastVlob, version.Timestamp)
		r.usage.Metadata += uint64(len(version.Blob))
		o.usage.Metadata += uint64(len(version.Blob))
		o.sign(version.Author, version.Timestamp)
	})
}
