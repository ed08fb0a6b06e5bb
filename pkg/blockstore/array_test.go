package blockstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

func openArray(t testing.TB, level int, stores []blockstore.Store) *blockstore.Array {
	t.Helper()
	array, err := blockstore.NewArray(level, stores)
	if err != nil {
		t.Fatal(err)
	}
	return array
}

func writeThrough(t testing.TB, level int, stores []blockstore.Store, id parsec.BlockID, block []byte) {
	t.Helper()
	if level == 0 {
		mustCreate(t, blockstore.NewRAID0(stores), id, block)
		return
	}
	raid := openRAID(t, level, stores, false, nil)
	defer raid.Close()
	mustCreate(t, raid, id, block)
}

// describe puts a diagnosis in words.
func describe(d blockstore.Diagnosis) string {
	var words []string
	for _, piece := range d.Pieces {
		word := fmt.Sprintf("%d %s", piece.Node, piece.Fault)
		if piece.CanMend() {
			word += " mendable"
		}
		words = append(words, word)
	}
	if d.Lost {
		words = append(words, "lost")
	}
	if d.Unclear {
		words = append(words, "unclear")
	}
	return strings.Join(words, ", ")
}

// What has happened to nodes, what is found, and what is left once all is
// mended that can be.
func TestExamine(t *testing.T) {
	block := blockOf(1000)
	const missing, short, other, silent, corrupt = "missing", "short", "other", "silent", "corrupt"
	for _, test := range []struct {
		level, nodes int
		damage       map[int]string
		want, after  string
	}{
		{0, 1, nil, "", ""},
		{0, 1, map[int]string{0: missing}, "0 missing, lost", "0 missing, lost"},
		{0, 1, map[int]string{0: short}, "0 wrong, lost", "0 wrong, lost"},
		{0, 1, map[int]string{0: silent}, "0 unreadable", ""},
		{1, 3, nil, "", ""},
		{1, 3, map[int]string{1: missing}, "1 missing mendable", ""},
		{1, 3, map[int]string{0: missing, 2: short}, "0 missing mendable, 2 wrong mendable", ""},
		{1, 3, map[int]string{0: corrupt, 2: silent}, "0 wrong mendable, 2 unreadable", ""},
		{1, 3, map[int]string{1: other}, "1 wrong mendable", ""},
		{1, 2, map[int]string{1: other}, "unclear", "unclear"},
		{1, 3, map[int]string{0: missing, 1: other}, "0 missing, unclear", "0 missing, unclear"},
		{1, 3, map[int]string{0: missing, 1: missing, 2: missing}, "0 missing, 1 missing, 2 missing, lost", "0 missing, 1 missing, 2 missing, lost"},
		{1, 3, map[int]string{0: missing, 1: missing, 2: silent}, "0 missing, 1 missing, 2 unreadable", "0 missing mendable, 1 missing mendable"},
		{5, 3, nil, "", ""},
		{5, 3, map[int]string{0: missing}, "0 missing mendable", ""},
		{5, 3, map[int]string{1: short}, "1 wrong mendable", ""},
		{5, 3, map[int]string{2: missing}, "2 missing mendable", ""},
		{5, 3, map[int]string{2: corrupt}, "2 wrong mendable", ""},
		{5, 3, map[int]string{1: silent}, "1 unreadable", ""},
		{5, 3, map[int]string{0: missing, 2: missing}, "0 missing, 2 missing, lost", "0 missing, 2 missing, lost"},
		{5, 3, map[int]string{0: missing, 2: silent}, "0 missing, 2 unreadable", "0 missing mendable"},
		// The length of the block stands in the first chunk.
		{5, 4, map[int]string{0: other}, "0 wrong mendable", ""},
		// The others contradict the parity, and nothing says who is right.
		{5, 4, map[int]string{1: "a bit"}, "unclear", "unclear"},
		{5, 4, map[int]string{3: "a bit"}, "unclear", "unclear"},
		{5, 4, map[int]string{1: missing, 0: other}, "1 missing, unclear", "1 missing, unclear"},
	} {
		t.Run(fmt.Sprintf("RAID%d of %d %v", test.level, test.nodes, test.damage), func(t *testing.T) {
			exerciseExamination(t, test.level, test.nodes, test.damage, block, nil, test.want, test.after)
		})
	}
}

