package rules_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

func TestRealmStartReencryptionTable(t *testing.T) {
	type scenario struct {
		*realmScenario
		request *protocol.RealmStartReencryptionRequest
	}
	messages := func(s *scenario) map[parsec.UserID][]byte { return s.request.PerParticipantMessage }
	exerciseTable(t, func(t *testing.T) *scenario {
		s := newRealmScenario(t)
		return &scenario{s, s.reencryption(2)}
	}, func(s *scenario) error {
		_, err := s.RealmStartReencryption(s.t.Context(), s.author, s.request)
		return err
	}, []row[*scenario]{
		{"1 date", protocol.StatusBadTimestamp, func(s *scenario) { s.request.Timestamp = s.clock.now().Add(-330 * time.Second) }, nil},
		{"2 realm", protocol.StatusNotFound, func(s *scenario) { s.request.RealmID = unknownRealm }, nil},
		{"3 maintenance", protocol.StatusInMaintenance, func(s *scenario) { s.breakMaintenance() }, nil},
		{"4 revision", protocol.StatusBadEncryptionRevision, func(s *scenario) { s.request.EncryptionRevision = 1 }, nil},
		{"5 role", protocol.StatusNotAllowed, func(s *scenario) { s.breakOwner() }, nil},
		{"6 deleted", protocol.StatusRealmDeleted, func(s *scenario) { s.breakDeleted() }, nil},
		{"7 missing", protocol.StatusParticipantMismatch, func(s *scenario) { delete(messages(s), bobID.User()) }, nil},
		{"7 superfluous", protocol.StatusParticipantMismatch, func(s *scenario) { messages(s)[malloryID.User()] = nil }, nil},
		{"7 unknown", protocol.StatusParticipantMismatch, func(s *scenario) {
			delete(messages(s), bobID.User())
			messages(s)[userID("nobody")] = []byte("for nobody")
		}, nil},
		{"7 revoked", protocol.StatusParticipantMismatch, func(s *scenario) { s.setRevoked(bobID.User()) }, []string{"7 missing", "7 unknown"}},
		{"7 removed", protocol.StatusParticipantMismatch, func(s *scenario) {
			s.setRole(bobID.User(), parsec.RoleNone, 0)
		}, []string{"7 missing", "7 unknown"}},
	})
}

// TestStartReencryption covers participants that are revoked, removed and
// frozen, and the order of the events.
func TestStartReencryption(t *testing.T) {
	s := newRealmScenario(t)
	s.createUser(s.alice(), carolID, parsec.ProfileStandard)
	dave := s.createUser(s.alice(), deviceID("dave@laptop"), parsec.ProfileStandard)
	s.grant(s.alice(), malloryID.User(), parsec.RoleReader)
	s.grant(s.alice(), carolID.User(), parsec.RoleReader)
	s.grant(s.alice(), dave.User(), parsec.RoleReader)
	s.grant(s.alice(), malloryID.User(), parsec.RoleNone)
	s.revoke(carolID.User())
	s.ok(s.FreezeUser(t.Context(), somebody, acme, organization.UserChoice{ID: dave.User().String()}, true))
	s.events.take()
	s.events.watch(notice.UserTopic(acme, carolID.User()), notice.UserTopic(acme, dave.User()))
	request := s.reencryption(2)
	request.Timestamp -= 17
	request.PerParticipantMessage[dave.User()] = nil
	s.ok(s.RealmStartReencryption(t.Context(), s.alice(), request))
	s.checkEvents(
		by(s.alice(), notice.RealmMaintenanceStarted{Realm: s.realm, EncryptionRevision: 2}),
		by(s.alice(), notice.MessageReceived{Recipient: aliceID.User(), Index: 1}),
		by(s.alice(), notice.MessageReceived{Recipient: bobID.User(), Index: 1}),
		by(s.alice(), notice.MessageReceived{Recipient: dave.User(), Index: 1}),
	)
	for author, want := range map[*rules.Author]string{
		s.alice(): "for alice", s.bob(): "for bob", dave: "",
	} {
		got := must(s.MessageGet(t.Context(), author, &protocol.MessageGetRequest{})).Messages
		if len(got) != 1 || string(got[0].Body) != want || got[0].Sender != aliceID || got[0].Timestamp != request.Timestamp {
			t.Errorf("%s: got %+v", author.Device, got)
		}
	}
	status := must(s.RealmStatus(t.Context(), s.alice(), &protocol.RealmStatusRequest{RealmID: s.realm}))
	if *status.MaintenanceStartedOn != request.Timestamp {
		t.Errorf("started on %s, want %s", status.MaintenanceStartedOn, request.Timestamp)
	}
}

