package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var userChecks = []check{
	{"creation", userCreation},
	{"order", userOrder},
	{"frozen users", frozenUsers},
	{"e-mails", emails},
	{"active users", activeUsers},
	{"traces in realms", tracesInRealms},
	{"traces of signatures", tracesOfSignatures},
	{"traces of management", tracesOfManagement},
}

func userCreation(f *fixture) {
	f.bootstrap()
	user, date := newUser(bob, parsec.ProfileOutsider, at(2)), at(2)
	given := redactable(aliceOne, date, "user bob")
	f.update(onCommon(), func(tx rules.Tx) error {
		tx.CreateUser(user, given, newDevice(bobOne, bob, date), redactable(aliceOne, date, "device bob 1"))
		_, found, err := tx.User(f.Context(), bob)
		equal(f, "user seen before the end of its rule", found, false)
		return err
	})
	clear(given.Bytes)
	clear(given.Redacted)
	for _, test := range []struct {
		id    parsec3.UserID
		found bool
	}{{bob, true}, {carol, false}, {parsec3.UserID{}, false}} {
		f.update(onCommon(), func(tx rules.Tx) error {
			got, found, err := tx.User(f.Context(), test.id)
			equal(f, "found", found, test.found)
			if found {
				equal(f, "user", got, &user)
			}
			return err
		})
	}
	f.wantCertificates(aliceOne, rules.CertificatesAfter{Common: new(at(1))}, certificates{common: []string{"user bob", "device bob 1"}})
	f.wantCertificates(bobOne, rules.CertificatesAfter{Common: new(at(1))}, certificates{common: []string{"redacted user bob", "redacted device bob 1"}})
}

func userOrder(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, carol, bob)
	f.setProfile(carol, parsec.ProfileAdmin)
	f.freeze(bob, true)
	f.revoke(carol)
	users, err := f.store.Users(f.Context(), f.organization)
	f.no(err)
	equalList(f, "users", ids(users), []parsec3.UserID{alice, carol, bob})
	want := newUser(carol, parsec.ProfileAdmin, at(2))
	want.RevokedOn = new(f.last())
	equal(f, "user", users[1], want)
	*users[1].RevokedOn++
	users, err = f.store.Users(f.Context(), f.organization)
	f.no(err)
	equal(f, "user, who is a copy", users[1], want)
	users, err = f.store.Users(f.Context(), newOrganizationID())
	f.no(err)
	equal(f, "users of nothing", len(users), 0)
}

func frozenUsers(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, carol, bob)
	want := func(users ...parsec3.UserID) {
		f.Helper()
		_, got, err := f.store.FrozenUsers(f.Context(), f.organization, aliceOne)
		f.no(err)
		equalList(f, "frozen users", got, users)
	}
	want()
	f.freeze(bob, true)
	f.freeze(bob, true)
	want(bob)
	f.freeze(carol, true)
	want(carol, bob) // by date of creation
	f.revoke(carol)
	want(carol, bob)
	f.freeze(bob, false)
	f.freeze(bob, false)
	want(carol)
	other := f.another()
	other.bootstrap()
	_, got, err := f.store.FrozenUsers(f.Context(), other.organization, aliceOne)
	f.no(err)
	equalList(f, "frozen users of another organization", got, nil)
}

func emails(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	want := func(email string, id parsec3.UserID, expected bool) {
		f.Helper()
		f.update(onCommon(), func(tx rules.Tx) error {
			user, found, err := tx.UserByEmail(f.Context(), email)
			equal(f, email+" found", found, expected)
			if found {
				equal(f, email, user.ID, id)
			}
			return err
		})
	}
	want("bob@example.com", bob, true)
	want("BOB@example.com", bob, false)
	want("nobody@example.com", bob, false)
	want("", bob, false)
	f.freeze(bob, true)
	want("bob@example.com", bob, true)
	f.revoke(bob)
	want("bob@example.com", bob, false)

	// Another user of the same human, with another label.
	again := newUser(carol, parsec.ProfileStandard, f.next())
	again.HumanHandle = must(parsec.ParseHumanHandle("bob@example.com", "Robert"))
	f.createUser(again, carolOne)
	want("bob@example.com", carol, true)
	want("carol@example.com", carol, false)
	users, err := f.store.Users(f.Context(), f.organization)
	f.no(err)
	equal(f, "label of the first", users[1].HumanHandle.Label(), "The bob")
	equal(f, "label of the second", users[2].HumanHandle.Label(), "Robert")
	f.another().bootstrap()
	want("alice@example.com", alice, true)
}

func activeUsers(f *fixture) {
	f.bootstrap()
	other := f.another()
	other.bootstrap()
	other.enrol(parsec.ProfileStandard, bob, carol)
	want := func(active uint64) {
		f.Helper()
		f.update(onCommon(), func(tx rules.Tx) error {
			got, err := tx.ActiveUsers(f.Context())
			equal(f, "active users", got, active)
			return err
		})
	}
	want(1)
	f.enrol(parsec.ProfileOutsider, bob)
	want(2)
	f.enrol(parsec.ProfileAdmin, carol)
	want(3)
	f.freeze(bob, true)
	want(3)
	f.revoke(bob)
	want(2)
	f.freeze(bob, false)
	want(2)
}

