package testclient3_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// incoherence is a reply that must be refused after one that is good.
type incoherence struct {
	reply func(n *notary) *protocol.CertificateGetReply
	// because is in the error.
	because string
}

// find has every reply refused, each after what begin has learned.
func find(t *testing.T, begin func(*testing.T, *notary) *testclient3.Knowledge, cases map[string]incoherence) {
	t.Helper()
	first := new(notary)
	known := begin(t, first)
	before := *known.After()
	for name, bad := range cases {
		n := *first
		next, err := known.Learn(bad.reply(&n))
		if !errors.Is(err, testclient3.ErrIncoherent) || !strings.Contains(err.Error(), bad.because) {
			t.Errorf("%s: %v, want %q", name, err, bad.because)
		}
		if next != nil || *before.CommonAfter != *known.After().CommonAfter || !maps.Equal(before.RealmAfter, known.After().RealmAfter) {
			t.Errorf("%s: something of it is kept", name)
		}
	}
}

func TestGoodOrganization(t *testing.T) {
	n := new(notary)
	known := learn(t, organization(t, n),
		common(n.device("bob", "bob", "bob phone")),
		common(n.update("alice", "bob", parsec.ProfileAdmin), n.user("bob phone", "dora", parsec.ProfileStandard)),
		common(n.update("bob", "ada", parsec.ProfileOutsider), n.revocation("bob", "oscar")))
	profiles := map[string]parsec.UserProfile{}
	for _, name := range []string{"alice", "ada", "bob", "carol", "dora"} {
		user := known.User(userOf(name))
		profiles[name] = user.Profile()
		if made := device(name); user.HumanHandle != made.HumanHandle || user.PublicKey != made.PublicKey() || user.RevokedOn != nil {
			t.Errorf("%s: %+v", name, user)
		}
		if key, found := known.KeyOf(deviceOf(name)); !found || key != verifyKeyOf(name) {
			t.Errorf("the key of %s: %x", name, key)
		}
	}
	if want := map[string]parsec.UserProfile{
		"alice": parsec.ProfileAdmin, "ada": parsec.ProfileOutsider, "bob": parsec.ProfileAdmin,
		"carol": parsec.ProfileStandard, "dora": parsec.ProfileStandard,
	}; !maps.Equal(profiles, want) {
		t.Errorf("profiles %v", profiles)
	}
	if oscar := known.User(userOf("oscar")); oscar.RevokedOn == nil || *oscar.RevokedOn != n.now {
		t.Errorf("oscar: %+v", oscar)
	}
	if known.User(userOf("nobody")) != nil {
		t.Error("somebody is known who is not")
	}
	if after := known.After(); *after.CommonAfter != n.now || after.SequesterAfter != nil || len(after.RealmAfter) != 0 {
		t.Errorf("asks after %+v", after)
	}
}

// TestNothingKnown asks for everything.
func TestNothingKnown(t *testing.T) {
	after := testclient3.NewKnowledge(device("alice")).After()
	if after.CommonAfter != nil || after.SequesterAfter != nil || after.RealmAfter == nil || len(after.RealmAfter) != 0 {
		t.Errorf("asks after %+v", after)
	}
}

// TestIncoherentFoundation breaks what begins an organization.
func TestIncoherentFoundation(t *testing.T) {
	nothing := func(*testing.T, *notary) *testclient3.Knowledge { return testclient3.NewKnowledge(device("alice")) }
	for name, bad := range map[string]incoherence{
		"not by the root key": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("alice", "alice", parsec.ProfileAdmin))
		}, "unknown or younger"},
		"no ADMIN": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("", "alice", parsec.ProfileStandard))
		}, "the first user is STANDARD"},
		"no device": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("", "alice", parsec.ProfileAdmin)[:1])
		}, "without first device"},
		"a device alone":       {func(n *notary) *protocol.CertificateGetReply { return common(n.device("", "alice", "alice")) }, "device"},
		"a revocation by root": {func(n *notary) *protocol.CertificateGetReply { return common(n.revocation("", "alice")) }, "unknown or younger"},
		"an update by root": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.update("", "alice", parsec.ProfileAdmin))
		}, "unknown or younger"},
		"no certificate": {func(*notary) *protocol.CertificateGetReply { return common([][]byte{[]byte("certificate")}) }, "common certificate"},
		"a realm before anybody": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("alice", "work", "alice", parsec.RoleOwner))
		}, "unknown or younger"},
		"another root key": {func(n *notary) *protocol.CertificateGetReply {
			certificates := n.user("", "alice", parsec.ProfileAdmin)
			certificates[0][0] ^= 1
			return common(certificates)
		}, "invalid signature"},
		"another root key of the device": {func(n *notary) *protocol.CertificateGetReply {
			certificates := n.user("", "alice", parsec.ProfileAdmin)
			certificates[1][0] ^= 1
			return common(certificates)
		}, "first device"},
		"a certificate of a realm": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("", "alice", parsec.ProfileAdmin), n.role("alice", "work", "alice", parsec.RoleOwner))
		}, "in the common topic"},
		"a second user by the root key": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("", "alice", parsec.ProfileAdmin), n.user("", "ada", parsec.ProfileAdmin))
		}, "by the root key"},
	} {
		n := &notary{now: start}
		if _, err := nothing(t, n).Learn(bad.reply(n)); !errors.Is(err, testclient3.ErrIncoherent) || !strings.Contains(err.Error(), bad.because) {
			t.Errorf("%s: %v, want %q", name, err, bad.because)
		}
	}
}

