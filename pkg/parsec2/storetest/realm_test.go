package storetest

import (
	"bytes"
	"context"
	"slices"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var realmChecks = []check{
	{"create", createRealm},
	{"unknown realm", unknownRealm},
	{"roles", roles},
	{"order of role certificates", roleOrder},
	{"realms of a user", realmsOf},
	{"participants", participants},
	{"dates never decrease", touches},
	{"archiving", archiving},
	{"deletion", deletion},
}

func (f *fixture) wantNoRealm(id parsec.RealmID) {
	f.Helper()
	ctx, organization := f.Context(), f.organization
	want := func(what string, found bool, err error) {
		f.Helper()
		f.no(err)
		equal(f, what+" found of an unknown realm", found, false)
	}
	_, found, err := f.store.Realm(ctx, organization, id, alice)
	want("facts", found, err)
	_, _, _, found, err = f.store.RealmStatistics(ctx, organization, id, alice)
	want("statistics", found, err)
	_, _, found, err = f.store.RoleCertificates(ctx, organization, id, alice)
	want("roles", found, err)
	_, _, found, err = f.store.ReencryptionBatch(ctx, organization, alice, itemsOf(id, 10))
	want("batch", found, err)
	_, _, found, err = f.store.Changes(ctx, organization, alice, id, 0)
	want("changes", found, err)
}

func unknownRealm(f *fixture) {
	f.bootstrap()
	id := newRealmID()
	f.wantNoRealm(id)
	for _, scope := range []rules.Scope{onRealm(id), onData(id), onVlobCreate(id, newVlobID()), onVlobUpdate(newVlobID()), {}} {
		f.update(scope, func(tx rules.Tx) error {
			_, found := tx.Realm()
			equal(f, "realm found by a transaction", found, false)
			_, found = tx.Vlob()
			equal(f, "vlob found by a transaction", found, false)
			return nil
		})
	}
}

func createRealm(f *fixture) {
	f.bootstrap()
	id := newRealmID()
	f.update(onRealm(id), func(tx rules.Tx) error {
		tx.CreateRealm(at(0))
		tx.AddRole(newRole(id, alice, parsec.RoleOwner, 1))
		_, found := tx.Realm()
		equal(f, "realm seen before the end of its rule", found, false)
		return nil
	})
	want := rules.Realm{
		ID: id, EncryptionRevision: 1, Member: rules.Member{Role: parsec.RoleOwner, RoleCertifiedOn: at(1)},
	}
	equal(f, "realm", f.realm(id, alice), &want)
	for _, scope := range []rules.Scope{onRealm(id), onData(id), onVlobCreate(id, newVlobID())} {
		f.update(scope, func(tx rules.Tx) error {
			realm, found := tx.Realm()
			equal(f, "realm found by a transaction", found, true)
			equal(f, "realm of a transaction", realm, &want)
			return nil
		})
	}
	want.Member = rules.Member{}
	equal(f, "realm of a user that it does not know", f.realm(id, bob), &want)
	statistics := f.statistics(nil)
	equal(f, "number of realms", statistics.Realms, 1)
	f.wantNoRealm(newRealmID())
}

func roles(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	id := f.createRealm()
	for i, role := range []parsec.RealmRole{parsec.RoleReader, parsec.RoleManager, parsec.RoleNone, parsec.RoleContributor, parsec.RoleOwner} {
		certificate := newRole(id, bob, role, i+1)
		f.queue(onRealm(id), func(tx rules.Tx) { tx.AddRole(certificate) })
		clear(certificate.Certificate)
		want := rules.Member{Role: role, RoleCertifiedOn: at(i + 1)}
		equal(f, "bob", f.realm(id, bob).Member, want)
		equal(f, "alice", f.realm(id, alice).Member, rules.Member{Role: parsec.RoleOwner, RoleCertifiedOn: at(0)})
		f.update(onRealm(id), func(tx rules.Tx) error {
			member, err := tx.Member(f.Context(), bob)
			if err != nil {
				return err
			}
			equal(f, "bob in a transaction", member, want)
			member, err = tx.Member(f.Context(), carol)
			if err != nil {
				return err
			}
			equal(f, "carol in a transaction", member, rules.Member{})
			return nil
		})
	}
	realm, certificates, found, err := f.store.RoleCertificates(f.Context(), f.organization, id, bob)
	f.no(err)
	equal(f, "realm found", found, true)
	equal(f, "realm", realm, f.realm(id, bob))
	equalList(f, "certificates", certificates, []rules.RoleCertificate{
		newRole(id, alice, parsec.RoleOwner, 0),
		newRole(id, bob, parsec.RoleReader, 1),
		newRole(id, bob, parsec.RoleManager, 2),
		newRole(id, bob, parsec.RoleNone, 3),
		newRole(id, bob, parsec.RoleContributor, 4),
		newRole(id, bob, parsec.RoleOwner, 5),
	})
}

// roleOrder inserts certificates whose dates, of different users, are not in
// the order of insertion.
func roleOrder(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol, userID("zoe"), userID("adam"), userID("mike"))
	id := f.createRealm()
	for _, role := range []rules.RoleCertificate{
		newRole(id, bob, parsec.RoleReader, 30),
		newRole(id, carol, parsec.RoleReader, 10),
		newRole(id, userID("zoe"), parsec.RoleReader, 20),
		newRole(id, userID("adam"), parsec.RoleReader, 20),
		newRole(id, userID("mike"), parsec.RoleReader, 20),
	} {
		f.queue(onRealm(id), func(tx rules.Tx) { tx.AddRole(role) })
	}
	_, certificates, _, err := f.store.RoleCertificates(f.Context(), f.organization, id, alice)
	f.no(err)
	var users []string
	for _, certificate := range certificates {
		users = append(users, certificate.User.String())
	}
	equalList(f, "users in order", users, []string{"alice", "carol", "zoe", "adam", "mike", "bob"})
}

