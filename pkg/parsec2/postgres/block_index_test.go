//go:build !without_postgresql

package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

func storedBlock(t testing.TB, organization string, size int64) blockstore.Block {
	t.Helper()
	id, err := parsec.ParseOrganizationID(organization)
	if err != nil {
		t.Fatal(err)
	}
	return blockstore.Block{Organization: id, ID: parsec.BlockID(parsec.NewUUID()), Size: size}
}

// However large the pages, they have each block once, organization by
// organization in the order of their creation, and no upload.
func TestBlockIndexPages(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	index := testkit.OpenPostgres(t, dsn, testkit.NewBus(t))
	if blocks, err := index.Blocks(t.Context(), nil, 10); err != nil || len(blocks) != 0 {
		t.Fatalf("an empty database has %v: %v", blocks, err)
	}
	var all []blockstore.Block
	var size int64
	for _, organization := range []string{"Zoo", "Zoo-2", "Aé"} {
		var some []blockstore.Block
		for i := range 7 {
			some = append(some, storedBlock(t, organization, int64(i)<<30))
			size += int64(i) << 30
		}
		testkit.InsertBlocks(t, dsn, some...)
		slices.SortFunc(some, func(a, b blockstore.Block) int { return strings.Compare(a.ID.String(), b.ID.String()) })
		all = append(all, some...)
	}
	held := blockstore.Block{Organization: all[0].Organization, ID: parsec.BlockID(parsec.NewUUID())}
	if held, err := index.HoldBlock(t.Context(), held, parsec.NewUUID(), 1); err != nil || !held {
		t.Fatalf("hold a block: %t, %v", held, err)
	}
	if got, err := index.BlocksSize(t.Context()); err != nil || got != size {
		t.Errorf("%d bytes in all, want %d (%v)", got, size, err)
	}
	for most := range 9 {
		most++
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			var got []blockstore.Block
			for after := (*blockstore.Block)(nil); ; after = &got[len(got)-1] {
				page, err := index.Blocks(t.Context(), after, most)
				if err != nil || len(page) > most {
					t.Fatalf("a page of %d blocks: %v", len(page), err)
				}
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
			}
			if !slices.Equal(got, all) {
				t.Errorf("got %v, want %v", got, all)
			}
		})
	}
}

// A checksum that no row of the database may have is an error.
func TestBlockIndexRefusesChecksums(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := testkit.OpenPostgres(t, dsn, testkit.NewBus(t))
	testkit.InsertBlocks(t, dsn, storedBlock(t, "Acme", 3))
	testkit.Execute(t, testkit.Connect(t, dsn), "UPDATE block SET checksum = '\\x01'")
	if _, err := store.Blocks(t.Context(), nil, 10); err == nil || !strings.Contains(err.Error(), "a checksum of 1 bytes in the database") {
		t.Errorf("a checksum that is none: %v", err)
	}
}

// TestOpenReadOnly opens a database that takes no writes, if it may, and none
// whose schema is old.
func TestOpenReadOnly(t *testing.T) {
	replica := options(testkit.NewPostgres(t, testkit.Unsound) + " default_transaction_read_only=on")
	if _, err := tryOpen(t.Context(), replica, nil); err == nil || !strings.Contains(err.Error(), "the database is read-only") {
		t.Errorf("a replica: %v", err)
	}
	replica.ReadOnly = true
	store, err := tryOpen(t.Context(), replica, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if blocks, err := store.Blocks(t.Context(), nil, 10); err != nil || len(blocks) != 0 {
		t.Errorf("a replica has %v: %v", blocks, err)
	}
	if err := store.AddChecksum(t.Context(), storedBlock(t, "Acme", 3)); err == nil {
		t.Error("written to a replica")
	}
	blank := options(testkit.NewBlankPostgres(t))
	blank.ReadOnly = true
	if _, err := tryOpen(t.Context(), blank, nil); err == nil || !strings.Contains(err.Error(), "run `parsec backend migrate`") {
		t.Errorf("without schema: %v", err)
	}
}
