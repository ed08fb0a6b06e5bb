package blockstore

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
)

var _ Inventory = (*Memory)(nil)

// Memory keeps blocks in the process; they are lost at exit. Its methods are
// safe for concurrent use.
type Memory struct {
	mu     sync.RWMutex
	blocks map[key]remembered
}

// remembered is a block, whose bytes never change.
type remembered struct {
	block []byte
	since time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{blocks: map[key]remembered{}} }

// Read implements Store.
func (m *Memory) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.RLock()
	stored, found := m.blocks[key{organization, id}]
	m.mu.RUnlock()
	if !found {
		return ErrNotFound
	}
	return fill(into, checksum, stored.block)
}

// Create stores a copy of block.
func (m *Memory) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stored := remembered{bytes.Clone(block), time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocks[key{organization, id}] = stored
	return nil
}

// List implements Inventory.
func (m *Memory) List(ctx context.Context, prefix, after string) ([]Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var objects []Object
	for k, stored := range m.blocks {
		if name := k.objectName(); strings.HasPrefix(name, prefix) && name > after {
			objects = append(objects, Object{name, int64(len(stored.block)), stored.since})
		}
	}
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return objects[:min(len(objects), listedAtOnce)], nil
}

// Delete implements Inventory.
func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, isBlock := parseObjectName(name); isBlock && name == k.objectName() {
		delete(m.blocks, k)
	}
	return nil
}

// Unfailing implements Unfailing: what is written goes with the process or stays.
func (m *Memory) Unfailing() bool { return true }

// Ready implements Store: memory always is.
func (m *Memory) Ready(context.Context) error { return nil }

// String names the store in logs.
func (m *Memory) String() string { return "memory" }
