package memory

import (
	"bytes"
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// reencryption is the progress of a realm's reencryption, zero without.
type reencryption struct {
	// total counts the versions of the previous revision, done those saved.
	total, done uint64
	// first is the place in the log of the first version not saved.
	first int
}

// unsaved returns the version to reencrypt, nil if it is unknown, of another
// realm, already saved, or of the current revision, as all are when nothing is
// to reencrypt.
func (r *realm) unsaved(v *vlob, number uint32) *version {
	if v == nil || v.realm != r || number == 0 || uint64(number) > uint64(len(v.versions)) {
		return nil
	}
	stored := &v.versions[number-1]
	if stored.saved || stored.revision+1 != r.facts.EncryptionRevision {
		return nil
	}
	return stored
}

// ReencryptionBatch implements rules.ReencryptionReader.
func (s *Store) ReencryptionBatch(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection rules.BatchSelection) (*rules.Realm, []protocol.ReencryptionItem, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	r := o.realms[selection.Realm]
	facts, found := r.seenBy(user)
	if !found || facts.Member.Role != selection.Role {
		return facts, nil, found, err
	}
	left := min(selection.Items, r.reencryption.total-r.reencryption.done)
	batch := make([]protocol.ReencryptionItem, 0, left)
	var size uint64
	for _, entry := range r.log[r.reencryption.first:] {
		if uint64(len(batch)) == left {
			break
		}
		if stored := r.unsaved(entry.vlob, entry.version); stored != nil {
			item := protocol.ReencryptionItem{VlobID: entry.vlob.id, Version: entry.version, Blob: stored.blob}
			if size += item.Size(); size > selection.Bytes && len(batch) > 0 {
				break
			}
			batch = append(batch, item)
		}
	}
	return facts, batch, true, err
}

// StartMaintenance implements rules.ReencryptionTx.
func (t *tx) StartMaintenance(maintenance rules.Maintenance) {
	t.queueOnRealm("StartMaintenance", func(r *realm) {
		r.facts.Maintenance = maintenance
		r.facts.EncryptionRevision++
		r.reencryption = reencryption{total: uint64(len(r.log))}
	})
}

// FinishMaintenance implements rules.ReencryptionTx. The versions saved replace
// the previous ones.
func (t *tx) FinishMaintenance() {
	t.queueOnRealm("FinishMaintenance", func(r *realm) {
		r.facts.Maintenance = rules.Maintenance{}
		r.reencryption = reencryption{}
		for _, entry := range r.log {
			if stored := &entry.vlob.versions[entry.version-1]; stored.saved {
				stored.blob, stored.revision = stored.reencrypted, r.facts.EncryptionRevision
				stored.reencrypted, stored.saved = nil, false
			}
		}
	})
}

// ReencryptionProgress implements rules.ReencryptionTx.
func (t *tx) ReencryptionProgress(context.Context) (total, done uint64, err error) {
	if t.realm == nil {
		return 0, 0, nil
	}
	return t.realm.reencryption.total, t.realm.reencryption.done + uint64(len(t.saved)), nil
}

// SaveReencrypted implements rules.ReencryptionTx.
func (t *tx) SaveReencrypted(ctx context.Context, items []protocol.ReencryptionItem) (total, done uint64, err error) {
	r := t.realm
	if !t.Allow("SaveReencrypted", t.scope.By == rules.RealmExclusive && r != nil) {
		return 0, 0, nil
	}
	if t.saved == nil {
		t.saved = make(map[*version][]byte, len(items))
	}
	for _, item := range items {
		stored := r.unsaved(t.organization.vlobs[item.VlobID], item.Version)
		if _, twice := t.saved[stored]; stored != nil && !twice {
			t.saved[stored] = bytes.Clone(item.Blob)
		}
	}
	t.queueOnRealm("SaveReencrypted", func(r *realm) {
		for stored, blob := range t.saved {
			stored.reencrypted, stored.saved = blob, true
		}
		r.reencryption.done += uint64(len(t.saved))
		clear(t.saved)
		for ; r.reencryption.first < len(r.log); r.reencryption.first++ {
			if entry := r.log[r.reencryption.first]; r.unsaved(entry.vlob, entry.version) != nil {
				break
			}
		}
	})
	return t.ReencryptionProgress(ctx)
}
