package storetest

import (
	"fmt"
	"strings"
	"sync"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var vlobChecks = []check{
	{"unknown vlob", unknownVlob},
	{"write", writeVlob},
	{"versions", vlobVersions},
	{"selection", vlobSelection},
	{"reads at the same time", readsTogether},
	{"date of the author's role", authorRole},
	{"id of another realm", vlobOfAnotherRealm},
	{"last vlob update", lastVlobUpdate},
	{"changes", changes},
	{"sizes", vlobSizes},
	{"bytes are copies", vlobCopies},
	{"nothing for users without role", nothingForStrangers},
}

func (f *fixture) wantNoVlob(id parsec.VlobID) {
	f.Helper()
	_, _, found, err := f.store.ReadVlob(f.Context(), f.organization, alice, rules.VlobSelection{Vlob: id, EncryptionRevision: 1})
	f.no(err)
	equal(f, "unknown vlob found", found, false)
	_, _, found, err = f.store.VlobVersions(f.Context(), f.organization, alice, id)
	f.no(err)
	equal(f, "versions of an unknown vlob found", found, false)
	_, _, found, err = f.store.Block(f.Context(), f.organization, alice, parsec.BlockID(id))
	f.no(err)
	equal(f, "unknown block found", found, false)
}

func unknownVlob(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	f.createVlob(realm, aliceOne, 1, "another")
	f.wantNoVlob(newVlobID())
	f.wantNoVlob(parsec.VlobID(realm))
	f.update(onVlobUpdate(newVlobID()), func(tx rules.Tx) error {
		_, found := tx.Vlob()
		equal(f, "unknown vlob found by a transaction", found, false)
		_, found = tx.Realm()
		equal(f, "its realm found by a transaction", found, false)
		return nil
	})
}

func writeVlob(f *fixture) {
	f.bootstrap()
	realm, id := f.createRealm(), newVlobID()
	f.update(onVlobCreate(realm, id), func(tx rules.Tx) error {
		_, found := tx.Vlob()
		equal(f, "vlob found before its creation", found, false)
		writeNext(tx, rules.VlobVersion{Blob: []byte("one"), Author: aliceOne, Timestamp: at(1)})
		_, found = tx.Vlob()
		equal(f, "vlob seen before the end of its rule", found, false)
		return nil
	})
	for version := range uint32(3) {
		want := &rules.Vlob{ID: id, Realm: realm, Version: version + 1, Timestamp: at(int(version) + 1)}
		for _, scope := range []rules.Scope{onVlobUpdate(id), onVlobCreate(realm, id)} {
			f.update(scope, func(tx rules.Tx) error {
				vlob, found := tx.Vlob()
				equal(f, "vlob found", found, true)
				equal(f, "vlob", vlob, want)
				facts, found := tx.Realm()
				equal(f, "realm found", found, true)
				if found {
					equal(f, "realm", facts.ID, realm)
					equal(f, "checkpoint", facts.Checkpoint, uint64(version)+1)
					equal(f, "role", facts.Member.Role, parsec.RoleOwner)
				}
				return nil
			})
		}
		f.updateVlob(id, aliceOne, int(version)+2, fmt.Sprint("version ", version+2))
	}
}

func vlobVersions(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm := f.createRealm()
	f.grant(realm, bob, parsec.RoleContributor, 5)
	id := f.createVlob(realm, aliceOne, 1, "")
	f.updateVlob(id, bobOne, 6, strings.Repeat("long", 100_000))
	f.updateVlob(id, aliceOne, 6, "three")
	f.createVlob(realm, aliceOne, 9, "another")

	facts, versions, found, err := f.store.VlobVersions(f.Context(), f.organization, bob, id)
	f.no(err)
	equal(f, "vlob found", found, true)
	equal(f, "realm", facts, f.realm(realm, bob))
	equalList(f, "versions", versions, []rules.VlobVersion{
		{Version: 1, Author: aliceOne, Timestamp: at(1), AuthorRoleCertifiedOn: at(0)},
		{Version: 2, Author: bobOne, Timestamp: at(6), AuthorRoleCertifiedOn: at(5)},
		{Version: 3, Author: aliceOne, Timestamp: at(6), AuthorRoleCertifiedOn: at(0)},
	})
	facts, version, found, err := f.store.ReadVlob(f.Context(), f.organization, bob,
		rules.VlobSelection{Vlob: id, EncryptionRevision: 1, Version: new(uint32(2))})
	f.no(err)
	equal(f, "vlob found", found, true)
	equal(f, "realm", facts, f.realm(realm, bob))
	equal(f, "version", version, &rules.VlobVersion{
		Version: 2, Blob: []byte(strings.Repeat("long", 100_000)), Author: bobOne, Timestamp: at(6), AuthorRoleCertifiedOn: at(5),
	})
	_, version, _, err = f.store.ReadVlob(f.Context(), f.organization, bob,
		rules.VlobSelection{Vlob: id, EncryptionRevision: 1, Version: new(uint32(1))})
	f.no(err)
	if version == nil || len(version.Blob) != 0 {
		f.Errorf("version 1 is %+v, want an empty blob", version)
	}
}

func vlobSelection(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	id := f.createVlob(realm, aliceOne, 10, "one")
	for i, seconds := range []int{20, 20, 20, 30} {
		f.updateVlob(id, aliceOne, seconds, fmt.Sprint("version ", i+2))
	}
	for _, test := range []struct {
		name      string
		selection rules.VlobSelection
		want      uint32 // 0 is none
	}{
		{"latest", rules.VlobSelection{EncryptionRevision: 1}, 5},
		{"version 1", rules.VlobSelection{EncryptionRevision: 1, Version: new(uint32(1))}, 1},
		{"version 5", rules.VlobSelection{EncryptionRevision: 1, Version: new(uint32(5))}, 5},
		{"version 6", rules.VlobSelection{EncryptionRevision: 1, Version: new(uint32(6))}, 0},
		{"version 0", rules.VlobSelection{EncryptionRevision: 1, Version: new(uint32(0))}, 0},
		{"highest version", rules.VlobSelection{EncryptionRevision: 1, Version: new(^uint32(0))}, 0},
		{"before all", rules.VlobSelection{EncryptionRevision: 1, Timestamp: new(at(10) - 1)}, 0},
		{"at the first", rules.VlobSelection{EncryptionRevision: 1, Timestamp: new(at(10))}, 1},
		{"before the second", rules.VlobSelection{EncryptionRevision: 1, Timestamp: new(at(20) - 1)}, 1},
		{"at three of one date", rules.VlobSelection{EncryptionRevision: 1, Timestamp: new(at(20))}, 4},
		{"at the last", rules.VlobSelection{EncryptionRevision: 1, Timestamp: new(at(30))}, 5},
		{"after all", rules.VlobSelection{EncryptionRevision: 1, Timestamp: new(parsec.MaxDateTime)}, 5},
		{"first of all dates", rules.VlobSelection{EncryptionRevision: 1, Timestamp: new(parsec.MinDateTime)}, 0},
		{"version before date", rules.VlobSelection{EncryptionRevision: 1, Version: new(uint32(2)), Timestamp: new(at(0))}, 2},
		{"other revision", rules.VlobSelection{EncryptionRevision: 2}, 0},
		{"revision 0", rules.VlobSelection{}, 0},
	} {
		test.selection.Vlob = id
		_, version, found, err := f.store.ReadVlob(f.Context(), f.organization, alice, test.selection)
		f.no(err)
		equal(f, test.name+": vlob found", found, true)
		got := uint32(0)
		if version != nil {
			got = version.Version
		}
		equal(f, test.name, got, test.want)
	}
}

// readsTogether has reads of several people, vlobs and versions, that a store
// may answer at once: none gets anything of another one.
func readsTogether(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm := f.createRealm()
	f.grant(realm, bob, parsec.RoleReader, 5)
	id := f.createVlob(realm, aliceOne, 1, "one")
	f.updateVlob(id, aliceOne, 2, "two")
	var reads sync.WaitGroup
	for i := range 24 {
		user := []parsec.UserID{alice, bob, carol}[i%3]
		role := []parsec.RealmRole{parsec.RoleOwner, parsec.RoleReader, parsec.RoleNone}[i%3]
		wanted := []uint32{1, 2, 3, 0}[i/3%4] // 3 does not exist, nor does vlob 0.
		selection := rules.VlobSelection{Vlob: id, EncryptionRevision: 1, Version: &wanted}
		if wanted == 0 {
			selection.Vlob = newVlobID()
		}
		reads.Go(func() {
			for range 10 {
				facts, version, found, err := f.store.ReadVlob(f.Context(), f.organization, user, selection)
				switch {
				case err != nil || found != (wanted != 0):
					f.Errorf("version %d for %v: found %t, error %v", wanted, user, found, err)
				case !found:
				case facts.ID != realm || facts.Member.Role != role:
					f.Errorf("version %d for %v: realm %v, role %q", wanted, user, facts.ID, facts.Member.Role)
				case (version == nil) != (wanted == 3 || role == parsec.RoleNone), version != nil && version.Version != wanted:
					f.Errorf("version %d for %v: %+v", wanted, user, version)
				}
			}
		})
	}
	reads.Wait()
}

func authorRole(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm := f.createRealm()
	f.grant(realm, bob, parsec.RoleContributor, 5)
	id := f.createVlob(realm, bobOne, 6, "one")
	f.wantAuthorRole(id, at(5))
	f.grant(realm, bob, parsec.RoleManager, 7)
	f.wantAuthorRole(id, at(7))
	f.grant(realm, bob, parsec.RoleNone, 8)
	f.wantAuthorRole(id, at(8))
	f.grant(realm, carol, parsec.RoleReader, 9)
	f.wantAuthorRole(id, at(8))
}

func (f *fixture) wantAuthorRole(vlob parsec.VlobID, want parsec.DateTime) {
	f.Helper()
	_, version, _, err := f.store.ReadVlob(f.Context(), f.organization, alice, rules.VlobSelection{Vlob: vlob, EncryptionRevision: 1})
	f.no(err)
	if version == nil {
		f.Fatal("no version")
	}
	equal(f, "date of the author's role", version.AuthorRoleCertifiedOn, want)
}

func vlobOfAnotherRealm(f *fixture) {
	f.bootstrap()
	realm, other := f.createRealm(), f.createRealm()
	id := f.createVlob(realm, aliceOne, 1, "one")
	f.update(onVlobCreate(other, id), func(tx rules.Tx) error {
		vlob, found := tx.Vlob()
		equal(f, "vlob of another realm found", found, true)
		equal(f, "vlob of another realm", vlob, &rules.Vlob{ID: id, Realm: realm, Version: 1, Timestamp: at(1)})
		facts, _ := tx.Realm()
		equal(f, "realm of the scope", facts.ID, other)
		return nil
	})
}

func lastVlobUpdate(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	bobTwo := deviceID("bob@two")
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateDevice(newDevice(bobTwo, bobOne)) })
	realm, other := f.createRealm(), f.createRealm()
	f.createVlob(realm, bobOne, 10, "one")
	equal(f, "bob", f.realm(realm, bob).Member.LastVlobUpdate, at(10))
	id := f.createVlob(realm, bobTwo, 5, "older")
	equal(f, "bob", f.realm(realm, bob).Member.LastVlobUpdate, at(10))
	f.updateVlob(id, bobOne, 12, "newer")
	equal(f, "bob", f.realm(realm, bob).Member.LastVlobUpdate, at(12))
	f.updateVlob(id, aliceOne, 20, "by alice")
	equal(f, "bob", f.realm(realm, bob).Member.LastVlobUpdate, at(12))
	equal(f, "alice", f.realm(realm, alice).Member.LastVlobUpdate, at(20))
	equal(f, "bob elsewhere", f.realm(other, bob).Member, rules.Member{})
}

