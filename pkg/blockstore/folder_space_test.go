package blockstore

import (
	"math"
	"testing"
)

// A volume is soon full below a tenth of it, or below 10 GiB if that is less.
func TestScarce(t *testing.T) {
	for _, row := range []struct {
		free, size uint64
		want       bool
	}{
		{10 << 20, 100 << 20, false}, {10<<20 - 1, 100 << 20, true}, {10 << 30, 1 << 40, false}, {10<<30 - 1, 1 << 40, true},
		{math.MaxUint64, math.MaxUint64, false}, {0, 0, false},
	} {
		if got := (Space{row.free, row.size}).scarce(); got != row.want {
			t.Errorf("%d of %d bytes: %t", row.free, row.size, got)
		}
	}
}
