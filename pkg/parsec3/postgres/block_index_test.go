//go:build !without_postgresql

package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// TestBlockIndexPages has pages of any length hold each block once, in order of
// organization and id, and no upload.
func TestBlockIndexPages(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	index := open(t, dsn, 1, now)
	var all []blockstore.Block
	var size int64
	for _, name := range []string{"Zoo", "Aé"} {
		for i := range 5 {
			block := blockstore.Block{Organization: must(parsec.ParseOrganizationID(name)), ID: parsec.BlockID(parsec.NewUUID()), Size: int64(i) << 30}
			all, size = append(all, block), size+block.Size
		}
	}
	testkit.InsertParsec3Blocks(t, dsn, all...)
	slices.SortFunc(all, func(a, b blockstore.Block) int {
		return strings.Compare(a.Organization.String()+"/"+a.ID.String(), b.Organization.String()+"/"+b.ID.String())
	})
	held := blockstore.Block{Organization: all[0].Organization, ID: parsec.BlockID(parsec.NewUUID())}
	if held, err := index.HoldBlock(t.Context(), held, parsec.NewUUID(), 1); err != nil || !held {
		t.Fatalf("hold a block: %t, %v", held, err)
	}
	if got, err := index.BlocksSize(t.Context()); err != nil || got != size {
		t.Errorf("%d bytes in all, want %d (%v)", got, size, err)
	}
	for most := 1; most <= len(all)+1; most++ {
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
			t.Errorf("pages of %d: got %v, want %v", most, got, all)
		}
	}
}

// TestHoldBlock has a block held: it can neither be held again nor be uploaded, and
// is not known; one that is known, being uploaded or foreign cannot be held.
func TestHoldBlock(t *testing.T) {
	store := open(t, testkit.NewPostgres(t, testkit.Unsound), 1, now)
	populate(t, store)
	block := blockstore.Block{Organization: acme, ID: theBlock}
	foreign := blockstore.Block{Organization: must(parsec.ParseOrganizationID("Elsewhere")), ID: theBlock}
	wantStray := func(want bool) {
		t.Helper()
		stray, foreigns, err := store.StrayBlocks(t.Context(), []blockstore.Block{block, foreign})
		if err != nil || !slices.Equal(stray, []bool{want, false}) || !slices.Equal(foreigns, []bool{false, true}) {
			t.Errorf("stray %v, foreign %v, error %v", stray, foreigns, err)
		}
	}
	hold := func(block blockstore.Block, token parsec.UUID) bool {
		t.Helper()
		held, err := store.HoldBlock(t.Context(), block, token, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	release := func(token parsec.UUID) {
		t.Helper()
		if err := store.ReleaseBlock(t.Context(), acme, theBlock, token); err != nil {
			t.Fatal(err)
		}
	}
	first, client := parsec.NewUUID(), parsec.NewUUID()
	wantStray(true)
	if !hold(block, first) || hold(block, parsec.NewUUID()) || hold(foreign, parsec.NewUUID()) {
		t.Error("held otherwise than once")
	}
	wantStray(false)
	change(t, store, onBlock(), func(tx rules.Tx) {
		if exists, upload := tx.Block(); exists || upload == nil || upload.Token != first {
			t.Errorf("a client finds %v", upload)
		}
	})
	release(parsec.NewUUID()) // of nobody
	wantStray(false)
	release(first)
	wantStray(true)
	change(t, store, onBlock(), func(tx rules.Tx) { tx.ReserveBlock(rules.BlockUpload{ID: theBlock, Token: client, Until: 1000}) })
	wantStray(false)
	if hold(block, parsec.NewUUID()) {
		t.Error("held during an upload")
	}
	change(t, store, onBlock(), func(tx rules.Tx) { tx.CreateBlock(rules.Block{ID: theBlock, Author: aliceOne, Size: 3}) })
	wantStray(false)
	if hold(block, parsec.NewUUID()) {
		t.Error("held though known")
	}
	for _, text := range []string{"abc", "abd"} {
		block.Checksum = blockstore.ChecksumOf([]byte(text))
		if err := store.AddChecksum(t.Context(), block); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := store.Blocks(t.Context(), nil, 10)
	if err != nil || len(listed) != 1 || *listed[0].Checksum != *blockstore.ChecksumOf([]byte("abc")) {
		t.Errorf("listed are %v, error %v", listed, err)
	}
}
