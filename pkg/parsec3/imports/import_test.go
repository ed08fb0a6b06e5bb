//go:build !without_postgresql

package imports_test

import (
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/pkg/imports"
	parsec3imports "parsec-server/pkg/parsec3/imports"
)

var wing = parsec3imports.Wing{}

// TestOfficialDatabase imports the real one, twice.
func TestOfficialDatabase(t *testing.T) {
	t.Parallel()
	from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, "3.9.3"))
	to := testkit.NewPostgres(t)
	before := moving.Dump(t, owner)
	report := moving.Move(t, wing, from, to, imports.Choices{BlockData: true})
	if stops := moving.Stops(report); len(stops) > 0 {
		t.Errorf("it is stopped:\n%s", strings.Join(stops, "\n"))
	}
	t.Log("\n" + strings.Join(moving.Findings(report), "\n"))
	first := moving.Dump(t, to)
	if err := moving.Run(t.Context(), t, wing, from, to, imports.Choices{BlockData: true}, nil); err != nil {
		t.Fatal(err)
	}
	if second := moving.Dump(t, to); second != first {
		t.Errorf("a second run changes something:\n%s", moving.Difference(first, second))
	}
	if after := moving.Dump(t, owner); after != before {
		t.Error("the source has changed")
	}
}