func TestIncoherentUsers(t *testing.T) {
	find(t, organization, map[string]incoherence{
		"not later": {func(n *notary) *protocol.CertificateGetReply {
			n.now = n.now.Add(-time.Second)
			return common(n.device("alice", "alice", "phone"))
		}, "after one at"},
		"two of one date": {func(n *notary) *protocol.CertificateGetReply {
			first := n.device("alice", "alice", "phone")
			n.now = n.now.Add(-time.Second)
			return common(first, n.device("alice", "alice", "tablet"))
		}, "after one at"},
		"known already": {func(n *notary) *protocol.CertificateGetReply {
			n.now = n.now.Add(-time.Second)
			return common(n.revocation("alice", "rita"))
		}, "after one at"},
		"by nobody": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("nobody", "dora", parsec.ProfileStandard))
		}, "unknown or younger"},
		"by a younger": {func(n *notary) *protocol.CertificateGetReply {
			younger := &notary{now: n.now.Add(time.Minute)}
			phone := younger.device("alice", "alice", "phone")
			return common(n.user("phone", "dora", parsec.ProfileStandard), phone)
		}, "unknown or younger"},
		"by a revoked": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("rita", "dora", parsec.ProfileStandard))
		}, "who is revoked"},
		"by a STANDARD": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("bob", "dora", parsec.ProfileStandard))
		}, "is STANDARD"},
		"by an OUTSIDER": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("oscar", "dora", parsec.ProfileStandard))
		}, "is OUTSIDER"},
		"by a demoted": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.update("alice", "ada", parsec.ProfileStandard), n.user("ada", "dora", parsec.ProfileStandard))
		}, "is STANDARD"},
		"signed by another": {func(n *notary) *protocol.CertificateGetReply {
			certificates := n.user("alice", "dora", parsec.ProfileStandard)
			certificates[0][70] ^= 1
			return common(certificates)
		}, "incoherent"},
		"a user twice": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("alice", "bob", parsec.ProfileStandard))
		}, "user"},
		"no first device": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.user("alice", "dora", parsec.ProfileStandard)[:1])
		}, "without first device"},
		"a first device of another date": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.userWith("alice", "dora", parsec.ProfileStandard, func(d *certificate.Device) { d.Timestamp++ }))
		}, "user"},
		"a first device of another user": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.userWith("alice", "dora", parsec.ProfileStandard, func(d *certificate.Device) { d.UserID = userOf("bob") }))
		}, "user"},
		"a first device that is known": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.userWith("alice", "dora", parsec.ProfileStandard, func(d *certificate.Device) { d.DeviceID = deviceOf("bob") }))
		}, "user"},
		"another user between": {func(n *notary) *protocol.CertificateGetReply {
			dora, eve := n.user("alice", "dora", parsec.ProfileStandard), n.user("alice", "eve", parsec.ProfileStandard)
			return common(dora[:1], eve, dora[1:])
		}, "first device"},
		"a device twice":        {func(n *notary) *protocol.CertificateGetReply { return common(n.device("bob", "bob", "bob")) }, "device"},
		"a device of another":   {func(n *notary) *protocol.CertificateGetReply { return common(n.device("alice", "bob", "phone")) }, "device"},
		"a device by root":      {func(n *notary) *protocol.CertificateGetReply { return common(n.device("", "bob", "phone")) }, "by the root key"},
		"a device of a revoked": {func(n *notary) *protocol.CertificateGetReply { return common(n.device("rita", "rita", "phone")) }, "who is revoked"},
		"an update of oneself": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.update("alice", "alice", parsec.ProfileStandard))
		}, "about itself"},
		"an update of nobody": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.update("alice", "nobody", parsec.ProfileAdmin))
		}, "update"},
		"an update of a revoked": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.update("alice", "rita", parsec.ProfileStandard))
		}, "update"},
		"an update to the same": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.update("alice", "bob", parsec.ProfileStandard))
		}, "update"},
		"an update by a STANDARD": {func(n *notary) *protocol.CertificateGetReply {
			return common(n.update("bob", "carol", parsec.ProfileAdmin))
		}, "is STANDARD"},
		"a revocation of oneself":    {func(n *notary) *protocol.CertificateGetReply { return common(n.revocation("alice", "alice")) }, "about itself"},
		"a revocation of nobody":     {func(n *notary) *protocol.CertificateGetReply { return common(n.revocation("alice", "nobody")) }, "revocation"},
		"a second revocation":        {func(n *notary) *protocol.CertificateGetReply { return common(n.revocation("alice", "rita")) }, "revocation"},
		"a revocation by a STANDARD": {func(n *notary) *protocol.CertificateGetReply { return common(n.revocation("bob", "carol")) }, "is STANDARD"},
		"Shamir recovery": {func(*notary) *protocol.CertificateGetReply {
			return &protocol.CertificateGetReply{ShamirRecoveryCertificates: [][]byte{{}}}
		}, "Shamir"},
	})
}