func changes(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm, other := f.createRealm(), f.createRealm()
	a := f.createVlob(realm, aliceOne, 1, "a1")
	f.createVlob(other, aliceOne, 1, "elsewhere")
	b := f.createVlob(realm, aliceOne, 2, "b1")
	f.updateVlob(a, aliceOne, 3, "a2")
	f.updateVlob(a, aliceOne, 4, "a3")
	c := f.createVlob(realm, aliceOne, 5, "c1")
	type versions = map[parsec.VlobID]uint32
	for _, test := range []struct {
		checkpoint uint64
		want       versions
	}{
		{0, versions{a: 3, b: 1, c: 1}},
		{1, versions{a: 3, b: 1, c: 1}},
		{2, versions{a: 3, c: 1}},
		{3, versions{a: 3, c: 1}},
		{4, versions{c: 1}},
		{5, versions{}},
		{6, versions{}},
		{1<<63 - 1, versions{}},
	} {
		facts, got, found, err := f.store.Changes(f.Context(), f.organization, alice, realm, test.checkpoint)
		f.no(err)
		equal(f, "realm found", found, true)
		equal(f, "realm", facts, f.realm(realm, alice))
		equal(f, "checkpoint", facts.Checkpoint, 5)
		equal(f, "number of changes", len(got), len(test.want))
		for vlob, version := range test.want {
			equal(f, fmt.Sprint("version after ", test.checkpoint), got[vlob], version)
		}
	}
	f.grant(realm, bob, parsec.RoleReader, 9)
	equal(f, "checkpoint after a role", f.realm(realm, bob).Checkpoint, 5)
	equal(f, "checkpoint of the other realm", f.realm(other, alice).Checkpoint, 1)
}

