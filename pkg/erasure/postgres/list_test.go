//go:build !without_postgresql

package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/erasure"
	"parsec-server/pkg/erasure/erasuretest"
	erasurestore "parsec-server/pkg/erasure/postgres"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// archive is a list on a database, and a block store in memory.
type archive struct {
	t        *testing.T
	database *pgx.Conn
	list     *erasurestore.List
	blocks   *blockstore.Memory
	eraser   erasure.Eraser
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	second, third := testkit.OpenPostgres(t, dsn, testkit.NewBus(t)), testkit.OpenParsec3Postgres(t, dsn, testkit.NewBus(t))
	a := &archive{t: t, database: testkit.Connect(t, dsn), blocks: blockstore.NewMemory(), list: &erasurestore.List{
		Database: second.Database, Wings: map[organization.Generation]erasurestore.Wing{organization.Parsec2: second, organization.Parsec3: third},
	}}
	array, err := blockstore.NewArray(0, []blockstore.Store{a.blocks})
	if err != nil {
		t.Fatal(err)
	}
	a.eraser = erasure.Eraser{List: a.list, Array: array, Now: func() parsec.DateTime { return 1000 }, Advance: func(int64, erasure.Remains) {}}
	return a
}

// insert adds blocks to the realm of an organization, all of whose ids are zero.
func (a *archive) insert(generation organization.Generation, name string, count int) (blocks []blockstore.Block) {
	a.t.Helper()
	id, err := parsec.ParseOrganizationID(name)
	if err != nil {
		a.t.Fatal(err)
	}
	for range count {
		block := blockstore.Block{Organization: id, ID: parsec.BlockID(parsec.NewUUID()), Size: 10}
		if err := a.blocks.Create(a.t.Context(), id, block.ID, make([]byte, 10)); err != nil {
			a.t.Fatal(err)
		}
		blocks = append(blocks, block)
	}
	dsn := a.database.Config().ConnString()
	if generation == organization.Parsec2 {
		testkit.InsertBlocks(a.t, dsn, blocks...)
	} else {
		testkit.InsertParsec3Blocks(a.t, dsn, blocks...)
	}
	return blocks
}

// targets lists all, of which there must be so many.
func (a *archive) targets(want int) []erasure.Target {
	a.t.Helper()
	targets, err := a.list.Targets(a.t.Context(), 0)
	if err != nil || len(targets) != want {
		a.t.Fatalf("targets %+v, %v, want %d", targets, err, want)
	}
	return targets
}

// left counts the blocks that the database knows, or reserves, and the objects.
func (a *archive) left() [2]int64 {
	a.t.Helper()
	objects, err := a.blocks.List(a.t.Context(), "", "")
	if err != nil {
		a.t.Fatal(err)
	}
	return [2]int64{testkit.Number(a.t, a.database, "SELECT (SELECT count(*) FROM block) + (SELECT count(*) FROM parsec3.block)"), int64(len(objects))}
}

