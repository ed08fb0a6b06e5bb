package span_test

import (
	"errors"
	"testing"

	"parsec-server/pkg/span"
)

// TestNothingIsTraced costs nothing; pkg/traces tests what is.
func TestNothingIsTraced(t *testing.T) {
	ctx, failure := t.Context(), errors.New("failure")
	if allocations := testing.AllocsPerRun(100, func() { span.Begin(ctx, "database")(failure) }); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