// reencrypting is a realm with two versions of a vlob, reencrypting to
// revision 2, and what a command asks for.
type reencrypting struct {
	*realmScenario
	asked    parsec.RealmID
	revision uint64
	unsaved  bool
}

func newReencrypting(t *testing.T) *reencrypting {
	s := newRealmScenario(t)
	s.createVlob(1)
	s.updateVlob(1, 2)
	s.startReencryption(2)
	s.events.take()
	return &reencrypting{realmScenario: s, asked: s.realm, revision: 2}
}

func (s *reencrypting) breakMaintenance() {
	s.changeRealm(func(tx rules.Tx, _ *rules.Realm) { tx.FinishMaintenance() })
}

func TestRealmFinishReencryptionTable(t *testing.T) {
	exerciseTable(t, func(t *testing.T) *reencrypting {
		s := newReencrypting(t)
		s.saveAll(2)
		return s
	}, func(s *reencrypting) error {
		if s.unsaved {
			s.setMaintenance(parsec.MaintenanceReencryption)
			s.revision++
		}
		_, err := s.RealmFinishReencryption(s.t.Context(), s.author, &protocol.RealmFinishReencryptionRequest{
			RealmID: s.asked, EncryptionRevision: s.revision,
		})
		return err
	}, []row[*reencrypting]{
		{"1 realm", protocol.StatusNotFound, func(s *reencrypting) { s.asked = unknownRealm }, nil},
		{"2 role", protocol.StatusNotAllowed, func(s *reencrypting) { s.breakOwner() }, nil},
		{"3 deleted", protocol.StatusRealmDeleted, func(s *reencrypting) { s.breakDeleted() }, nil},
		{"4 no maintenance", protocol.StatusNotInMaintenance, func(s *reencrypting) { s.breakMaintenance() }, nil},
		{"5 revision", protocol.StatusBadEncryptionRevision, func(s *reencrypting) { s.revision = 1 }, nil},
		{"6 unsaved", protocol.StatusMaintenanceError, func(s *reencrypting) {
			s.breakMaintenance()
			s.unsaved = true
		}, []string{"4 no maintenance"}},
	})
}

func TestReencryptionBatchTables(t *testing.T) {
	rows := []row[*reencrypting]{
		{"1 realm", protocol.StatusNotFound, func(s *reencrypting) { s.asked = unknownRealm }, nil},
		{"2 deleted", protocol.StatusRealmDeleted, func(s *reencrypting) { s.breakDeleted() }, nil},
		{"3 no maintenance", protocol.StatusNotInMaintenance, func(s *reencrypting) { s.breakMaintenance() }, nil},
		{"4 revision", protocol.StatusBadEncryptionRevision, func(s *reencrypting) { s.revision = 1 }, nil},
		{"5 role", protocol.StatusNotAllowed, func(s *reencrypting) { s.breakOwner() }, nil},
	}
	t.Run("get", func(t *testing.T) {
		exerciseTable(t, newReencrypting, func(s *reencrypting) error {
			_, err := s.VlobGetReencryptionBatch(s.t.Context(), s.author, &protocol.VlobGetReencryptionBatchRequest{
				RealmID: s.asked, EncryptionRevision: s.revision, Size: 10,
			}, saveBytes)
			return err
		}, rows)
	})
	t.Run("save", func(t *testing.T) {
		exerciseTable(t, newReencrypting, func(s *reencrypting) error {
			_, err := s.VlobSaveReencryptionBatch(s.t.Context(), s.author, &protocol.VlobSaveReencryptionBatchRequest{
				RealmID: s.asked, EncryptionRevision: s.revision,
			})
			return err
		}, rows)
	})
}

