package testkit

import (
	"os"
	"testing"

	"parsec-server/pkg/event"
	organizationmemory "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec3/memory"
	"parsec-server/pkg/parsec3/rules"
)

// NewParsec3Store is NewStore for Parsec 3.
func NewParsec3Store(t testing.TB, bus *event.Bus) rules.Store {
	t.Helper()
	switch kind := os.Getenv(storeVariable); kind {
	case "", "MOCKED":
		return memory.New(organizationmemory.New(bus))
	default:
		t.Fatalf("%s is %q, not MOCKED", storeVariable, kind)
		return nil
	}
}