func realmsOf(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	want := map[parsec.RealmID]rules.Realm{}
	check := func() {
		f.Helper()
		realms, err := f.store.RealmsOf(f.Context(), f.organization, bob)
		f.no(err)
		got := map[parsec.RealmID]rules.Realm{}
		for _, realm := range realms {
			got[realm.ID] = realm
		}
		equal(f, "realms of bob", got, want)
		equal(f, "number of realms of bob", len(realms), len(want))
	}
	check()
	first, second, third := f.createRealm(), f.createRealm(), f.createRealm()
	check()
	f.grant(first, bob, parsec.RoleReader, 1)
	want[first] = *f.realm(first, bob)
	check()
	f.grant(second, bob, parsec.RoleOwner, 1)
	want[second] = *f.realm(second, bob)
	f.grant(third, carol, parsec.RoleReader, 1)
	check()
	f.grant(first, bob, parsec.RoleNone, 2)
	delete(want, first)
	check()
	f.grant(first, bob, parsec.RoleManager, 3)
	want[first] = *f.realm(first, bob)
	check()
}

func participants(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	id := f.createRealm()
	f.grant(f.createRealm(), bob, parsec.RoleOwner, 1) // elsewhere
	check := func(want ...parsec.UserID) {
		f.Helper()
		f.update(onRealm(id), func(tx rules.Tx) error {
			got, err := tx.Participants(f.Context())
			if err != nil {
				return err
			}
			equalList(f, "participants", sortedUsers(got), want)
			return nil
		})
	}
	check(alice)
	f.grant(id, bob, parsec.RoleReader, 1)
	f.grant(id, carol, parsec.RoleManager, 1)
	check(alice, bob, carol)
	f.grant(id, bob, parsec.RoleNone, 2)
	check(alice, carol)
	f.grant(id, bob, parsec.RoleReader, 3)
	f.queue(onOrganization(), func(tx rules.Tx) { tx.FreezeUser(bob, true) })
	check(alice, bob, carol)
	f.revoke(carol, rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(1 << 20)})
	check(alice, bob)
	equal(f, "role of the revoked", f.realm(id, carol).Member.Role, parsec.RoleManager)
}

func touches(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	id := f.createRealm()
	for _, step := range []struct{ given, kept int }{{5, 5}, {3, 5}, {5, 5}, {8, 8}, {7, 8}} {
		f.queue(onRealm(id), func(tx rules.Tx) { tx.TouchRoleChange(bob, at(step.given)) })
		equal(f, "bob", f.realm(id, bob).Member.LastRoleChange, at(step.kept))
		equal(f, "alice", f.realm(id, alice).Member.LastRoleChange, 0)
		f.queue(onRealm(id), func(tx rules.Tx) { tx.TouchArchivingChange(alice, at(10+step.given)) })
		equal(f, "alice", f.realm(id, alice).Member.LastArchivingChange, at(10+step.kept))
		equal(f, "bob", f.realm(id, bob).Member.LastArchivingChange, 0)
	}
	f.grant(id, bob, parsec.RoleReader, 20)
	equal(f, "bob with a role", f.realm(id, bob).Member, rules.Member{
		Role: parsec.RoleReader, RoleCertifiedOn: at(20), LastRoleChange: at(8),
	})
}

