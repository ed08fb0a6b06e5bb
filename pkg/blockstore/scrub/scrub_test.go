package scrub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/scrub"
	"parsec-server/pkg/parsec"
)

// index knows blocks as a database does.
type index struct {
	blocks    []blockstore.Block
	uploading map[parsec.BlockID]bool
	// onHold runs before a block is held.
	onHold func()
	held   map[parsec.BlockID]bool
}

func (x *index) Blocks(_ context.Context, after *blockstore.Block, most int) ([]blockstore.Block, error) {
	from := 0
	if after != nil {
		from = 1 + slices.IndexFunc(x.blocks, func(b blockstore.Block) bool { return b.ID == after.ID })
	}
	return slices.Clone(x.blocks[from:min(from+most, len(x.blocks))]), nil
}

func (x *index) knows(id parsec.BlockID) bool {
	return x.uploading[id] || slices.ContainsFunc(x.blocks, func(b blockstore.Block) bool { return b.ID == id })
}

func (x *index) StrayBlocks(_ context.Context, blocks []blockstore.Block) (stray, foreign []bool, err error) {
	for _, block := range blocks {
		ours := strings.HasPrefix(block.Organization.String(), "Org")
		stray = append(stray, ours && !x.knows(block.ID))
		foreign = append(foreign, !ours)
	}
	return stray, foreign, nil
}

func (x *index) HoldBlock(_ context.Context, block blockstore.Block, _ parsec.UUID, _ parsec.DateTime) (bool, error) {
	if x.onHold != nil {
		x.onHold()
	}
	if x.knows(block.ID) {
		return false, nil
	}
	x.held[block.ID] = true
	return true, nil
}

func (x *index) ReleaseBlock(_ context.Context, _ parsec.OrganizationID, block parsec.BlockID, _ parsec.UUID) error {
	delete(x.held, block)
	return nil
}

func newIndex() *index {
	return &index{uploading: make(map[parsec.BlockID]bool), held: make(map[parsec.BlockID]bool)}
}