// traces reads those of a user.
func (f *fixture) traces(id parsec3.UserID) (traces rules.Traces) {
	f.Helper()
	scope := onCommon()
	scope.Shamir = rules.Shared
	f.update(scope, func(tx rules.Tx) (err error) {
		traces, err = tx.Traces(f.Context(), id)
		return err
	})
	return traces
}

// tracesInRealms counts realms where bob has a role now, and of others the roles that
// bob was given.
func tracesInRealms(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm, left, stranger := f.createRealm(), f.createRealm(), f.createRealm()
	equal(f, "without realm", f.traces(bob), rules.Traces{})
	f.grant(realm, bob, parsec.RoleReader)
	want := f.last()
	equal(f, "in a realm", f.traces(bob), rules.Traces{Realms: want, Given: want})
	f.grant(left, bob, parsec.RoleReader)
	given := f.last()
	equal(f, "in two realms", f.traces(bob).Realms, given)
	f.grant(left, bob, parsec.RoleNone)
	f.rename(left)
	f.createVlob(left, "of a realm that it has left")
	f.rename(stranger)
	equal(f, "in one of them", f.traces(bob), rules.Traces{Realms: want, Given: given})
	f.grant(realm, carol, parsec.RoleReader)
	want = f.last()
	equal(f, "role of another", f.traces(bob).Realms, want)
	f.rename(realm)
	want = f.last()
	equal(f, "name", f.traces(bob).Realms, want)
	vlob := f.createVlob(realm, "later than the topic")
	want = f.last()
	equal(f, "vlob", f.traces(bob).Realms, want)
	f.write(realm, vlob, aliceOne, at(1), "earlier than the last one")
	equal(f, "earlier vlob", f.traces(bob), rules.Traces{Realms: want, Given: given})
	equal(f, "unknown user", f.traces(newUserID()), rules.Traces{})
}

// tracesOfSignatures has all that the devices of bob sign.
func tracesOfSignatures(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileAdmin, bob)
	equal(f, "its creation by another", f.traces(bob).Signed, 0)
	want := func(what string) {
		f.Helper()
		equal(f, what, f.traces(bob).Signed, f.last())
	}
	date := f.next()
	f.queue(onCommon(), func(tx rules.Tx) {
		tx.CreateUser(newUser(carol, parsec.ProfileStandard, date), redactable(bobOne, date, "user carol"),
			newDevice(carolOne, carol, date), redactable(bobOne, date, "device carol 1"))
	})
	want("user")
	f.addDevice(bob, bobTwo)
	want("device")
	realm := newRealmID()
	f.createRealmAs(realm, bob)
	want("realm")
	date = f.next()
	f.queue(onRealm(realm), func(tx rules.Tx) {
		tx.SetRole(alice, parsec.RoleOwner, nil, certificate(bobTwo, date, "role"))
	})
	want("role, by the second device")
	vlob := newVlobID()
	f.write(realm, vlob, bobTwo, f.next(), "vlob")
	want("vlob")
	signed := f.last()
	f.write(realm, vlob, bobOne, at(1), "earlier than the last one")
	f.rename(realm) // by alice
	f.createVlob(realm, "of alice")
	f.createBlock(realm, newBlockID(), 5)
	equal(f, "earlier signature, and those of another", f.traces(bob).Signed, signed)
	f.grant(realm, bob, parsec.RoleNone)
	f.deleteRealm(realm)
	equal(f, "in a realm that it has left, and that is deleted", f.traces(bob).Signed, signed)
	for _, step := range []func(tx rules.Tx, date parsec.DateTime){
		func(tx rules.Tx, date parsec.DateTime) {
			tx.UpdateProfile(carol, parsec.ProfileOutsider, certificate(bobOne, date, "update"))
		},
		func(tx rules.Tx, date parsec.DateTime) { tx.RevokeUser(carol, certificate(bobTwo, date, "revoked")) },
	} {
		date := f.next()
		f.queue(onCommon(), func(tx rules.Tx) { step(tx, date) })
		want("common certificate")
	}
	equal(f, "of carol, who has signed nothing", f.traces(carol).Signed, 0)
}

// tracesOfManagement has the roles that an OUTSIDER may not be given.
func tracesOfManagement(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm, second := f.createRealm(), newRealmID()
	f.grant(realm, bob, parsec.RoleReader)
	f.grant(realm, bob, parsec.RoleContributor)
	equal(f, "READER and CONTRIBUTOR", f.traces(bob).Managing, 0)
	f.grant(realm, bob, parsec.RoleManager)
	want := f.last()
	equal(f, "MANAGER", f.traces(bob).Managing, want)
	f.grant(realm, bob, parsec.RoleReader)
	f.grant(realm, bob, parsec.RoleNone)
	f.rename(realm)
	equal(f, "READER later, and no role", f.traces(bob).Managing, want)
	f.createRealmAs(second, bob)
	want = f.last()
	equal(f, "OWNER by creation", f.traces(bob).Managing, want)
	f.grant(realm, bob, parsec.RoleOwner)
	want = f.last()
	equal(f, "OWNER", f.traces(bob).Managing, want)
	f.grant(realm, bob, parsec.RoleNone)
	f.deleteRealm(realm)
	equal(f, "after the deletion of the realm", f.traces(bob).Managing, want)
}
