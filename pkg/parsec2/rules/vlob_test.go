package rules_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var strangeCopies = map[parsec.SequesterServiceID][]byte{{1}: []byte("copy")}

func TestVlobCreateTable(t *testing.T) {
	type scenario struct {
		*realmScenario
		request *protocol.VlobCreateRequest
	}
	exerciseTable(t, func(t *testing.T) *scenario {
		s := newRealmScenario(t)
		return &scenario{s, s.vlobCreation(1)}
	}, func(s *scenario) error {
		_, err := s.VlobCreate(s.t.Context(), s.author, s.request)
		return err
	}, []row[*scenario]{
		{"1 date", protocol.StatusBadTimestamp, func(s *scenario) { s.request.Timestamp = s.clock.now().Add(-330 * time.Second) }, nil},
		{"2 realm", protocol.StatusNotAllowed, func(s *scenario) { s.request.RealmID = unknownRealm }, nil},
		{"3 deleted", protocol.StatusRealmDeleted, func(s *scenario) { s.breakDeleted() }, nil},
		{"4 archived", protocol.StatusRealmArchived, func(s *scenario) { s.breakArchived() }, []string{"3 deleted"}},
		{"4 deletion planned", protocol.StatusRealmArchived, func(s *scenario) {
			s.setArchiving(parsec.ArchivingDeletionPlanned, month)
		}, []string{"3 deleted"}},
		{"5 maintenance", protocol.StatusInMaintenance, func(s *scenario) { s.breakMaintenance() }, nil},
		{"6 revision", protocol.StatusBadEncryptionRevision, func(s *scenario) { s.request.EncryptionRevision = 3 }, nil},
		{"7 reader", protocol.StatusNotAllowed, func(s *scenario) { s.breakWriter() }, nil},
		{"7 no role", protocol.StatusNotAllowed, func(s *scenario) { s.breakReader() }, nil},
		{"8 C1", protocol.StatusRequireGreaterTimestamp, func(s *scenario) { s.breakCausality() }, nil},
		{"9 sequester", protocol.StatusNotASequestered, func(s *scenario) { s.request.SequesterBlob = strangeCopies }, nil},
		{"9 sequester, no copy", protocol.StatusNotASequestered, func(s *scenario) {
			s.request.SequesterBlob = map[parsec.SequesterServiceID][]byte{}
		}, nil},
		{"10 exists", protocol.StatusAlreadyExists, func(s *scenario) { s.setVlob(1) }, nil},
		{"10 exists in another realm", protocol.StatusAlreadyExists, func(s *scenario) {
			own := s.realm
			s.realm = s.createRealm(s.bob(), 2)
			s.setVlob(1)
			s.realm = own
		}, []string{"10 exists"}},
	})
}

func TestVlobUpdateTable(t *testing.T) {
	type scenario struct {
		*realmScenario
		request *protocol.VlobUpdateRequest
	}
	exerciseTable(t, func(t *testing.T) *scenario {
		s := newRealmScenario(t)
		s.createVlob(1)
		return &scenario{s, s.vlobUpdate(1, 2)}
	}, func(s *scenario) error {
		_, err := s.VlobUpdate(s.t.Context(), s.author, s.request)
		return err
	}, []row[*scenario]{
		{"1 date", protocol.StatusBadTimestamp, func(s *scenario) { s.request.Timestamp = s.clock.now().Add(310 * time.Second) }, nil},
		{"2 vlob", protocol.StatusNotFound, func(s *scenario) { s.request.VlobID = unknownVlob }, nil},
		{"3 deleted", protocol.StatusRealmDeleted, func(s *scenario) { s.breakDeleted() }, nil},
		{"4 archived", protocol.StatusRealmArchived, func(s *scenario) { s.breakArchived() }, []string{"3 deleted"}},
		{"5 maintenance", protocol.StatusInMaintenance, func(s *scenario) { s.breakMaintenance() }, nil},
		{"6 revision", protocol.StatusBadEncryptionRevision, func(s *scenario) { s.request.EncryptionRevision = 3 }, nil},
		{"7 reader", protocol.StatusNotAllowed, func(s *scenario) { s.breakWriter() }, nil},
		{"8 C1", protocol.StatusRequireGreaterTimestamp, func(s *scenario) { s.breakCausality() }, nil},
		{"9 sequester", protocol.StatusNotASequestered, func(s *scenario) { s.request.SequesterBlob = strangeCopies }, nil},
		{"10 version 0", protocol.StatusBadVersion, func(s *scenario) { s.request.Version = 0 }, nil},
		{"10 version 1", protocol.StatusBadVersion, func(s *scenario) { s.request.Version = 1 }, nil},
		{"10 version 3", protocol.StatusBadVersion, func(s *scenario) { s.request.Version = 3 }, nil},
		{"10 last version", protocol.StatusBadVersion, func(s *scenario) { s.request.Version = math.MaxUint32 }, nil},
		// Before C2, after C1: the role is older than the vlob.
		{"11 C2", protocol.StatusRequireGreaterTimestamp, func(s *scenario) { s.request.Timestamp -= 1_000_001 }, []string{"1 date"}},
	})
}

