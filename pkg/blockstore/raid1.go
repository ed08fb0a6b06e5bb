package blockstore

import (
	"context"
	"fmt"

	"parsec-server/pkg/parsec"
)

var _ Store = (*RAID1)(nil)

// RAID1 keeps each block on every node (docs/protocol/blockstore.md §4). Reads
// need one node, and repair the copies that they find missing or damaged.
type RAID1 struct {
	*raid
}

// NewRAID1 copies blocks to at least one store. Close ends it.
func NewRAID1(stores []Store, options RAIDOptions) *RAID1 {
	return &RAID1{newRAID(stores, options)}
}

// String names the store in logs.
func (r *RAID1) String() string { return fmt.Sprintf("RAID1 of %d nodes", len(r.nodes)) }

// Read implements Store. Which node is asked first depends on the
// block, so that nodes share the reads.
func (r *RAID1) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	k := key{organization, id}
	first := remainder(id, len(r.nodes))
	order := append(append(make([]*node, 0, len(r.nodes)), r.nodes[first:]...), r.nodes[:first]...)
	others := make([][]byte, len(r.nodes)) // The copies of all but the first.
	answers := r.gather(ctx, k, checksum, order, 1, func(n *node) [][]byte {
		if n == order[0] {
			return into
		}
		others[n.index] = make([]byte, lengthOf(into))
		return [][]byte{others[n.index]}
	})
	for _, n := range order {
		if !answers[n.index].given() {
			continue
		}
		if n != order[0] {
			spread(into, others[n.index])
		}
		r.repair(k, answers, func(int) []byte { return joined(into) })
		return nil
	}
	return r.readFailure(ctx, answers)
}

// Create implements Store.
func (r *RAID1) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	pieces := make([][]byte, len(r.nodes))
	for i := range pieces {
		pieces[i] = block
	}
	return r.create(ctx, key{organization, id}, pieces)
}

// Ready implements Store: blocks can be read.
func (r *RAID1) Ready(ctx context.Context) error { return ready(ctx, r.nodes, len(r.nodes)-1) }