func organization(t testing.TB, name string) parsec.OrganizationID {
	t.Helper()
	id, err := parsec.ParseOrganizationID(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// fill creates blocks of several organizations, over more than a page, in the
// order of an index.
func (x *index) fill(t testing.TB, store blockstore.Store, count int) {
	t.Helper()
	for i := range count {
		block := blockstore.Block{
			Organization: organization(t, fmt.Sprintf("Org%d", i*3/count)),
			ID:           parsec.BlockID(parsec.NewUUID()),
			Size:         int64(i % 50),
		}
		block.ID[0], block.ID[1], block.ID[2] = 0, byte(i>>8), byte(i)
		x.blocks = append(x.blocks, block)
		if err := store.Create(t.Context(), block.Organization, block.ID, content(block)); err != nil {
			t.Fatal(err)
		}
	}
}

func content(block blockstore.Block) []byte { return bytes.Repeat(block.ID[15:], int(block.Size)) }

// nodes returns stores in memory as such, as an array, and as a RAID.
func nodes(t testing.TB, level, count int) (memories []*blockstore.Memory, array *blockstore.Array, raid blockstore.Store) {
	t.Helper()
	var stores []blockstore.Store
	for range count {
		memory := blockstore.NewMemory()
		memories, stores = append(memories, memory), append(stores, memory)
	}
	array, err := blockstore.NewArray(level, stores)
	if err != nil {
		t.Fatal(err)
	}
	options := blockstore.RAIDOptions{Logger: slog.New(slog.DiscardHandler)}
	switch level {
	case 0:
		return memories, array, blockstore.NewRAID0(stores)
	case 1:
		raid := blockstore.NewRAID1(stores, options)
		t.Cleanup(raid.Close)
		return memories, array, raid
	default:
		raid, err := blockstore.NewRAID5(stores, options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(raid.Close)
		return memories, array, raid
	}
}

// outcome is what a walk has told.
type outcome struct {
	blocks, bytes int64
	problems      map[scrub.Problem]int
	done          int
	reached       blockstore.Block
}

func (x *index) walk(after *blockstore.Block) (*scrub.Walk, *outcome) {
	o := &outcome{problems: make(map[scrub.Problem]int)}
	return &scrub.Walk{
		Index: x,
		After: after,
		Report: func(found scrub.Finding) {
			o.problems[found.Problem]++
			if found.Done {
				o.done++
			}
		},
		Advance: func(blocks, bytes int64) {
			o.blocks += blocks
			o.bytes += bytes
		},
		Reached: func(last blockstore.Block) { o.reached = last },
	}, o
}

func (o *outcome) want(t *testing.T, blocks int64, problems map[scrub.Problem]int, done int) {
	t.Helper()
	if o.blocks != blocks || o.done != done || !maps.Equal(o.problems, problems) {
		t.Errorf("%d blocks, %v, %d done; want %d, %v, %d", o.blocks, o.problems, o.done, blocks, problems, done)
	}
}

func mustDelete(t *testing.T, node blockstore.Inventory, block blockstore.Block) {
	t.Helper()
	if err := node.Delete(t.Context(), block.Organization.String()+"/"+block.ID.String()); err != nil {
		t.Fatal(err)
	}
}

// An emptied node is told of, block by block, and filled again; a wrong byte is
// seen by a deep check only.
func TestCheckAndRepair(t *testing.T) {
	const count = 2500
	for _, shape := range []struct{ level, nodes int }{{1, 3}, {5, 3}, {5, 5}} {
		t.Run(fmt.Sprintf("RAID%d of %d", shape.level, shape.nodes), func(t *testing.T) {
			level := shape.level
			memories, array, raid := nodes(t, level, shape.nodes)
			x := newIndex()
			x.fill(t, raid, count)
			check := func(options scrub.CheckOptions) *outcome {
				t.Helper()
				walk, o := x.walk(nil)
				last, err := scrub.Check(t.Context(), walk, array, options)
				if err != nil || last == nil || *last != x.blocks[count-1] {
					t.Fatalf("ended at %v: %v", last, err)
				}
				return o
			}
			none := map[scrub.Problem]int{}
			check(scrub.CheckOptions{}).want(t, count, none, 0)
			check(scrub.CheckOptions{Deep: true}).want(t, count, none, 0)
			for _, block := range x.blocks {
				mustDelete(t, memories[1], block)
			}
			missing := map[scrub.Problem]int{"missing": count}
			check(scrub.CheckOptions{}).want(t, count, missing, 0)
			check(scrub.CheckOptions{Deep: true}).want(t, count, missing, 0)
			check(scrub.CheckOptions{Repair: true}).want(t, count, missing, count)
			check(scrub.CheckOptions{Deep: true}).want(t, count, none, 0)

			// One wrong byte in the first piece.
			block := x.blocks[1240]
			wrong, err := testkit.StoredBlock(t.Context(), memories[0], block.Organization, block.ID)
			if err != nil {
				t.Fatal(err)
			}
			wrong[0] ^= 1
			if err := memories[0].Create(t.Context(), block.Organization, block.ID, wrong); err != nil {
				t.Fatal(err)
			}
			check(scrub.CheckOptions{}).want(t, count, none, 0)
			check(scrub.CheckOptions{Deep: true}).want(t, count, map[scrub.Problem]int{"wrong": 1}, 0)
			check(scrub.CheckOptions{Deep: true, Repair: true}).want(t, count, map[scrub.Problem]int{"wrong": 1}, 1)
			check(scrub.CheckOptions{Deep: true}).want(t, count, none, 0)

			// Two lost pieces are one too many for RAID5 alone.
			mustDelete(t, memories[0], x.blocks[3])
			mustDelete(t, memories[2], x.blocks[3])
			found, done := map[scrub.Problem]int{"missing": 2}, 2
			if level == 5 {
				found[scrub.Lost], done = 1, 0
			}
			check(scrub.CheckOptions{Repair: true}).want(t, count, found, done)
		})
	}
}

// A walk that ends early says where, and goes on from there.
func TestCheckGoesOn(t *testing.T) {
	const count = 2500
	memories, array, raid := nodes(t, 1, 2)
	x := newIndex()
	x.fill(t, raid, count)
	mustDelete(t, memories[0], x.blocks[2000])
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	walk, first := x.walk(nil)
	advance := walk.Advance
	walk.Advance = func(blocks, bytes int64) {
		advance(blocks, bytes)
		if first.blocks == 1100 {
			cancel(stop)
		}
	}
	last, err := scrub.Check(ctx, walk, array, scrub.CheckOptions{Deep: true})
	if !errors.Is(err, stop) || last == nil || *last != first.reached || first.blocks >= count {
		t.Fatalf("ended at %v after %d blocks: %v", last, first.blocks, err)
	}
	walk, rest := x.walk(last)
	if _, err := scrub.Check(t.Context(), walk, array, scrub.CheckOptions{Deep: true}); err != nil {
		t.Fatal(err)
	}
	position := slices.Index(x.blocks, *last) + 1
	rest.want(t, int64(count-position), map[scrub.Problem]int{"missing": 1}, 0)
	if position > 1100 {
		t.Errorf("it goes on at block %d, before which not all were done", position)
	}
}

// deaf does not answer reads.
type deaf struct{ *blockstore.Memory }

func (deaf) Read(context.Context, parsec.OrganizationID, parsec.BlockID, *blockstore.Checksum, ...[]byte) error {
	return errors.New("no answer")
}

// A node that fails for every block ends the walk.
func TestCheckEndsForANodeThatIsDown(t *testing.T) {
	x := newIndex()
	stores := []blockstore.Store{deaf{blockstore.NewMemory()}, blockstore.NewMemory()}
	x.fill(t, stores[1], 1000)
	array, err := blockstore.NewArray(1, stores)
	if err != nil {
		t.Fatal(err)
	}
	walk, o := x.walk(nil)
	_, err = scrub.Check(t.Context(), walk, array, scrub.CheckOptions{Deep: true})
	if err == nil || !strings.Contains(err.Error(), "more than 100 failures, the last one: no answer") {
		t.Errorf("ended by %v", err)
	}
	if unreadable := o.problems["unreadable"]; unreadable != 100 {
		t.Errorf("%d unreadable", unreadable)
	}
}

// A copy writes what the target lacks, is a no-op the second time, and keeps its
// hands off what is there under the same names.
func TestCopy(t *testing.T) {
	const count = 2500
	for _, shape := range []struct{ level, nodes, toLevel, toNodes int }{
		{0, 1, 0, 1}, {0, 2, 5, 3}, {5, 3, 1, 2}, {1, 2, 0, 3}, {5, 3, 5, 5},
	} {
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			_, _, source := nodes(t, shape.level, shape.nodes)
			memories, array, target := nodes(t, shape.toLevel, shape.toNodes)
			x := newIndex()
			x.fill(t, source, count)
			copied := 0
			run := func(dryRun bool) *outcome {
				t.Helper()
				copied = 0
				walk, o := x.walk(nil)
				_, err := scrub.Copy(t.Context(), walk, source, scrub.Target{
					Store: target, Array: array, DryRun: dryRun, Copied: func(blockstore.Block) { copied++ },
				})
				if err != nil {
					t.Fatal(err)
				}
				return o
			}
			none := map[scrub.Problem]int{}
			for _, dryRun := range []bool{true, true, false} {
				run(dryRun).want(t, count, none, 0)
				if copied != count {
					t.Errorf("copied %d", copied)
				}
			}
			run(false).want(t, count, none, 0)
			if copied != 0 {
				t.Errorf("copied %d again", copied)
			}
			for _, block := range x.blocks {
				data := make([]byte, block.Size)
				if err := target.Read(t.Context(), block.Organization, block.ID, nil, data); err != nil || !bytes.Equal(data, content(block)) {
					t.Fatalf("a copy is not what was copied: %v", err)
				}
			}
			// Something else is there.
			block := x.blocks[77]
			for _, memory := range memories {
				if err := memory.Create(t.Context(), block.Organization, block.ID, make([]byte, 5000)); err != nil {
					t.Fatal(err)
				}
			}
			run(false).want(t, count, map[scrub.Problem]int{scrub.Contradicted: 1}, 0)
			if data, err := testkit.StoredBlock(t.Context(), memories[0], block.Organization, block.ID); err != nil || len(data) != 5000 {
				t.Errorf("it was overwritten: %d bytes, %v", len(data), err)
			}
		})
	}
}

// A block that the source does not give whole is not copied.
func TestCopyOfBrokenBlocks(t *testing.T) {
	memories, _, source := nodes(t, 0, 1)
	_, array, target := nodes(t, 0, 1)
	x := newIndex()
	x.fill(t, source, 10)
	mustDelete(t, memories[0], x.blocks[3])
	if err := memories[0].Create(t.Context(), x.blocks[4].Organization, x.blocks[4].ID, []byte("cut")); err != nil {
		t.Fatal(err)
	}
	walk, o := x.walk(nil)
	copied := 0
	if _, err := scrub.Copy(t.Context(), walk, source, scrub.Target{Store: target, Array: array, Copied: func(blockstore.Block) { copied++ }}); err != nil {
		t.Fatal(err)
	}
	o.want(t, 10, map[scrub.Problem]int{scrub.Uncopied: 2}, 0)
	if err := target.Read(t.Context(), x.blocks[4].Organization, x.blocks[4].ID, nil, make([]byte, x.blocks[4].Size)); copied != 8 || !errors.Is(err, blockstore.ErrNotFound) {
		t.Errorf("%d copied; the cut one: %v", copied, err)
	}
}

// Objects of known blocks, of uploads, of others and of the last hours stay.
func TestOrphans(t *testing.T) {
	memories, array, store := nodes(t, 0, 2)
	x := newIndex()
	x.fill(t, store, 2500)
	create := func(name string) blockstore.Block {
		block := blockstore.Block{Organization: organization(t, name), ID: parsec.BlockID(parsec.NewUUID()), Size: 9}
		if err := store.Create(t.Context(), block.Organization, block.ID, content(block)); err != nil {
			t.Fatal(err)
		}
		return block
	}
	orphan, raced, uploading, foreign := create("Org1"), create("Org2"), create("Org1"), create("Elsewhere")
	x.uploading[uploading.ID] = true
	run := func(remove bool, minAge time.Duration, later time.Duration) (map[scrub.Problem]int, scrub.OrphanCount) {
		t.Helper()
		problems, count := make(map[scrub.Problem]int), scrub.OrphanCount{}
		reached := ""
		node, after, err := scrub.Orphans(t.Context(), scrub.OrphanOptions{
			Registry: x, Array: array, MinAge: minAge, Delete: remove,
			Now: func() time.Time { return time.Now().Add(later) },
			Report: func(found scrub.Finding, size int64) {
				problems[found.Problem]++
				if found.Done != remove || size != 9 {
					t.Errorf("found %+v of %d bytes", found, size)
				}
			},
			Advance: func(more scrub.OrphanCount) {
				count.Objects += more.Objects
				count.Foreign += more.Foreign
				count.Young += more.Young
			},
			Reached: func(node int, after string) { reached = fmt.Sprint(node, ":", after) },
		})
		if err != nil || node != len(memories) || after != "" || !strings.HasPrefix(reached, "1:Org2/") && !strings.HasPrefix(reached, "1:Elsewhere/") {
			t.Fatalf("ended at %d:%s, reached %s: %v", node, after, reached, err)
		}
		return problems, count
	}
	problems, count := run(true, time.Hour, 0)
	if len(problems) != 0 || count != (scrub.OrphanCount{Objects: 2504, Foreign: 1, Young: 2}) {
		t.Errorf("young: %v, %+v", problems, count)
	}
	problems, count = run(false, time.Hour, 2*time.Hour)
	if problems[scrub.Orphan] != 2 || count != (scrub.OrphanCount{Objects: 2504, Foreign: 1}) {
		t.Errorf("dry run: %v, %+v", problems, count)
	}
	// One becomes a block between the look and the deletion.
	x.onHold = func() { x.uploading[raced.ID] = true }
	problems, _ = run(true, time.Hour, 2*time.Hour)
	if problems[scrub.Orphan] != 1 || len(x.held) != 0 {
		t.Errorf("deletion: %v, still held: %v", problems, x.held)
	}
	for _, block := range append(x.blocks, raced, uploading, foreign) {
		if err := store.Read(t.Context(), block.Organization, block.ID, nil, make([]byte, block.Size)); err != nil {
			t.Fatalf("block %s/%s: %v", block.Organization, block.ID, err)
		}
	}
	if err := store.Read(t.Context(), orphan.Organization, orphan.ID, nil, make([]byte, orphan.Size)); !errors.Is(err, blockstore.ErrNotFound) {
		t.Errorf("the orphan: %v", err)
	}
}

// stubborn deletes nothing.
type stubborn struct{ *blockstore.Memory }

func (stubborn) Delete(context.Context, string) error { return errors.New("no") }

// While a node may delete an object yet, nobody uploads its block.
func TestOrphanThatIsNotDeleted(t *testing.T) {
	x := newIndex()
	memory := stubborn{blockstore.NewMemory()}
	id := parsec.BlockID(parsec.NewUUID())
	if err := memory.Create(t.Context(), organization(t, "Org1"), id, nil); err != nil {
		t.Fatal(err)
	}
	array, err := blockstore.NewArray(0, []blockstore.Store{memory})
	if err != nil {
		t.Fatal(err)
	}
	var found []scrub.Finding
	_, _, err = scrub.Orphans(t.Context(), scrub.OrphanOptions{
		Registry: x, Array: array, Delete: true, Now: func() time.Time { return time.Now().Add(time.Hour) },
		Report:  func(f scrub.Finding, _ int64) { found = append(found, f) },
		Advance: func(scrub.OrphanCount) {},
		Reached: func(int, string) {},
	})
	if err != nil || len(found) != 1 || found[0].Problem != scrub.Undeleted || found[0].Done || !x.held[id] {
		t.Errorf("found %+v, held %v: %v", found, x.held, err)
	}
}