// TestReencryption walks through a whole one, with batches of one item.
func TestReencryption(t *testing.T) {
	s := newRealmScenario(t)
	first := s.createVlob(1)
	s.updateVlob(1, 2)
	s.createVlob(2)
	before := map[uint32]*protocol.VlobReadReply{}
	read := func(revision uint64, version uint32) (*protocol.VlobReadReply, error) {
		return s.VlobRead(t.Context(), s.bob(), &protocol.VlobReadRequest{
			EncryptionRevision: revision, VlobID: first, Version: &version,
		})
	}
	for _, version := range []uint32{1, 2} {
		before[version] = must(read(1, version))
	}
	changes := must(s.VlobPollChanges(t.Context(), s.bob(), &protocol.VlobPollChangesRequest{RealmID: s.realm}))
	s.startReencryption(2)
	s.events.take()

	for done := uint64(1); done <= 3; done++ {
		batch := must(s.VlobGetReencryptionBatch(t.Context(), s.alice(), &protocol.VlobGetReencryptionBatchRequest{
			RealmID: s.realm, EncryptionRevision: 2, Size: 1,
		}, saveBytes)).Batch
		if len(batch) != 1 {
			t.Fatalf("got a batch of %d", len(batch))
		}
		finish := &protocol.RealmFinishReencryptionRequest{RealmID: s.realm, EncryptionRevision: 2}
		if got := status(s.RealmFinishReencryption(t.Context(), s.alice(), finish)); got != protocol.StatusMaintenanceError {
			t.Errorf("finish with %d left: got %s", 4-done, got)
		}
		batch[0].Blob = bytes.ToUpper(batch[0].Blob)
		reply := must(s.VlobSaveReencryptionBatch(t.Context(), s.alice2(), &protocol.VlobSaveReencryptionBatchRequest{
			RealmID: s.realm, EncryptionRevision: 2, Batch: batch,
		}))
		if *reply != (protocol.VlobSaveReencryptionBatchReply{Total: 3, Done: done}) {
			t.Errorf("got %+v", reply)
		}
		// Meanwhile the old revision is served, and no other.
		if got := must(read(1, 1)); string(got.Blob) != "vlob 1 v1" {
			t.Errorf("got %q", got.Blob)
		}
		if got := status(read(2, 1)); got != protocol.StatusInMaintenance {
			t.Errorf("got %s", got)
		}
	}
	s.checkEvents()
	for size, want := range map[uint64]int{0: 0, 1000: 0} {
		batch := must(s.VlobGetReencryptionBatch(t.Context(), s.alice(), &protocol.VlobGetReencryptionBatchRequest{
			RealmID: s.realm, EncryptionRevision: 2, Size: size,
		}, saveBytes)).Batch
		if len(batch) != want {
			t.Errorf("got a batch of %d", len(batch))
		}
	}
	s.ok(s.RealmFinishReencryption(t.Context(), s.alice2(), &protocol.RealmFinishReencryptionRequest{RealmID: s.realm, EncryptionRevision: 2}))
	s.checkEvents(by(s.alice2(), notice.RealmMaintenanceFinished{Realm: s.realm, EncryptionRevision: 2}))

	if got := status(read(1, 1)); got != protocol.StatusBadEncryptionRevision {
		t.Errorf("got %s", got)
	}
	for version, want := range before {
		got := must(read(2, version))
		if string(got.Blob) != strings.ToUpper(string(want.Blob)) || got.Author != want.Author ||
			got.Timestamp != want.Timestamp || got.Version != version {
			t.Errorf("version %d: got %+v, want %+v", version, got, want)
		}
	}
	after := must(s.VlobPollChanges(t.Context(), s.bob(), &protocol.VlobPollChangesRequest{RealmID: s.realm}))
	if fmt.Sprint(after) != fmt.Sprint(changes) {
		t.Errorf("changes: got %+v, want %+v", after, changes)
	}
	update := s.vlobUpdate(1, 3)
	update.EncryptionRevision = 2
	s.ok(s.VlobUpdate(t.Context(), s.alice(), update))
	s.startReencryption(3)
}

func TestReencryptionBatchIsCapped(t *testing.T) {
	s := newRealmScenario(t)
	for n := range uint16(1001) {
		s.setVlob(n)
	}
	s.setMaintenance(parsec.MaintenanceReencryption)
	for _, size := range []uint64{1001, 1 << 62} {
		batch := must(s.VlobGetReencryptionBatch(t.Context(), s.alice(), &protocol.VlobGetReencryptionBatchRequest{
			RealmID: s.realm, EncryptionRevision: 2, Size: size,
		}, saveBytes)).Batch
		if len(batch) != 1000 {
			t.Errorf("size %d: got %d items", size, len(batch))
		}
	}
}

