package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var deviceChecks = []check{
	{"creation", deviceCreation},
}

func deviceCreation(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	want := func(device parsec3.DeviceID, exists bool) {
		f.Helper()
		f.update(onCommon(), func(tx rules.Tx) error {
			got, err := tx.DeviceExists(f.Context(), device)
			equal(f, "exists", got, exists)
			return err
		})
	}
	want(aliceOne, true)
	want(bobOne, true)
	want(bobTwo, false)
	want(root, false)
	other := f.another()
	other.bootstrap()
	other.enrol(parsec.ProfileStandard, bob)
	other.addDevice(bob, bobTwo)
	want(bobTwo, false)
	f.addDevice(bob, bobTwo)
	want(bobTwo, true)
	f.revoke(bob)
	want(bobTwo, true)
	f.wantCertificates(aliceOne, rules.CertificatesAfter{Common: new(at(2))}, certificates{common: []string{"device bob 2", "revoked bob"}})
}