// TestVlobWriteByRole covers the roles that write.
func TestVlobWriteByRole(t *testing.T) {
	for role, want := range map[parsec.RealmRole]protocol.Status{
		parsec.RoleOwner: protocol.StatusOK, parsec.RoleManager: protocol.StatusOK,
		parsec.RoleContributor: protocol.StatusOK, parsec.RoleReader: protocol.StatusNotAllowed,
	} {
		t.Run(string(role), func(t *testing.T) {
			s := newRealmScenario(t)
			s.setRole(bobID.User(), role, 0)
			if got := status(s.VlobCreate(t.Context(), s.bob(), s.vlobCreation(1))); got != want {
				t.Errorf("vlob_create: got %s", got)
			}
			if got := status(s.BlockCreate(t.Context(), s.bob(), s.blockCreation(1, "block"))); got != want {
				t.Errorf("block_create: got %s", got)
			}
		})
	}
}

func TestVlobWriteEffects(t *testing.T) {
	s := newRealmScenario(t)
	first, second := parsec.VlobID(testUUID(1)), parsec.VlobID(testUUID(2))
	s.createVlob(1)
	// An equal date is accepted (C2).
	equal := s.vlobUpdate(1, 2)
	equal.Timestamp -= 1_000_000
	s.ok(s.VlobUpdate(t.Context(), s.bob(), equal))
	s.clock.advance(time.Second)
	s.createVlob(2)
	s.updateVlob(1, 3)
	s.checkEvents(
		by(s.alice(), notice.RealmVlobsUpdated{Realm: s.realm, Checkpoint: 1, Source: first, SourceVersion: 1}),
		by(s.bob(), notice.RealmVlobsUpdated{Realm: s.realm, Checkpoint: 2, Source: first, SourceVersion: 2}),
		by(s.alice(), notice.RealmVlobsUpdated{Realm: s.realm, Checkpoint: 3, Source: second, SourceVersion: 1}),
		by(s.alice(), notice.RealmVlobsUpdated{Realm: s.realm, Checkpoint: 4, Source: first, SourceVersion: 3}),
	)
	for _, test := range []struct {
		checkpoint uint64
		want       map[parsec.VlobID]uint32
	}{
		{0, map[parsec.VlobID]uint32{first: 3, second: 1}},
		{2, map[parsec.VlobID]uint32{first: 3, second: 1}},
		{3, map[parsec.VlobID]uint32{first: 3}},
		{4, nil},
		{5, nil},
		{math.MaxInt64, nil},
	} {
		got := must(s.VlobPollChanges(t.Context(), s.bob(), &protocol.VlobPollChangesRequest{
			RealmID: s.realm, LastCheckpoint: test.checkpoint,
		}))
		if got.CurrentCheckpoint != 4 || len(got.Changes) != len(test.want) {
			t.Errorf("after %d: got %+v", test.checkpoint, got)
		}
		for id, version := range test.want {
			if got.Changes[id] != version {
				t.Errorf("after %d: got %+v", test.checkpoint, got)
			}
		}
	}
	versions := must(s.VlobListVersions(t.Context(), s.bob(), &protocol.VlobListVersionsRequest{VlobID: first})).Versions
	if len(versions) != 3 || versions[2].Author != bobID || versions[2].Timestamp != equal.Timestamp ||
		versions[1].Author != aliceID || versions[1].Timestamp != equal.Timestamp {
		t.Errorf("got %+v", versions)
	}
}

// vlobQuery is a read of the vlob 1, or of its realm.
type vlobQuery struct {
	*realmScenario
	request protocol.VlobReadRequest
	polled  parsec.RealmID
}

func newVlobQuery(t *testing.T) *vlobQuery {
	s := newRealmScenario(t)
	id := s.createVlob(1)
	return &vlobQuery{s, protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: id}, s.realm}
}

