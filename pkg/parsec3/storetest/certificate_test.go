package storetest

import (
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var certificateChecks = []check{
	{"common", commonCertificates},
	{"redaction by profile", redaction},
	{"realms", realmCertificates},
	{"realms that a user has left", realmsLeft},
	{"realms after dates", realmsAfter},
	{"sequester", sequesterCertificates},
	{"bytes are copies", certificateCopies},
	{"other organizations", certificatesApart},
}

// certificates is what a device is given, as text. Realms without any are left
// out.
type certificates struct {
	common, sequester, shamir []string
	realms                    map[parsec.RealmID][]string
}

// wantCertificates asks for those of a device, and for the same page by page.
func (f *fixture) wantCertificates(device parsec3.DeviceID, after rules.CertificatesAfter, want certificates) {
	f.Helper()
	_, got, err := f.store.Certificates(f.Context(), f.organization, device, after, 1<<30)
	f.no(err)
	equalList(f, "common", texts(got.Common), want.common)
	equalList(f, "sequester", texts(got.Sequester), want.sequester)
	equalList(f, "shamir", texts(got.Shamir), want.shamir)
	equal(f, "number of realms", len(got.Realms), len(want.realms))
	for realm, list := range want.realms {
		equalList(f, "of a realm", texts(got.Realms[realm]), list)
	}
	for _, bytes := range []int{1, 20, 1 << 20} {
		f.wantPages(device, after, bytes, want)
	}
}

// wantPages reads lists of which so many bytes are held at once.
func (f *fixture) wantPages(device parsec3.DeviceID, after rules.CertificatesAfter, bytes int, want certificates) {
	f.Helper()
	_, head, err := f.store.Certificates(f.Context(), f.organization, device, after, bytes)
	f.no(err)
	wantHead := func(name string, got [][]byte, all []string) {
		f.Helper()
		equalList(f, "first of "+name, texts(got), all[:min(len(got), len(all))])
		if len(all) > 0 && len(got) == 0 || len(got) < len(all) && !head.Cut {
			f.Errorf("%d of %d of %s, cut: %t", len(got), len(all), name, head.Cut)
		}
		if extra := len(got) - 1; extra >= 0 && len(strings.Join(texts(got[:extra]), "")) >= bytes {
			f.Errorf("%q are more than %d bytes", texts(got), bytes)
		}
	}
	wantHead("common", head.Common, want.common)
	wantHead("sequester", head.Sequester, want.sequester)
	wantHead("shamir", head.Shamir, want.shamir)
	for realm, got := range head.Realms {
		wantHead("a realm", got, want.realms[realm])
	}
	if bytes > 1<<10 && head.Cut {
		f.Errorf("cut at %d bytes", bytes)
	}

	_, lists, err := f.store.CertificateLists(f.Context(), f.organization, device, after)
	f.no(err)
	wantList := func(name string, list *rules.CertificateList, all []string) {
		f.Helper()
		equal(f, "number of "+name, list.Count, len(all))
		equal(f, "bytes of "+name, list.Bytes, len(strings.Join(all, "")))
		var read []string
		for from := list.After; len(read) <= len(all); {
			page, last, err := f.store.CertificatePage(f.Context(), f.organization, list, from, bytes)
			f.no(err)
			if len(page) == 0 {
				break
			}
			read, from = append(read, texts(page)...), last
		}
		equalList(f, name+" in pages", read, all)
	}
	wantList("common", &lists.Common, want.common)
	wantList("sequester", &lists.Sequester, want.sequester)
	wantList("shamir", &lists.Shamir, want.shamir)
	equal(f, "number of lists of realms", len(lists.Realms), len(want.realms))
	for i := range lists.Realms {
		wantList("a realm", &lists.Realms[i], want.realms[lists.Realms[i].Realm])
	}
}

// commonCertificates has the user before its device, which has the same date.
func commonCertificates(f *fixture) {
	f.bootstrap()                            // at 1
	f.enrol(parsec.ProfileStandard, bob)     // at 2
	f.addDevice(bob, bobTwo)                 // at 3
	f.enrol(parsec.ProfileStandard, carol)   // at 4
	f.setProfile(carol, parsec.ProfileAdmin) // at 5
	f.addDevice(alice, aliceTwo)             // at 6
	f.revoke(bob)                            // at 7
	all := []string{
		"user alice", "device alice 1", "user bob", "device bob 1", "device bob 2", "user carol", "device carol 1",
		"update carol ADMIN", "device alice 2", "revoked bob",
	}
	for _, test := range []struct {
		after *parsec.DateTime
		want  []string
	}{
		{nil, all},
		{new(at(0)), all},
		{new(at(1) - 1), all},
		{new(at(1)), all[2:]},
		{new(at(2)), all[4:]},
		{new(at(4) - 1), all[5:]},
		{new(at(4)), all[7:]},
		{new(at(6)), all[9:]},
		{new(at(7)), nil},
		{new(at(1000)), nil},
	} {
		f.wantCertificates(aliceOne, rules.CertificatesAfter{Common: test.after}, certificates{common: test.want})
		f.wantCertificates(carolOne, rules.CertificatesAfter{Common: test.after}, certificates{common: test.want})
	}
	f.wantCertificates(newDeviceID(), rules.CertificatesAfter{}, certificates{})
}

// redaction follows the profile that the user has now.
func redaction(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileOutsider, bob)
	want := func(prefix string, updates ...string) {
		f.Helper()
		list := []string{prefix + "user alice", prefix + "device alice 1", prefix + "user bob", prefix + "device bob 1"}
		f.wantCertificates(bobOne, rules.CertificatesAfter{}, certificates{common: append(list, updates...)})
	}
	want("redacted ")
	f.setProfile(bob, parsec.ProfileStandard)
	want("", "update bob STANDARD")
	f.setProfile(bob, parsec.ProfileOutsider)
	want("redacted ", "update bob STANDARD", "update bob OUTSIDER") // of which there is one form
	f.setProfile(bob, parsec.ProfileAdmin)
	want("", "update bob STANDARD", "update bob OUTSIDER", "update bob ADMIN")
}

