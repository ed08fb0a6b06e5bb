package rules_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// The invariants of docs/protocol/commands.md §10 on maintenance, vlobs and
// messages.

func startReencryption(s *realmScenario, author *rules.Author, request *protocol.RealmStartReencryptionRequest) (*protocol.EmptyReply, error) {
	return s.RealmStartReencryption(s.t.Context(), author, request)
}

func finishReencryption(s *realmScenario, author *rules.Author, revision uint64) (*protocol.EmptyReply, error) {
	return s.RealmFinishReencryption(s.t.Context(), author, &protocol.RealmFinishReencryptionRequest{
		RealmID: s.realm, EncryptionRevision: revision,
	})
}

func saveBatch(s *realmScenario, author *rules.Author, batch []protocol.ReencryptionItem) (*protocol.VlobSaveReencryptionBatchReply, error) {
	return s.VlobSaveReencryptionBatch(s.t.Context(), author, &protocol.VlobSaveReencryptionBatchRequest{
		RealmID: s.realm, EncryptionRevision: 2, Batch: batch,
	})
}

func TestInvariant33OneStart(t *testing.T) {
	s := newRealmScenario(t)
	s.grant(s.alice(), bobID.User(), parsec.RoleOwner)
	s.events.take()
	var calls []func() error
	for i := range 8 {
		author := []*rules.Author{s.alice(), s.bob()}[i%2]
		calls = append(calls, call(s, startReencryption, author, s.reencryption(2)))
	}
	got := parallel(calls...)
	if got[protocol.StatusOK] != 1 || got[protocol.StatusInMaintenance] != 7 {
		t.Errorf("got %v", got)
	}
	if state := must(s.RealmStatus(t.Context(), s.alice(), &protocol.RealmStatusRequest{RealmID: s.realm})); state.EncryptionRevision != 2 {
		t.Errorf("got revision %d", state.EncryptionRevision)
	}
	for _, author := range []*rules.Author{s.alice(), s.bob()} {
		if messages := must(s.MessageGet(t.Context(), author, &protocol.MessageGetRequest{})).Messages; len(messages) != 1 {
			t.Errorf("%s: %d messages", author.Device, len(messages))
		}
	}
	if events := s.events.take(); len(events) != 3 {
		t.Errorf("got events %+v", events)
	}
}

func TestInvariant34ExactParticipants(t *testing.T) {
	for range rounds {
		s := newRealmScenario(t)
		start := call(s, startReencryption, s.alice(), s.reencryption(2))
		got := both(start, call(s, updateRoles, s.alice(), s.roleChange(s.alice(), s.realm, malloryID.User(), parsec.RoleReader)))
		checkEither(t, got,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusInMaintenance},
			[2]protocol.Status{protocol.StatusParticipantMismatch, protocol.StatusOK})

		s = newRealmScenario(t)
		start = call(s, startReencryption, s.alice(), s.reencryption(2))
		got = both(start, func() error {
			_, err := s.UserRevoke(t.Context(), s.alice(), s.revocation(s.alice(), bobID.User()))
			return err
		})
		checkEither(t, got,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusOK},
			[2]protocol.Status{protocol.StatusParticipantMismatch, protocol.StatusOK})
		// Invariant 41: all messages, or none.
		messages := must(s.MessageGet(t.Context(), s.bob(), &protocol.MessageGetRequest{})).Messages
		if sent := len(messages) == 1; sent != (got[0] == protocol.StatusOK) {
			t.Fatalf("%v, and the message is sent: %t", got, sent)
		}
	}
}

// TestInvariant36NothingIsLost writes while a reencryption starts; whatever
// was accepted is readable after it.
func TestInvariant36NothingIsLost(t *testing.T) {
	for range rounds {
		s := newRealmScenario(t)
		outcomes := make([]protocol.Status, 8)
		calls := []func() error{call(s, startReencryption, s.alice(), s.reencryption(2))}
		for n := range uint16(8) {
			calls = append(calls, func() error {
				outcomes[n] = status(s.VlobCreate(t.Context(), s.bob(), s.vlobCreation(n)))
				return nil
			})
		}
		parallel(calls...)
		accepted := uint64(0)
		for _, outcome := range outcomes {
			switch outcome {
			case protocol.StatusOK:
				accepted++
			case protocol.StatusInMaintenance:
			default:
				t.Fatalf("got %s", outcome)
			}
		}
		if saved := s.saveAll(2); saved.Total != accepted || saved.Done != accepted {
			t.Fatalf("got %+v, %d were accepted", saved, accepted)
		}
		s.ok(finishReencryption(s, s.alice(), 2))
		for n, outcome := range outcomes {
			want := protocol.StatusOK
			if outcome != protocol.StatusOK {
				want = protocol.StatusNotFound
			}
			got := status(s.VlobRead(t.Context(), s.bob(), &protocol.VlobReadRequest{
				EncryptionRevision: 2, VlobID: parsec.VlobID(testUUID(uint16(n))),
			}))
			if got != want {
				t.Fatalf("vlob %d: got %s, want %s", n, got, want)
			}
		}
	}
}

