package blockstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/sleep"
)

var errBroken = errors.New("broken")

// fakeNode is a store that fails on demand.
type fakeNode struct {
	*blockstore.Memory

	mu       sync.Mutex
	onRead   func(context.Context) error
	onCreate func(context.Context) error
	reads    int
	creates  int
	running  int
}

func newFakeNode() *fakeNode { return &fakeNode{Memory: blockstore.NewMemory()} }

func newFakeNodes(count int) (nodes []*fakeNode, stores []blockstore.Store) {
	for range count {
		node := newFakeNode()
		nodes = append(nodes, node)
		stores = append(stores, node)
	}
	return nodes, stores
}

// set has reads and creates begin with an action each, nil for nothing.
func (f *fakeNode) set(onRead, onCreate func(context.Context) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onRead, f.onCreate = onRead, onCreate
}

// counts returns the number of reads and creates so far, and of those that run.
func (f *fakeNode) counts() (reads, creates, running int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads, f.creates, f.running
}

func (f *fakeNode) begin(action *func(context.Context) error, count *int) func(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	*count++
	f.running++
	if *action == nil {
		return func(ctx context.Context) error { return ctx.Err() }
	}
	return *action
}

func (f *fakeNode) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
}

func (f *fakeNode) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *blockstore.Checksum, into ...[]byte) error {
	action := f.begin(&f.onRead, &f.reads)
	defer f.end()
	if err := action(ctx); err != nil {
		return err
	}
	return f.Memory.Read(ctx, organization, id, checksum, into...)
}

func (f *fakeNode) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	action := f.begin(&f.onCreate, &f.creates)
	defer f.end()
	if err := action(ctx); err != nil {
		return err
	}
	return f.Memory.Create(ctx, organization, id, block)
}

func (f *fakeNode) Ready(ctx context.Context) error {
	action := f.begin(&f.onRead, &f.reads)
	defer f.end()
	return action(ctx)
}

func broken(context.Context) error  { return errBroken }
func absent(context.Context) error  { return fmt.Errorf("here: %w", blockstore.ErrNotFound) }
func damaged(context.Context) error { return fmt.Errorf("here: %w", blockstore.ErrDamaged) }

func hanging(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func after(duration time.Duration) func(context.Context) error {
	return func(ctx context.Context) error { return sleep.For(ctx, duration) }
}

// raidOf is a RAID of either level.
type raidOf interface {
	blockstore.Store
	Close()
}

// openRAID makes a RAID1, or with a level of 5 a RAID5, that logs to log.
func openRAID(t testing.TB, level int, stores []blockstore.Store, degraded bool, log *bytes.Buffer) raidOf {
	t.Helper()
	options := blockstore.RAIDOptions{DegradedWrites: degraded, Logger: slog.New(slog.DiscardHandler)}
	if log != nil {
		options.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if level == 1 {
		return blockstore.NewRAID1(stores, options)
	}
	raid, err := blockstore.NewRAID5(stores, options)
	if err != nil {
		t.Fatal(err)
	}
	return raid
}

func organization(t testing.TB) parsec.OrganizationID {
	t.Helper()
	id, err := parsec.ParseOrganizationID("CoolOrg")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newBlockID() parsec.BlockID { return parsec.BlockID(parsec.NewUUID()) }

// blockOf returns bytes that differ from chunk to chunk.
func blockOf(size int) []byte {
	block := make([]byte, size)
	for i := range block {
		block[i] = byte(i % 251)
	}
	return block
}

func mustCreate(t testing.TB, store blockstore.Store, id parsec.BlockID, block []byte) {
	t.Helper()
	if err := store.Create(t.Context(), organization(t), id, block); err != nil {
		t.Fatalf("create: %v", err)
	}
}

func wantBlock(t testing.TB, store blockstore.Store, id parsec.BlockID, want []byte) {
	t.Helper()
	block := make([]byte, len(want))
	if err := store.Read(t.Context(), organization(t), id, nil, block); err != nil {
		t.Fatalf("read: %v", err)
	}
	if !bytes.Equal(block, want) {
		t.Fatalf("a block of %d bytes is not what was created", len(want))
	}
}
