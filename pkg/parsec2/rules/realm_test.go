package rules_test

import (
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

func TestRealmCreateTable(t *testing.T) {
	type scenario struct {
		*realmScenario
		*roleChange
	}
	exerciseTable(t, func(t *testing.T) *scenario {
		s := newRealmScenario(t)
		return &scenario{s, s.roleChange(s.author, parsec.RealmID(testUUID(2)), aliceID.User(), parsec.RoleOwner)}
	}, func(s *scenario) error {
		_, err := s.RealmCreate(s.t.Context(), s.author, s.creation())
		return err
	}, []row[*scenario]{
		{"1 key", protocol.StatusInvalidCertification, func(s *scenario) { s.key = signingKey(bobID) }, nil},
		{"1 author", protocol.StatusInvalidCertification, func(s *scenario) { s.Author = alice2ID }, nil},
		{"2 late", protocol.StatusBadTimestamp, func(s *scenario) { s.Timestamp = s.clock.now().Add(-330 * time.Second) }, nil},
		{"2 early", protocol.StatusBadTimestamp, func(s *scenario) { s.Timestamp = s.clock.now().Add(310 * time.Second) }, nil},
		{"3 user", protocol.StatusInvalidData, func(s *scenario) { s.UserID = bobID.User() }, nil},
		{"3 role", protocol.StatusInvalidData, func(s *scenario) { s.Role = parsec.RoleManager }, nil},
		{"3 no role", protocol.StatusInvalidData, func(s *scenario) { s.Role = parsec.RoleNone }, nil},
		{"4 exists", protocol.StatusAlreadyExists, func(s *scenario) { s.RealmID = s.realm }, nil},
		{"4 exists, deleted", protocol.StatusAlreadyExists, func(s *scenario) { s.RealmID = s.realm; s.breakDeleted() }, nil},
	})
}

func TestRealmCreate(t *testing.T) {
	f := newFixture(t)
	for name, author := range map[string]func(*fixture) parsec.DeviceID{
		"admin":    func(*fixture) parsec.DeviceID { return aliceID },
		"outsider": func(*fixture) parsec.DeviceID { return malloryID },
	} {
		t.Run(name, func(t *testing.T) {
			by := f.author(acme, author(f), parsec.ProfileOutsider)
			realm := parsec.RealmID(parsec.NewUUID())
			request := f.roleChange(by, realm, by.User(), parsec.RoleOwner).creation()
			f.ok(f.RealmCreate(t.Context(), by, request))
			want := event.Event{Organization: acme, Author: by.Device, Body: notice.RealmRolesUpdated{
				Realm: realm, User: by.User(), Role: parsec.RoleOwner,
			}}
			if got := f.events.take(); len(got) != 1 || got[0] != want {
				t.Errorf("got events %+v", got)
			}
			state := must(f.RealmStatus(t.Context(), by, &protocol.RealmStatusRequest{RealmID: realm}))
			if *state != (protocol.RealmStatusReply{EncryptionRevision: 1}) {
				t.Errorf("got %+v", state)
			}
			changes := must(f.VlobPollChanges(t.Context(), by, &protocol.VlobPollChangesRequest{RealmID: realm}))
			if len(changes.Changes) != 0 || changes.CurrentCheckpoint != 0 {
				t.Errorf("got %+v", changes)
			}
			certificates := must(f.RealmGetRoleCertificates(t.Context(), by, &protocol.RealmGetRoleCertificatesRequest{RealmID: realm}))
			if len(certificates.Certificates) != 1 || !slices.Equal(certificates.Certificates[0], request.RoleCertificate) {
				t.Errorf("got %d certificates", len(certificates.Certificates))
			}
		})
	}
}

// realmQuery is a read that names a realm.
type realmQuery struct {
	*realmScenario
	asked parsec.RealmID
}

func newRealmQuery(t *testing.T) *realmQuery {
	s := newRealmScenario(t)
	return &realmQuery{s, s.realm}
}

func TestRealmReadTables(t *testing.T) {
	rows := []row[*realmQuery]{
		{"1 realm", protocol.StatusNotFound, func(s *realmQuery) { s.asked = unknownRealm }, nil},
		{"2 role", protocol.StatusNotAllowed, func(s *realmQuery) { s.breakReader() }, nil},
		{"3 deleted", protocol.StatusRealmDeleted, func(s *realmQuery) { s.breakDeleted() }, nil},
	}
	t.Run("realm_status", func(t *testing.T) {
		exerciseTable(t, newRealmQuery, func(s *realmQuery) error {
			_, err := s.RealmStatus(s.t.Context(), s.author, &protocol.RealmStatusRequest{RealmID: s.asked})
			return err
		}, rows)
	})
	t.Run("realm_stats", func(t *testing.T) {
		exerciseTable(t, newRealmQuery, func(s *realmQuery) error {
			_, err := s.RealmStats(s.t.Context(), s.author, &protocol.RealmStatsRequest{RealmID: s.asked})
			return err
		}, rows)
	})
	t.Run("realm_get_role_certificates", func(t *testing.T) {
		exerciseTable(t, newRealmQuery, func(s *realmQuery) error {
			_, err := s.RealmGetRoleCertificates(s.t.Context(), s.author, &protocol.RealmGetRoleCertificatesRequest{RealmID: s.asked})
			return err
		}, rows[:2])
	})
}

func TestRealmStatusDuringReencryption(t *testing.T) {
	s := newRealmScenario(t)
	started := s.clock.now()
	s.startReencryption(2)
	got := must(s.RealmStatus(t.Context(), s.bob(), &protocol.RealmStatusRequest{RealmID: s.realm}))
	if !got.InMaintenance || got.MaintenanceType != parsec.MaintenanceReencryption || got.EncryptionRevision != 2 ||
		got.MaintenanceStartedOn == nil || *got.MaintenanceStartedOn != started || got.MaintenanceStartedBy != aliceID {
		t.Errorf("got %+v", got)
	}
}

func TestRealmStats(t *testing.T) {
	s := newRealmScenario(t)
	check := func(blocks, vlobs uint64) {
		t.Helper()
		got := must(s.RealmStats(t.Context(), s.bob(), &protocol.RealmStatsRequest{RealmID: s.realm}))
		if *got != (protocol.RealmStatsReply{BlocksSize: blocks, VlobsSize: vlobs}) {
			t.Errorf("got %+v", got)
		}
	}
	check(0, 0)
	s.createVlob(1)
	s.updateVlob(1, 2)
	s.ok(s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "12345")))
	check(5, uint64(len("vlob 1 v1")+len("vlob 1 v2")))
	// Reencrypted copies do not count.
	s.startReencryption(2)
	s.saveAll(2)
	check(5, uint64(len("vlob 1 v1")+len("vlob 1 v2")))
}

