package e2e_test

import (
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// batchSize leaves several batches.
const batchSize = 64

// reencrypt opens, fills and closes the next encryption revision.
func (s *story) reencrypt() {
	s.t.Helper()
	next := s.revision + 1
	start := &protocol.RealmStartReencryptionRequest{
		RealmID: s.realm, EncryptionRevision: next, Timestamp: s.tick(),
		PerParticipantMessage: map[parsec.UserID][]byte{
			s.alice.user(): []byte("new key for alice"), s.bob.user(): []byte("new key for bob"),
		},
	}
	refused(s.world, s.mismatch(), s.alice, protocol.RealmStartReencryption, start)
	start.PerParticipantMessage[s.carol.user()] = []byte("new key for carol")
	refused(s.world, protocol.StatusNotAllowed, s.bob, protocol.RealmStartReencryption, start)
	s.expect(nil)
	ok(s.world, s.alice, protocol.RealmStartReencryption, start)
	started := &protocol.RealmMaintenanceStartedEvent{RealmID: s.realm, EncryptionRevision: next}
	s.expect(hears{
		s.laptop: {&protocol.MessageReceivedEvent{Index: 1}},
		s.phone:  {started, &protocol.MessageReceivedEvent{Index: 1}},
		s.desk:   {started, &protocol.MessageReceivedEvent{Index: 2}},
		s.home:   {started, &protocol.MessageReceivedEvent{Index: 2}},
	})
	s.wantMessages(s.alice, protocol.Message{
		Count: 1, Sender: s.alice.device.ID, Timestamp: start.Timestamp, Body: []byte("new key for alice"),
	})
	s.duringMaintenance(start)
	s.saveBatches(next)
	ok(s.world, s.alice, protocol.RealmFinishReencryption, &protocol.RealmFinishReencryptionRequest{RealmID: s.realm, EncryptionRevision: next})
	finished := []protocol.Event{&protocol.RealmMaintenanceFinishedEvent{RealmID: s.realm, EncryptionRevision: next}}
	s.expect(hears{s.phone: finished, s.desk: finished, s.home: finished})

	refused(s.world, protocol.StatusBadEncryptionRevision, s.bob, protocol.VlobRead, &protocol.VlobReadRequest{
		EncryptionRevision: s.revision, VlobID: s.vlobs[0],
	})
	s.revision = next
	s.readVlobs(s.carol, next, next)
	s.pollChanges()
}

// mismatch returns the status that the generation retries on.
func (s *story) mismatch() protocol.Status {
	if s.version.Major == 3 {
		return protocol.StatusParticipantMismatch
	}
	return protocol.StatusParticipantsMismatch
}

// duringMaintenance reads under the old revision, and writes nothing.
func (s *story) duringMaintenance(start *protocol.RealmStartReencryptionRequest) {
	s.t.Helper()
	status := ok(s.world, s.bob, protocol.RealmStatus, &protocol.RealmStatusRequest{RealmID: s.realm})
	if !status.InMaintenance || status.MaintenanceType != parsec.MaintenanceReencryption ||
		*status.MaintenanceStartedOn != start.Timestamp || status.MaintenanceStartedBy != s.alice.device.ID ||
		status.EncryptionRevision != start.EncryptionRevision {
		s.t.Errorf("status %+v", status)
	}
	s.readVlobs(s.bob, s.revision, s.revision)
	s.pollChanges()
	ok(s.world, s.carol, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: s.blocks[0]})

	const want = protocol.StatusInMaintenance
	refused(s.world, want, s.bob, protocol.VlobRead, &protocol.VlobReadRequest{
		EncryptionRevision: start.EncryptionRevision, VlobID: s.vlobs[0],
	})
	refused(s.world, want, s.alice, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: s.realm, EncryptionRevision: s.revision, VlobID: newVlobID(), Timestamp: s.tick(),
	})
	refused(s.world, want, s.alice, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
		EncryptionRevision: start.EncryptionRevision, VlobID: s.vlobs[0], Timestamp: s.tick(), Version: s.lastVersion(s.vlobs[0]) + 1,
	})
	refused(s.world, want, s.alice, protocol.BlockCreate, &protocol.BlockCreateRequest{
		RealmID: s.realm, BlockID: parsec.BlockID(parsec.NewUUID()),
	})
	refused(s.world, want, s.alice, protocol.RealmUpdateRoles,
		must(s.alice.device.UpdateRole(s.realm, s.bob.user(), parsec.RoleReader, s.tick())))
	refused(s.world, want, s.alice, protocol.RealmStartReencryption, start)
	refused(s.world, protocol.StatusNotAllowed, s.bob, protocol.VlobGetReencryptionBatch, &protocol.VlobGetReencryptionBatchRequest{
		RealmID: s.realm, EncryptionRevision: start.EncryptionRevision, Size: batchSize,
	})
	s.expect(nil)
}

// saveBatches reencrypts every version, and cannot finish before.
func (s *story) saveBatches(next uint64) {
	s.t.Helper()
	left := slices.Clone(s.log)
	for len(left) > 0 {
		refused(s.world, protocol.StatusMaintenanceError, s.alice, protocol.RealmFinishReencryption,
			&protocol.RealmFinishReencryptionRequest{RealmID: s.realm, EncryptionRevision: next})
		batch := ok(s.world, s.alice, protocol.VlobGetReencryptionBatch, &protocol.VlobGetReencryptionBatchRequest{
			RealmID: s.realm, EncryptionRevision: next, Size: batchSize,
		}).Batch
		if len(batch) != min(batchSize, len(left)) {
			s.t.Fatalf("batch of %d, %d are left", len(batch), len(left))
		}
		for i, item := range batch {
			written := entry{item.VlobID, item.Version}
			at := slices.Index(left, written)
			if at < 0 || !slices.Equal(item.Blob, s.blob(written, s.revision)) {
				s.t.Fatalf("batch with %+v", written)
			}
			left = slices.Delete(left, at, at+1)
			batch[i].Blob = s.blob(written, next)
		}
		request := &protocol.VlobSaveReencryptionBatchRequest{RealmID: s.realm, EncryptionRevision: next, Batch: batch}
		for range 2 { // the second time changes nothing
			saved := ok(s.world, s.alice, protocol.VlobSaveReencryptionBatch, request)
			if saved.Total != uint64(len(s.log)) || saved.Done != uint64(len(s.log)-len(left)) {
				s.t.Errorf("saved %+v, %d are left of %d", saved, len(left), len(s.log))
			}
		}
	}
	if more := ok(s.world, s.alice, protocol.VlobGetReencryptionBatch, &protocol.VlobGetReencryptionBatchRequest{
		RealmID: s.realm, EncryptionRevision: next, Size: batchSize,
	}); len(more.Batch) != 0 {
		s.t.Errorf("%d more to reencrypt", len(more.Batch))
	}
}
