package rules_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	organizationmemory "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/memory"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// blocks is a block store in memory whose steps a test may replace; they get the one
// in memory. Checksums are kept of its blocks, as it may fail.
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

// blockCommand is a command on the blocks of a realm.
type blockCommand struct {
	realmCommand
	blocks *blocks
}

func newBlockCommand(t testing.TB, changes ...func(*setup)) blockCommand {
	t.Helper()
	store := &blocks{Memory: blockstore.NewMemory()}
	c := newRealmCommand(t, append(changes, func(s *setup) { s.blocks = store })...)
	c.author = c.bob()
	return blockCommand{c, store}
}

// inMemory is for synctest bubbles, where no time passes while a database works.
func inMemory(s *setup) {
	s.store = func(_ testing.TB, bus *event.Bus) rules.Store { return memory.New(organizationmemory.New(bus)) }
}

func blockID(name string) parsec.BlockID { return parsec.BlockID(namedID("block", name)) }

func (c *realmCommand) blockCreation(name, block string) *protocol.BlockCreateRequest {
	return &protocol.BlockCreateRequest{BlockID: blockID(name), RealmID: c.realm, KeyIndex: 1, Block: []byte(block)}
}

func (c *realmCommand) readBlock(author *rules.Author, name string) (*protocol.BlockReadReply, error) {
	return c.readBlockAs(c.t.Context(), author, &protocol.BlockReadRequest{BlockID: blockID(name), RealmID: c.realm})
}

func (c *realmCommand) readBlockAs(ctx context.Context, author *rules.Author, request *protocol.BlockReadRequest) (*protocol.BlockReadReply, error) {
	var reply protocol.BlockReadReply
	err := c.BlockRead(ctx, author, request, func(head *protocol.BlockReadReply, size uint64) ([]byte, error) {
		reply = *head
		reply.Block = make([]byte, size)
		return reply.Block, nil
	})
	if err != nil {
		return nil, err
	}
	return &reply, nil
}

// changeBlock works on a block beside the rules.
func (c *realmCommand) changeBlock(name string, change func(tx rules.Tx)) {
	c.t.Helper()
	scope := rules.Scope{
		Organization: acme, Common: rules.Shared, Realm: c.realm, RealmLock: rules.Shared, Block: new(blockID(name)),
	}
	c.ok(nil, c.store.Update(c.t.Context(), scope, func(tx rules.Tx) error { change(tx); return nil }))
}

// reserve reserves a block for an hour, by the upload that it returns.
func (c *realmCommand) reserve(name string) rules.BlockUpload {
	c.t.Helper()
	upload := rules.BlockUpload{ID: blockID(name), Token: c.store.NewUploadToken(), Until: c.clock.now().Add(time.Hour)}
	c.changeBlock(name, func(tx rules.Tx) { tx.ReserveBlock(upload) })
	return upload
}

// upload is nil if the block is not reserved.
func (c *realmCommand) upload(name string) (upload *rules.BlockUpload) {
	c.t.Helper()
	c.changeBlock(name, func(tx rules.Tx) { _, upload = tx.Block() })
	return upload
}

// putBlock puts a block of five bytes there, without checksum.
func (c *realmCommand) putBlock(name string) {
	c.t.Helper()
	c.reserve(name)
	c.changeBlock(name, func(tx rules.Tx) {
		tx.CreateBlock(rules.Block{
			ID: blockID(name), Realm: c.realm, KeyIndex: 1, Author: bobLaptop, Size: 5, CreatedOn: c.clock.now(),
		})
	})
}

var errBroken = errors.New("broken")

// blockCreate has bob create a block.
type blockCreate struct {
	blockCommand
	*protocol.BlockCreateRequest
}

func newBlockCreate(t *testing.T) *blockCreate {
	c := newBlockCommand(t)
	return &blockCreate{c, c.blockCreation("new", "block")}
}

func (s *blockCreate) run() error {
	return failure(s.BlockCreate(s.t.Context(), s.author, s.BlockCreateRequest))
}

func TestBlockCreateTable(t *testing.T) {
	checkTable(t, "block_create", newBlockCreate, realmRows([]row[*blockCreate]{
		{"1", "unknown realm", func(s *blockCreate) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"2", "deleted", func(s *blockCreate) { s.delete() }, protocol.StatusRealmDeleted},
		{"3", "archived", func(s *blockCreate) { s.forceArchiving(parsec.ArchivingDeletionPlanned) }, protocol.StatusRealmArchived},
		{"4", "READER", func(s *blockCreate) { s.forceRole(bobID, parsec.RoleReader) }, protocol.StatusAuthorNotAllowed},
		{"5", "another key index", func(s *blockCreate) { s.KeyIndex = 2 }, protocol.StatusBadKeyIndex},
		{"6", "exists", func(s *blockCreate) { s.putBlock("new") }, protocol.StatusBlockAlreadyExists},
		{"7", "store broken", func(s *blockCreate) {
			s.blocks.create = func(context.Context, *blockstore.Memory, parsec.BlockID, []byte) error { return errBroken }
		}, protocol.StatusStoreUnavailable},
	}), append(standingApart, [2]string{"unknown realm", "deleted"})...)
}