func realmCertificates(f *fixture) {
	f.bootstrap() // at 1
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm, second := f.createRealm(), f.createRealm()
	f.rotate(realm, 1, map[parsec3.UserID]string{alice: "access"})
	f.rename(realm)
	f.grant(realm, bob, parsec.RoleReader)
	f.rotate(realm, 2, nil)
	f.archive(realm, parsec.ArchivingDeletionPlanned, new(at(100)))
	f.rename(realm)
	list := []string{
		"created by alice", "rotation 1", "name", "role of bob: READER", "rotation 2", "archiving DELETION_PLANNED", "name",
	}
	after := rules.CertificatesAfter{Common: new(f.last())}
	f.wantCertificates(aliceOne, after, certificates{realms: map[parsec.RealmID][]string{realm: list, second: list[:1]}})
	f.wantCertificates(bobOne, after, certificates{realms: map[parsec.RealmID][]string{realm: list}})
	f.wantCertificates(carolOne, after, certificates{})
	f.deleteRealm(realm)
	f.wantCertificates(bobOne, after, certificates{realms: map[parsec.RealmID][]string{realm: list}})
	f.revoke(bob)
	f.wantCertificates(aliceOne, after, certificates{
		common: []string{"revoked bob"}, realms: map[parsec.RealmID][]string{realm: list, second: list[:1]},
	})
}

// realmsLeft has bob removed, and back: it gets what it missed meanwhile.
func realmsLeft(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm := f.createRealm()
	after := rules.CertificatesAfter{Common: new(f.last())}
	want := func(list ...string) {
		f.Helper()
		f.wantCertificates(bobOne, after, certificates{realms: map[parsec.RealmID][]string{realm: list}})
	}
	f.rename(realm)
	f.grant(realm, bob, parsec.RoleReader)
	f.grant(realm, bob, parsec.RoleManager)
	all := []string{"created by alice", "name", "role of bob: READER", "role of bob: MANAGER"}
	want(all...)
	f.grant(realm, bob, parsec.RoleNone)
	all = append(all, "role of bob: ")
	want(all...)
	removed := f.last()
	f.rotate(realm, 1, nil)
	f.grant(realm, carol, parsec.RoleReader)
	want(all...)
	f.wantCertificates(bobOne, rules.CertificatesAfter{Common: after.Common, Realms: map[parsec.RealmID]parsec.DateTime{realm: removed - 1}},
		certificates{realms: map[parsec.RealmID][]string{realm: {"role of bob: "}}})
	f.wantCertificates(bobOne, rules.CertificatesAfter{Common: after.Common, Realms: map[parsec.RealmID]parsec.DateTime{realm: removed}}, certificates{})
	f.grant(realm, bob, parsec.RoleContributor)
	all = append(all, "rotation 1", "role of carol: READER", "role of bob: CONTRIBUTOR")
	want(all...)
	f.rename(realm)
	all = append(all, "name")
	want(all...)
	f.grant(realm, bob, parsec.RoleNone)
	all = append(all, "role of bob: ")
	want(all...)
	f.rename(realm)
	want(all...)
}

