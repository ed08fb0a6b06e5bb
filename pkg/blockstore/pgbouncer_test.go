//go:build !without_postgresql && !without_pgbouncer

package blockstore_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

// Through PgBouncer each transaction may get another session.
func TestPostgresThroughPgBouncer(t *testing.T) {
	store := openPostgres(t, testkit.StartPgBouncer(t, "transaction").DSN(testkit.NewPostgres(t))+" default_query_exec_mode=exec")
	id, block := newBlockID(), blockOf(1000)
	mustCreate(t, store, id, block)
	wantBlock(t, store, id, block)
}
