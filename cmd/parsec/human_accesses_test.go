//go:build !without_postgresql

package main

import (
	"errors"
	"strings"
	"testing"

	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/parsec3/certificate"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// addUser adds a user, of no human handle for an empty label, with its device.
func (o *office) addUser(id, label string, profile parsec.UserProfile, revocation *rules.Revocation) {
	o.t.Helper()
	user := rules.User{
		ID: must(parsec.ParseUserID(id)), Profile: profile,
		Certificate: []byte("user " + id), RedactedCertificate: []byte("redacted"), CreatedOn: date("2020-01-01"),
	}
	if label != "" {
		user.HumanHandle = must(parsec.ParseHumanHandle(label+"@example.com", label))
	}
	device := rules.Device{
		ID: must(parsec.ParseDeviceID(id + "@one")), Certificate: []byte("device " + id), RedactedCertificate: []byte("redacted"), CreatedOn: date("2020-01-01"),
	}
	o.change(rules.Scope{Organization: organizationID(o.t, "Sequestered"), LockOrganization: true}, func(tx rules.Tx) {
		tx.CreateUser(user)
		tx.CreateDevice(device)
		if revocation != nil {
			tx.RevokeUser(user.ID, *revocation)
		}
	})
}

func date(day string) parsec.DateTime { return must(parsec.ParseDateTime(day + "T00:00:00Z")) }

// addRoles grants or takes roles, in a realm that is created by the first one.
func (o *office) addRoles(realm byte, create bool, changes ...rules.RoleCertificate) parsec.RealmID {
	o.t.Helper()
	id := parsec.RealmID{realm}
	o.change(rules.Scope{Organization: organizationID(o.t, "Sequestered"), Realm: id, By: rules.RealmExclusive}, func(tx rules.Tx) {
		if create {
			tx.CreateRealm(changes[0].CertifiedOn)
		}
		for _, change := range changes {
			change.Realm = id
			tx.AddRole(change)
		}
	})
	return id
}

func role(user string, role parsec.RealmRole, day string) rules.RoleCertificate {
	return rules.RoleCertificate{
		User: must(parsec.ParseUserID(user)), Role: role, Certificate: []byte("role of " + user + " " + day),
		Author: must(parsec.ParseDeviceID("alice@one")), CertifiedOn: date(day),
	}
}

func TestHumanAccesses(t *testing.T) {
	o := newOffice(t)
	revocation := &rules.Revocation{Certificate: []byte("revoked"), Certifier: must(parsec.ParseDeviceID("alice@one")), On: date("2020-02-01")}
	o.addUser("alice", "Zoe", parsec.ProfileAdmin, nil)
	o.addUser("old", "Bob", parsec.ProfileStandard, revocation)
	o.addUser("renewed", "Bob", parsec.ProfileOutsider, nil)
	o.addUser("machine", "", parsec.ProfileStandard, nil)
	o.addRoles(0xab, true, role("alice", parsec.RoleOwner, "2020-01-02"), role("old", parsec.RoleManager, "2020-01-03"), role("old", parsec.RoleNone, "2020-01-05"))
	o.addRoles(0xcd, true, role("alice", parsec.RoleOwner, "2020-01-01"), role("machine", parsec.RoleReader, "2020-01-04"))
	const (
		first    = "ab000000000000000000000000000000"
		second   = "cd000000000000000000000000000000"
		midnight = "T00:00:00.000000Z"
		bob      = "\nHuman Bob Bob@example.com\n" +
			"\tUser old (STANDARD, created on 2020-01-01" + midnight + ", revoked on 2020-02-01" + midnight + ")\n" +
			"\t\tRealm " + first + "\n" +
			"\t\t\t2020-01-03" + midnight + ": Access MANAGER granted\n" +
			"\t\t\t2020-01-05" + midnight + ": Access removed\n" +
			"\tUser renewed (OUTSIDER, created on 2020-01-01" + midnight + ")\n"
		zoe = "\nHuman Zoe Zoe@example.com\n" +
			"\tUser alice (ADMIN, created on 2020-01-01" + midnight + ")\n" +
			"\t\tRealm " + second + "\n" +
			"\t\t\t2020-01-01" + midnight + ": Access OWNER granted\n" +
			"\t\tRealm " + first + "\n" +
			"\t\t\t2020-01-02" + midnight + ": Access OWNER granted\n"
		machine = "\nUser machine (STANDARD, created on 2020-01-01" + midnight + ")\n" +
			"\tRealm " + second + "\n" +
			"\t\t2020-01-04" + midnight + ": Access READER granted\n"
	)
	for filter, want := range map[string]string{
		"":                   "Found 2 result(s)\n" + bob + zoe + machine,
		"ZOE":                "Found 1 result(s)\n" + zoe,
		"alice  <zoe@":       "Found 1 result(s)\n" + zoe,
		"example.com> alice": "Found 1 result(s)\n" + zoe,
		"chin":               "Found 0 result(s)\n" + machine,
		"alice bob":          "Found 0 result(s)\n",
	} {
		for _, command := range [][]string{{"human-accesses"}, {"backend", "human_accesses"}} {
			if got := o.succeed(append(command, "--organization", "Sequestered", "--filter", filter)...); got != want {
				t.Errorf("%q %q printed\n%s\nwant\n%s", command, filter, got, want)
			}
		}
	}
	if got := o.succeed("human-accesses", "--organization", "Plain"); got != "Found 0 result(s)\n" {
		t.Errorf("printed %q", got)
	}
	for _, item := range []struct {
		arguments []string
		usage     bool
		want      string
	}{
		{nil, true, "Missing option '--organization'."},
		{[]string{"--organization", "Unknown"}, false, "There is no organization Unknown in the database "},
		{[]string{"--organization", "Plain", "--db", "MOCKED"}, true, "needs a PostgreSQL database"},
	} {
		stdout, _, err := o.run(append([]string{"human-accesses"}, item.arguments...)...)
		_, usage := errors.AsType[*config.UsageError](err)
		if err == nil || stdout != "" || usage != item.usage || !strings.Contains(err.Error(), item.want) {
			t.Errorf("%q: printed %q, error %v", item.arguments, stdout, err)
		}
	}
}

// TestHumanAccessesOfParsec3 prints what docs/protocol/v5/administration.md §3 says.
func TestHumanAccessesOfParsec3(t *testing.T) {
	o := newOffice3(t)
	other := parsec.RealmID{2}
	o.createRealm(other)
	o.setRole(acmeRealm, bob3, parsec.RoleReader, "2020-01-05")
	o.setRole(acmeRealm, bob3, parsec.RoleNone, "2020-01-06")
	o.setRole(other, bob3, parsec.RoleManager, "2020-01-07")
	o.change3(parsec3rules.Scope{Common: parsec3rules.Exclusive}, func(tx parsec3rules.Tx) {
		signed, err := certificate.UserUpdate{Author: aliceOne3, Timestamp: date("2020-01-08"), UserID: bob3, NewProfile: parsec.ProfileOutsider}.Sign(o.key)
		tx.UpdateProfile(bob3, parsec.ProfileOutsider, certified("2020-01-08", signed, err))
		signed, err = certificate.RevokedUser{Author: aliceOne3, Timestamp: date("2020-01-09"), UserID: bob3}.Sign(o.key)
		tx.RevokeUser(bob3, certified("2020-01-09", signed, err))
	})
	const (
		first    = "01000000000000000000000000000000"
		second   = "02000000000000000000000000000000"
		midnight = "T00:00:00.000000Z"
		alice    = "\nHuman Alice Alice@example.com\n" +
			"\tUser a1000000-0000-0000-0000-000000000000 (Admin)\n" +
			"\t\t2020-01-01" + midnight + ": Created with profile ADMIN\n" +
			"\t\tRealm " + first + "\n" +
			"\t\t\t2020-01-03" + midnight + ": Access OWNER granted\n" +
			"\t\tRealm " + second + "\n" +
			"\t\t\t2020-01-03" + midnight + ": Access OWNER granted\n"
		bob = "\nHuman Bob Bob@example.com\n" +
			"\tUser b0000000-0000-0000-0000-000000000000 (REVOKED)\n" +
			"\t\t2020-01-02" + midnight + ": Created with profile STANDARD\n" +
			"\t\t2020-01-08" + midnight + ": Updated to profile OUTSIDER\n" +
			"\t\t2020-01-09" + midnight + ": Revoked\n" +
			"\t\tRealm " + first + "\n" +
			"\t\t\t2020-01-05" + midnight + ": Access READER granted\n" +
			"\t\t\t2020-01-06" + midnight + ": Access removed\n" +
			"\t\tRealm " + second + "\n" +
			"\t\t\t2020-01-07" + midnight + ": Access MANAGER granted\n"
	)
	for filter, want := range map[string]string{
		"":                   "Found 2 result(s)\n" + alice + bob,
		"BOB":                "Found 1 result(s)\n" + bob,
		"b0000000-0000":      "Found 1 result(s)\n" + bob,
		"A10000000000000":    "Found 1 result(s)\n" + alice,
		"alice <ALICE@ a100": "Found 1 result(s)\n" + alice,
		"alice bob":          "Found 0 result(s)\n",
	} {
		if got := o.succeed("human-accesses", "--organization", "Acme3", "--filter", filter); got != want {
			t.Errorf("%q printed\n%s\nwant\n%s", filter, got, want)
		}
	}
}
