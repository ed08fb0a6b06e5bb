//go:build !without_postgresql

package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/postgres"
	"parsec-server/pkg/parsec2/rules"
)

func openPool(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := database.NewPool(database.Source{DSN: dsn}, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func openBlockIndex(t testing.TB, dsn string) *postgres.BlockIndex {
	t.Helper()
	index, err := postgres.NewBlockIndex(t.Context(), openPool(t, dsn))
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func storedBlock(t testing.TB, organization string, size int64) blockstore.Block {
	t.Helper()
	id, err := parsec.ParseOrganizationID(organization)
	if err != nil {
		t.Fatal(err)
	}
	return blockstore.Block{Organization: id, ID: parsec.BlockID(parsec.NewUUID()), Size: size}
}

// However large the pages, they give each block once, organization by
// organization, and no upload.
func TestBlockIndexPages(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	index := openBlockIndex(t, dsn)
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

// A block that is held can neither be held again nor be uploaded, and is not
// known; one that is known cannot be held.
func TestBlockIndexHolds(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	store, index := testkit.OpenPostgres(t, dsn, newBus(t)), openBlockIndex(t, dsn)
	known, stray, foreign := storedBlock(t, "Acme", 1), storedBlock(t, "Acme", 1), storedBlock(t, "Elsewhere", 1)
	testkit.InsertBlocks(t, dsn, known)
	wantStray := func(want bool) {
		t.Helper()
		strays, foreigns, err := index.StrayBlocks(t.Context(), []blockstore.Block{stray, known, foreign})
		if err != nil || !slices.Equal(strays, []bool{want, false, false}) || !slices.Equal(foreigns, []bool{false, false, true}) {
			t.Errorf("stray %v, foreign %v: %v", strays, foreigns, err)
		}
	}
	now := parsec.DateTimeOf(time.Now())
	upload := func(block blockstore.Block) rules.BlockUpload {
		return rules.BlockUpload{ID: block.ID, Token: parsec.NewUUID(), Until: now.Add(time.Minute)}
	}
	wantHold := func(block blockstore.Block, upload rules.BlockUpload, want bool) {
		t.Helper()
		if held, err := index.HoldBlock(t.Context(), block, upload.Token, upload.Until); err != nil || held != want {
			t.Errorf("held %t, want %t (%v)", held, want, err)
		}
	}
	user, err := parsec.ParseUserID("alice")
	if err != nil {
		t.Fatal(err)
	}
	client := upload(stray)
	wantReserved := func(want bool) {
		t.Helper()
		facts, err := store.ReserveBlock(t.Context(), stray.Organization, user, parsec.RealmID{}, client, now)
		if err != nil || facts.Reserved != want || facts.Exists {
			t.Errorf("a client's reservation: %+v, want %t (%v)", facts, want, err)
		}
	}
	free := func(upload rules.BlockUpload) {
		t.Helper()
		if err := index.FreeBlock(t.Context(), stray, upload.Token); err != nil {
			t.Error(err)
		}
	}
	wantStray(true)
	first := upload(stray)
	wantHold(stray, first, true)
	wantHold(stray, upload(stray), false)
	wantHold(known, upload(known), false)
	wantHold(foreign, upload(foreign), false)
	wantStray(false)
	wantReserved(false)
	free(upload(stray)) // Of nobody.
	wantReserved(false)
	free(first)
	wantStray(true)
	wantReserved(true)
	wantStray(false)
	wantHold(stray, upload(stray), false)
}

// A checksum that is added is listed, and replaces none; one that no row of the
// database may have is an error.
func TestBlockIndexAddsChecksums(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	index := openBlockIndex(t, dsn)
	block, other, unknown := storedBlock(t, "Acme", 3), storedBlock(t, "Acme", 3), storedBlock(t, "Acme", 3)
	testkit.InsertBlocks(t, dsn, block, other)
	first, second := blockstore.ChecksumOf([]byte("abc")), blockstore.ChecksumOf([]byte("abd"))
	for _, checksum := range []*blockstore.Checksum{first, second} {
		block.Checksum, unknown.Checksum = checksum, checksum
		for _, one := range []blockstore.Block{block, unknown} {
			if err := index.AddChecksum(t.Context(), one); err != nil {
				t.Fatal(err)
			}
		}
		listed, err := index.Blocks(t.Context(), nil, 10)
		if err != nil || len(listed) != 2 {
			t.Fatalf("listed %v: %v", listed, err)
		}
		for _, one := range listed {
			if one.ID == block.ID && (one.Checksum == nil || *one.Checksum != *first) || one.ID == other.ID && one.Checksum != nil {
				t.Errorf("checksum of %s: %v", one.ID, one.Checksum)
			}
		}
	}
	testkit.Execute(t, dsn, "UPDATE block SET checksum = '\\x01'")
	if _, err := index.Blocks(t.Context(), nil, 10); err == nil || !strings.Contains(err.Error(), "a checksum of 1 bytes in the database") {
		t.Errorf("a checksum that is none: %v", err)
	}
}

func TestBlockIndexWantsTheSchema(t *testing.T) {
	pool := openPool(t, testkit.NewBlankPostgres(t))
	if _, err := postgres.NewBlockIndex(t.Context(), pool); err == nil || !strings.Contains(err.Error(), "run `parsec backend migrate`") {
		t.Errorf("without schema: %v", err)
	}
}
