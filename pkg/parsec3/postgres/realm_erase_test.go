//go:build !without_postgresql

package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// heldTables are those of what a realm holds.
var heldTables = []string{"vlob_atom", "vlob", "block", "keys_bundle", "keys_bundle_access", "sequester_access"}

// fillRealm gives a realm so many rows of each of these tables.
func fillRealm(t *testing.T, connection *pgx.Conn, realm parsec.RealmID, rows int) {
	t.Helper()
	for _, sql := range []string{
		"SET session_replication_role = replica", // it has no services
		`INSERT INTO parsec3.vlob_atom (organization, realm_id, vlob_id, version, key_index, author, written_on, blob)
		SELECT 'Acme', '%[1]s', gen_random_uuid(), 1, 1, '%[2]s', 1, 'blob' FROM generate_series(1, %[3]d)`,
		`INSERT INTO parsec3.vlob (organization, realm_id, vlob_id, version, checkpoint)
		SELECT 'Acme', '%[1]s', gen_random_uuid(), 1, 1000 + i FROM generate_series(1, %[3]d) i`,
		`INSERT INTO parsec3.block (organization, block_id, realm_id, key_index, author, size, created_on)
		SELECT 'Acme', gen_random_uuid(), '%[1]s', 1, '%[2]s', 1, 1 FROM generate_series(1, %[3]d)`,
		`INSERT INTO parsec3.keys_bundle (organization, realm_id, key_index, bundle)
		SELECT 'Acme', '%[1]s', 1 + i, '' FROM generate_series(1, %[3]d) i`,
		`INSERT INTO parsec3.keys_bundle_access (organization, realm_id, user_id, key_index, dated, access)
		SELECT 'Acme', '%[1]s', gen_random_uuid(), 1, 1, '' FROM generate_series(1, %[3]d)`,
		`INSERT INTO parsec3.sequester_access (organization, realm_id, key_index, service_id, access)
		SELECT 'Acme', '%[1]s', 1, gen_random_uuid(), '' FROM generate_series(1, %[3]d)`,
	} {
		if strings.Contains(sql, "%") {
			sql = fmt.Sprintf(sql, parsec.UUID(realm), parsec.UUID(aliceOne), rows)
		}
		testkit.Execute(t, connection, sql)
	}
}

// TestRealmIsErasedBitByBit deletes a realm that holds much: the transaction that
// marks it has few effects, no other is large, and what one server cannot erase is
// erased by the next.
func TestRealmIsErasedBitByBit(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store, watcher := open(t, dsn, 1, now), testkit.Connect(t, dsn)
	populate(t, store)
	createRealm(t, store, aRealm)
	const rows = 1200
	fillRealm(t, watcher, theRealm, rows)
	fillRealm(t, watcher, aRealm, 3)
	held := func(table string, realm parsec.RealmID) int64 {
		return testkit.Number(t, watcher, "SELECT count(*) FROM parsec3."+table+" WHERE organization = 'Acme' AND realm_id = $1", parsec.UUID(realm).String())
	}
	change(t, store, inRealm(rules.Exclusive), func(tx rules.Tx) { tx.MarkRealmDeleted() })
	for _, table := range heldTables {
		if got := held(table, theRealm); got < rows {
			t.Errorf("%d rows of %s are left by who marks the realm", got, table)
		}
	}
	wantUsage(t, store, 0, 0)

	// Rows that cannot be deleted now are left by the first attempt.
	lock, err := testkit.Connect(t, dsn).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), "SELECT FROM parsec3.keys_bundle WHERE realm_id = $1 FOR UPDATE", parsec.UUID(theRealm).String()); err != nil {
		t.Fatal(err)
	}
	prune(t, open(t, dsn+" lock_timeout=1ms", 1, now))
	if vlobs, bundles := held("vlob", theRealm), held("keys_bundle", theRealm); vlobs != 0 || bundles < rows {
		t.Errorf("%d vlobs and %d bundles are left by who fails", vlobs, bundles)
	}
	if left := testkit.Number(t, watcher, "SELECT count(*) FROM erasure WHERE rows_left"); left != 1 {
		t.Errorf("%d realms have rows to be erased", left)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // once more changes nothing
		prune(t, open(t, dsn, 1, now))
		for _, table := range heldTables {
			if got := held(table, theRealm); got != 0 {
				t.Errorf("%d rows of %s are left", got, table)
			}
			if got := held(table, aRealm); got != 3 {
				t.Errorf("%d rows of %s are left of another realm", got, table)
			}
		}
	}
	if left := testkit.Number(t, watcher, "SELECT count(*) FROM erasure WHERE rows_left"); left != 0 {
		t.Errorf("%d realms still have rows to be erased", left)
	}
	if objects := testkit.Number(t, watcher, "SELECT count(*) FROM erasure_object"); objects < rows {
		t.Errorf("%d objects of the block store are to be deleted", objects)
	}
}