func TestVlobReadTable(t *testing.T) {
	version := func(v uint32) func(*vlobQuery) {
		return func(s *vlobQuery) { s.request.Version = &v }
	}
	exerciseTable(t, newVlobQuery, func(s *vlobQuery) error {
		_, err := s.VlobRead(s.t.Context(), s.author, &s.request)
		return err
	}, []row[*vlobQuery]{
		{"1 vlob", protocol.StatusNotFound, func(s *vlobQuery) { s.request.VlobID = unknownVlob }, nil},
		{"2 deleted", protocol.StatusRealmDeleted, func(s *vlobQuery) { s.breakDeleted() }, nil},
		{"3 maintenance", protocol.StatusInMaintenance, func(s *vlobQuery) { s.breakMaintenance() }, nil},
		{"3 revision not complete", protocol.StatusInMaintenance, func(s *vlobQuery) {
			s.setMaintenance(parsec.MaintenanceReencryption)
			s.request.EncryptionRevision = 2
		}, []string{"3 maintenance"}},
		{"4 revision", protocol.StatusBadEncryptionRevision, func(s *vlobQuery) {
			s.request.EncryptionRevision = 0
		}, []string{"3 revision not complete"}},
		{"5 role", protocol.StatusNotAllowed, func(s *vlobQuery) { s.breakReader() }, nil},
		{"6 version 0", protocol.StatusBadVersion, version(0), nil},
		{"6 version 2", protocol.StatusBadVersion, version(2), nil},
		{"6 date", protocol.StatusBadVersion, func(s *vlobQuery) {
			before := s.clock.now() - 10_000_000
			s.request.Timestamp = &before
		}, []string{"6 version 0", "6 version 2"}},
	})
}

func TestReadTablesWithoutRevision(t *testing.T) {
	rows := []row[*vlobQuery]{
		{"1 unknown", protocol.StatusNotFound, func(s *vlobQuery) { s.request.VlobID, s.polled = unknownVlob, unknownRealm }, nil},
		{"2 deleted", protocol.StatusRealmDeleted, func(s *vlobQuery) { s.breakDeleted() }, nil},
		{"3 maintenance", protocol.StatusInMaintenance, func(s *vlobQuery) { s.breakMaintenance() }, nil},
		{"4 role", protocol.StatusNotAllowed, func(s *vlobQuery) { s.breakReader() }, nil},
	}
	for name, run := range map[string]func(s *vlobQuery) error{
		"vlob_list_versions": func(s *vlobQuery) error {
			_, err := s.VlobListVersions(s.t.Context(), s.author, &protocol.VlobListVersionsRequest{VlobID: s.request.VlobID})
			return err
		},
		"vlob_poll_changes": func(s *vlobQuery) error {
			_, err := s.VlobPollChanges(s.t.Context(), s.author, &protocol.VlobPollChangesRequest{RealmID: s.polled})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			exerciseTable(t, newVlobQuery, run, rows)
			for what, allow := range map[string]func(s *vlobQuery){
				"during a reencryption": func(s *vlobQuery) { s.setMaintenance(parsec.MaintenanceReencryption) },
				"when archived":         func(s *vlobQuery) { s.breakArchived() },
				"by a reader":           func(s *vlobQuery) { s.breakWriter() },
			} {
				t.Run(what, func(t *testing.T) {
					s := newVlobQuery(t)
					allow(s)
					if got := status(nil, run(s)); got != protocol.StatusOK {
						t.Errorf("got %s", got)
					}
				})
			}
		})
	}
}

func TestVlobReadSelection(t *testing.T) {
	s := newRealmScenario(t)
	id := s.createVlob(1) // at 0 s
	begin := s.clock.now() - 1_000_000
	s.updateVlob(1, 2) // at 1 s
	same := s.vlobUpdate(1, 3)
	same.Timestamp = begin + 1_000_000
	s.ok(s.VlobUpdate(t.Context(), s.bob(), same)) // dated 1 s
	for name, test := range map[string]struct {
		version, at, want uint32 // at is in seconds, plus one
	}{
		"latest":                 {0, 0, 3},
		"version":                {2, 0, 2},
		"version, date too":      {2, 1, 2},
		"date of the first":      {0, 1, 1},
		"equal dates, the last":  {0, 2, 3},
		"date after all of them": {0, 99, 3},
	} {
		t.Run(name, func(t *testing.T) {
			request := &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: id}
			if test.version > 0 {
				request.Version = &test.version
			}
			if test.at > 0 {
				date := begin.Add(time.Duration(test.at-1) * time.Second)
				request.Timestamp = &date
			}
			if got := must(s.VlobRead(t.Context(), s.bob(), request)); got.Version != test.want {
				t.Errorf("got version %d, want %d", got.Version, test.want)
			}
		})
	}
}