func TestGoodRealm(t *testing.T) {
	n := new(notary)
	known := learn(t, workspace(t, n),
		inRealm("work", n.rotation("alice", "work", 2), n.name("alice", "work", 2), n.archiving("alice", "work"), n.role("bob", "work", "carol", parsec.RoleNone)),
		inRealm("work", n.role("alice", "work", "bob", parsec.RoleOwner), n.role("bob", "work", "alice", parsec.RoleReader), n.rotation("bob", "work", 3)),
		// A revoked member may be removed, and keeps its role otherwise.
		common(n.revocation("alice", "oscar")),
		inRealm("work", n.role("bob", "work", "oscar", parsec.RoleNone)),
		inRealm("home", n.role("carol", "home", "carol", parsec.RoleOwner)))
	realm := known.Realm(realmOf("work"))
	if realm.KeyIndex != 3 || len(realm.Rotated) != 3 || realm.Rotated[2].Value != deviceOf("bob") || !realm.Named || realm.Archiving != parsec.ArchivingArchived {
		t.Errorf("%+v", realm)
	}
	if want := map[parsec3.UserID]parsec.RealmRole{userOf("alice"): parsec.RoleReader, userOf("bob"): parsec.RoleOwner}; !maps.Equal(realm.Members(), want) {
		t.Errorf("members %v", realm.Members())
	}
	home := known.Realm(realmOf("home"))
	if home.Last != n.now || home.KeyIndex != 0 || home.Named || known.Realm(realmOf("none")) != nil {
		t.Errorf("%+v", home)
	}
	if after := known.After().RealmAfter; len(after) != 2 || after[realmOf("work")] != realm.Last || after[realmOf("home")] != home.Last {
		t.Errorf("asks after %v", after)
	}
	if common, ofRealm := known.Dates(realmOf("work")); common >= ofRealm || ofRealm != realm.Last {
		t.Errorf("dates %s and %s", common, ofRealm)
	}
	to := known.Participants(realmOf("work"))
	if len(to.Users) != 2 || to.Users[userOf("bob")] != device("bob").PublicKey() || to.Services != nil {
		t.Errorf("participants %+v", to)
	}
}

