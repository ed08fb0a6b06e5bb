package e2e_test

import (
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
)

// TestMajorsTogether has clients of every major in one realm: each hears what
// the others do, but for the events that its version does not know.
func TestMajorsTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{})
	alice := inAPI1.connect(w, inAPI1.found(w, "CoolOrg", "alice@laptop"))
	bob := inAPI2.connect(w, claimUser(w, inAPI1, alice, inAPI1.person("bob@desk"), parsec.ProfileAdmin))
	carol := inAPI3.connect(w, createUser(w, inAPI3, bob, inAPI3.person("carol@home"), parsec.ProfileStandard))
	latestOf2 := generations[2]
	phone := createDevice(w, inAPI3, carol, deviceID("carol@phone").Name())
	beacon := inAPI1.connect(w, claimDevice(w, inAPI1, alice, deviceID("alice@beacon").Name()))
	ofAlice, ofBob := inAPI1.listen(w, alice.device), inAPI2.listen(w, bob.device)
	ofCarol, ofPhone := inAPI3.listen(w, carol.device), latestOf2.listen(w, phone)
	everybody := []*listener{ofAlice, ofBob, ofCarol, ofPhone}
	a := audience{w: w, beacon: beacon, listeners: everybody}

	for _, reader := range []*peer{alice, bob, carol} {
		for _, user := range []*peer{alice, bob, carol} {
			reply := ok(w, reader, protocol.UserGet, &protocol.UserGetRequest{UserID: user.user()})
			if _, err := testclient.VerifyTrustchain(reader.device.RootVerifyKey, user.user(), reply); err != nil {
				t.Errorf("%s verifies %s: %v", reader.device.ID, user.user(), err)
			}
		}
	}

	realm := newRealmID()
	role := func(role parsec.RealmRole) []protocol.Event {
		return []protocol.Event{&protocol.RealmRolesUpdatedEvent{RealmID: realm, Role: role}}
	}
	ok(w, alice, protocol.RealmCreate, must(alice.device.NewRealm(realm, w.tick())))
	ok(w, alice, protocol.RealmUpdateRoles, must(alice.device.UpdateRole(realm, bob.user(), parsec.RoleManager, w.tick())))
	ok(w, alice, protocol.RealmUpdateRoles, must(alice.device.UpdateRole(realm, carol.user(), parsec.RoleOwner, w.tick())))
	a.expect(hears{
		ofAlice: role(parsec.RoleOwner), ofBob: role(parsec.RoleManager),
		ofCarol: role(parsec.RoleOwner), ofPhone: role(parsec.RoleOwner),
	})
	for i, author := range []*peer{alice, bob, carol} {
		vlob := newVlobID()
		ok(w, author, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: w.tick(), Blob: []byte("x"),
		})
		heard := hears{}
		for j, listener := range everybody {
			if i != j {
				heard[listener] = []protocol.Event{&protocol.RealmVlobsUpdatedEvent{
					RealmID: realm, Checkpoint: uint64(i) + 1, SourceID: vlob, SourceVersion: 1,
				}}
			}
		}
		a.expect(heard)
	}

	archived := protocol.ArchivingConfiguration{Type: parsec.ArchivingArchived}
	ok(w, carol, protocol.RealmUpdateArchiving, must(carol.device.UpdateArchiving(realm, archived, w.tick())))
	a.expect(hears{ofPhone: {&protocol.RealmArchivingUpdatedEvent{RealmID: realm, Configuration: archived}}})

	token := parsec.InvitationToken(parsec.NewUUID())
	if err := w.Store.Publish(w.ctx, event.Event{Organization: alice.device.Organization, Body: notice.InviteStatusChanged{
		Greeters: []parsec.UserID{alice.user(), bob.user()}, Token: token, Status: parsec.InvitationReady,
	}}); err != nil {
		t.Fatal(err)
	}
	a.expect(hears{ofBob: {&protocol.InviteStatusChangedEvent{Token: token, Status: parsec.InvitationReady}}})

	// Clients up to 2.12 drop their connection on a longer text.
	longest := strings.Repeat("é", 64)
	ok(w, beacon, protocol.Ping, &protocol.PingRequest{Ping: longest + "!"})
	ok(w, beacon, protocol.Ping, &protocol.PingRequest{Ping: longest})
	pinged := []protocol.Event{&protocol.PingedEvent{Ping: longest}}
	a.expect(hears{ofAlice: pinged, ofBob: pinged, ofCarol: pinged, ofPhone: pinged})
}

// dialect is what one version is told.
type dialect struct {
	version parsec.APIVersion
	// older is for a version of a vlob that is older than the one before.
	older protocol.Status
	// early is for a realm certificate of the day before.
	early protocol.Status
	// mismatch is for the messages of a reencryption that lack one.
	mismatch protocol.Status
	// archived and deleted are for a write and a read of such realms.
	archived, deleted protocol.Status
	// config is for the commands that tell the settings.
	config protocol.Status
}

func TestRefusalsInTheWordsOfEachVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{})
	device := inAPI3.found(w, "CoolOrg", "alice@laptop")
	alice := inAPI3.connect(w, device)
	realm, archived, deleted := newRealmID(), newRealmID(), newRealmID()
	vlob := newVlobID()
	for _, id := range []parsec.RealmID{realm, archived, deleted} {
		ok(w, alice, protocol.RealmCreate, must(device.NewRealm(id, w.tick())))
	}
	past := w.tick()
	ok(w, alice, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: w.tick(), Blob: []byte("x"),
	})
	ok(w, alice, protocol.RealmUpdateArchiving, must(device.UpdateArchiving(archived,
		protocol.ArchivingConfiguration{Type: parsec.ArchivingArchived}, w.tick())))
	deletion := w.clock.Now().Add(31 * 24 * time.Hour)
	ok(w, alice, protocol.RealmUpdateArchiving, must(device.UpdateArchiving(deleted,
		protocol.ArchivingConfiguration{Type: parsec.ArchivingDeletionPlanned, DeletionDate: &deletion}, w.tick())))

	const (
		greater       = protocol.StatusRequireGreaterTimestamp
		bad           = protocol.StatusBadTimestamp
		certification = protocol.StatusInvalidCertification
		plural        = protocol.StatusParticipantsMismatch
		singular      = protocol.StatusParticipantMismatch
		notAllowed    = protocol.StatusNotAllowed
		isArchived    = protocol.StatusRealmArchived
		isDeleted     = protocol.StatusRealmDeleted
		unknown       = protocol.StatusUnknownCommand
		accepted      = protocol.StatusOK
	)
	dialects := []dialect{
		{parsec.APIVersion{Major: 1, Minor: 1}, bad, certification, plural, notAllowed, notAllowed, unknown},
		{parsec.APIVersion{Major: 1, Minor: 3}, bad, certification, plural, notAllowed, notAllowed, unknown},
		{parsec.APIVersion{Major: 2, Minor: 0}, bad, certification, plural, notAllowed, notAllowed, accepted},
		{parsec.APIVersion{Major: 2, Minor: 2}, bad, certification, plural, notAllowed, notAllowed, accepted},
		{parsec.APIVersion{Major: 2, Minor: 3}, greater, certification, plural, notAllowed, notAllowed, accepted},
		{parsec.APIVersion{Major: 2, Minor: 4}, greater, bad, plural, notAllowed, notAllowed, accepted},
		{parsec.APIVersion{Major: 2, Minor: 10}, greater, bad, plural, isArchived, isDeleted, accepted},
		{parsec.APIVersion{Major: 3, Minor: 0}, greater, bad, plural, notAllowed, notAllowed, accepted},
		{parsec.APIVersion{Major: 3, Minor: 1}, greater, bad, plural, notAllowed, notAllowed, accepted},
		{parsec.APIVersion{Major: 3, Minor: 2}, greater, bad, singular, notAllowed, notAllowed, accepted},
		{parsec.APIVersion{Major: 3, Minor: 4}, greater, bad, singular, isArchived, isDeleted, accepted},
	}
	var peers []*peer
	for _, d := range dialects {
		p := generation{version: d.version}.connect(w, device)
		peers = append(peers, p)
		refused(w, d.older, p, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
			EncryptionRevision: 1, VlobID: vlob, Version: 2, Timestamp: past,
		})
		yesterday := w.clock.Now().Add(-24 * time.Hour)
		reason := reasonOf(w, d.early, p, protocol.RealmCreate, must(device.NewRealm(newRealmID(), yesterday)))
		if d.early == certification {
			checkWord(t, d, reason, true)
		}
		_, dan, err := device.NewUser(parsec2.Person{}, parsec.ProfileStandard, yesterday)
		if err != nil {
			t.Fatal(err)
		}
		if d.version.Major == 1 {
			reason = reasonOf(w, certification, p, protocol.UserCreateV1, testclient.UserCreateV1(dan))
		} else {
			reason = reasonOf(w, certification, p, protocol.UserCreate, dan)
		}
		checkWord(t, d, reason, true)
		forged := must(device.NewRealm(newRealmID(), w.tick()))
		forged.RoleCertificate[70] ^= 1
		checkWord(t, d, reasonOf(w, certification, p, protocol.RealmCreate, forged), false)
		refused(w, d.mismatch, p, protocol.RealmStartReencryption, &protocol.RealmStartReencryptionRequest{
			RealmID: realm, EncryptionRevision: 2, Timestamp: w.tick(), PerParticipantMessage: map[parsec.UserID][]byte{},
		})
		refused(w, d.archived, p, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: archived, EncryptionRevision: 1, VlobID: newVlobID(), Timestamp: w.tick(),
		})
		answers(w, d.config, p, protocol.OrganizationConfig, &protocol.OrganizationConfigRequest{})
		answers(w, d.config, p, protocol.ArchivingConfig, &protocol.ArchivingConfigRequest{})
		answers(w, d.config, p, protocol.OrganizationStats, &protocol.OrganizationStatsRequest{})
		ok(w, p, protocol.Ping, &protocol.PingRequest{Ping: "still here"})
	}
	w.clock.Advance(31 * 24 * time.Hour)
	for i, d := range dialects {
		refused(w, d.deleted, peers[i], protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: deleted})
		ok(w, peers[i], protocol.RealmGetRoleCertificates, &protocol.RealmGetRoleCertificatesRequest{RealmID: deleted})
	}
}

// checkWord wants, in the reason of invalid_certification, the word that tells
// clients that their clock is wrong if and only if it is.
func checkWord(t *testing.T, d dialect, reason string, wanted bool) {
	t.Helper()
	if strings.Contains(reason, "timestamp") != wanted {
		t.Errorf("API %s: reason %q", d.version, reason)
	}
}

// answers wants a command to be answered with that status.
func answers[Request, Reply any](w *world, want protocol.Status, by parsec2.Transport, command *rpc.Command[Request, Reply], request *Request) {
	w.t.Helper()
	if want == protocol.StatusOK {
		ok(w, by, command, request)
	} else {
		refused(w, want, by, command, request)
	}
}
