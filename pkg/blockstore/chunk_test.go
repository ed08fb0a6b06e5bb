package blockstore

import (
	"bytes"
	"log/slog"
	"slices"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
)

type raid5Vector struct {
	Nodes     int      `json:"nodes"`
	Size      int      `json:"size"`
	Block     []byte   `json:"block"`
	ChunkSize int      `json:"chunk_size"`
	Chunks    [][]byte `json:"chunks"`
	Parity    []byte   `json:"parity"`
}

func (v raid5Vector) all() [][]byte { return append(slices.Clone(v.Chunks), v.Parity) }

func raid5Vectors(t testing.TB) []raid5Vector {
	t.Helper()
	file := vectors.Load[struct {
		Vectors []raid5Vector `json:"vectors"`
		Special []raid5Vector `json:"special"`
	}](t, "raid5.json")
	if len(file.Vectors) != 327 || len(file.Special) != 12 {
		t.Fatalf("%d and %d vectors, want 327 and 12", len(file.Vectors), len(file.Special))
	}
	return append(file.Vectors, file.Special...)
}

func TestChunksOfTheVectors(t *testing.T) {
	var e encoder // One for all: what it has encoded before must not show.
	for _, vector := range raid5Vectors(t) {
		chunks := e.encode(vector.Block, vector.Nodes)
		if !slices.EqualFunc(chunks, vector.all(), bytes.Equal) {
			t.Fatalf("%d bytes on %d nodes: other chunks than those of the vector", vector.Size, vector.Nodes)
		}
		for lost := range vector.Nodes {
			left := vector.all()
			left[lost] = nil
			block, err := decodeChunks(left, lost)
			if err != nil || !bytes.Equal(block, vector.Block) {
				t.Errorf("%d bytes on %d nodes without chunk %d: %v, or other bytes", vector.Size, vector.Nodes, lost, err)
			}
		}
	}
}

// Blocks are read in place from the chunks of the vectors, each lost in turn.
func TestReadsOfTheVectors(t *testing.T) {
	organization, err := parsec.ParseOrganizationID("CoolOrg")
	if err != nil {
		t.Fatal(err)
	}
	for _, vector := range raid5Vectors(t) {
		for lost := -1; lost < vector.Nodes; lost++ {
			stores := make([]Store, vector.Nodes)
			for i, chunk := range vector.all() {
				stores[i] = NewMemory()
				if i == lost {
					continue
				}
				if err := stores[i].Create(t.Context(), organization, parsec.BlockID{}, chunk); err != nil {
					t.Fatal(err)
				}
			}
			raid, err := NewRAID5(stores, RAIDOptions{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			block := bytes.Repeat([]byte{0xa5}, vector.Size)
			err = raid.Read(t.Context(), organization, parsec.BlockID{}, nil, block[:vector.Size/3], block[vector.Size/3:])
			raid.Close()
			if err != nil || !bytes.Equal(block, vector.Block) {
				t.Errorf("%d bytes on %d nodes without chunk %d: %v, or other bytes", vector.Size, vector.Nodes, lost, err)
			}
		}
	}
}

// A wrong chunk that shows by its length, by the length in it or by padding is
// found, and never taken for right.
func TestWrongChunks(t *testing.T) {
	for _, vector := range raid5Vectors(t) {
		for wrong := range vector.Nodes {
			for name, damaged := range map[string][]byte{
				"short": vector.all()[wrong][1:],
				"long":  append(slices.Clone(vector.all()[wrong]), 0),
				"empty": {},
			} {
				chunks := vector.all()
				chunks[wrong] = damaged
				for lost := range vector.Nodes {
					if block, err := decodeChunks(chunks, lost); lost != wrong && err == nil {
						t.Fatalf("%d bytes on %d nodes, chunk %d %s, without %d: %d bytes and no error", vector.Size, vector.Nodes, wrong, name, lost, len(block))
					}
				}
				block, index, found := findWrongChunk(chunks, vector.Size, nil)
				if !found || index != wrong || !bytes.Equal(block, vector.Block) {
					t.Fatalf("%d bytes on %d nodes, chunk %d %s: found %t, %d", vector.Size, vector.Nodes, wrong, name, found, index)
				}
			}
		}
	}
}

func TestWrongContents(t *testing.T) {
	block := []byte("a block of 34 bytes, with padding.")
	good := encodeChunks(block, 5)
	for name, test := range map[string]struct {
		wrong int
		harm  func(chunks [][]byte)
	}{
		"too long a length":            {0, func(chunks [][]byte) { chunks[0][0] = 0x80 }},
		"a length too long by one row": {0, func(chunks [][]byte) { chunks[0][3] += 4 }},
		"a length too short":           {0, func(chunks [][]byte) { chunks[0][3] -= 4 }},
		"padding":                      {3, func(chunks [][]byte) { chunks[3][len(chunks[3])-1] = 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			chunks := make([][]byte, len(good))
			for i := range good {
				chunks[i] = bytes.Clone(good[i])
			}
			test.harm(chunks)
			if _, err := decodeChunks(chunks, len(chunks)-1); err == nil {
				t.Error("decoded without error")
			}
			right, wrong, found := findWrongChunk(chunks, len(block), nil)
			if !found || wrong != test.wrong || !bytes.Equal(right, block) {
				t.Errorf("found %t, %d, want %d", found, wrong, test.wrong)
			}
		})
	}
	short := encodeChunks(make([]byte, 100), 5)
	short[0][3] -= 20
	if _, err := decodeChunks(short, 4); err == nil {
		t.Error("decoded chunks that are too long for their block")
	}
	if _, _, found := findWrongChunk(good, len(block), nil); found {
		t.Error("found a wrong chunk where none is, or several may be")
	}
	if _, _, found := findWrongChunk([][]byte{{1}, {2, 3}, {4, 5, 6}}, 2, nil); found {
		t.Error("found one wrong chunk among three that differ")
	}
}

func FuzzDecodeChunks(f *testing.F) {
	for _, vector := range raid5Vectors(f) {
		f.Add(slices.Concat(vector.all()...), uint8(vector.Nodes), uint8(vector.Size%vector.Nodes))
	}
	f.Fuzz(func(t *testing.T, stored []byte, nodes, lost uint8) {
		if nodes < minRAID5Nodes || lost >= nodes {
			return
		}
		size := len(stored) / int(nodes)
		chunks := make([][]byte, nodes)
		for i := range chunks {
			chunks[i] = stored[i*size : (i+1)*size]
		}
		block, err := decodeChunks(chunks, int(lost))
		if err != nil {
			return
		}
		for i, chunk := range encodeChunks(block, int(nodes)) {
			if i != int(lost) && !bytes.Equal(chunk, chunks[i]) {
				t.Fatalf("chunk %d of %d is another once encoded again", i, nodes)
			}
		}
	})
}
