package rules_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// blocks is a block store in memory whose steps a test may replace; they get
// the one in memory. Checksums are kept of its blocks, as it may fail.
type blocks struct {
	*blockstore.Memory
	create func(ctx context.Context, store *blockstore.Memory, id parsec.BlockID, block []byte) error
	read   func(ctx context.Context) error
}

func (b *blocks) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	if b.create != nil {
		if err := b.create(ctx, b.Memory, id, block); err != nil {
			return err
		}
	}
	return b.Memory.Create(ctx, organization, id, block)
}

func (b *blocks) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *blockstore.Checksum, into ...[]byte) error {
	if b.read != nil {
		if err := b.read(ctx); err != nil {
			return err
		}
	}
	return b.Memory.Read(ctx, organization, id, checksum, into...)
}

func (*blocks) Unfailing() bool { return false }

func newBlockScenario(t testing.TB, changes ...func(*setup)) (*realmScenario, *blocks) {
	t.Helper()
	store := &blocks{Memory: blockstore.NewMemory()}
	return newRealmScenario(t, append(changes, func(s *setup) { s.blocks = store })...), store
}

func (s *realmScenario) readBlock(n uint16) (*protocol.BlockReadReply, error) {
	return s.readBlockAs(s.t.Context(), s.alice(), n)
}

func (s *realmScenario) readBlockAs(ctx context.Context, author *rules.Author, n uint16) (*protocol.BlockReadReply, error) {
	var reply protocol.BlockReadReply
	err := s.BlockRead(ctx, author, &protocol.BlockReadRequest{BlockID: parsec.BlockID(testUUID(n))}, func(size uint64) ([]byte, error) {
		reply.Block = make([]byte, size)
		return reply.Block, nil
	})
	if err != nil {
		return nil, err
	}
	return &reply, nil
}

// reserve reserves a block for an hour, with the token testUUID(7).
func (s *realmScenario) reserve(n uint16) {
	s.t.Helper()
	now := s.clock.now()
	upload := rules.BlockUpload{ID: parsec.BlockID(testUUID(n)), Token: testUUID(7), Until: now.Add(time.Hour)}
	if facts := must(s.store.ReserveBlock(s.t.Context(), acme, aliceID.User(), s.realm, upload, now)); !facts.Reserved {
		s.t.Fatalf("not reserved: %+v", facts)
	}
}

// upload is nil if the block is not reserved.
func (s *realmScenario) upload(n uint16) *rules.BlockUpload {
	s.t.Helper()
	var upload *rules.BlockUpload
	s.change(rules.Scope{Realm: s.realm, Block: parsec.BlockID(testUUID(n)), By: rules.RealmData}, func(tx rules.Tx) {
		_, upload = tx.Block()
	})
	return upload
}

var errBroken = errors.New("broken")

func TestBlockCreateTable(t *testing.T) {
	type scenario struct {
		*realmScenario
		store   *blocks
		request *protocol.BlockCreateRequest
	}
	exerciseTable(t, func(t *testing.T) *scenario {
		s, store := newBlockScenario(t)
		return &scenario{s, store, s.blockCreation(1, "block")}
	}, func(s *scenario) error {
		_, err := s.BlockCreate(s.t.Context(), s.author, s.request)
		return err
	}, []row[*scenario]{
		{"1 realm", protocol.StatusNotFound, func(s *scenario) { s.request.RealmID = unknownRealm }, nil},
		{"2 deleted", protocol.StatusRealmDeleted, func(s *scenario) { s.breakDeleted() }, nil},
		{"3 archived", protocol.StatusRealmArchived, func(s *scenario) { s.breakArchived() }, []string{"2 deleted"}},
		{"3 deletion planned", protocol.StatusRealmArchived, func(s *scenario) {
			s.setArchiving(parsec.ArchivingDeletionPlanned, month)
		}, []string{"2 deleted"}},
		{"4 maintenance", protocol.StatusInMaintenance, func(s *scenario) { s.breakMaintenance() }, nil},
		{"5 role", protocol.StatusNotAllowed, func(s *scenario) { s.breakWriter() }, nil},
		{"6 exists", protocol.StatusAlreadyExists, func(s *scenario) { s.setBlock(1) }, nil},
		{"7 block store", protocol.StatusTimeout, func(s *scenario) {
			s.store.create = func(context.Context, *blockstore.Memory, parsec.BlockID, []byte) error { return errBroken }
		}, nil},
	})
}