func TestIncoherentRealms(t *testing.T) {
	find(t, workspace, map[string]incoherence{
		"not later": {func(n *notary) *protocol.CertificateGetReply {
			n.now = n.now.Add(-time.Second)
			return inRealm("work", n.rotation("alice", "work", 2))
		}, "after one at"},
		"by nobody": {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.rotation("nobody", "work", 2)) }, "unknown or younger"},
		"by root":   {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.rotation("", "work", 2)) }, "unknown or younger"},
		"by a revoked": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("rita", "work", "carol", parsec.RoleReader))
		}, "who is revoked"},
		"no certificate":      {func(*notary) *protocol.CertificateGetReply { return inRealm("work", [][]byte{{}}) }, "a certificate"},
		"of the common topic": {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.revocation("alice", "bob")) }, "in a realm"},
		"after a common one that revokes its author": {func(n *notary) *protocol.CertificateGetReply {
			reply := common(n.revocation("ada", "alice"))
			reply.RealmCertificates = inRealm("work", n.rotation("alice", "work", 2)).RealmCertificates
			return reply
		}, "who is revoked"},
		"a first role for another": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("home", n.role("alice", "home", "bob", parsec.RoleOwner))
		}, "the first certificate"},
		"a first role of MANAGER": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("home", n.role("alice", "home", "alice", parsec.RoleManager))
		}, "the first certificate"},
		"a first role of an OUTSIDER": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("home", n.role("oscar", "home", "oscar", parsec.RoleOwner))
		}, "the first certificate"},
		"a rotation before any role": {func(n *notary) *protocol.CertificateGetReply { return inRealm("home", n.rotation("alice", "home", 1)) }, "a key rotation by"},
		"a role in another realm": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("alice", "home", "ada", parsec.RoleReader))
		}, "in realm"},
		"a rotation of another realm":   {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.rotation("alice", "home", 2)) }, "rotation 2"},
		"a name of another realm":       {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.name("alice", "home", 1)) }, "a name"},
		"an archiving of another realm": {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.archiving("alice", "home")) }, "an archiving"},
		"a role of nobody": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("alice", "work", "nobody", parsec.RoleReader))
		}, "who is unknown"},
		"a role of a revoked": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("alice", "work", "rita", parsec.RoleReader))
		}, "who is revoked"},
		"a role by a stranger": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("ada", "work", "carol", parsec.RoleReader))
		}, "gives"},
		"a role by a CONTRIBUTOR": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("carol", "work", "ada", parsec.RoleReader))
		}, "gives"},
		"MANAGER by a MANAGER": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("bob", "work", "ada", parsec.RoleManager))
		}, "gives"},
		"OWNER by a MANAGER": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("bob", "work", "ada", parsec.RoleOwner))
		}, "gives"},
		"the end of an OWNER by a MANAGER": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("bob", "work", "alice", parsec.RoleNone))
		}, "gives"},
		"the same role": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("alice", "work", "bob", parsec.RoleManager))
		}, "twice"},
		"the end of no role": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("alice", "work", "ada", parsec.RoleNone))
		}, "twice"},
		"an OUTSIDER as MANAGER": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("alice", "work", "oscar", parsec.RoleManager))
		}, "OUTSIDER"},
		"an OUTSIDER as OWNER": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("alice", "work", "oscar", parsec.RoleOwner))
		}, "OUTSIDER"},
		"another role of oneself": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("bob", "work", "bob", parsec.RoleReader))
		}, "gives itself"},
		"leaving": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("carol", "work", "carol", parsec.RoleNone))
		}, "gives itself"},
		"an OWNER that promotes itself": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("alice", "work", "alice", parsec.RoleOwner))
		}, "gives itself"},
		"a stranger that promotes itself": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("ada", "work", "ada", parsec.RoleOwner))
		}, "gives itself"},
		"a self-promotion beside an OWNER": {func(n *notary) *protocol.CertificateGetReply {
			return inRealm("work", n.role("bob", "work", "bob", parsec.RoleOwner))
		}, "promotes itself"},
		"a rotation by a MANAGER":   {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.rotation("bob", "work", 2)) }, "a key rotation by"},
		"a rotation twice":          {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.rotation("alice", "work", 1)) }, "rotation 1"},
		"a rotation left out":       {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.rotation("alice", "work", 3)) }, "rotation 3"},
		"a name by a MANAGER":       {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.name("bob", "work", 1)) }, "a name by"},
		"a name with a key to come": {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.name("alice", "work", 2)) }, "with key 2"},
		"an archiving by a MANAGER": {func(n *notary) *protocol.CertificateGetReply { return inRealm("work", n.archiving("bob", "work")) }, "an archiving by"},
	})
}

