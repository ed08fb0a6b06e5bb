package blockstore_test

import (
	"testing"

	"parsec-server/pkg/blockstore"
)

func TestMemory(t *testing.T) {
	exerciseStore(t, func(*testing.T) blockstore.Store { return blockstore.NewMemory() })
	exerciseInventory(t, func(*testing.T) blockstore.Inventory { return blockstore.NewMemory() })
}