func TestBlockReadTable(t *testing.T) {
	type scenario struct {
		*realmScenario
		store   *blocks
		request *protocol.BlockReadRequest
	}
	exerciseTable(t, func(t *testing.T) *scenario {
		s, store := newBlockScenario(t)
		s.ok(s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "block")))
		return &scenario{s, store, &protocol.BlockReadRequest{BlockID: parsec.BlockID(testUUID(1))}}
	}, func(s *scenario) error {
		return s.BlockRead(s.t.Context(), s.author, s.request, func(size uint64) ([]byte, error) { return make([]byte, size), nil })
	}, []row[*scenario]{
		{"1 unknown", protocol.StatusNotFound, func(s *scenario) { s.request.BlockID = unknownBlock }, nil},
		{"2 deleted", protocol.StatusRealmDeleted, func(s *scenario) { s.breakDeleted() }, nil},
		{"3 maintenance", protocol.StatusInMaintenance, func(s *scenario) { s.breakMaintenance() }, nil},
		{"4 role", protocol.StatusNotAllowed, func(s *scenario) { s.breakReader() }, nil},
		{"5 block store", protocol.StatusTimeout, func(s *scenario) {
			s.store.read = func(context.Context) error { return errBroken }
		}, nil},
		{"5 lost", protocol.StatusNotFound, func(s *scenario) {
			s.store.read = func(context.Context) error { return fmt.Errorf("every node: %w", blockstore.ErrNotFound) }
		}, []string{"5 block store"}},
	})
}

func TestBlockReadAllowed(t *testing.T) {
	s, _ := newBlockScenario(t)
	s.ok(s.BlockCreate(t.Context(), s.bob(), s.blockCreation(1, "block")))
	s.checkEvents()
	for _, allow := range []func(){s.breakArchived, func() { s.setMaintenance(parsec.MaintenanceReencryption) }, s.breakWriter} {
		allow()
		if got := must(s.readBlock(1)); string(got.Block) != "block" {
			t.Errorf("got %q", got.Block)
		}
	}
}

// A block store that keeps nothing, half of a block, or other bytes, of what it
// says it has stored, is not believed. What was written before checksums were
// kept is served as it is.
func TestBlockChecksum(t *testing.T) {
	s, store := newBlockScenario(t)
	s.ok(s.BlockCreate(t.Context(), s.bob(), s.blockCreation(1, "block")))
	s.setBlock(2) // Of 5 bytes, without checksum.
	for _, test := range []struct {
		kept     string
		now, old protocol.Status
	}{
		{"block", protocol.StatusOK, protocol.StatusOK},
		{"black", protocol.StatusTimeout, protocol.StatusOK},
		{"blo", protocol.StatusTimeout, protocol.StatusTimeout},
		{"", protocol.StatusTimeout, protocol.StatusTimeout},
	} {
		for n, want := range map[uint16]protocol.Status{1: test.now, 2: test.old} {
			if err := store.Memory.Create(t.Context(), acme, parsec.BlockID(testUUID(n)), []byte(test.kept)); err != nil {
				t.Fatal(err)
			}
			if got := status(s.readBlock(n)); got != want {
				t.Errorf("block %d with %q kept: got %s, want %s", n, test.kept, got, want)
			}
		}
	}
}

// Blocks of a store that cannot fail have no checksum.
func TestBlockWithoutChecksum(t *testing.T) {
	s := newRealmScenario(t, func(s *setup) { s.blocks = blockstore.NewMemory() })
	s.ok(s.BlockCreate(t.Context(), s.bob(), s.blockCreation(1, "block")))
	_, block, found, err := s.store.Block(t.Context(), acme, aliceID.User(), parsec.BlockID(testUUID(1)))
	if err != nil || !found || block.Checksum != nil {
		t.Errorf("found %t with checksum %x: %v", found, block.Checksum, err)
	}
	if got := must(s.readBlock(1)); string(got.Block) != "block" {
		t.Errorf("got %q", got.Block)
	}
}

// TestInvariant49BlockRetry covers a failed upload, even one that left bytes
// behind, and the retry by the same client or another.
func TestInvariant49BlockRetry(t *testing.T) {
	for name, fail := range map[string]func(ctx context.Context, store *blockstore.Memory, id parsec.BlockID, block []byte) error{
		"nothing written": func(context.Context, *blockstore.Memory, parsec.BlockID, []byte) error { return errBroken },
		"written all the same": func(ctx context.Context, store *blockstore.Memory, id parsec.BlockID, block []byte) error {
			return errors.Join(store.Create(ctx, acme, id, block), errBroken)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, store := newBlockScenario(t)
			store.create = fail
			if got := status(s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "first"))); got != protocol.StatusTimeout {
				t.Errorf("got %s", got)
			}
			if got := status(s.readBlock(1)); got != protocol.StatusNotFound {
				t.Errorf("read: got %s", got)
			}
			stats := must(s.RealmStats(t.Context(), s.alice(), &protocol.RealmStatsRequest{RealmID: s.realm}))
			if stats.BlocksSize != 0 {
				t.Errorf("%d bytes counted", stats.BlocksSize)
			}
			store.create = nil
			s.ok(s.BlockCreate(t.Context(), s.bob(), s.blockCreation(1, "second")))
			if got := must(s.readBlock(1)); string(got.Block) != "second" {
				t.Errorf("got %q", got.Block)
			}
		})
	}
}