func vlobSizes(f *fixture) {
	f.bootstrap()
	realm, other := f.createRealm(), f.createRealm()
	id := f.createVlob(realm, aliceOne, 1, "12345")
	f.updateVlob(id, aliceOne, 2, "123")
	f.createVlob(other, aliceOne, 1, "1234567")
	// Sequester copies are not counted.
	f.update(onVlobUpdate(id), func(tx rules.Tx) error {
		facts, _ := tx.Realm()
		tx.WriteVlob(rules.VlobVersion{Version: 3, Blob: []byte("x"), Author: aliceOne, Timestamp: at(3)},
			facts.Checkpoint+1, map[parsec.SequesterServiceID][]byte{{1}: make([]byte, 1000)})
		return nil
	})
	for realm, want := range map[parsec.RealmID]uint64{realm: 9, other: 7} {
		facts, blocks, vlobs, found, err := f.store.RealmStatistics(f.Context(), f.organization, realm, alice)
		f.no(err)
		equal(f, "realm found", found, true)
		equal(f, "realm", facts, f.realm(realm, alice))
		equal(f, "sizes", [2]uint64{blocks, vlobs}, [2]uint64{0, want})
	}
	statistics := f.statistics(nil)
	equal(f, "metadata size", statistics.MetadataSize, 16)
	equal(f, "data size", statistics.DataSize, 0)
	equal(f, "realms", statistics.Realms, 2)
}