// TestSelfPromotion has the highest of those that are active, OUTSIDERs apart, take
// a realm over.
func TestSelfPromotion(t *testing.T) {
	n := new(notary)
	known := learn(t, workspace(t, n), common(n.revocation("ada", "alice"), n.update("ada", "bob", parsec.ProfileOutsider)))
	for _, who := range []string{"oscar", "bob"} { // a READER and an OUTSIDER, and an OUTSIDER
		if _, err := known.Learn(inRealm("work", n.role(who, "work", who, parsec.RoleOwner))); !errors.Is(err, testclient3.ErrIncoherent) {
			t.Errorf("%s promotes itself: %v", who, err)
		}
	}
	known = learn(t, known, inRealm("work", n.role("carol", "work", "carol", parsec.RoleOwner)))
	if role := known.Realm(realmOf("work")).Role(userOf("carol")); role != parsec.RoleOwner {
		t.Errorf("carol is %s", role)
	}
}

// TestSigners asks who may have written data.
func TestSigners(t *testing.T) {
	n := new(notary)
	known := workspace(t, n)
	before := n.tick()
	known = learn(t, known, inRealm("work", n.role("alice", "work", "bob", parsec.RoleNone)), common(n.revocation("alice", "carol")))
	after, realm := n.tick(), realmOf("work")
	for name, date := range map[string]parsec.DateTime{"alice": after, "bob": before, "carol": before} {
		if key, err := known.Signer(realm, deviceOf(name), date); err != nil || key != verifyKeyOf(name) {
			t.Errorf("%s at %s: %v", name, date, err)
		}
	}
	for name, date := range map[string]parsec.DateTime{"alice": start, "bob": after, "carol": after, "oscar": before, "ada": before, "nobody": before} {
		if _, err := known.Signer(realm, deviceOf(name), date); !errors.Is(err, testclient3.ErrIncoherent) {
			t.Errorf("%s at %s: %v", name, date, err)
		}
	}
	if _, err := known.Signer(realmOf("home"), deviceOf("alice"), after); !errors.Is(err, testclient3.ErrIncoherent) {
		t.Errorf("in an unknown realm: %v", err)
	}
}

// sequestered is an organization with an authority and a service.
func sequestered(t *testing.T, n *notary) *testclient3.Knowledge {
	t.Helper()
	n.now = start
	alice := n.user("", "alice", parsec.ProfileAdmin)
	return learn(t, testclient3.NewKnowledge(device("alice")), &protocol.CertificateGetReply{
		CommonCertificates: alice, SequesterCertificates: join(n.authority(n.now), n.service("archive")),
	})
}

func sequester(lists ...[][]byte) *protocol.CertificateGetReply {
	return &protocol.CertificateGetReply{SequesterCertificates: join(lists...)}
}

func TestGoodSequester(t *testing.T) {
	n := new(notary)
	known := learn(t, sequestered(t, n), sequester(n.service("scan")), sequester(n.serviceRevocation("archive")))
	if after := known.After(); *after.SequesterAfter != n.now {
		t.Errorf("asks after %+v", after)
	}
	services := known.Participants(realmOf("work")).Services
	if key := services[serviceOf("scan")]; len(services) != 1 || !key.Equal(&rsaKey.PublicKey) {
		t.Errorf("services %v", services)
	}
}

func TestIncoherentSequester(t *testing.T) {
	find(t, sequestered, map[string]incoherence{
		"a second authority": {func(n *notary) *protocol.CertificateGetReply { return sequester(n.authority(n.tick())) }, "sequester topic"},
		"a service twice":    {func(n *notary) *protocol.CertificateGetReply { return sequester(n.service("archive")) }, "sequester service"},
		"a service not later": {func(n *notary) *protocol.CertificateGetReply {
			n.now = n.now.Add(-time.Second)
			return sequester(n.service("scan"))
		}, "sequester service"},
		"the end of no service": {func(n *notary) *protocol.CertificateGetReply { return sequester(n.serviceRevocation("scan")) }, "the end of"},
		"an end twice": {func(n *notary) *protocol.CertificateGetReply {
			return sequester(n.serviceRevocation("archive"), n.serviceRevocation("archive"))
		}, "the end of"},
		"an end not later": {func(n *notary) *protocol.CertificateGetReply {
			n.now = n.now.Add(-time.Second)
			return sequester(n.serviceRevocation("archive"))
		}, "the end of"},
		"of another topic": {func(n *notary) *protocol.CertificateGetReply { return sequester(n.device("alice", "alice", "phone")) }, "sequester topic"},
	})
	find(t, organization, map[string]incoherence{
		"a service first":           {func(n *notary) *protocol.CertificateGetReply { return sequester(n.service("archive")) }, "sequester topic"},
		"an authority that is late": {func(n *notary) *protocol.CertificateGetReply { return sequester(n.authority(n.tick())) }, "foundation"},
	})
}
