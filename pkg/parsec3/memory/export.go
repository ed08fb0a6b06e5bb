package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"parsec-server/pkg/blockstore"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// exported locks the organization of an export for reading, and returns its realm, one
// of nothing if it does not exist. The caller unlocks the organization.
func (s *Store) exported(ctx context.Context, key rules.ExportKey) (*organization, *realm, error) {
	o, err := s.read(ctx, key.Organization)
	r, found := o.realms[key.Realm]
	if !found {
		r = &realm{}
	}
	return o, r, err
}

// head returns what comes first, at most so much.
func head[T any](list []T, most int) []T { return list[:min(most, len(list))] }

// ExportedRealm implements rules.ExportReader.
func (s *Store) ExportedRealm(ctx context.Context, key rules.ExportKey) (rules.ExportedRealm, bool, error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	exported := rules.ExportedRealm{CreatedOn: r.createdOn, Deleted: r.facts.Deleted}
	for i := range r.bundles {
		if r.bundles[i].rotatedOn <= key.Snapshot {
			exported.KeyIndex = uint64(i) + 1
		}
	}
	return exported, o.realms[key.Realm] != nil, err
}

// ExportedBundles implements rules.ExportReader.
func (s *Store) ExportedBundles(ctx context.Context, key rules.ExportKey, after, last uint64, most int) ([]rules.ExportedBundle, error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	var bundles []rules.ExportedBundle
	for i := after; i < min(last, uint64(len(r.bundles))); i++ {
		bundles = append(bundles, rules.ExportedBundle{KeyIndex: i + 1, Bundle: r.bundles[i].bundle})
	}
	return head(bundles, most), err
}

func compareAccesses(a, b rules.ExportedAccess) int {
	return cmp.Or(bytes.Compare(a.User[:], b.User[:]), cmp.Compare(a.KeyIndex, b.KeyIndex), cmp.Compare(a.Dated, b.Dated))
}

// ExportedAccesses implements rules.ExportReader.
func (s *Store) ExportedAccesses(ctx context.Context, key rules.ExportKey, after rules.ExportedAccess, most int) ([]rules.ExportedAccess, error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	var accesses []rules.ExportedAccess
	for i := range r.bundles {
		for user, given := range r.bundles[i].accesses {
			for _, one := range given {
				item := rules.ExportedAccess{User: user, KeyIndex: uint64(i) + 1, Dated: one.dated, Access: one.access}
				if item.Dated <= key.Snapshot && compareAccesses(item, after) > 0 {
					accesses = append(accesses, item)
				}
			}
		}
	}
	slices.SortFunc(accesses, compareAccesses)
	return head(accesses, most), err
}

func compareServiceAccesses(a, b rules.ExportedServiceAccess) int {
	return cmp.Or(cmp.Compare(a.KeyIndex, b.KeyIndex), bytes.Compare(a.Service[:], b.Service[:]))
}

// ExportedServiceAccesses implements rules.ExportReader.
func (s *Store) ExportedServiceAccesses(ctx context.Context, key rules.ExportKey, after rules.ExportedServiceAccess, last uint64, most int) ([]rules.ExportedServiceAccess, error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	var accesses []rules.ExportedServiceAccess
	for i := range head(r.bundles, int(min(last, uint64(len(r.bundles))))) {
		for service, access := range r.bundles[i].services {
			item := rules.ExportedServiceAccess{KeyIndex: uint64(i) + 1, Service: service, Access: access}
			if compareServiceAccesses(item, after) > 0 {
				accesses = append(accesses, item)
			}
		}
	}
	slices.SortFunc(accesses, compareServiceAccesses)
	return head(accesses, most), err
}

func compareNumbers(a, b rules.VlobNumber) int {
	return cmp.Or(bytes.Compare(a.Vlob[:], b.Vlob[:]), cmp.Compare(a.Version, b.Version))
}

// ExportedVersions implements rules.ExportReader.
func (s *Store) ExportedVersions(ctx context.Context, key rules.ExportKey, after rules.VlobNumber, most int) ([]rules.ExportedVersion, error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	var versions []rules.ExportedVersion
	for id, vlob := range r.vlobs {
		for i := range vlob.versions {
			v := &vlob.versions[i]
			number := rules.VlobNumber{Vlob: id, Version: v.Version}
			if v.Timestamp <= key.Snapshot && compareNumbers(number, after) > 0 {
				versions = append(versions, rules.ExportedVersion{VlobNumber: number, Timestamp: v.Timestamp, Size: uint64(len(v.Blob))})
			}
		}
	}
	slices.SortFunc(versions, func(a, b rules.ExportedVersion) int { return compareNumbers(a.VlobNumber, b.VlobNumber) })
	return head(versions, most), err
}

// ExportedBlobs implements rules.ExportReader.
func (s *Store) ExportedBlobs(ctx context.Context, key rules.ExportKey, numbers []rules.VlobNumber) ([]rules.VlobVersion, error) {
	o, r, err := s.exported(ctx, key)
	defer o.RUnlock()
	var read []rules.VlobVersion
	for _, number := range numbers {
		found := r.vlobs[number.Vlob]
		if found != nil && number.Version >= 1 && uint64(number.Version) <= uint64(len(found.versions)) {
			read = append(read, found.versions[number.Version-1])
		}
	}
	return read, err
}

// ExportedBlocks implements rules.ExportReader. It looks at all of them.
func (s *Store) ExportedBlocks(ctx context.Context, key rules.ExportKey, after parsec.BlockID) (blocks []rules.Block, last parsec.BlockID, done bool, err error) {
	o, _, err := s.exported(ctx, key)
	defer o.RUnlock()
	for _, id := range slices.SortedFunc(maps.Keys(o.blocks), func(a, b parsec.BlockID) int { return bytes.Compare(a[:], b[:]) }) {
		block := o.blocks[id]
		block.Checksum = nil
		if block.Realm == key.Realm && block.CreatedOn <= key.Snapshot && bytes.Compare(id[:], after[:]) > 0 {
			blocks = append(blocks, block)
		}
		last = id
	}
	return blocks, last, true, err
}

// ExportedChecksums implements rules.ExportReader.
func (s *Store) ExportedChecksums(ctx context.Context, key rules.ExportKey, ids []parsec.BlockID) ([]*blockstore.Checksum, error) {
	o, _, err := s.exported(ctx, key)
	defer o.RUnlock()
	var checksums []*blockstore.Checksum
	for _, id := range ids {
		if block, found := o.blocks[id]; found && block.Realm == key.Realm {
			checksums = append(checksums, organizationstore.CopyOf(block.Checksum))
		}
	}
	return checksums, err
}