// TestRoleCertificatesInOrder covers the order by date, removals included, and
// the filter of old clients, on a realm that is deleted.
func TestRoleCertificatesInOrder(t *testing.T) {
	s := newRealmScenario(t)
	s.grant(s.alice(), bobID.User(), parsec.RoleNone)
	middle := s.clock.now()
	s.clock.advance(time.Second)
	s.grant(s.alice(), malloryID.User(), parsec.RoleReader)
	s.grant(s.alice(), malloryID.User(), parsec.RoleNone)
	all := must(s.RealmGetRoleCertificates(t.Context(), s.alice(), &protocol.RealmGetRoleCertificatesRequest{RealmID: s.realm}))
	if len(all.Certificates) != 5 {
		t.Fatalf("got %d certificates, want 5", len(all.Certificates))
	}
	s.breakDeleted()
	since := must(s.RealmGetRoleCertificates(t.Context(), s.alice(), &protocol.RealmGetRoleCertificatesRequest{RealmID: s.realm, Since: &middle}))
	if !slices.EqualFunc(since.Certificates, all.Certificates[3:], slices.Equal) {
		t.Errorf("got %d certificates, want the last two", len(since.Certificates))
	}
	// A user that was removed is as one that never had a role.
	for _, author := range []func() protocol.Status{
		func() protocol.Status {
			return status(s.RealmGetRoleCertificates(t.Context(), s.bob(), &protocol.RealmGetRoleCertificatesRequest{RealmID: s.realm}))
		},
		func() protocol.Status {
			return status(s.RealmStatus(t.Context(), s.mallory(), &protocol.RealmStatusRequest{RealmID: s.realm}))
		},
	} {
		if got := author(); got != protocol.StatusNotAllowed {
			t.Errorf("got %s", got)
		}
	}
}
