package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var humanAccessesChecks = []check{
	{"users", listUsers},
	{"role changes of every realm", roleChanges},
}

func listUsers(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	f.person("Zed", "", "")
	f.queue(onOrganization(), func(tx rules.Tx) { tx.FreezeUser(alice, true) })
	f.revoke(bob, rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(40)})
	users, err := f.store.Users(f.Context(), f.organization)
	f.no(err)
	want := []rules.User{
		newUser(userID("Zed"), parsec.ProfileStandard, aliceOne),
		newUser(alice, parsec.ProfileAdmin, parsec.DeviceID{}),
		newUser(bob, parsec.ProfileStandard, aliceOne),
	}
	for i := range want {
		want[i].Certificate, want[i].RedactedCertificate = nil, nil
	}
	want[0].HumanHandle = parsec.HumanHandle{}
	want[1].Frozen = true
	want[2].Revocation = &rules.Revocation{Certifier: aliceOne, On: at(40)}
	equalList(f, "users", users, want)
}

func roleChanges(f *fixture) {
	check := func(want ...rules.RoleCertificate) {
		f.Helper()
		for i := range want {
			want[i].Certificate = nil
		}
		changes, err := f.store.RoleChanges(f.Context(), f.organization)
		f.no(err)
		equalList(f, "role changes", changes, want)
	}
	f.bootstrap()
	check()
	f.enrol(parsec.ProfileStandard, bob)
	first := f.createRealm()
	second := newRealmID()
	ofSecond := newRole(second, alice, parsec.RoleOwner, 2)
	f.queue(onRealm(second), func(tx rules.Tx) {
		tx.CreateRealm(at(2))
		tx.AddRole(ofSecond)
	})
	f.grant(first, bob, parsec.RoleReader, 3)
	f.grant(first, bob, parsec.RoleNone, 4)
	f.grant(second, bob, parsec.RoleManager, 1)
	check(newRole(first, alice, parsec.RoleOwner, 0), newRole(second, bob, parsec.RoleManager, 1), ofSecond,
		newRole(first, bob, parsec.RoleReader, 3), newRole(first, bob, parsec.RoleNone, 4))
}
