//go:build !without_postgresql && !without_pgbouncer

package storetest

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec2/rules"
)

// TestPgBouncer has all that the store does go through PgBouncer with its own
// defaults, where each transaction may get another session.
func TestPgBouncer(t *testing.T) {
	between := testkit.StartPgBouncer(t, "transaction")
	exercise(t, func(t *testing.T, bus *event.Bus) rules.Store {
		return testkit.OpenPostgres(t, between.DSN(testkit.NewPostgres(t, testkit.Unsound))+" default_query_exec_mode=exec", bus)
	})
}