// TestInvariant37OneFinish covers invariants 35 and 40 too.
func TestInvariant37OneFinish(t *testing.T) {
	for range rounds {
		s := newReencrypting(t)
		s.saveAll(2)
		finish := call(s.realmScenario, finishReencryption, s.alice(), 2)
		got := parallel(finish, finish)
		if got[protocol.StatusOK] != 1 || got[protocol.StatusNotInMaintenance] != 1 {
			t.Fatalf("got %v", got)
		}
		s.checkEvents(by(s.alice(), notice.RealmMaintenanceFinished{Realm: s.realm, EncryptionRevision: 2}))
		if got := status(saveBatch(s.realmScenario, s.alice(), nil)); got != protocol.StatusNotInMaintenance {
			t.Fatalf("save: got %s", got)
		}
		if state := must(s.RealmStatus(t.Context(), s.alice(), &protocol.RealmStatusRequest{RealmID: s.realm})); state.EncryptionRevision != 2 || state.InMaintenance {
			t.Fatalf("got %+v", state)
		}
	}
}

// TestInvariant38FirstSaveWins has two devices save and one finish.
func TestInvariant38FirstSaveWins(t *testing.T) {
	s := newReencrypting(t)
	vlob := parsec.VlobID(testUUID(1))
	var mu sync.Mutex
	var replies []protocol.VlobSaveReencryptionBatchReply
	var calls []func() error
	for i := range 6 {
		batch := []protocol.ReencryptionItem{
			{VlobID: vlob, Version: uint32(1 + i%2), Blob: fmt.Append(nil, i)},
			{VlobID: vlob, Version: uint32(2 - i%2), Blob: fmt.Append(nil, i)},
		}
		calls = append(calls, func() error {
			reply, err := saveBatch(s.realmScenario, s.alice2(), batch)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				replies = append(replies, *reply)
			}
			return err
		})
	}
	if got := parallel(calls...); got[protocol.StatusOK] != 6 {
		t.Errorf("got %v", got)
	}
	for _, reply := range replies {
		if reply != (protocol.VlobSaveReencryptionBatchReply{Total: 2, Done: 2}) {
			t.Errorf("got %+v", reply)
		}
	}
	s.ok(finishReencryption(s.realmScenario, s.alice(), 2))
	blobs := map[string]bool{}
	for _, version := range []uint32{1, 2} {
		blobs[string(must(s.VlobRead(t.Context(), s.alice(), &protocol.VlobReadRequest{
			EncryptionRevision: 2, VlobID: vlob, Version: &version,
		})).Blob)] = true
	}
	if len(blobs) != 1 {
		t.Errorf("one batch is not saved as a whole: %v", blobs)
	}
}

func TestInvariant42OneWinner(t *testing.T) {
	s := newRealmScenario(t)
	race := func(write func(i int, author *rules.Author, date parsec.DateTime, blob []byte) error) (winner int, outcomes map[protocol.Status]int) {
		var mu sync.Mutex
		var calls []func() error
		for i := range 10 {
			author := []*rules.Author{s.alice(), s.bob()}[i%2]
			calls = append(calls, func() error {
				err := write(i, author, s.clock.now()+parsec.DateTime(i), fmt.Append(nil, i))
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					winner = i
				}
				return err
			})
		}
		return winner, parallel(calls...)
	}
	check := func(version uint32, winner int) {
		t.Helper()
		got := must(s.VlobRead(t.Context(), s.alice(), &protocol.VlobReadRequest{
			EncryptionRevision: 1, VlobID: parsec.VlobID(testUUID(1)), Version: &version,
		}))
		author := []parsec.DeviceID{aliceID, bobID}[winner%2]
		if string(got.Blob) != fmt.Sprint(winner) || got.Author != author || got.Timestamp != s.clock.now()+parsec.DateTime(winner) {
			t.Errorf("version %d: got %+v, the winner was %d", version, got, winner)
		}
	}
	winner, outcomes := race(func(_ int, author *rules.Author, date parsec.DateTime, blob []byte) error {
		request := s.vlobCreation(1)
		request.Timestamp, request.Blob = date, blob
		_, err := s.VlobCreate(t.Context(), author, request)
		return err
	})
	if outcomes[protocol.StatusOK] != 1 || outcomes[protocol.StatusAlreadyExists] != 9 {
		t.Errorf("vlob_create: got %v", outcomes)
	}
	check(1, winner)
	s.clock.advance(time.Second)
	winner, outcomes = race(func(_ int, author *rules.Author, date parsec.DateTime, blob []byte) error {
		request := s.vlobUpdate(1, 2)
		request.Timestamp, request.Blob = date, blob
		_, err := s.VlobUpdate(t.Context(), author, request)
		return err
	})
	if outcomes[protocol.StatusOK] != 1 || outcomes[protocol.StatusBadVersion] != 9 {
		t.Errorf("vlob_update: got %v", outcomes)
	}
	check(2, winner)
}

