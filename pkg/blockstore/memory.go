package blockstore

import (
	"bytes"
	"context"
	"sync"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
)

var _ backend.BlockStore = (*Memory)(nil)

// Memory keeps blocks in the process; they are lost at exit. Its methods are
// safe for concurrent use.
type Memory struct {
	mu     sync.RWMutex
	blocks map[key][]byte
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{blocks: map[key][]byte{}} }

// Read returns the stored bytes, which the caller must not change, or
// backend.ErrBlockNotFound.
func (m *Memory) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	block, found := m.blocks[key{organization, id}]
	if !found {
		return nil, backend.ErrBlockNotFound
	}
	return block, nil
}

// Create stores a copy of block.
func (m *Memory) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stored := bytes.Clone(block)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocks[key{organization, id}] = stored
	return nil
}

// Ready implements backend.BlockStore: memory always is.
func (m *Memory) Ready(context.Context) error { return nil }

// String names the store in logs.
func (m *Memory) String() string { return "memory" }