// blockRead has bob read a block.
type blockRead struct {
	blockCommand
	*protocol.BlockReadRequest
}

func newBlockRead(t *testing.T) *blockRead {
	c := newBlockCommand(t)
	c.ok(c.BlockCreate(t.Context(), c.alice(), c.blockCreation("old", "block")))
	return &blockRead{c, &protocol.BlockReadRequest{BlockID: blockID("old"), RealmID: c.realm}}
}

func (s *blockRead) run() error {
	return failure(s.readBlockAs(s.t.Context(), s.author, s.BlockReadRequest))
}

func TestBlockReadTable(t *testing.T) {
	checkTable(t, "block_read", newBlockRead, realmRows([]row[*blockRead]{
		{"1", "unknown realm", func(s *blockRead) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"2", "deleted", func(s *blockRead) { s.delete() }, protocol.StatusRealmDeleted},
		{"3", "no role", func(s *blockRead) { s.forceRole(bobID, parsec.RoleNone) }, protocol.StatusAuthorNotAllowed},
		{"4", "unknown block", func(s *blockRead) { s.BlockID = blockID("unknown") }, protocol.StatusBlockNotFound},
		{"5", "store broken", func(s *blockRead) { s.blocks.read = func(context.Context) error { return errBroken } }, protocol.StatusStoreUnavailable},
	}), append(standingApart, [2]string{"unknown realm", "deleted"})...)
}

// A block that the store has lost, or of which it has other bytes, is not there now; it
// is never said not to exist, and never served wrong.
func TestBlockLostOrChanged(t *testing.T) {
	c := newBlockCommand(t)
	c.ok(c.BlockCreate(t.Context(), c.bob(), c.blockCreation("new", "block")))
	c.putBlock("old") // Of 5 bytes, without checksum.
	for _, test := range []struct {
		kept     string
		now, old protocol.Status
	}{
		{"block", protocol.StatusOK, protocol.StatusOK},
		{"black", protocol.StatusStoreUnavailable, protocol.StatusOK},
		{"blo", protocol.StatusStoreUnavailable, protocol.StatusStoreUnavailable},
		{"", protocol.StatusStoreUnavailable, protocol.StatusStoreUnavailable},
	} {
		for name, want := range map[string]protocol.Status{"new": test.now, "old": test.old} {
			c.ok(nil, c.blocks.Memory.Create(t.Context(), acme, blockID(name), []byte(test.kept)))
			if got := status(c.readBlock(c.bob(), name)); got != want {
				t.Errorf("%s with %q kept: got %s, want %s", name, test.kept, got, want)
			}
		}
	}
	c.blocks.read = func(context.Context) error { return fmt.Errorf("every node: %w", blockstore.ErrNotFound) }
	if got := status(c.readBlock(c.bob(), "new")); got != protocol.StatusStoreUnavailable {
		t.Errorf("lost: got %s", got)
	}
}

// Blocks of a store that cannot fail have no checksum.
func TestBlockWithoutChecksum(t *testing.T) {
	c := newRealmCommand(t)
	c.ok(c.BlockCreate(t.Context(), c.bob(), c.blockCreation("new", "block")))
	_, _, block, err := c.store.ReadBlock(t.Context(), acme, bobLaptop, c.realm, blockID("new"))
	if err != nil || block == nil || block.Checksum != nil {
		t.Errorf("got %+v: %v", block, err)
	}
	want := &rules.Block{
		ID: blockID("new"), Realm: c.realm, KeyIndex: 1, Author: bobLaptop, Size: 5, CreatedOn: c.clock.now(),
	}
	if !reflect.DeepEqual(block, want) {
		t.Errorf("got %+v, want %+v", block, want)
	}
}

