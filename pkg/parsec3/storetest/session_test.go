package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

var sessionChecks = []check{
	{"realms of a user", realmsOfUser},
}

// realmsOfUser has realms where bob has a role, never had one, has no longer one,
// has one again, and one that is deleted.
func realmsOfUser(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	f.addDevice(bob, bobTwo)
	member, stranger, left, back, deleted := f.createRealm(), f.createRealm(), f.createRealm(), f.createRealm(), f.createRealm()
	for _, realm := range []parsec.RealmID{member, left, back, deleted} {
		f.grant(realm, bob, parsec.RoleReader)
	}
	f.grant(left, bob, parsec.RoleNone)
	f.grant(back, bob, parsec.RoleNone)
	f.grant(back, bob, parsec.RoleManager)
	f.deleteRealm(deleted)
	own := newRealmID()
	f.createRealmAs(own, bob)
	want := func(device parsec3.DeviceID, realms ...parsec.RealmID) {
		f.Helper()
		_, got, err := f.store.Registration(f.Context(), f.organization, device)
		f.no(err)
		equalList(f, "realms", sorted(got), sorted(realms))
	}
	want(bobOne, member, back, deleted, own)
	want(bobTwo, member, back, deleted, own)
	want(aliceOne, member, stranger, left, back, deleted)
	want(carolOne)
	want(newDeviceID())
	f.revoke(bob)
	want(aliceOne, member, stranger, left, back, deleted)
}
