package blockstore

import (
	"testing"

	"parsec-server/pkg/parsec"
)

// The table of docs/protocol/blockstore.md §4.
func TestNodeOfABlock(t *testing.T) {
	for _, test := range []struct {
		id               string
		two, three, five int
	}{
		{"00000000-0000-0000-0000-000000000000", 0, 0, 0},
		{"00000000-0000-0000-0000-000000000007", 1, 1, 2},
		{"8006a491-f070-4040-ae9a-197ca7501f71", 1, 0, 1},
		{"ffffffff-ffff-ffff-ffff-ffffffffffff", 1, 0, 0},
		{"109c48b7-c931-435c-9139-45f08d23432d", 1, 0, 0},
	} {
		id, err := parsec.ParseUUID(test.id)
		if err != nil {
			t.Fatal(err)
		}
		for nodes, want := range map[int]int{1: 0, 2: test.two, 3: test.three, 5: test.five} {
			if got := remainder(parsec.BlockID(id), nodes); got != want {
				t.Errorf("%s is on node %d of %d, want %d", test.id, got, nodes, want)
			}
		}
	}
}
