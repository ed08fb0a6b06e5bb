//go:build !without_postgresql

package blockstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
)

// openPostgres returns a store, as the server uses it, until the test ends.
func openPostgres(t testing.TB, dsn string) *blockstore.Limited {
	t.Helper()
	pool, err := database.NewPool(database.Source{DSN: dsn}, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	limits := blockstore.DefaultLimits()
	limits.Pause = time.Millisecond
	return blockstore.NewLimited(blockstore.NewPostgres(pool), limits)
}

func TestPostgres(t *testing.T) {
	exerciseStore(t, func(t *testing.T) blockstore.Store {
		return openPostgres(t, testkit.NewPostgres(t))
	})
	exerciseInventory(t, func(t *testing.T) blockstore.Inventory {
		return openPostgres(t, testkit.NewPostgres(t))
	})
}

// Behind a proxy that knows no prepared statements, bytes travel as text.
func TestPostgresByText(t *testing.T) {
	store := openPostgres(t, testkit.NewPostgres(t)+" default_query_exec_mode=simple_protocol")
	id, block := newBlockID(), blockOf(1000)
	mustCreate(t, store, id, block)
	wantBlock(t, store, id, block)
}

func TestPostgresInRAID(t *testing.T) {
	inDatabase := openPostgres(t, testkit.NewPostgres(t))
	nodes := []blockstore.Store{inDatabase, blockstore.NewMemory(), blockstore.NewMemory()}
	for _, level := range []int{1, 5} {
		t.Run(fmt.Sprintf("RAID%d", level), func(t *testing.T) {
			raid := openRAID(t, level, nodes, false, nil)
			t.Cleanup(raid.Close)
			exerciseStore(t, func(*testing.T) blockstore.Store { return raid })
		})
	}
}

// What fails says why on one line, never that the block does not exist.
func TestPostgresFailures(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	for name, test := range map[string]struct{ dsn, want string }{
		"no table":       {testkit.NewBlankPostgres(t), "there is no such table, create it with `parsec backend migrate`"},
		"no such role":   {dsn + " user=nobody_at_all", "nobody_at_all"},
		"no database":    {strings.Replace(dsn, "dbname=", "dbname=no_", 1), "does not exist"},
		"nobody listens": {"host=127.0.0.1 port=1 user=postgres sslmode=disable", "refused"},
	} {
		store := openPostgres(t, test.dsn)
		read := store.Read(t.Context(), organization(t), newBlockID(), nil, make([]byte, 10))
		create := store.Create(t.Context(), organization(t), newBlockID(), blockOf(10))
		for action, err := range map[string]error{"read": read, "create": create, "ready": store.Ready(t.Context())} {
			if err == nil || errors.Is(err, blockstore.ErrNotFound) || strings.Contains(err.Error(), "\n") ||
				!strings.HasPrefix(err.Error(), "PostgreSQL table block_data: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %s: %v, want one line with %q", name, action, err, test.want)
			}
		}
	}
}
