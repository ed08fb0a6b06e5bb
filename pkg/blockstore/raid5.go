package blockstore

import (
	"context"
	"fmt"

	"parsec-server/pkg/parsec"
)

// minRAID5Nodes is two chunks and their parity.
const minRAID5Nodes = 3

var _ Store = (*RAID5)(nil)

// RAID5 cuts each block into chunks, one for each node but the last, which
// keeps their parity (docs/protocol/blockstore.md §4). Reads can do without any
// one node, and repair the chunks that they find missing or wrong.
type RAID5 struct {
	*raid
}

// NewRAID5 spreads blocks over at least three stores, whose number and order
// never change. Close ends it.
func NewRAID5(stores []Store, options RAIDOptions) (*RAID5, error) {
	if len(stores) < minRAID5Nodes {
		return nil, fmt.Errorf("RAID5 block store needs at least %d nodes", minRAID5Nodes)
	}
	return &RAID5{newRAID(stores, options)}, nil
}

// String names the store in logs.
func (r *RAID5) String() string { return fmt.Sprintf("RAID5 of %d nodes", len(r.nodes)) }

// Read implements Store. Chunks are read to where they are in the
// block.
func (r *RAID5) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	k := key{organization, id}
	row := newChunkRow(into, len(r.nodes))
	answers := r.gather(ctx, k, nil, r.nodes, len(r.nodes)-1, func(n *node) [][]byte { return row.chunk(n.index) })
	lost := onlyLoss(answers)
	if lost < 0 {
		return r.readFailure(ctx, answers)
	}
	row.rebuild(lost)
	if row.fits() && hasChecksum(into, checksum) {
		r.repairChunks(k, answers, into)
		return nil
	}
	damage := fmt.Errorf("%s: %w", r, errInconsistent)
	if !answers[lost].ended {
		answers[lost] = answer{ended: true, err: r.nodes[lost].read(ctx, k, nil, row.chunk(lost))}
	}
	if failure := answers[lost].err; failure != nil {
		// Not wrapped: one node's word is not that of all.
		return withCause(ctx, fmt.Errorf("%w, and %s: %v", damage, r.nodes[lost], failure)) //nolint:errorlint // See above.
	}
	block, wrong, found := findWrongChunk(row.all(), lengthOf(into), checksum)
	if !found {
		return damage
	}
	answers[wrong].err = fmt.Errorf("%w: it does not fit the others", errDamaged)
	spread(into, block)
	r.repairChunks(k, answers, into)
	return nil
}

// onlyLoss returns the node whose chunk is not there, or -1 if several are not.
func onlyLoss(answers []answer) int {
	lost := -1
	for i, a := range answers {
		if a.given() {
			continue
		}
		if lost >= 0 {
			return -1
		}
		lost = i
	}
	return lost
}

func (r *RAID5) repairChunks(k key, answers []answer, block [][]byte) {
	r.repair(k, answers, func(node int) []byte { return encodeChunks(joined(block), len(r.nodes))[node] })
}

// Create implements Store.
func (r *RAID5) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	e := encoders.Get().(*encoder)
	defer e.free() // No node reads its chunk any more.
	return r.create(ctx, key{organization, id}, e.encode(block, len(r.nodes)))
}

// Ready implements Store: blocks can be read.
func (r *RAID5) Ready(ctx context.Context) error { return ready(ctx, r.nodes, 1) }
