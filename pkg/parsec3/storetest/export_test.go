package storetest

import (
	"fmt"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var exportChecks = []check{
	{"realm", exportedRealm},
	{"keys", exportedKeys},
	{"versions", exportedVersions},
	{"blocks", exportedBlocks},
	{"ids of realms", realmIDs},
}

// exportOf names what of a realm is dated until the last step.
func (f *fixture) exportOf(realm parsec.RealmID) rules.ExportKey {
	return rules.ExportKey{Organization: f.organization, Realm: realm, Snapshot: f.last()}
}

// paged reads by pages of several sizes, and wants all of them to have the same.
func paged[T any](f *fixture, what string, want []T, read func(after *T, most int) ([]T, error)) {
	f.Helper()
	for _, most := range []int{1, 2, 100} {
		var all []T
		for after := (*T)(nil); ; {
			page, err := read(after, most)
			f.no(err)
			if len(page) == 0 {
				break
			}
			if len(page) > most {
				f.Errorf("%s: a page of %d in place of %d", what, len(page), most)
			}
			all = append(all, page...)
			after = &page[len(page)-1]
		}
		equalList(f, fmt.Sprint(what, " by ", most), all, want)
	}
}

func exportedRealm(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	created := f.last()
	want := func(key rules.ExportKey, found bool, want rules.ExportedRealm) {
		f.Helper()
		got, exists, err := f.store.ExportedRealm(f.Context(), key)
		f.no(err)
		equal(f, "exported realm exists", exists, found)
		equal(f, "exported realm", got, want)
	}
	want(f.exportOf(realm), true, rules.ExportedRealm{CreatedOn: created})
	before := f.exportOf(realm)
	f.rotate(realm, 1, map[parsec3.UserID]string{alice: "access"})
	first := f.exportOf(realm)
	f.rotate(realm, 2, map[parsec3.UserID]string{alice: "access"})
	want(before, true, rules.ExportedRealm{CreatedOn: created})
	want(first, true, rules.ExportedRealm{CreatedOn: created, KeyIndex: 1})
	want(f.exportOf(realm), true, rules.ExportedRealm{CreatedOn: created, KeyIndex: 2})
	want(f.exportOf(newRealmID()), false, rules.ExportedRealm{})
	want(f.another().exportOf(realm), false, rules.ExportedRealm{})
	f.deleteRealm(realm)
	f.prune()
	want(f.exportOf(realm), true, rules.ExportedRealm{CreatedOn: created, Deleted: true})
}

func exportedKeys(f *fixture) {
	f.bootstrapSequestered()
	f.enrol(parsec.ProfileStandard, bob)
	service, other := parsec.SequesterServiceID{1}, parsec.SequesterServiceID{2}
	f.createService(service)
	f.createService(other)
	realm := f.createRealm()
	rotate := func(index uint64, services ...parsec.SequesterServiceID) parsec.DateTime {
		rotation := rules.KeyRotation{
			KeyIndex: index, KeysBundle: fmt.Append(nil, "bundle ", index), Participants: map[parsec3.UserID][]byte{alice: fmt.Append(nil, "for alice ", index)},
			Services: map[parsec.SequesterServiceID][]byte{},
		}
		for _, id := range services {
			rotation.Services[id] = fmt.Append(nil, serviceName(id), " ", index)
		}
		date := f.next()
		f.queue(onRealm(realm), func(tx rules.Tx) { tx.RotateKey(rotation, certificate(aliceOne, date, "rotation")) })
		return date
	}
	first := rotate(1, service, other)
	second := rotate(2, other)
	f.share(realm, bob, parsec.RoleReader, []byte("for bob"))
	shared := f.last()
	f.share(realm, bob, parsec.RoleManager, []byte("for bob again"))
	again := f.last()
	snapshot := f.exportOf(realm)
	rotate(3, service)
	f.share(realm, bob, parsec.RoleReader, []byte("too late"))

	bundles := []rules.ExportedBundle{{KeyIndex: 1, Bundle: []byte("bundle 1")}, {KeyIndex: 2, Bundle: []byte("bundle 2")}}
	paged(f, "bundles", bundles, func(after *rules.ExportedBundle, most int) ([]rules.ExportedBundle, error) {
		var index uint64
		if after != nil {
			index = after.KeyIndex
		}
		return f.store.ExportedBundles(f.Context(), snapshot, index, 2, most)
	})
	accesses := []rules.ExportedAccess{
		{User: alice, KeyIndex: 1, Dated: first, Access: []byte("for alice 1")},
		{User: alice, KeyIndex: 2, Dated: second, Access: []byte("for alice 2")},
		{User: bob, KeyIndex: 2, Dated: shared, Access: []byte("for bob")},
		{User: bob, KeyIndex: 2, Dated: again, Access: []byte("for bob again")},
	}
	paged(f, "accesses", accesses, func(after *rules.ExportedAccess, most int) ([]rules.ExportedAccess, error) {
		if after == nil {
			after = &rules.ExportedAccess{}
		}
		return f.store.ExportedAccesses(f.Context(), snapshot, *after, most)
	})
	services := []rules.ExportedServiceAccess{
		{KeyIndex: 1, Service: service, Access: []byte("service 1 1")},
		{KeyIndex: 1, Service: other, Access: []byte("service 2 1")},
		{KeyIndex: 2, Service: other, Access: []byte("service 2 2")},
	}
	paged(f, "accesses of services", services, func(after *rules.ExportedServiceAccess, most int) ([]rules.ExportedServiceAccess, error) {
		if after == nil {
			after = &rules.ExportedServiceAccess{}
		}
		return f.store.ExportedServiceAccesses(f.Context(), snapshot, *after, 2, most)
	})
	none, err := f.store.ExportedAccesses(f.Context(), f.another().exportOf(realm), rules.ExportedAccess{}, 1)
	f.no(err)
	equalList(f, "accesses of another organization", none, nil)
}

func exportedVersions(f *fixture) {
	f.bootstrap()
	realm, other := f.createRealm(), f.createRealm()
	f.rotate(realm, 1, map[parsec3.UserID]string{alice: "access"})
	vlobs := sorted([]parsec.VlobID{newVlobID(), newVlobID()})
	low, high := vlobs[0], vlobs[1]
	snapshot := rules.ExportKey{Organization: f.organization, Realm: realm, Snapshot: at(100)}
	f.write(realm, high, aliceOne, at(90), "high 1")
	f.write(realm, low, aliceOne, at(100), "low 1")
	f.write(realm, low, aliceOne, at(95), "low 2") // dated before the one before
	f.write(realm, high, aliceOne, at(101), "too late")
	f.write(other, newVlobID(), aliceOne, at(90), "elsewhere")
	number := func(vlob parsec.VlobID, version uint32) rules.VlobNumber {
		return rules.VlobNumber{Vlob: vlob, Version: version}
	}
	want := []rules.ExportedVersion{
		{VlobNumber: number(low, 1), Timestamp: at(100), Size: 5},
		{VlobNumber: number(low, 2), Timestamp: at(95), Size: 5},
		{VlobNumber: number(high, 1), Timestamp: at(90), Size: 6},
	}
	paged(f, "versions", want, func(after *rules.ExportedVersion, most int) ([]rules.ExportedVersion, error) {
		if after == nil {
			after = &rules.ExportedVersion{}
		}
		return f.store.ExportedVersions(f.Context(), snapshot, after.VlobNumber, most)
	})
	blobs, err := f.store.ExportedBlobs(f.Context(), snapshot, []rules.VlobNumber{number(high, 1), number(low, 3), number(newVlobID(), 1), number(low, 2)})
	f.no(err)
	equalList(f, "blobs", blobs, []rules.VlobVersion{
		{Vlob: high, Version: 1, KeyIndex: 1, Author: aliceOne, Timestamp: at(90), Blob: []byte("high 1")},
		{Vlob: low, Version: 2, KeyIndex: 1, Author: aliceOne, Timestamp: at(95), Blob: []byte("low 2")},
	})
}

func exportedBlocks(f *fixture) {
	f.bootstrap()
	realm, other := f.createRealm(), f.createRealm()
	ids := sorted([]parsec.BlockID{newBlockID(), newBlockID(), newBlockID()})
	elsewhere := newBlockID()
	f.createBlock(other, elsewhere, 3)
	var want []rules.Block
	for i, id := range ids {
		f.createBlock(realm, id, uint64(i)+10)
		block := newBlock(realm, id, uint64(i)+10, f.last())
		block.Checksum = nil
		want = append(want, block)
	}
	snapshot := f.exportOf(realm)
	f.createBlock(realm, newBlockID(), 4)
	f.reserve(realm, newUpload(newBlockID()))
	read := func(after parsec.BlockID) []rules.Block {
		f.Helper()
		blocks, _, done, err := f.store.ExportedBlocks(f.Context(), snapshot, after)
		f.no(err)
		equal(f, "the end of few blocks", done, true)
		return blocks
	}
	equalList(f, "blocks", read(parsec.BlockID{}), want)
	equalList(f, "later blocks", read(ids[0]), want[1:])
	equalList(f, "no more blocks", read(ids[2]), nil)
	checksums, err := f.store.ExportedChecksums(f.Context(), snapshot, []parsec.BlockID{ids[2], newBlockID(), elsewhere, ids[0]})
	f.no(err)
	equalList(f, "checksums", checksums, []*blockstore.Checksum{blockstore.ChecksumOf(ids[2][:]), blockstore.ChecksumOf(ids[0][:])})
}

func realmIDs(f *fixture) {
	f.bootstrap()
	want := sorted([]parsec.RealmID{f.createRealm(), f.createRealm(), f.createRealm()})
	f.deleteRealm(want[1])
	paged(f, "realms", want, func(after *parsec.RealmID, most int) ([]parsec.RealmID, error) {
		if after == nil {
			after = &parsec.RealmID{}
		}
		return f.store.RealmIDs(f.Context(), f.organization, *after, most)
	})
}
