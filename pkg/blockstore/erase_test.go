package blockstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// deletions is a store that keeps the names that it is to delete.
type deletions struct {
	*blockstore.Memory
	mu    sync.Mutex
	names []string
	err   error
}

func (d *deletions) Delete(ctx context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = append(d.names, name)
	if d.err != nil {
		return d.err
	}
	return d.Memory.Delete(ctx, name)
}

// TestErase has a block be gone from every node that has some of it, and from no other.
func TestErase(t *testing.T) {
	organization := newOrganization(t, "Erase_")
	for level, nodes := range map[int]int{0: 3, 1: 2, 5: 3} {
		stores, deleted := make([]blockstore.Store, nodes), make([]*deletions, nodes)
		for i := range stores {
			deleted[i] = &deletions{Memory: blockstore.NewMemory()}
			stores[i] = deleted[i]
		}
		array := openArray(t, level, stores)
		count := func() (objects int) {
			for _, node := range array.Nodes() {
				list, err := node.List(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				objects += len(list)
			}
			return objects
		}
		erased, kept := newBlockID(), newBlockID()
		var raid blockstore.Store = blockstore.NewRAID0(stores)
		if level != 0 {
			opened := openRAID(t, level, stores, false, nil)
			t.Cleanup(opened.Close)
			raid = opened
		}
		for _, block := range []parsec.BlockID{erased, kept} {
			if err := raid.Create(t.Context(), organization, block, content(100, 1)); err != nil {
				t.Fatal(err)
			}
		}
		pieces := count() / 2
		for range 2 { // The second time there is nothing.
			if err := array.Erase(t.Context(), organization, erased, true); err != nil {
				t.Errorf("level %d: %v", level, err)
			}
		}
		if got := count(); got != pieces {
			t.Errorf("level %d: %d objects are left, want %d", level, got, pieces)
		}
		if err := raid.Read(t.Context(), organization, kept, nil, make([]byte, 100)); err != nil {
			t.Errorf("level %d, another block: %v", level, err)
		}
		prefix := organization.String() + "/"
		want := []string{prefix + erased.String(), prefix + strings.ReplaceAll(erased.String(), "-", "")}
		var names []string
		for _, node := range deleted {
			names = append(names, node.names...)
			node.err = errors.New("down")
		}
		slices.Sort(names)
		if got := slices.Compact(names); !slices.Equal(slices.Sorted(slices.Values(want)), got) {
			t.Errorf("level %d: deleted %q, want %q", level, got, want)
		}
		if err := array.Erase(t.Context(), organization, kept, false); err == nil || !strings.Contains(err.Error(), "node ") {
			t.Errorf("level %d, nodes that are down: %v", level, err)
		}
	}
}