// TestWholeOrganization erases what an organization of each generation holds, and nothing
// of another: a realm whose id is zero is no organization.
func TestWholeOrganization(t *testing.T) {
	for _, generation := range []organization.Generation{organization.Parsec2, organization.Parsec3} {
		a := newArchive(t)
		const blocks = 600 // more than go at once, fewer than are listed at once
		a.insert(generation, "Acme", blocks)
		a.insert(organization.Parsec2, "Second", 5)
		a.insert(organization.Parsec3, "Third", 5)
		testkit.Execute(t, a.database, "INSERT INTO erasure (organization_id, generation, rows_left) VALUES ('Acme', $1, true)", int16(generation))
		target := a.targets(1)[0]
		if target.Realm != nil || target.Organization.String() != "Acme" || target.Generation != generation {
			t.Errorf("target %+v", target)
		}
		// Nothing ends while something is left.
		if left, err := a.list.End(t.Context(), target); err != nil || !left {
			t.Fatalf("something is left: %t, %v", left, err)
		}
		a.targets(1)
		if err := a.eraser.EraseRows(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		if got := a.left(); got != [2]int64{10, blocks + 10} {
			t.Errorf("%d blocks and objects are left", got)
		}
		remains, err := a.list.Remains(t.Context(), target)
		if want := (erasure.Remains{Objects: blocks, Bytes: 10 * blocks}); err != nil || remains != want {
			t.Errorf("%+v, %v remains", remains, err)
		}
		if err := a.eraser.EraseObjects(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		if got := a.left(); got != [2]int64{10, 10} {
			t.Errorf("%d blocks and objects are left", got)
		}
		a.targets(0)

		// The realm of the other organization of this generation has the id zero.
		other := map[organization.Generation]string{organization.Parsec2: "Second", organization.Parsec3: "Third"}[generation]
		a.insert(generation, "Acme", 3)
		testkit.Execute(t, a.database, erasurestore.InsertRealm, other, parsec.UUID{}.String(), int16(generation))
		target = a.targets(1)[0]
		if target.Realm == nil {
			t.Fatal("a realm whose id is zero is taken for an organization")
		}
		if err := a.eraser.EraseRows(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		if err := a.eraser.EraseObjects(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		if got := a.left(); got != [2]int64{8, 8} {
			t.Errorf("%d blocks and objects are left", got)
		}
	}
}

// TestList has the list pass the suite that every one passes.
func TestList(t *testing.T) {
	erasuretest.Exercise(t, func(t *testing.T, bus *event.Bus) erasuretest.Opened {
		dsn := testkit.NewPostgres(t, testkit.Unsound)
		second, third := testkit.OpenPostgres(t, dsn, bus), testkit.OpenParsec3Postgres(t, dsn, bus)
		list := &erasurestore.List{
			Database: second.Database, Wings: map[organization.Generation]erasurestore.Wing{organization.Parsec2: second, organization.Parsec3: third},
		}
		return erasuretest.Opened{List: list, Organizations: second, Fill: func(id parsec.OrganizationID, generation organization.Generation, count int) {
			var blocks []blockstore.Block
			for range count {
				blocks = append(blocks, blockstore.Block{Organization: id, ID: parsec.BlockID(parsec.NewUUID()), Size: 10})
			}
			if generation == organization.Parsec2 {
				testkit.InsertBlocks(t, dsn, blocks...)
			} else {
				testkit.InsertParsec3Blocks(t, dsn, blocks...)
			}
		}}
	})
}

// TestHolds has blocks be held that nobody has, again by the same token, and once the
// hold of another is over; not those that are known.
func TestHolds(t *testing.T) {
	for _, generation := range []organization.Generation{organization.Parsec2, organization.Parsec3} {
		a := newArchive(t)
		known := a.insert(generation, "Acme", 1)[0]
		target := erasure.Target{Number: 1, Organization: known.Organization, Realm: new(parsec.RealmID), Generation: generation}
		blocks := []parsec.BlockID{{2}, known.ID, {1}}
		first, second := erasure.Hold{Token: parsec.NewUUID(), Now: 10, Until: 20}, erasure.Hold{Token: parsec.NewUUID(), Now: 19, Until: 30}
		want := func(hold erasure.Hold, want ...erasure.State) {
			t.Helper()
			if got, err := a.list.Hold(t.Context(), target, blocks, hold); err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, %v, want %v", got, err, want)
			}
		}
		want(first, erasure.Held, erasure.Known, erasure.Held)
		want(first, erasure.Held, erasure.Known, erasure.Held)
		want(second, erasure.Busy, erasure.Known, erasure.Busy)
		if err := a.list.Forget(t.Context(), target, blocks[:1], second); err != nil { // Not its own.
			t.Fatal(err)
		}
		want(second, erasure.Busy, erasure.Known, erasure.Busy)
		second.Now = 20
		want(second, erasure.Held, erasure.Known, erasure.Held)
		if err := a.list.Forget(t.Context(), target, blocks, second); err != nil {
			t.Fatal(err)
		}
		if got := a.left(); got != [2]int64{1, 1} {
			t.Errorf("%d blocks and objects are left", got)
		}
		target.Organization, _ = parsec.ParseOrganizationID(strings.Repeat("x", 5))
		if generation == organization.Parsec2 { // There is no such organization.
			want(second, erasure.Busy, erasure.Busy, erasure.Busy)
		}
	}
}
