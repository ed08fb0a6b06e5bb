package storetest

import (
	"math"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var authenticationChecks = []check{
	{"unknown organization", standingInNothing},
	{"organization before its bootstrap", standingBeforeBootstrap},
	{"organization of another generation", standingInAnotherGeneration},
	{"devices", standingOfDevices},
	{"changes of a user", standingAfterChanges},
	{"facts are copies", standingCopies},
}

// wantStanding asks every reader, and a transaction, for who a device is. The
// organization is the one that is stored.
func (f *fixture) wantStanding(device parsec3.DeviceID, wantUser *rules.User, wantDevice *rules.Device) {
	f.Helper()
	ctx, id := f.Context(), f.organization
	stored, _, err := f.store.Organization(ctx, id)
	f.no(err)
	want := rules.Standing{Organization: stored, User: wantUser, Device: wantDevice}
	check := func(reader string, got rules.Standing, err error) {
		f.Helper()
		f.no(err)
		equal(f, "standing by "+reader, got, want)
	}
	got, err := f.store.Authentication(ctx, id, device)
	check("Authentication", got, err)
	got, _, err = f.store.Registration(ctx, id, device)
	check("Registration", got, err)
	got, _, err = f.store.Certificates(ctx, id, device, rules.CertificatesAfter{}, 1<<30)
	check("Certificates", got, err)
	got, _, err = f.store.FrozenUsers(ctx, id, device)
	check("FrozenUsers", got, err)
	got, _, err = f.store.Usage(ctx, id, device)
	check("Usage", got, err)
	got, _, _, err = f.store.KeysBundle(ctx, id, device, newRealmID(), 1)
	check("KeysBundle", got, err)
	reading, err := f.store.ReadVlobs(ctx, id, device, newRealmID(), []parsec.VlobID{{1}}, nil, math.MaxInt64)
	check("ReadVlobs", reading.Standing, err)
	reading, err = f.store.ReadVersions(ctx, id, device, newRealmID(), []rules.VlobNumber{{Version: 1}}, math.MaxInt64)
	check("ReadVersions", reading.Standing, err)
	got, _, _, err = f.store.Changes(ctx, id, device, newRealmID(), 0)
	check("Changes", got, err)
	got, _, _, err = f.store.ReadBlock(ctx, id, device, newRealmID(), newBlockID())
	check("ReadBlock", got, err)
	f.update(by(device, rules.Scope{}), func(tx rules.Tx) error {
		user, of := tx.Author()
		stored, _ := tx.Organization()
		check("a transaction", rules.Standing{Organization: stored, User: user, Device: of}, nil)
		return nil
	})
}

func standingInNothing(f *fixture) {
	f.another().bootstrap() // with the same device
	f.wantStanding(aliceOne, nil, nil)
	got, err := f.store.Authentication(f.Context(), f.organization, aliceOne)
	f.no(err)
	equal(f, "standing", got, rules.Standing{})
}

// create creates the organization without any generation.
func (f *fixture) create(o organization.Organization) {
	f.Helper()
	o.ID = f.organization
	f.no(f.store.ChangeOrganization(f.Context(), f.organization, func(tx organization.Tx) error {
		tx.PutOrganization(o)
		return nil
	}))
}

func standingBeforeBootstrap(f *fixture) {
	f.another().bootstrap()
	f.create(organization.Organization{BootstrapToken: "token"})
	f.wantStanding(aliceOne, nil, nil)
}

func standingInAnotherGeneration(f *fixture) {
	f.create(organization.Organization{RootVerifyKey: &parsec.VerifyKey{1}, Generation: organization.Parsec2})
	f.wantStanding(aliceOne, nil, nil)
	f.bootstrap() // which no rule does: the generation is one more fact
	f.wantStanding(aliceOne, new(newUser(alice, parsec.ProfileAdmin, at(1))), new(newDevice(aliceOne, alice, at(1))))
}

func standingOfDevices(f *fixture) {
	f.bootstrap()                        // at 1
	f.enrol(parsec.ProfileStandard, bob) // at 2
	f.addDevice(bob, bobTwo)             // at 3
	user := newUser(bob, parsec.ProfileStandard, at(2))
	f.wantStanding(bobOne, &user, new(newDevice(bobOne, bob, at(2))))
	f.wantStanding(bobTwo, &user, new(newDevice(bobTwo, bob, at(3))))
	f.wantStanding(carolOne, nil, nil)
	f.wantStanding(root, nil, nil)
}

func standingAfterChanges(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob) // at 2
	device := newDevice(bobOne, bob, at(2))
	want := newUser(bob, parsec.ProfileStandard, at(2))
	f.setProfile(bob, parsec.ProfileOutsider)
	want.Profile = parsec.ProfileOutsider
	f.wantStanding(bobOne, &want, &device)
	f.freeze(bob, true)
	want.Frozen = true
	f.wantStanding(bobOne, &want, &device)
	for _, step := range []struct{ of, last parsec.DateTime }{{at(90), at(90)}, {at(100), at(100)}, {at(95), at(100)}} {
		f.queue(rules.Scope{}, func(tx rules.Tx) { tx.AcceptTOS(bob, step.of) })
		want.AcceptedTOS = &step.last
		f.wantStanding(bobOne, &want, &device)
	}
	f.revoke(bob)
	want.RevokedOn = new(f.last())
	f.wantStanding(bobOne, &want, &device)
	f.freeze(bob, false)
	want.Frozen = false
	f.wantStanding(bobOne, &want, &device)
	f.wantStanding(aliceOne, new(newUser(alice, parsec.ProfileAdmin, at(1))), new(newDevice(aliceOne, alice, at(1))))
}

func standingCopies(f *fixture) {
	f.bootstrap()
	f.queue(rules.Scope{}, func(tx rules.Tx) { tx.AcceptTOS(alice, at(5)) })
	spoil := func(standing rules.Standing) {
		standing.Organization.RootVerifyKey[0]++
		standing.User.Profile = parsec.ProfileOutsider
		*standing.User.AcceptedTOS++
		standing.Device.VerifyKey[0]++
	}
	got, err := f.store.Authentication(f.Context(), f.organization, aliceOne)
	f.no(err)
	spoil(got)
	f.update(onCommon(), func(tx rules.Tx) error {
		stored, _ := tx.Organization()
		user, device := tx.Author()
		spoil(rules.Standing{Organization: stored, User: user, Device: device})
		user, _, err := tx.User(f.Context(), alice)
		*user.AcceptedTOS++
		return err
	})
	users, err := f.store.Users(f.Context(), f.organization)
	f.no(err)
	*users[0].AcceptedTOS++
	want := newUser(alice, parsec.ProfileAdmin, at(1))
	want.AcceptedTOS = new(at(5))
	f.wantStanding(aliceOne, &want, new(newDevice(aliceOne, alice, at(1))))
	stored, _, err := f.store.Organization(f.Context(), f.organization)
	f.no(err)
	equal(f, "root key", stored.RootVerifyKey, &parsec.VerifyKey{1})
}