// TestBlockAbandoned leaves no reservation behind when the client goes away.
func TestBlockAbandoned(t *testing.T) {
	s, store := newBlockScenario(t)
	ctx, cancel := context.WithCancel(t.Context())
	store.create = func(ctx context.Context, _ *blockstore.Memory, _ parsec.BlockID, _ []byte) error {
		cancel()
		return ctx.Err()
	}
	if _, err := s.BlockCreate(ctx, s.alice(), s.blockCreation(1, "first")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	store.create = nil
	s.ok(s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "second")))
	if _, err := s.readBlockAs(ctx, s.alice(), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("read: got %v", err)
	}
}

// TestBlockMeanwhile changes the state during the upload: the checks are
// repeated, and the reservation does not stay.
func TestBlockMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(s *realmScenario)
		want      protocol.Status
	}{
		"archived":       {func(s *realmScenario) { s.breakArchived() }, protocol.StatusRealmArchived},
		"maintenance":    {func(s *realmScenario) { s.breakMaintenance() }, protocol.StatusInMaintenance},
		"role":           {func(s *realmScenario) { s.breakWriter() }, protocol.StatusNotAllowed},
		"author revoked": {func(s *realmScenario) { s.setRevoked(aliceID.User()) }, sessionOver},
		// The realm was there when the request came.
		"time passes": {func(s *realmScenario) { s.clock.advance(month) }, protocol.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			s, store := newBlockScenario(t)
			store.create = func(context.Context, *blockstore.Memory, parsec.BlockID, []byte) error {
				test.meanwhile(s)
				return nil
			}
			if got := status(s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "block"))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if upload := s.upload(1); upload != nil {
				t.Errorf("got upload %+v", upload)
			}
		})
	}
}

// TestBlockStoreHangs covers the bound of an upload, and of the wait for it.
func TestBlockStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store := newBlockScenario(t, inMemory)
		store.create = func(ctx context.Context, _ *blockstore.Memory, _ parsec.BlockID, _ []byte) error {
			<-ctx.Done()
			return ctx.Err()
		}
		begin := time.Now()
		create := func() error {
			_, err := s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "block"))
			return err
		}
		if got := parallel(create, create); got[protocol.StatusTimeout] != 2 {
			t.Errorf("got %v", got)
		}
		if lasted := time.Since(begin); lasted != time.Minute {
			t.Errorf("lasted %v", lasted)
		}
	})
}

// TestBlockOfDeadInstance takes over the reservation of a process that died,
// once it is sure that the process did.
func TestBlockOfDeadInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newBlockScenario(t, inMemory)
		s.reserve(1)
		if got := status(s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "block"))); got != protocol.StatusTimeout {
			t.Errorf("before the end: got %s", got)
		}
		s.clock.advance(time.Hour)
		s.ok(s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "block")))
	})
}

// TestBlockTakenOver has an upload last longer than its reservation: what is
// kept is what the new owner sends, and the old one stores no metadata.
func TestBlockTakenOver(t *testing.T) {
	s, store := newBlockScenario(t)
	store.create = func(context.Context, *blockstore.Memory, parsec.BlockID, []byte) error {
		store.create = nil
		s.clock.advance(time.Hour)
		s.reserve(1)
		return nil
	}
	if got := status(s.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, "old"))); got != protocol.StatusTimeout {
		t.Errorf("got %s", got)
	}
	if upload := s.upload(1); upload == nil || upload.Token != testUUID(7) {
		t.Errorf("the new owner lost its reservation: %+v", upload)
	}
}

// TestInvariant48ConcurrentBlocks has as many instances as uploads, over one
// database and one block store where the last upload stays.
func TestInvariant48ConcurrentBlocks(t *testing.T) {
	const instances = 8
	synctest.Test(t, func(t *testing.T) {
		s, store := newBlockScenario(t, inMemory)
		var failures atomic.Int32
		store.create = func(ctx context.Context, _ *blockstore.Memory, _ parsec.BlockID, _ []byte) error {
			// Let every other instance meet the reservation. The first upload
			// fails: one of those who wait takes over.
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
			}
			if failures.Add(1) == 1 {
				return errBroken
			}
			return nil
		}
		var mu sync.Mutex
		var winners []string
		var calls []func() error
		for i := range instances {
			block := fmt.Sprint("block of ", i)
			instance := newInstance(s.fixture)
			calls = append(calls, func() error {
				_, err := instance.BlockCreate(t.Context(), s.alice(), s.blockCreation(1, block))
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					winners = append(winners, block)
				}
				return err
			})
		}
		got := parallel(calls...)
		if got[protocol.StatusOK] != 1 || got[protocol.StatusTimeout] != 1 || got[protocol.StatusAlreadyExists] != instances-2 {
			t.Fatalf("got %v", got)
		}
		if read := must(s.readBlock(1)); string(read.Block) != winners[0] {
			t.Errorf("got %q, the winner sent %q", read.Block, winners[0])
		}
		if got := status(s.BlockCreate(t.Context(), s.bob(), s.blockCreation(1, "late"))); got != protocol.StatusAlreadyExists {
			t.Errorf("got %s", got)
		}
		if read := must(s.readBlock(1)); string(read.Block) != winners[0] {
			t.Errorf("got %q, the winner sent %q", read.Block, winners[0])
		}
	})
}