// TestReencryptionBatchFitsItsSave has vlobs of the most bytes that there are,
// and smaller ones: whatever the client may send at once saves each batch.
func TestReencryptionBatchFitsItsSave(t *testing.T) {
	const envelope = 1 << 10
	for _, saveBytes := range []int{1<<20 + 64<<10, 4 << 20} {
		s := newRealmScenario(t)
		total := 0
		for n, size := range []int{1 << 20, 1 << 20, 0, 300 << 10, 1 << 20, 1, 900 << 10, 63 << 10, 1 << 20} {
			creation := s.vlobCreation(uint16(n))
			creation.Blob = make([]byte, size)
			s.ok(s.VlobCreate(t.Context(), s.alice(), creation))
			total++
		}
		for n := range 2000 { // more than a message holds, if only by what is around them
			s.setVlob(uint16(1000 + n))
			total++
		}
		s.startReencryption(2)
		rounds := 0
		for done := 0; done < total; rounds++ {
			batch := must(s.VlobGetReencryptionBatch(t.Context(), s.alice(), &protocol.VlobGetReencryptionBatchRequest{
				RealmID: s.realm, EncryptionRevision: 2, Size: 1000,
			}, uint64(saveBytes))).Batch
			save := &protocol.VlobSaveReencryptionBatchRequest{RealmID: s.realm, EncryptionRevision: 2, Batch: batch}
			message := must(wire.Marshal(save))
			if len(batch) == 0 || len(message) > saveBytes-envelope/2 {
				t.Fatalf("%d items, saved by %d bytes of %d", len(batch), len(message), saveBytes)
			}
			done += len(batch)
			if got := must(s.VlobSaveReencryptionBatch(t.Context(), s.alice(), save)); got.Done != uint64(done) {
				t.Fatalf("%+v, want %d done", got, done)
			}
		}
		if most := 2 + 8<<20/saveBytes*2; rounds > most {
			t.Errorf("%d batches of %d bytes", rounds, saveBytes)
		}
	}
}

// TestReencryptionOfEmptyRealm covers the Improve of commands.md §6: 0 of 0 is
// complete.
func TestReencryptionOfEmptyRealm(t *testing.T) {
	s := newRealmScenario(t)
	s.startReencryption(2)
	if got := s.saveAll(2); *got != (protocol.VlobSaveReencryptionBatchReply{}) {
		t.Errorf("got %+v", got)
	}
	s.ok(s.RealmFinishReencryption(t.Context(), s.alice(), &protocol.RealmFinishReencryptionRequest{RealmID: s.realm, EncryptionRevision: 2}))
}

// TestReencryptionIgnoresStrangers covers items of other realms, unknown, and
// saved twice.
func TestReencryptionIgnoresStrangers(t *testing.T) {
	s := newReencrypting(t)
	second := s.createRealm(s.alice(), 2)
	creation := s.vlobCreation(2)
	creation.RealmID = second
	s.ok(s.VlobCreate(t.Context(), s.alice(), creation))
	mine := parsec.VlobID(testUUID(1))
	save := func(blob string) *protocol.VlobSaveReencryptionBatchReply {
		t.Helper()
		return must(s.VlobSaveReencryptionBatch(t.Context(), s.alice(), &protocol.VlobSaveReencryptionBatchRequest{
			RealmID: s.realm, EncryptionRevision: 2, Batch: []protocol.ReencryptionItem{
				{VlobID: creation.VlobID, Version: 1, Blob: []byte(blob)},
				{VlobID: unknownVlob, Version: 1, Blob: []byte(blob)},
				{VlobID: mine, Version: 3, Blob: []byte(blob)},
				{VlobID: mine, Version: 1, Blob: []byte(blob)},
				{VlobID: mine, Version: 1, Blob: []byte(blob + " twice")},
			},
		}))
	}
	for _, blob := range []string{"first", "second"} {
		if got := save(blob); *got != (protocol.VlobSaveReencryptionBatchReply{Total: 2, Done: 1}) {
			t.Errorf("got %+v", got)
		}
	}
	s.saveAll(2)
	s.ok(s.RealmFinishReencryption(t.Context(), s.alice(), &protocol.RealmFinishReencryptionRequest{RealmID: s.realm, EncryptionRevision: 2}))
	version := uint32(1)
	got := must(s.VlobRead(t.Context(), s.alice(), &protocol.VlobReadRequest{EncryptionRevision: 2, VlobID: mine, Version: &version}))
	if string(got.Blob) != "first" {
		t.Errorf("got %q", got.Blob)
	}
}