// deletion wants data gone, now or soon, what is certified and the roles kept, and nothing
// of another realm touched.
func deletion(f *fixture) {
	f.bootstrap()
	id, other := f.createRealm(), f.createRealm()
	end := func(realm parsec.RealmID) *organization.RealmEnd {
		f.Helper()
		end, err := f.store.RealmEnd(f.Context(), f.organization, realm)
		f.no(err)
		return end
	}
	listed := func() []organization.RealmEnd {
		f.Helper()
		ends, err := f.store.RealmEnds(f.Context(), f.organization)
		f.no(err)
		return ends
	}
	equal(f, "end", end(id), &organization.RealmEnd{ID: id})
	equal(f, "end of an unknown realm", end(parsec.RealmID(parsec.NewUUID())), nil)
	equal(f, "listed", len(listed()), 0)
	for _, realm := range []parsec.RealmID{id, other} {
		f.queue(onRealm(realm), func(tx rules.Tx) {
			tx.AddArchiving(rules.Archiving{Type: parsec.ArchivingArchived, ConfiguredOn: at(1), ConfiguredBy: aliceOne}, []byte("archived"))
		})
		block := newBlock(realm, newBlockID(), 10)
		f.queue(onBlock(realm, block.ID), func(tx rules.Tx) { tx.CreateBlock(block) })
		f.createVlob(realm, aliceOne, 1, "blob")
	}
	f.queue(onRealm(id), func(tx rules.Tx) {
		tx.AddArchiving(rules.Archiving{Type: parsec.ArchivingDeletionPlanned, DeletionDate: new(at(5)), ConfiguredOn: at(2), ConfiguredBy: aliceOne}, []byte("planned"))
	})
	planned := organization.RealmEnd{ID: id, Planned: new(at(5))}
	equal(f, "planned", end(id), &planned)
	equal(f, "listed", listed(), []organization.RealmEnd{planned})
	want := *f.realm(id, alice)
	untouched := f.realm(other, alice)
	f.queue(onRealm(id), rules.Tx.MarkRealmDeleted)
	planned.Deleted, want.Deleted = true, true
	equal(f, "deleted", end(id), &planned)
	equal(f, "listed", len(listed()), 0)
	for range 2 {
		got := *f.realm(id, alice)
		got.Checkpoint = want.Checkpoint
		equal(f, "realm", got, want)
		statistics, err := f.store.OrganizationStatistics(f.Context(), []parsec.OrganizationID{f.organization}, nil)
		f.no(err)
		equal(f, "bytes", [3]uint64{statistics[0].DataSize, statistics[0].MetadataSize, statistics[0].Realms}, [3]uint64{10, 4, 2})
		past, err := f.store.OrganizationStatistics(f.Context(), []parsec.OrganizationID{f.organization}, new(at(1<<20)))
		f.no(err)
		equal(f, "bytes in the past", [2]uint64{past[0].DataSize, past[0].MetadataSize}, [2]uint64{10, 4})
		if store, later := f.store.(interface {
			Prune(ctx context.Context) error
		}); later {
			f.no(store.Prune(f.Context()))
		}
	}
	equal(f, "other realm", f.realm(other, alice), untouched)
}

func archiving(f *fixture) {
	f.bootstrap()
	id, other := f.createRealm(), f.createRealm()
	for i, step := range []struct {
		kind     parsec.ArchivingType
		deletion *parsec.DateTime
	}{
		{parsec.ArchivingArchived, nil},
		{parsec.ArchivingDeletionPlanned, new(at(1000))},
		{parsec.ArchivingAvailable, nil},
		{parsec.ArchivingDeletionPlanned, new(at(2000))},
	} {
		want := rules.Archiving{Type: step.kind, DeletionDate: step.deletion, ConfiguredOn: at(i), ConfiguredBy: aliceOne}
		given := want
		if step.deletion != nil {
			given.DeletionDate = new(*step.deletion)
		}
		f.queue(onRealm(id), func(tx rules.Tx) { tx.AddArchiving(given, bytes.Repeat([]byte{byte(i)}, 10)) })
		read := []*rules.Realm{f.realm(id, alice)}
		f.update(onData(id), func(tx rules.Tx) error {
			realm, _ := tx.Realm()
			read = slices.Concat(read[:1], []*rules.Realm{realm})
			return nil
		})
		for _, date := range []*parsec.DateTime{given.DeletionDate, read[0].Archiving.DeletionDate} {
			if date != nil {
				*date++
			}
		}
		read[0] = f.realm(id, alice)
		for _, realm := range read {
			equal(f, "archiving", realm.Archiving, want)
		}
		equal(f, "archiving of another realm", f.realm(other, alice).Archiving, rules.Archiving{})
	}
}