// A block is read with the key and the date of its realm, by every member.
func TestBlockRead(t *testing.T) {
	c := newBlockCommand(t)
	c.ok(c.BlockCreate(t.Context(), c.bob(), c.blockCreation("new", "block")))
	c.checkEvents()
	c.rotate()
	c.forceArchiving(parsec.ArchivingArchived)
	c.forceRole(bobID, parsec.RoleReader)
	want := protocol.BlockReadReply{Block: []byte("block"), KeyIndex: 1, NeededRealmCertificateTimestamp: c.facts().Timestamp}
	for _, author := range []*rules.Author{c.alice(), c.bob()} {
		if got := must(c.readBlock(author, "new")); !reflect.DeepEqual(*got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// A realm without key has blocks of key index 0.
func TestBlockWithoutKey(t *testing.T) {
	s := newBlockCreate(t)
	s.realm = realmID("new")
	s.createRealm(s.bob(), s.realm)
	s.RealmID = s.realm
	s.checkAsOfRealm(s.run(), protocol.StatusBadKeyIndex)
	s.KeyIndex = 0
	s.ok(nil, s.run())
}

// The id of a block is one in the whole organization: who knows it can neither replace
// it by another realm, nor read it there.
func TestInvariant41BlockOfAnotherRealm(t *testing.T) {
	c := newBlockCommand(t)
	c.ok(c.BlockCreate(t.Context(), c.alice(), c.blockCreation("new", "block")))
	c.blocks.create = func(context.Context, *blockstore.Memory, parsec.BlockID, []byte) error {
		t.Error("bytes are written again")
		return nil
	}
	other := c.realmCommand
	other.realm = realmID("other")
	c.createRealm(c.bob(), other.realm)
	request := other.blockCreation("new", "other block")
	request.KeyIndex = 0
	if got := status(c.BlockCreate(t.Context(), c.bob(), request)); got != protocol.StatusBlockAlreadyExists {
		t.Errorf("got %s", got)
	}
	if got := status(other.readBlock(c.bob(), "new")); got != protocol.StatusBlockNotFound {
		t.Errorf("got %s", got)
	}
	if got := must(c.readBlock(c.bob(), "new")); string(got.Block) != "block" {
		t.Errorf("got %q", got.Block)
	}
}

// An id of zeros is one like another.
func TestBlockOfZeros(t *testing.T) {
	s := newBlockCreate(t)
	s.BlockID = parsec.BlockID{}
	s.ok(nil, s.run())
	if got := status(nil, s.run()); got != protocol.StatusBlockAlreadyExists {
		t.Errorf("got %s", got)
	}
}

// TestInvariant42BlockRetry covers a failed upload, even one that left bytes behind,
// and the retry by the same client or another.
func TestInvariant42BlockRetry(t *testing.T) {
	for name, fail := range map[string]func(ctx context.Context, store *blockstore.Memory, id parsec.BlockID, block []byte) error{
		"nothing written": func(context.Context, *blockstore.Memory, parsec.BlockID, []byte) error { return errBroken },
		"written all the same": func(ctx context.Context, store *blockstore.Memory, id parsec.BlockID, block []byte) error {
			return errors.Join(store.Create(ctx, acme, id, block), errBroken)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newBlockCommand(t)
			c.blocks.create = fail
			if got := status(c.BlockCreate(t.Context(), c.alice(), c.blockCreation("new", "first"))); got != protocol.StatusStoreUnavailable {
				t.Errorf("got %s", got)
			}
			if got := status(c.readBlock(c.bob(), "new")); got != protocol.StatusBlockNotFound {
				t.Errorf("read: got %s", got)
			}
			if _, usage, err := c.store.Usage(t.Context(), acme, aliceLaptop); err != nil || usage.Data != 0 {
				t.Errorf("%d bytes counted, error %v", usage.Data, err)
			}
			c.blocks.create = nil
			c.ok(c.BlockCreate(t.Context(), c.bob(), c.blockCreation("new", "second")))
			if got := must(c.readBlock(c.alice(), "new")); string(got.Block) != "second" {
				t.Errorf("got %q", got.Block)
			}
		})
	}
}

// TestBlockAbandoned leaves no reservation behind when the client goes away.
func TestBlockAbandoned(t *testing.T) {
	c := newBlockCommand(t)
	ctx, cancel := context.WithCancel(t.Context())
	c.blocks.create = func(ctx context.Context, _ *blockstore.Memory, _ parsec.BlockID, _ []byte) error {
		cancel()
		return ctx.Err()
	}
	if _, err := c.BlockCreate(ctx, c.alice(), c.blockCreation("new", "first")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.blocks.create = nil
	c.ok(c.BlockCreate(t.Context(), c.alice(), c.blockCreation("new", "second")))
}

// TestBlockMeanwhile changes the state during the upload. By then only the deletion of
// the realm, and the end of the author or of its organization, count.
func TestBlockMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(c *blockCommand)
		want      protocol.Status
	}{
		"deleted":        {func(c *blockCommand) { c.delete() }, protocol.StatusRealmDeleted},
		"author revoked": {func(c *blockCommand) { c.forceRevoked(bobID) }, aborted(rules.UserRevoked)},
		"archived":       {func(c *blockCommand) { c.forceArchiving(parsec.ArchivingArchived) }, protocol.StatusOK},
		"role":           {func(c *blockCommand) { c.forceRole(bobID, parsec.RoleNone) }, protocol.StatusOK},
		"rotated":        {func(c *blockCommand) { c.rotate() }, protocol.StatusOK},
		"bytes only":     {func(*blockCommand) {}, protocol.StatusOK},
		"organization goes": {func(c *blockCommand) {
			c.changeOrganization(acme, func(o *organization.Organization) { o.ExpirationDate = new(c.clock.now()) })
		}, aborted(rules.OrganizationExpired)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newBlockCommand(t)
			c.blocks.create = func(context.Context, *blockstore.Memory, parsec.BlockID, []byte) error {
				test.meanwhile(&c)
				return nil
			}
			if got := status(c.BlockCreate(t.Context(), c.bob(), c.blockCreation("new", "block"))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if upload := c.upload("new"); upload != nil {
				t.Errorf("got upload %+v", upload)
			}
		})
	}
}

// TestBlockStoreHangs covers the bound of an upload, and of the wait for it.
func TestBlockStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBlockCommand(t, inMemory)
		c.blocks.create = func(ctx context.Context, _ *blockstore.Memory, _ parsec.BlockID, _ []byte) error {
			<-ctx.Done()
			return ctx.Err()
		}
		begin := time.Now()
		create := func() error {
			return failure(c.BlockCreate(t.Context(), c.alice(), c.blockCreation("new", "block")))
		}
		if got := parallel(create, create); got[protocol.StatusStoreUnavailable] != 2 {
			t.Errorf("got %v", got)
		}
		if lasted := time.Since(begin); lasted != time.Minute {
			t.Errorf("lasted %v", lasted)
		}
	})
}