// TestInvariant44Checkpoints writes many vlobs at once, each several times,
// while a reader polls; it covers invariants 43, 45 and 51 too.
func TestInvariant44Checkpoints(t *testing.T) {
	const vlobs, versions = 8, 5
	s := newRealmScenario(t)
	known := map[parsec.VlobID]uint32{}
	calls := []func() error{func() error {
		checkpoint := uint64(0)
		for checkpoint < vlobs*versions {
			reply, err := s.VlobPollChanges(t.Context(), s.bob(), &protocol.VlobPollChangesRequest{
				RealmID: s.realm, LastCheckpoint: checkpoint,
			})
			if err != nil {
				return err
			}
			total := uint64(0)
			for id, version := range reply.Changes {
				if version <= known[id] {
					return fmt.Errorf("version %d of %s after %d", version, id, known[id])
				}
				known[id] = version
			}
			// Each entry of the log is one version.
			for _, version := range known {
				total += uint64(version)
			}
			if checkpoint = reply.CurrentCheckpoint; total != checkpoint {
				return fmt.Errorf("%d versions known at checkpoint %d", total, checkpoint)
			}
		}
		return nil
	}}
	for n := range uint16(vlobs) {
		calls = append(calls, func() error {
			if _, err := s.VlobCreate(t.Context(), s.alice(), s.vlobCreation(n)); err != nil {
				return err
			}
			for version := range uint32(versions - 1) {
				if _, err := s.VlobUpdate(t.Context(), s.bob(), s.vlobUpdate(n, version+2)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if got := parallel(calls...); got[protocol.StatusOK] != vlobs+1 {
		t.Fatalf("got %v", got)
	}
	latest := map[parsec.VlobID]uint32{}
	for i, body := range s.events.bodies() {
		updated := body.(notice.RealmVlobsUpdated)
		if updated.Checkpoint != uint64(i+1) || updated.SourceVersion != latest[updated.Source]+1 {
			t.Fatalf("event %d: got %+v after version %d", i, updated, latest[updated.Source])
		}
		latest[updated.Source] = updated.SourceVersion
	}
	if len(latest) != vlobs {
		t.Errorf("events of %d vlobs", len(latest))
	}
}

func TestInvariant47SequesterServices(t *testing.T) {
	for range rounds {
		s := newSequesterScenario(t)
		s.put(1, "", true)
		got := both(
			func() error { return s.create(1, copies(1)) },
			func() error { s.put(2, "", true); return nil },
		)
		checkEither(t, got,
			[2]protocol.Status{protocol.StatusOK, protocol.StatusOK},
			[2]protocol.Status{protocol.StatusSequesterInconsistency, protocol.StatusOK})
	}
}

// TestInvariant50MessageNumbers sends to one user from many realms at once.
func TestInvariant50MessageNumbers(t *testing.T) {
	const realms = 10
	s := newRealmScenario(t)
	var calls []func() error
	for n := range uint16(realms) {
		realm := s.createRealm(s.alice(), 100+n)
		change := s.roleChange(s.alice(), realm, malloryID.User(), parsec.RoleReader)
		change.message = fmt.Append(nil, n)
		change.Timestamp = s.clock.now()
		calls = append(calls, call(s, updateRoles, s.alice(), change))
	}
	s.events.take()
	if got := parallel(calls...); got[protocol.StatusOK] != realms {
		t.Fatalf("got %v", got)
	}
	messages := must(s.MessageGet(t.Context(), s.mallory(), &protocol.MessageGetRequest{})).Messages
	if len(messages) != realms {
		t.Fatalf("%d messages", len(messages))
	}
	for i, message := range messages {
		if message.Count != uint64(i+1) {
			t.Errorf("message %d: count %d", i, message.Count)
		}
	}
	index := uint64(0)
	for _, body := range s.events.bodies() {
		if received, is := body.(notice.MessageReceived); is {
			if index++; received.Index != index {
				t.Errorf("event %d: index %d", index, received.Index)
			}
		}
	}
	rest := must(s.MessageGet(t.Context(), s.mallory(), &protocol.MessageGetRequest{Offset: 7})).Messages
	if !slices.EqualFunc(rest, messages[7:], func(x, y protocol.Message) bool { return x.Count == y.Count }) {
		t.Errorf("after 7: got %+v", rest)
	}
}