func vlobCopies(f *fixture) {
	f.bootstrap()
	realm, id := f.createRealm(), newVlobID()
	buffer := []byte("one")
	f.update(onVlobCreate(realm, id), func(tx rules.Tx) error {
		writeNext(tx, rules.VlobVersion{Blob: buffer, Author: aliceOne, Timestamp: at(1)})
		return nil
	})
	copy(buffer, "two")
	f.update(onVlobUpdate(id), func(tx rules.Tx) error {
		writeNext(tx, rules.VlobVersion{Blob: buffer, Author: aliceOne, Timestamp: at(2)})
		return nil
	})
	clear(buffer)
	f.wantBlob(id, 1, 1, "one")
	f.wantBlob(id, 2, 1, "two")

	_, read, _, err := f.store.Changes(f.Context(), f.organization, alice, realm, 0)
	f.no(err)
	clear(read)
	_, read, _, err = f.store.Changes(f.Context(), f.organization, alice, realm, 0)
	f.no(err)
	equal(f, "changes", read, map[parsec.VlobID]uint32{id: 2})
}

// nothingForStrangers reads for users that have no role, or another than the
// one that is asked for: the realm is found, and what is in it stays there.
func nothingForStrangers(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileOutsider, bob, carol)
	realm := f.createRealm()
	id := f.createVlob(realm, aliceOne, 1, "one")
	f.grant(realm, bob, parsec.RoleReader, 1)
	f.start(realm)
	want := func(user parsec.UserID, read, batch bool) {
		f.Helper()
		facts := f.realm(realm, user)
		check := func(what string, got *rules.Realm, found bool, err error, something, wanted bool) {
			f.Helper()
			f.no(err)
			equal(f, what+" found", found, true)
			equal(f, "realm of "+what, got, facts)
			equal(f, fmt.Sprint(what, " for ", user), something, wanted)
		}
		got, version, found, err := f.store.ReadVlob(f.Context(), f.organization, user, rules.VlobSelection{Vlob: id, EncryptionRevision: 1})
		check("vlob", got, found, err, version != nil, read)
		got, versions, found, err := f.store.VlobVersions(f.Context(), f.organization, user, id)
		check("versions", got, found, err, len(versions) > 0, read)
		got, changes, found, err := f.store.Changes(f.Context(), f.organization, user, realm, 0)
		check("changes", got, found, err, len(changes) > 0, read)
		got, roles, found, err := f.store.RoleCertificates(f.Context(), f.organization, realm, user)
		check("role certificates", got, found, err, len(roles) > 0, read)
		got, items, found, err := f.store.ReencryptionBatch(f.Context(), f.organization, user, itemsOf(realm, 10))
		check("batch", got, found, err, len(items) > 0, batch)
	}
	want(alice, true, true)
	want(bob, true, false)
	want(carol, false, false)
	want(userID("nobody"), false, false)
	f.grant(realm, bob, parsec.RoleNone, 2)
	want(bob, false, false)
}
