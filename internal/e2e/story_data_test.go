package e2e_test

import (
	"bytes"
	"fmt"
	"maps"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

const (
	vlobCount  = 100
	vlobSize   = 1 << 10
	blockCount = 64
	blockSize  = 512 << 10
	// burst is how many writes listeners are left with, below the 50 events from
	// which on pings are not told.
	burst = 40
)

// blob returns what version holds, encrypted for an encryption revision.
func (s *story) blob(written entry, revision uint64) []byte {
	return content(fmt.Sprintf("%s version %d revision %d", written.vlob, written.version, revision), vlobSize)
}

// lastVersion is 0 for a vlob that is not created.
func (s *story) lastVersion(vlob parsec.VlobID) uint32 {
	var last uint32
	for _, written := range s.log {
		if written.vlob == vlob {
			last = written.version
		}
	}
	return last
}

// write stores the next version of a vlob and returns what is heard of it.
func (s *story) write(author *peer, vlob parsec.VlobID) *protocol.RealmVlobsUpdatedEvent {
	s.t.Helper()
	written := entry{vlob, s.lastVersion(vlob) + 1}
	if written.version == 1 {
		ok(s.world, author, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: s.realm, EncryptionRevision: s.revision, VlobID: vlob, Timestamp: s.tick(), Blob: s.blob(written, s.revision),
		})
	} else {
		ok(s.world, author, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
			EncryptionRevision: s.revision, VlobID: vlob, Timestamp: s.tick(), Version: written.version, Blob: s.blob(written, s.revision),
		})
	}
	s.log = append(s.log, written)
	return &protocol.RealmVlobsUpdatedEvent{
		RealmID: s.realm, Checkpoint: uint64(len(s.log)), SourceID: vlob, SourceVersion: written.version,
	}
}

// writeVlobs has alice write one, two or three versions of each vlob.
func (s *story) writeVlobs() {
	s.t.Helper()
	var heard []protocol.Event
	told := func() {
		s.expect(hears{s.phone: heard, s.desk: heard})
		heard = nil
	}
	for range vlobCount {
		s.vlobs = append(s.vlobs, newVlobID())
	}
	for round := range 3 {
		for i, vlob := range s.vlobs {
			if i%3 < round {
				continue
			}
			if heard = append(heard, s.write(s.alice, vlob)); len(heard) == burst {
				told()
			}
		}
	}
	told()
	vlob, last := s.vlobs[0], s.lastVersion(s.vlobs[0])
	refused(s.world, protocol.StatusAlreadyExists, s.alice, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: s.realm, EncryptionRevision: s.revision, VlobID: vlob, Timestamp: s.tick(),
	})
	refused(s.world, protocol.StatusBadVersion, s.alice, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
		EncryptionRevision: s.revision, VlobID: vlob, Timestamp: s.tick(), Version: last,
	})
	s.expect(nil)
	s.readVlobs(s.bob, s.revision, s.revision)
}

// readVlobs has reader find every version, as encrypted for a revision, when
// it asks for another.
func (s *story) readVlobs(reader *peer, asked, encrypted uint64) {
	s.t.Helper()
	for _, written := range s.log {
		got := ok(s.world, reader, protocol.VlobRead, &protocol.VlobReadRequest{
			EncryptionRevision: asked, VlobID: written.vlob, Version: &written.version,
		})
		if got.Version != written.version || !bytes.Equal(got.Blob, s.blob(written, encrypted)) {
			s.t.Errorf("vlob %s version %d: version %d of %d bytes", written.vlob, written.version, got.Version, len(got.Blob))
		}
	}
	for _, vlob := range s.vlobs[:3] {
		versions := ok(s.world, reader, protocol.VlobListVersions, &protocol.VlobListVersionsRequest{VlobID: vlob}).Versions
		last := ok(s.world, reader, protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: asked, VlobID: vlob})
		if len(versions) != int(s.lastVersion(vlob)) || last.Version != s.lastVersion(vlob) ||
			versions[last.Version].Author != last.Author || versions[last.Version].Timestamp != last.Timestamp {
			s.t.Errorf("vlob %s: last %+v of %v", vlob, last, versions)
		}
		first := versions[1].Timestamp
		if got := ok(s.world, reader, protocol.VlobRead, &protocol.VlobReadRequest{
			EncryptionRevision: asked, VlobID: vlob, Timestamp: &first,
		}); got.Version != 1 {
			s.t.Errorf("vlob %s at %s: version %d", vlob, first, got.Version)
		}
	}
}

func (s *story) block(i int) []byte { return content(fmt.Sprintf("block %d", i), blockSize) }

// writeBlocks has alice write blocks, of which nothing is heard.
func (s *story) writeBlocks() {
	s.t.Helper()
	for i := range blockCount {
		s.blocks = append(s.blocks, parsec.BlockID(parsec.NewUUID()))
		ok(s.world, s.alice, protocol.BlockCreate, &protocol.BlockCreateRequest{
			BlockID: s.blocks[i], RealmID: s.realm, Block: s.block(i),
		})
	}
	refused(s.world, protocol.StatusAlreadyExists, s.bob, protocol.BlockCreate, &protocol.BlockCreateRequest{
		BlockID: s.blocks[0], RealmID: s.realm, Block: []byte("another"),
	})
	s.expect(nil)
	for i, id := range s.blocks {
		if got := ok(s.world, s.bob, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: id}); !bytes.Equal(got.Block, s.block(i)) {
			s.t.Errorf("block %d is not what was written", i)
		}
	}
	stats := ok(s.world, s.bob, protocol.RealmStats, &protocol.RealmStatsRequest{RealmID: s.realm})
	if stats.BlocksSize != blockCount*blockSize || stats.VlobsSize != uint64(len(s.log))*vlobSize {
		s.t.Errorf("realm of %+v bytes", stats)
	}
}

func (s *story) pollChanges() {
	s.t.Helper()
	for _, since := range []int{0, len(s.log) / 2, len(s.log) - 1, len(s.log)} {
		want := map[parsec.VlobID]uint32{}
		for _, written := range s.log[since:] {
			want[written.vlob] = written.version
		}
		got := ok(s.world, s.bob, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{
			RealmID: s.realm, LastCheckpoint: uint64(since),
		})
		if got.CurrentCheckpoint != uint64(len(s.log)) || !maps.Equal(got.Changes, want) {
			s.t.Errorf("since %d: checkpoint %d of %d, %d changes of %d",
				since, got.CurrentCheckpoint, len(s.log), len(got.Changes), len(want))
		}
	}
	refused(s.world, protocol.StatusNotFound, s.bob, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: newRealmID()})
}