func realmsAfter(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	after := rules.CertificatesAfter{Common: new(f.last())}
	first, second, foreign := f.createRealm(), f.createRealm(), newRealmID()
	f.createRealmAs(foreign, bob)
	begin := f.last()
	f.rename(first)
	f.rename(second)
	whole := []string{"created by alice", "name"}
	many := map[parsec.RealmID]parsec.DateTime{first: begin, second: at(1000)}
	for range 100 {
		many[newRealmID()] = at(1000)
	}
	for _, test := range []struct {
		name   string
		realms map[parsec.RealmID]parsec.DateTime
		want   map[parsec.RealmID][]string
	}{
		{"of nothing", nil, map[parsec.RealmID][]string{first: whole, second: whole}},
		{"of one", map[parsec.RealmID]parsec.DateTime{first: begin}, map[parsec.RealmID][]string{first: whole[1:], second: whole}},
		{"of both", map[parsec.RealmID]parsec.DateTime{first: at(1000), second: begin}, map[parsec.RealmID][]string{second: whole[1:]}},
		{"of all", map[parsec.RealmID]parsec.DateTime{first: at(1000), second: f.last()}, nil},
		{"of both and many", many, map[parsec.RealmID][]string{first: whole[1:]}},
		{"of others", map[parsec.RealmID]parsec.DateTime{first: at(1000), second: f.last(), foreign: at(0), newRealmID(): at(0)}, nil},
	} {
		after.Realms = test.realms
		_, got, err := f.store.Certificates(f.Context(), f.organization, aliceOne, after, 1<<30)
		f.no(err)
		equal(f, "number of realms after dates "+test.name, len(got.Realms), len(test.want))
		for realm, list := range test.want {
			equalList(f, "realm after dates "+test.name, texts(got.Realms[realm]), list)
		}
	}
}

func sequesterCertificates(f *fixture) {
	f.bootstrapSequestered() // at 1
	f.enrol(parsec.ProfileOutsider, bob)
	after := rules.CertificatesAfter{Common: new(f.last())}
	first, second := parsec.SequesterServiceID{9}, parsec.SequesterServiceID{1}
	f.createService(first) // at 3
	f.createService(second)
	f.revokeService(first)
	all := []string{"authority", "service 9", "service 1", "revoked service 9"}
	for _, test := range []struct {
		after *parsec.DateTime
		want  []string
	}{{nil, all}, {new(at(1) - 1), all}, {new(at(1)), all[1:]}, {new(at(3)), all[2:]}, {new(at(4)), all[3:]}, {new(at(5)), nil}} {
		after.Sequester = test.after
		f.wantCertificates(aliceOne, after, certificates{sequester: test.want})
		f.wantCertificates(bobOne, after, certificates{sequester: test.want})
	}
}

func certificateCopies(f *fixture) {
	f.bootstrap()
	realm, date := f.createRealm(), f.next()
	given := certificate(aliceOne, date, "name")
	f.queue(onRealm(realm), func(tx rules.Tx) { tx.NameRealm(given) })
	clear(given.Bytes)
	date = f.next()
	device := redactable(aliceOne, date, "device alice 2")
	f.queue(onCommon(), func(tx rules.Tx) { tx.CreateDevice(newDevice(aliceTwo, alice, date), device) })
	clear(device.Bytes)
	clear(device.Redacted)
	f.wantCertificates(aliceOne, rules.CertificatesAfter{}, certificates{
		common: []string{"user alice", "device alice 1", "device alice 2"},
		realms: map[parsec.RealmID][]string{realm: {"created by alice", "name"}},
	})
	f.setProfile(alice, parsec.ProfileOutsider)
	f.wantCertificates(aliceOne, rules.CertificatesAfter{Realms: map[parsec.RealmID]parsec.DateTime{realm: f.last()}}, certificates{
		common: []string{"redacted user alice", "redacted device alice 1", "redacted device alice 2", "update alice OUTSIDER"},
	})
}

// certificatesApart has the realm of the same id in two organizations.
func certificatesApart(f *fixture) {
	other := f.another()
	other.bootstrapSequestered()
	f.bootstrap()
	realm := newRealmID()
	other.createRealmAs(realm, alice)
	other.rename(realm)
	f.createRealmAs(realm, alice)
	f.wantCertificates(aliceOne, rules.CertificatesAfter{}, certificates{
		common: []string{"user alice", "device alice 1"}, realms: map[parsec.RealmID][]string{realm: {"created by alice"}},
	})
	other.wantCertificates(aliceOne, rules.CertificatesAfter{}, certificates{
		common: []string{"user alice", "device alice 1"}, sequester: []string{"authority"},
		realms: map[parsec.RealmID][]string{realm: {"created by alice", "name"}},
	})
}
