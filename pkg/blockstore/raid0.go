package blockstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/bits"

	"parsec-server/pkg/parsec"
)

var _ Store = (*RAID0)(nil)

// RAID0 keeps each block on one node, chosen by its id
// (docs/protocol/blockstore.md §4). It adds room, and no safety: a lost node
// loses its blocks.
type RAID0 struct {
	nodes []*node
}

// NewRAID0 spreads blocks over at least one store, whose number and order
// never change.
func NewRAID0(stores []Store) *RAID0 {
	return &RAID0{nodes: newNodes(stores, slog.New(slog.DiscardHandler))}
}

// String names the store in logs.
func (r *RAID0) String() string { return fmt.Sprintf("RAID0 of %d nodes", len(r.nodes)) }

// Read implements Store.
func (r *RAID0) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	n := r.nodes[remainder(id, len(r.nodes))]
	if err := n.store.Read(ctx, organization, id, checksum, into...); err != nil {
		return fmt.Errorf("%s: %w", n, err)
	}
	return nil
}

// Create implements Store.
func (r *RAID0) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	n := r.nodes[remainder(id, len(r.nodes))]
	if err := n.store.Create(ctx, organization, id, block); err != nil {
		return fmt.Errorf("%s: %w", n, err)
	}
	return nil
}

// Ready implements Store: every node is ready.
func (r *RAID0) Ready(ctx context.Context) error { return ready(ctx, r.nodes, 0) }

// Init implements Initializer.
func (r *RAID0) Init(ctx context.Context) error { return initNodes(ctx, r.nodes) }

// remainder divides the id, as a big-endian unsigned number of 128 bits, by n.
func remainder(id parsec.BlockID, n int) int {
	high := binary.BigEndian.Uint64(id[:8]) % uint64(n)
	return int(bits.Rem64(high, binary.BigEndian.Uint64(id[8:]), uint64(n)))
}