// What the checksum of a block shows where nothing else does.
func TestExamineByChecksum(t *testing.T) {
	block := blockOf(1000)
	const missing, other, silent = "missing", "other", "silent"
	for _, test := range []struct {
		level, nodes int
		damage       map[int]string
		want, after  string
	}{
		{0, 1, nil, "", ""},
		{0, 1, map[int]string{0: other}, "0 wrong, lost", "0 wrong, lost"},
		{1, 2, nil, "", ""},
		{1, 2, map[int]string{1: other}, "1 wrong mendable", ""},
		{1, 3, map[int]string{0: missing, 1: other}, "0 missing mendable, 1 wrong mendable", ""},
		{1, 3, map[int]string{0: other, 1: other}, "0 wrong mendable, 1 wrong mendable", ""},
		{1, 3, map[int]string{0: other, 1: other, 2: silent}, "0 wrong, 1 wrong, 2 unreadable", "0 wrong mendable, 1 wrong mendable"},
		{1, 2, map[int]string{0: other, 1: other}, "0 wrong, 1 wrong, lost", "0 wrong, 1 wrong, lost"},
		{5, 3, nil, "", ""},
		{5, 3, map[int]string{0: "a bit"}, "0 wrong mendable", ""},
		{5, 3, map[int]string{1: "a bit"}, "1 wrong mendable", ""},
		{5, 3, map[int]string{2: "a bit"}, "2 wrong mendable", ""},
		{5, 4, map[int]string{1: "a bit"}, "1 wrong mendable", ""},
		{5, 4, map[int]string{3: "a bit"}, "3 wrong mendable", ""},
		{5, 5, map[int]string{2: other}, "2 wrong mendable", ""},
		{5, 5, map[int]string{1: "a bit", 2: other}, "lost", "lost"},
		{5, 4, map[int]string{1: missing, 2: "a bit"}, "1 missing, lost", "1 missing, lost"},
		{5, 4, map[int]string{1: silent, 2: "a bit"}, "1 unreadable, unclear", "2 wrong mendable"},
	} {
		t.Run(fmt.Sprintf("RAID%d of %d %v", test.level, test.nodes, test.damage), func(t *testing.T) {
			exerciseExamination(t, test.level, test.nodes, test.damage, block, blockstore.ChecksumOf(block), test.want, test.after)
		})
	}
}

// exerciseExamination damages a block, and wants what is found, and what is
// left once all is mended that can be.
func exerciseExamination(t *testing.T, level, count int, damage map[int]string, block []byte, checksum *blockstore.Checksum, want, after string) {
	t.Helper()
	nodes, stores := newFakeNodes(count)
	array := openArray(t, level, stores)
	id := newBlockID()
	writeThrough(t, level, stores, id, block)
	for i, damage := range damage {
		spoil(t, nodes[i], id, damage)
	}
	stored := blockstore.Block{Organization: organization(t), ID: id, Size: int64(len(block)), Checksum: checksum}
	diagnosis := array.Examine(t.Context(), stored)
	if got := describe(diagnosis); got != want {
		t.Fatalf("found %q, want %q", got, want)
	}
	for _, piece := range diagnosis.Pieces {
		nodes[piece.Node].set(nil, nil)
		if piece.CanMend() {
			if err := array.Mend(t.Context(), stored, piece); err != nil {
				t.Error(err)
			}
		}
	}
	diagnosis = array.Examine(t.Context(), stored)
	if got := describe(diagnosis); got != after {
		t.Fatalf("once mended found %q, want %q", got, after)
	}
	if diagnosis.Well() {
		wantPieces(t, nodes, level, id, block)
		if *diagnosis.Checksum() != *blockstore.ChecksumOf(block) {
			t.Error("another checksum")
		}
	}
}

