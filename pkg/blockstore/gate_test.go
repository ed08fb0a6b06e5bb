package blockstore_test

import (
	"testing"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

func TestUploadYields(t *testing.T) {
	first, second := parsec.NewUUID(), parsec.NewUUID()
	present := blockstore.Upload{Token: first, Until: 10}
	for _, test := range []struct {
		token parsec.UUID
		now   parsec.DateTime
		dead  bool
		want  bool
	}{
		{second, 9, false, false},
		{second, 10, false, true},
		{second, 9, true, true},
		{first, 9, false, true},
	} {
		if got := present.YieldsTo(blockstore.Upload{Token: test.token, Until: 20}, test.now, test.dead); got != test.want {
			t.Errorf("%+v: yields %t", test, got)
		}
	}
}