// TestAuthorLastRoleGrantedOn follows the author of a version, even removed.
func TestAuthorLastRoleGrantedOn(t *testing.T) {
	s := newRealmScenario(t)
	granted := s.clock.now() - 1_000_000 // bob, by the scenario
	s.ok(s.VlobCreate(t.Context(), s.bob(), s.vlobCreation(1)))
	check := func(want parsec.DateTime) {
		t.Helper()
		got := must(s.VlobRead(t.Context(), s.alice(), &protocol.VlobReadRequest{
			EncryptionRevision: 1, VlobID: parsec.VlobID(testUUID(1)),
		}))
		if got.Author != bobID || got.AuthorLastRoleGrantedOn != want {
			t.Errorf("got %s on %s, want %s", got.Author, got.AuthorLastRoleGrantedOn, want)
		}
	}
	check(granted)
	s.clock.advance(time.Second)
	removed := s.clock.now()
	s.grant(s.alice(), bobID.User(), parsec.RoleNone)
	check(removed)
}

// TestVlobBytesAreCopied overwrites the message that a command came from.
func TestVlobBytesAreCopied(t *testing.T) {
	s := newRealmScenario(t)
	request := s.vlobCreation(1)
	sent := slices.Clone(request.Blob)
	s.ok(s.VlobCreate(t.Context(), s.alice(), request))
	clear(request.Blob)
	got := must(s.VlobRead(t.Context(), s.alice(), &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: request.VlobID}))
	if !slices.Equal(got.Blob, sent) {
		t.Errorf("got %q, want %q", got.Blob, sent)
	}
}

// TestWritersMustStillBe covers docs/protocol/commands.md §1.6 for every
// command that writes: nothing is done, and nothing is answered.
func TestWritersMustStillBe(t *testing.T) {
	commands := map[string]func(s *realmScenario, author *rules.Author) error{
		"realm_create": func(s *realmScenario, author *rules.Author) error {
			change := s.roleChange(author, unknownRealm, author.User(), parsec.RoleOwner)
			_, err := s.RealmCreate(s.t.Context(), author, change.creation())
			return err
		},
		"realm_update_roles": func(s *realmScenario, author *rules.Author) error {
			_, err := s.RealmUpdateRoles(s.t.Context(), author, s.roleChange(author, s.realm, malloryID.User(), parsec.RoleReader).update())
			return err
		},
		"realm_update_archiving": func(s *realmScenario, author *rules.Author) error {
			_, err := s.RealmUpdateArchiving(s.t.Context(), author, s.archivingChange(author, s.realm, parsec.ArchivingArchived).request())
			return err
		},
		"realm_start_reencryption_maintenance": func(s *realmScenario, author *rules.Author) error {
			_, err := s.RealmStartReencryption(s.t.Context(), author, s.reencryption(2))
			return err
		},
		"realm_finish_reencryption_maintenance": func(s *realmScenario, author *rules.Author) error {
			_, err := s.RealmFinishReencryption(s.t.Context(), author, &protocol.RealmFinishReencryptionRequest{RealmID: s.realm})
			return err
		},
		"vlob_maintenance_save_reencryption_batch": func(s *realmScenario, author *rules.Author) error {
			_, err := s.VlobSaveReencryptionBatch(s.t.Context(), author, &protocol.VlobSaveReencryptionBatchRequest{RealmID: s.realm})
			return err
		},
		"vlob_create": func(s *realmScenario, author *rules.Author) error {
			_, err := s.VlobCreate(s.t.Context(), author, s.vlobCreation(2))
			return err
		},
		"vlob_update": func(s *realmScenario, author *rules.Author) error {
			_, err := s.VlobUpdate(s.t.Context(), author, s.vlobUpdate(1, 2))
			return err
		},
		"block_create": func(s *realmScenario, author *rules.Author) error {
			_, err := s.BlockCreate(s.t.Context(), author, s.blockCreation(1, "block"))
			return err
		},
	}
	for name, run := range commands {
		for what, end := range map[string]func(s *realmScenario){
			"revoked": func(s *realmScenario) { s.setRevoked(bobID.User()) },
			"frozen": func(s *realmScenario) {
				s.ok(s.FreezeUser(s.t.Context(), somebody, acme, organization.UserChoice{ID: bobID.User().String()}, true))
			},
			"expired": func(s *realmScenario) {
				past := s.clock.now() - 1
				s.ok(s.AdministrationUpdate(s.t.Context(), somebody, &protocol.AdministrationUpdateRequest{
					OrganizationID: acme, ExpirationDate: &past,
				}))
			},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				s := newRealmScenario(t)
				s.createVlob(1)
				s.grant(s.alice(), bobID.User(), parsec.RoleOwner)
				end(s)
				s.events.take()
				if got := status(nil, run(s, s.bob())); got != sessionOver {
					t.Errorf("got %s", got)
				}
				s.checkEvents()
			})
		}
	}
}
