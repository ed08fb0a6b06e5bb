package blockstore_test

import (
	"testing"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/blockstoretest"
	"parsec-server/pkg/parsec2/rules"
)

func TestMemory(t *testing.T) {
	blockstoretest.Exercise(t, func(*testing.T) rules.BlockStore { return blockstore.NewMemory() })
	blockstoretest.ExerciseInventory(t, func(*testing.T) blockstore.Inventory { return blockstore.NewMemory() })
}
