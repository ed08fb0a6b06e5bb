package blockstore

import (
	"context"
	"fmt"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
)

// minRAID5Nodes is two chunks and their parity.
const minRAID5Nodes = 3

var _ backend.BlockStore = (*RAID5)(nil)

// RAID5 cuts each block into chunks, one for each node but the last, which
// keeps their parity (docs/protocol/blockstore.md §4). Reads can do without any
// one node, and repair the chunks that they find missing or wrong.
type RAID5 struct {
	*raid
}

// NewRAID5 spreads blocks over at least three stores, whose number and order
// never change. Close ends it.
func NewRAID5(stores []backend.BlockStore, options RAIDOptions) (*RAID5, error) {
	if len(stores) < minRAID5Nodes {
		return nil, fmt.Errorf("RAID5 block store needs at least %d nodes", minRAID5Nodes)
	}
	return &RAID5{newRAID(stores, options)}, nil
}

// String names the store in logs.
func (r *RAID5) String() string { return fmt.Sprintf("RAID5 of %d nodes", len(r.nodes)) }

// Read implements backend.BlockStore.
func (r *RAID5) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID) ([]byte, error) {
	k := key{organization, id}
	answers := r.gather(ctx, k, r.nodes, len(r.nodes)-1)
	chunks, lost := r.chunksOf(answers)
	if lost < 0 {
		return nil, r.readFailure(ctx, answers)
	}
	block, err := decodeChunks(chunks, lost)
	if err == nil {
		r.repair(k, answers, block)
		return block, nil
	}
	if !answers[lost].ended {
		data, err := r.nodes[lost].read(ctx, k)
		answers[lost] = answer{ended: true, data: data, err: err}
	}
	if failure := answers[lost].err; failure != nil {
		// Not wrapped: one node's word is not that of all.
		return nil, withCause(ctx, fmt.Errorf("%w, and %s: %v", err, r.nodes[lost], failure)) //nolint:errorlint // See above.
	}
	chunks[lost] = answers[lost].data
	block, wrong, err := findWrongChunk(chunks)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	answers[wrong].err = fmt.Errorf("%w: it does not fit the others", errDamaged)
	r.repair(k, answers, block)
	return block, nil
}

// chunksOf gives the chunks with the one that is lost, or -1 if several are.
func (r *RAID5) chunksOf(answers []answer) (chunks [][]byte, lost int) {
	chunks = make([][]byte, len(answers))
	losses := 0
	for i, a := range answers {
		if a.given() {
			chunks[i] = a.data
		} else {
			lost = i
			losses++
		}
	}
	if losses != 1 {
		return nil, -1
	}
	return chunks, lost
}

func (r *RAID5) repair(k key, answers []answer, block []byte) {
	for i, a := range answers {
		if a.needsRepair() {
			r.repairs.add(r.nodes[i], k, encodeChunks(block, len(r.nodes))[i])
		}
	}
}

// Create implements backend.BlockStore.
func (r *RAID5) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	e := encoders.Get().(*encoder)
	defer e.free() // No node reads its chunk any more.
	return r.create(ctx, key{organization, id}, e.encode(block, len(r.nodes)))
}

// Ready implements backend.BlockStore: blocks can be read.
func (r *RAID5) Ready(ctx context.Context) error { return ready(ctx, r.nodes, 1) }