// spoil does something to a node's copy or chunk.
func spoil(t *testing.T, node *fakeNode, id parsec.BlockID, damage string) {
	t.Helper()
	piece, err := testkit.StoredBlock(t.Context(), node.Memory, organization(t), id)
	if err != nil {
		t.Fatal(err)
	}
	switch damage {
	case "missing":
		err = node.Delete(t.Context(), organization(t).String()+"/"+id.String())
	case "short":
		err = node.Memory.Create(t.Context(), organization(t), id, piece[1:])
	case "other":
		for i := range piece {
			piece[i] ^= 0x55
		}
		err = node.Memory.Create(t.Context(), organization(t), id, piece)
	case "a bit":
		piece[len(piece)/2] ^= 1
		err = node.Memory.Create(t.Context(), organization(t), id, piece)
	case "silent":
		node.set(broken, nil)
	case "corrupt":
		node.set(damaged, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantPieces wants what a RAID writes afresh.
func wantPieces(t *testing.T, nodes []*fakeNode, level int, id parsec.BlockID, block []byte) {
	t.Helper()
	fresh, stores := newFakeNodes(len(nodes))
	writeThrough(t, level, stores, id, block)
	for i, node := range fresh {
		want, err := testkit.StoredBlock(t.Context(), node.Memory, organization(t), id)
		if errors.Is(err, blockstore.ErrNotFound) {
			continue
		}
		got, err := testkit.StoredBlock(t.Context(), nodes[i].Memory, organization(t), id)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("node %d is not as written afresh: %v", i, err)
		}
	}
}

// Lists show what is not there, or has another length, of the blocks that are
// asked for among others.
func TestSurvey(t *testing.T) {
	for _, shape := range []struct{ level, nodes int }{{0, 1}, {0, 3}, {1, 2}, {5, 3}, {5, 4}, {5, 6}} {
		t.Run(fmt.Sprintf("RAID%d of %d", shape.level, shape.nodes), func(t *testing.T) {
			nodes, stores := newFakeNodes(shape.nodes)
			array := openArray(t, shape.level, stores)
			var blocks []blockstore.Block
			for i := range 40 {
				id := newBlockID()
				id[0] = byte(i)
				blocks = append(blocks, blockstore.Block{Organization: organization(t), ID: id, Size: int64(100 + i)})
				writeThrough(t, shape.level, stores, id, blockOf(100+i))
			}
			holder := func(id parsec.BlockID) *fakeNode {
				for _, node := range nodes {
					if _, err := testkit.StoredBlock(t.Context(), node.Memory, organization(t), id); err == nil {
						return node
					}
				}
				t.Fatal("no node holds the block")
				return nil
			}
			spoil(t, holder(blocks[7].ID), blocks[7].ID, "missing")
			spoil(t, holder(blocks[8].ID), blocks[8].ID, "short")
			asked := slices.Concat(blocks[5:20], blocks[25:30])
			presences, err := array.Survey(t.Context(), asked)
			if err != nil {
				t.Fatal(err)
			}
			for i, presence := range presences {
				want := map[int]blockstore.Presence{2: blockstore.Incomplete, 3: blockstore.Contradicted}[i]
				if presence != want {
					t.Errorf("block %d: presence %d, want %d", i, presence, want)
				}
			}
			// From the first block and the last.
			for _, asked := range [][]blockstore.Block{blocks[:3], blocks[38:], nil} {
				presences, err := array.Survey(t.Context(), asked)
				if err != nil || len(presences) != len(asked) || slices.ContainsFunc(presences, func(p blockstore.Presence) bool { return p != blockstore.Complete }) {
					t.Errorf("%d blocks: %v, %v", len(asked), presences, err)
				}
			}
		})
	}
}

// Objects that v2.7.0 and v2.8.0 named are those of blocks.
func TestSurveyOfUnhyphenatedNames(t *testing.T) {
	node := &listOf{fakeNode: newFakeNode()}
	id := newBlockID()
	prefix := organization(t).String() + "/"
	node.objects = []blockstore.Object{{Name: prefix + "not-a-block", Size: 3}, {Name: prefix + parsec.UUID(id).Hex(), Size: 10}}
	array := openArray(t, 0, []blockstore.Store{node})
	block := blockstore.Block{Organization: organization(t), ID: id, Size: 10}
	presences, err := array.Survey(t.Context(), []blockstore.Block{block})
	if err != nil || presences[0] != blockstore.Complete {
		t.Errorf("presence %v, %v", presences, err)
	}
	// The other spelling is read where there is one.
	node.objects = []blockstore.Object{{Name: prefix + id.String(), Size: 9}, {Name: prefix + parsec.UUID(id).Hex(), Size: 10}}
	presences, err = array.Survey(t.Context(), []blockstore.Block{block})
	if err != nil || presences[0] != blockstore.Contradicted {
		t.Errorf("presence %v, %v", presences, err)
	}
}

// listOf lists given objects.
type listOf struct {
	*fakeNode
	objects []blockstore.Object
}

func (l *listOf) List(_ context.Context, _, after string) ([]blockstore.Object, error) {
	if after != "" && len(l.objects) > 0 && after >= l.objects[len(l.objects)-1].Name {
		return nil, nil
	}
	return l.objects, nil
}
