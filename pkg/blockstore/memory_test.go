package blockstore_test

import (
	"testing"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/blockstoretest"
)

func TestMemory(t *testing.T) {
	blockstoretest.Exercise(t, func(*testing.T) blockstore.Store { return blockstore.NewMemory() })
	blockstoretest.ExerciseInventory(t, func(*testing.T) blockstore.Inventory { return blockstore.NewMemory() })
}
