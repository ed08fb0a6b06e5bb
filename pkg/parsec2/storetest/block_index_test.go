package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// blockIndex is what a store on a database knows of the blocks of every organization, for
// those who check and clean block stores beside the servers.
type blockIndex interface {
	Blocks(ctx context.Context, after *blockstore.Block, most int) ([]blockstore.Block, error)
	BlocksSize(ctx context.Context) (int64, error)
	AddChecksum(ctx context.Context, block blockstore.Block) error
	StrayBlocks(ctx context.Context, blocks []blockstore.Block) (stray, foreign []bool, err error)
	HoldBlock(ctx context.Context, block blockstore.Block, token parsec.UUID, until parsec.DateTime) (held bool, err error)
}

func (f *fixture) index() blockIndex { return f.store.(blockIndex) }

var (
	// blockPageChecks are of all organizations together: one check, on a store that is
	// empty.
	blockPageChecks  = []check{{"pages", pageBlocks}}
	blockIndexChecks = []check{
		{"hold", holdBlock},
		{"added checksum", addChecksum},
	}
)

// createBlocks has alice create blocks without checksum of some sizes, in a new
// organization, and returns them in order of their ids.
func (f *fixture) createBlocks(sizes ...uint64) []blockstore.Block {
	f.Helper()
	f.bootstrap()
	realm := f.createRealm()
	var blocks []blockstore.Block
	for _, size := range sizes {
		block := newBlock(realm, newBlockID(), size)
		block.Checksum = nil
		f.queue(onBlock(realm, block.ID), func(tx rules.Tx) { tx.CreateBlock(block) })
		blocks = append(blocks, blockstore.Block{Organization: f.organization, ID: block.ID, Size: int64(size)})
	}
	slices.SortFunc(blocks, func(a, b blockstore.Block) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return blocks
}

// unknownBlock is one of the organization that nobody has created.
func (f *fixture) unknownBlock() blockstore.Block {
	return blockstore.Block{Organization: f.organization, ID: newBlockID(), Size: 1}
}

// listBlocks reads every page of at most a number of blocks.
func (f *fixture) listBlocks(most int) (all []blockstore.Block) {
	f.Helper()
	for after := (*blockstore.Block)(nil); ; after = &all[len(all)-1] {
		page, err := f.index().Blocks(f.Context(), after, most)
		f.no(err)
		if len(page) > most {
			f.Fatalf("a page of %d blocks", len(page))
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

func (f *fixture) hold(block blockstore.Block, upload rules.BlockUpload) (held bool) {
	f.Helper()
	held, err := f.index().HoldBlock(f.Context(), block, upload.Token, upload.Until)
	f.no(err)
	return held
}

// pageBlocks has pages that hold each block once, organization by organization,
// and no upload, however large they are.
func pageBlocks(f *fixture) {
	equalList(f, "blocks of an empty store", f.listBlocks(10), nil)
	of := map[parsec.OrganizationID][]blockstore.Block{}
	for range 3 {
		f = f.another()
		of[f.organization] = f.createBlocks(0, 1<<30, 2<<30, 3<<30, 4<<30, 5<<30, 6<<30)
	}
	held := f.unknownBlock()
	equal(f, "held", f.hold(held, newUpload(held.ID, 10)), true)
	equal(f, "bytes in all", must(f.index().BlocksSize(f.Context())), 3*21<<30)
	all := f.listBlocks(100)
	var want []blockstore.Block
	for _, block := range all {
		if len(want) == 0 || want[len(want)-1].Organization != block.Organization {
			want = append(want, of[block.Organization]...)
		}
	}
	equal(f, "number of blocks", len(all), 21)
	equal(f, "blocks", all, want)
	for most := range 9 {
		equal(f, fmt.Sprintf("pages of %d", most+1), f.listBlocks(most+1), want)
	}
}

// holdBlock has a block held: it can neither be held again nor be uploaded, and
// is not known; one that is known cannot be held.
func holdBlock(f *fixture) {
	known := f.createBlocks(1)[0]
	stray, foreign := f.unknownBlock(), f.another().unknownBlock()
	wantStray := func(want bool) {
		f.Helper()
		strays, foreigns, err := f.index().StrayBlocks(f.Context(), []blockstore.Block{stray, known, foreign})
		f.no(err)
		equal(f, "stray", strays, []bool{want, false, false})
		equal(f, "foreign", foreigns, []bool{false, false, true})
	}
	upload := func(block blockstore.Block) rules.BlockUpload { return newUpload(block.ID, 60) }
	realm, client := f.createRealm(), upload(stray)
	wantReserved := func(want bool) {
		f.Helper()
		facts := f.reserve(realm, client, 5)
		equal(f, "a client's reservation", [2]bool{facts.Reserved, facts.Exists}, [2]bool{want, false})
	}
	wantStray(true)
	first := upload(stray)
	equal(f, "held", f.hold(stray, first), true)
	equal(f, "held again", f.hold(stray, upload(stray)), false)
	equal(f, "held, though known", f.hold(known, upload(known)), false)
	equal(f, "held, though foreign", f.hold(foreign, upload(foreign)), false)
	wantStray(false)
	wantReserved(false)
	f.release(upload(stray)) // Of nobody.
	wantReserved(false)
	f.release(first)
	wantStray(true)
	wantReserved(true)
	wantStray(false)
	equal(f, "held during an upload", f.hold(stray, upload(stray)), false)
	f.release(client)
	equal(f, "held until a date", f.hold(stray, newUpload(stray.ID, 5)), true)
	wantReserved(true)
}

// addChecksum has a checksum that is added listed, and replace none.
func addChecksum(f *fixture) {
	blocks := f.createBlocks(3, 3)
	first, second := blockstore.ChecksumOf([]byte("abc")), blockstore.ChecksumOf([]byte("abd"))
	for _, checksum := range []*blockstore.Checksum{first, second} {
		for _, block := range []blockstore.Block{blocks[0], f.unknownBlock(), f.another().unknownBlock()} {
			block.Checksum = checksum
			f.no(f.index().AddChecksum(f.Context(), block))
		}
		listed := slices.DeleteFunc(f.listBlocks(1000), func(block blockstore.Block) bool { return block.Organization != f.organization })
		want := slices.Clone(blocks)
		want[0].Checksum = first
		equal(f, "blocks", listed, want)
	}
}
