package storetest

import (
	"cmp"
	"slices"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var realmChecks = []check{
	{"creation", realmCreation},
	{"facts", realmFacts},
	{"roles", realmRoles},
	{"members", realmMembers},
	{"keys bundles", keysBundles},
	{"latest access", latestAccess},
	{"bundles without bytes", emptyBundles},
	{"deletion", realmDeletion},
	{"ends", realmEnds},
	{"without lock", realmWithoutLock},
}

// wantRealm asks every reader, and transactions, for a realm as seen by a device.
func (f *fixture) wantRealm(device parsec3.DeviceID, id parsec.RealmID, want *rules.Realm) {
	f.Helper()
	ctx := f.Context()
	check := func(reader string, got *rules.Realm, err error) {
		f.Helper()
		f.no(err)
		equal(f, "realm by "+reader, got, want)
	}
	_, got, _, err := f.store.KeysBundle(ctx, f.organization, device, id, 1)
	check("KeysBundle", got, err)
	reading, err := f.store.ReadVlobs(ctx, f.organization, device, id, nil, nil, 0)
	check("ReadVlobs", reading.Realm, err)
	reading, err = f.store.ReadVersions(ctx, f.organization, device, id, nil, 0)
	check("ReadVersions", reading.Realm, err)
	_, got, _, err = f.store.Changes(ctx, f.organization, device, id, 0)
	check("Changes", got, err)
	_, got, _, err = f.store.ReadBlock(ctx, f.organization, device, id, newBlockID())
	check("ReadBlock", got, err)
	for _, scope := range []rules.Scope{onRealm(id), onVlob(id, newVlobID()), onBlock(id, newBlockID())} {
		f.update(by(device, scope), func(tx rules.Tx) error {
			got, found := tx.Realm()
			equal(f, "realm found", found, want != nil)
			check("a transaction", got, nil)
			return nil
		})
	}
}

func realmCreation(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	other := f.another()
	other.bootstrap()
	realm := newRealmID()
	other.createRealmAs(realm, alice)
	f.wantRealm(aliceOne, realm, nil)
	date := f.next()
	f.update(onRealm(realm), func(tx rules.Tx) error {
		tx.CreateRealm(alice, certificate(aliceOne, date, "created"))
		_, found := tx.Realm()
		equal(f, "realm seen before the end of its rule", found, false)
		return nil
	})
	want := rules.Realm{ID: realm, Timestamp: date, Archiving: parsec.ArchivingAvailable, Role: parsec.RoleOwner}
	f.wantRealm(aliceOne, realm, &want)
	want.Role = parsec.RoleNone
	f.wantRealm(bobOne, realm, &want)
	f.wantRealm(newDeviceID(), realm, &want)
	f.wantRealm(aliceOne, newRealmID(), nil)
}

// realmFacts has each change of a realm, and none of another one.
func realmFacts(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm, other := f.createRealm(), f.createRealm()
	untouched := f.realm(other, alice)
	want := rules.Realm{ID: realm, Archiving: parsec.ArchivingAvailable, Role: parsec.RoleOwner}
	vlob := newVlobID()
	for _, step := range []struct {
		name   string
		step   func()
		change func()
	}{
		{"role", func() { f.grant(realm, bob, parsec.RoleReader) }, func() {}},
		{"first rotation", func() { f.rotate(realm, 1, nil) }, func() { want.KeyIndex = 1 }},
		{"name", func() { f.rename(realm) }, func() { want.Named = true }},
		{"second name", func() { f.rename(realm) }, func() {}},
		{"second rotation", func() { f.rotate(realm, 2, nil) }, func() { want.KeyIndex = 2 }},
		{"archiving", func() { f.archive(realm, parsec.ArchivingArchived, nil) }, func() { want.Archiving = parsec.ArchivingArchived }},
		{"planned deletion", func() { f.archive(realm, parsec.ArchivingDeletionPlanned, new(at(1<<20))) }, func() { want.Archiving = parsec.ArchivingDeletionPlanned }},
		{"end of archiving", func() { f.archive(realm, parsec.ArchivingAvailable, nil) }, func() { want.Archiving = parsec.ArchivingAvailable }},
	} {
		step.step()
		step.change()
		want.Timestamp = f.last()
		f.wantRealm(aliceOne, realm, &want)
	}
	for i, date := range []int{100, 200, 150, 0} {
		f.write(realm, vlob, aliceOne, at(date), "blob")
		want.Checkpoint, want.LastVlob = uint64(i)+1, at([]int{100, 200, 200, 200}[i])
		f.wantRealm(aliceOne, realm, &want)
	}
	equal(f, "other realm", f.realm(other, alice), untouched)
	want.Role = parsec.RoleReader
	f.wantRealm(bobOne, realm, &want)
}

// wantRole asks for the role of a user, in its own eyes and those of others.
func (f *fixture) wantRole(realm parsec.RealmID, user parsec3.UserID, want parsec.RealmRole) {
	f.Helper()
	equal(f, "role", f.realm(realm, user).Role, want)
	f.update(onRealm(realm), func(tx rules.Tx) error {
		got, err := tx.RealmRole(f.Context(), user)
		equal(f, "role in a transaction", got, want)
		return err
	})
}

func realmRoles(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm, other := f.createRealm(), f.createRealm()
	f.grant(other, carol, parsec.RoleManager)
	f.wantRole(realm, alice, parsec.RoleOwner)
	f.wantRole(realm, carol, parsec.RoleNone)
	for _, role := range []parsec.RealmRole{
		parsec.RoleReader, parsec.RoleContributor, parsec.RoleManager, parsec.RoleOwner, parsec.RoleNone, parsec.RoleReader,
	} {
		f.grant(realm, bob, role)
		f.wantRole(realm, bob, role)
		f.wantRole(realm, alice, parsec.RoleOwner)
		f.wantRole(realm, carol, parsec.RoleNone)
		f.wantRole(other, bob, parsec.RoleNone)
	}
	f.update(onRealm(realm), func(tx rules.Tx) error {
		got, err := tx.RealmRole(f.Context(), newUserID())
		equal(f, "role of an unknown user", got, parsec.RoleNone)
		return err
	})
	f.update(onRealm(newRealmID()), func(tx rules.Tx) error {
		got, err := tx.RealmRole(f.Context(), alice)
		equal(f, "role in an unknown realm", got, parsec.RoleNone)
		return err
	})
}

func (f *fixture) wantMembers(realm parsec.RealmID, want ...rules.Member) {
	f.Helper()
	f.update(onRealm(realm), func(tx rules.Tx) error {
		got, err := tx.Members(f.Context())
		slices.SortFunc(got, func(a, b rules.Member) int { return cmp.Compare(a.User.String(), b.User.String()) })
		equalList(f, "members", got, want)
		return err
	})
}

func realmMembers(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm := f.createRealm()
	owner := rules.Member{User: alice, Role: parsec.RoleOwner, Profile: parsec.ProfileAdmin}
	f.wantMembers(realm, owner)
	f.grant(realm, bob, parsec.RoleManager)
	f.grant(realm, carol, parsec.RoleReader)
	f.setProfile(bob, parsec.ProfileOutsider)
	f.revoke(carol)
	manager := rules.Member{User: bob, Role: parsec.RoleManager, Profile: parsec.ProfileOutsider}
	reader := rules.Member{User: carol, Role: parsec.RoleReader, Profile: parsec.ProfileStandard, Revoked: true}
	f.wantMembers(realm, owner, manager, reader)
	f.grant(realm, bob, parsec.RoleNone)
	f.wantMembers(realm, owner, reader)
	f.freeze(alice, true)
	f.wantMembers(realm, owner, reader)
	f.wantMembers(newRealmID())
	f.wantMembers(f.createRealm(), owner)
}

// wantKeys asks for a keys bundle; "" is nil.
func (f *fixture) wantKeys(user parsec3.UserID, realm parsec.RealmID, keyIndex uint64, bundle, access string) {
	f.Helper()
	_, _, got, err := f.store.KeysBundle(f.Context(), f.organization, ones[user], realm, keyIndex)
	f.no(err)
	orNil := func(text string) []byte {
		if text == "" {
			return nil
		}
		return []byte(text)
	}
	equal(f, "keys bundle", got, rules.KeysBundle{Bundle: orNil(bundle), Access: orNil(access)})
}

func keysBundles(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm, other := f.createRealm(), f.createRealm()
	f.wantKeys(alice, realm, 0, "", "")
	f.wantKeys(alice, realm, 1, "", "")
	f.rotate(realm, 1, map[parsec3.UserID]string{alice: "alice 1"})
	f.rotate(other, 1, map[parsec3.UserID]string{alice: "of the other realm"})
	f.share(realm, bob, parsec.RoleReader, []byte("shared 1"))
	f.rotate(realm, 2, map[parsec3.UserID]string{alice: "alice 2", bob: "bob 2"})
	f.rotate(realm, 3, map[parsec3.UserID]string{alice: "alice 3"})
	for _, test := range []struct {
		keyIndex           uint64
		bundle, alice, bob string
	}{
		{0, "", "", ""},
		{1, "bundle 1", "alice 1", "shared 1"},
		{2, "bundle 2", "alice 2", "bob 2"},
		{3, "bundle 3", "alice 3", ""},
		{4, "", "", ""},
		{1 << 62, "", "", ""},
	} {
		f.wantKeys(alice, realm, test.keyIndex, test.bundle, test.alice)
		f.wantKeys(bob, realm, test.keyIndex, test.bundle, test.bob)
	}
	f.wantKeys(alice, other, 1, "bundle 1", "of the other realm")
	f.wantKeys(alice, newRealmID(), 1, "", "")
	again := f.another()
	again.bootstrap()
	again.createRealmAs(realm, alice)
	again.wantKeys(alice, realm, 1, "", "")
}

// latestAccess has shares that replace the access of a rotation, and roles that
// change without a new access.
func latestAccess(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm := f.createRealm()
	f.rotate(realm, 1, map[parsec3.UserID]string{alice: "alice 1"})
	f.share(realm, bob, parsec.RoleReader, []byte("first"))
	f.wantKeys(bob, realm, 1, "bundle 1", "first")
	f.share(realm, bob, parsec.RoleManager, []byte("second"))
	f.wantKeys(bob, realm, 1, "bundle 1", "second")
	f.rotate(realm, 2, map[parsec3.UserID]string{alice: "alice 2", bob: "rotation"})
	f.share(realm, bob, parsec.RoleNone, nil)
	f.share(realm, bob, parsec.RoleReader, []byte("third"))
	f.wantKeys(bob, realm, 1, "bundle 1", "second")
	f.wantKeys(bob, realm, 2, "bundle 2", "third")
	f.grant(realm, bob, parsec.RoleOwner) // as by a self-promotion
	f.wantKeys(bob, realm, 2, "bundle 2", "third")
	f.wantKeys(alice, realm, 2, "bundle 2", "alice 2")
}

// emptyBundles has a bundle and accesses that have no bytes, and are not nil for it.
func emptyBundles(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm, date := f.createRealm(), f.next()
	given := rules.KeyRotation{KeyIndex: 1, Participants: map[parsec3.UserID][]byte{alice: nil}}
	f.queue(onRealm(realm), func(tx rules.Tx) { tx.RotateKey(given, certificate(aliceOne, date, "rotation 1")) })
	want := rules.KeysBundle{Bundle: []byte{}, Access: []byte{}}
	_, _, got, err := f.store.KeysBundle(f.Context(), f.organization, aliceOne, realm, 1)
	f.no(err)
	equal(f, "keys bundle", got, want)
	f.share(realm, bob, parsec.RoleReader, []byte{})
	_, _, got, err = f.store.KeysBundle(f.Context(), f.organization, bobOne, realm, 1)
	f.no(err)
	equal(f, "keys bundle of a share", got, want)
	bundle, access := []byte("bundle 2"), []byte("access")
	date = f.next()
	f.queue(onRealm(realm), func(tx rules.Tx) {
		tx.RotateKey(rules.KeyRotation{KeyIndex: 2, KeysBundle: bundle, Participants: map[parsec3.UserID][]byte{alice: access}},
			certificate(aliceOne, date, "rotation 2"))
	})
	clear(bundle)
	clear(access)
	f.wantKeys(alice, realm, 2, "bundle 2", "access")
}

// realmDeletion wants data gone, certificates and roles kept, and nothing of
// another realm touched.
func realmDeletion(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm, other := f.createRealm(), f.createRealm()
	block, kept := newBlockID(), newBlockID()
	for _, r := range []parsec.RealmID{realm, other} {
		f.rotate(r, 1, map[parsec3.UserID]string{alice: "access"})
		f.grant(r, bob, parsec.RoleManager)
	}
	vlob := f.createVlob(realm, "blob")
	f.write(other, vlob, aliceOne, f.next(), "of the other realm")
	f.createBlock(realm, block, 10)
	f.createBlock(other, kept, 20)
	want, untouched := f.realm(realm, alice), f.realm(other, alice)
	f.update(onRealm(realm), func(tx rules.Tx) error {
		tx.MarkRealmDeleted()
		facts, _ := tx.Realm()
		equal(f, "deleted before the end of its rule", facts.Deleted, false)
		return nil
	})
	want.Deleted = true
	f.wantRealm(aliceOne, realm, &want)
	f.wantUsage(uint64(len("of the other realm")), 20)
	f.prune()
	f.wantRealm(aliceOne, realm, &want)
	f.wantRole(realm, bob, parsec.RoleManager)
	f.wantKeys(alice, realm, 1, "", "")
	f.wantVlobs(realm, nil, []parsec.VlobID{vlob})
	f.wantChanges(realm, 0)
	_, _, found, err := f.store.ReadBlock(f.Context(), f.organization, aliceOne, realm, block)
	f.no(err)
	equal(f, "block of the deleted realm", found, nil)

	equal(f, "other realm", f.realm(other, alice), untouched)
	f.wantKeys(alice, other, 1, "bundle 1", "access")
	f.wantVlobs(other, nil, []parsec.VlobID{vlob}, "1 of the other realm")
	_, _, found, err = f.store.ReadBlock(f.Context(), f.organization, aliceOne, other, kept)
	f.no(err)
	equal(f, "block of the other realm found", found != nil, true)
	f.wantUsage(uint64(len("of the other realm")), 20)
	_, certificates, err := f.store.Certificates(f.Context(), f.organization, bobOne, rules.CertificatesAfter{}, 1<<30)
	f.no(err)
	equalList(f, "certificates", texts(certificates.Realms[realm]), []string{"created by alice", "rotation 1", "role of bob: MANAGER"})
}

// wantEnd asks the reader, the list and a transaction for what decides whether a realm may
// be deleted; it is listed if it is planned to be, or orphaned.
func (f *fixture) wantEnd(realm parsec.RealmID, want *organization.RealmEnd) {
	f.Helper()
	got, err := f.store.RealmEnd(f.Context(), f.organization, realm)
	f.no(err)
	equal(f, "end", got, want)
	f.update(onRealm(realm), func(tx rules.Tx) error {
		got, err := tx.RealmEnd(f.Context())
		equal(f, "end in a transaction", got, want)
		return err
	})
	all, err := f.store.RealmEnds(f.Context(), f.organization)
	f.no(err)
	var listed *organization.RealmEnd
	for i := range all {
		if all[i].ID == realm {
			listed = &all[i]
		}
	}
	if want != nil && (want.Deleted || want.Planned == nil && want.Orphaned == nil) {
		want = nil
	}
	equal(f, "listed", listed, want)
	equal(f, "in order", slices.IsSortedFunc(all, func(a, b organization.RealmEnd) int { return slices.Compare(a.ID[:], b.ID[:]) }), true)
}

// realmEnds has realms be planned to be deleted, and orphaned by the last revocation of
// those who have a role, not by that of one who had.
func realmEnds(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm, other := f.createRealm(), f.createRealm()
	for _, r := range []parsec.RealmID{realm, other} {
		f.grant(r, bob, parsec.RoleOwner)
		f.grant(r, carol, parsec.RoleReader)
		f.grant(r, alice, parsec.RoleNone)
	}
	end := organization.RealmEnd{ID: realm}
	want := func() {
		f.Helper()
		f.wantEnd(realm, new(end))
	}
	f.wantEnd(newRealmID(), nil)
	want()
	f.archive(realm, parsec.ArchivingArchived, nil)
	want()
	end.Planned = new(at(1 << 20))
	f.archive(realm, parsec.ArchivingDeletionPlanned, end.Planned)
	want()
	f.revoke(bob)
	want()
	f.revoke(carol)
	end.Orphaned = new(f.last())
	want()
	f.archive(realm, parsec.ArchivingAvailable, nil)
	end.Planned = nil
	want()
	f.wantEnd(other, &organization.RealmEnd{ID: other, Orphaned: end.Orphaned})
	f.queue(onRealm(realm), func(tx rules.Tx) { tx.MarkRealmDeleted() })
	end.Deleted = true
	want()
	f.grant(other, alice, parsec.RoleOwner)
	f.wantEnd(other, &organization.RealmEnd{ID: other})
}

// realmWithoutLock has no realm: its facts could change meanwhile.
func realmWithoutLock(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	f.update(rules.Scope{Author: aliceOne, Common: rules.Shared, Realm: realm}, func(tx rules.Tx) error {
		_, found := tx.Realm()
		equal(f, "realm found", found, false)
		return nil
	})
}