// TestBlockOfDeadInstance takes over the reservation of a process that died, once it is
// sure that the process did.
func TestBlockOfDeadInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBlockCommand(t, inMemory)
		c.reserve("new")
		if got := status(c.BlockCreate(t.Context(), c.bob(), c.blockCreation("new", "block"))); got != protocol.StatusStoreUnavailable {
			t.Errorf("before the end: got %s", got)
		}
		c.clock.advance(time.Hour)
		c.ok(c.BlockCreate(t.Context(), c.bob(), c.blockCreation("new", "block")))
	})
}

// TestBlockTakenOver has an upload last longer than its reservation: the old one stores
// no metadata.
func TestBlockTakenOver(t *testing.T) {
	c := newBlockCommand(t)
	var present rules.BlockUpload
	c.blocks.create = func(context.Context, *blockstore.Memory, parsec.BlockID, []byte) error {
		c.blocks.create = nil
		c.clock.advance(time.Hour)
		present = c.reserve("new")
		return nil
	}
	if got := status(c.BlockCreate(t.Context(), c.bob(), c.blockCreation("new", "old"))); got != protocol.StatusStoreUnavailable {
		t.Errorf("got %s", got)
	}
	if upload := c.upload("new"); upload == nil || upload.Token != present.Token {
		t.Errorf("the new owner lost its reservation: %+v", upload)
	}
}

// TestInvariant41ConcurrentBlocks has many uploads of one block at once, into a block
// store where the last upload stays: later reads give the bytes of the one that won.
func TestInvariant41ConcurrentBlocks(t *testing.T) {
	const uploads = 8
	synctest.Test(t, func(t *testing.T) {
		c := newBlockCommand(t, inMemory)
		var failures atomic.Int32
		c.blocks.create = func(ctx context.Context, _ *blockstore.Memory, _ parsec.BlockID, _ []byte) error {
			// Let every other upload meet the reservation. The first one fails: one
			// of those who wait takes over.
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
		for i := range uploads {
			block := fmt.Sprint("block of ", i)
			calls = append(calls, func() error {
				_, err := c.BlockCreate(t.Context(), c.bob(), c.blockCreation("new", block))
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					winners = append(winners, block)
				}
				return err
			})
		}
		got := parallel(calls...)
		if got[protocol.StatusOK] != 1 || got[protocol.StatusStoreUnavailable] != 1 || got[protocol.StatusBlockAlreadyExists] != uploads-2 {
			t.Fatalf("got %v", got)
		}
		if read := must(c.readBlock(c.alice(), "new")); string(read.Block) != winners[0] {
			t.Errorf("got %q, the winner sent %q", read.Block, winners[0])
		}
	})
}
