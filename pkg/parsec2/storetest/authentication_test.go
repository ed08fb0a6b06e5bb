package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var authenticationChecks = []check{
	{"authentication", authentication},
}

func authentication(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileOutsider, bob)
	organization, _, err := f.store.Organization(f.Context(), f.organization)
	f.no(err)
	aliceFacts, bobFacts := newUser(alice, parsec.ProfileAdmin, parsec.DeviceID{}), newUser(bob, parsec.ProfileOutsider, aliceOne)
	for _, test := range []struct {
		device string
		facts  rules.AuthenticationFacts
	}{
		{"alice@one", rules.AuthenticationFacts{Device: new(newDevice(aliceOne, parsec.DeviceID{})), User: &aliceFacts}},
		{"bob@one", rules.AuthenticationFacts{Device: new(newDevice(bobOne, aliceOne)), User: &bobFacts}},
		{"bob@two", rules.AuthenticationFacts{User: &bobFacts}},
		{"carol@one", rules.AuthenticationFacts{}},
		{"ALICE@one", rules.AuthenticationFacts{}},
	} {
		got, err := f.store.Authentication(f.Context(), f.organization, deviceID(test.device))
		f.no(err)
		test.facts.Organization = organization
		equal(f, "device of "+test.device, got.Device, test.facts.Device)
		equal(f, "user of "+test.device, got.User, test.facts.User)
		equal(f, "organization of "+test.device, got.Organization, test.facts.Organization)
	}
}
