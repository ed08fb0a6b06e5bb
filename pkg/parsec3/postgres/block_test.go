//go:build !without_postgresql

package postgres_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// TestUploadsOfDeadServers has the reservations of a server count as long as it
// lives, and others end by their date alone.
func TestUploadsOfDeadServers(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	proxy := testkit.StartPostgresProxy(t, dsn)
	mortal, other := open(t, proxy.DSN, 1, now), open(t, dsn, 1, now)
	populate(t, other)
	watcher := testkit.Connect(t, dsn)
	testkit.Await(t, "both tell that they live", func() bool {
		return testkit.Number(t, watcher, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == 2
	})
	reserve := func(store rules.Store, block byte, token parsec.UUID) (reserved bool) {
		t.Helper()
		upload := rules.BlockUpload{ID: parsec.BlockID{block}, Token: token, Until: 1000}
		scope := inRealm(rules.Shared)
		scope.Block = &upload.ID
		change(t, store, scope, func(tx rules.Tx) {
			exists, present := tx.Block()
			reserved = !exists && (present == nil || present.YieldsTo(upload, 1, tx.UploadIsDead()))
			if reserved {
				tx.ReserveBlock(upload)
			}
		})
		return reserved
	}
	const known, unknown = 1, 2
	if !reserve(mortal, known, mortal.NewUploadToken()) || !reserve(mortal, unknown, parsec.NewUUID()) {
		t.Fatal("not reserved")
	}
	for _, block := range []byte{known, unknown} {
		if reserve(other, block, other.NewUploadToken()) || reserve(mortal, block, mortal.NewUploadToken()) {
			t.Errorf("block %d: taken over from a server that lives", block)
		}
	}
	const forEver = 1 << 40
	proxy.Refusals.Store(forEver)
	proxy.Cut()
	testkit.Await(t, "the reservation of the dead server ends", func() bool { return reserve(other, known, other.NewUploadToken()) })
	if reserve(other, known, other.NewUploadToken()) {
		t.Error("taken over from the server that took it over")
	}
	if reserve(other, unknown, other.NewUploadToken()) {
		t.Error("taken over from nobody knows whom")
	}
}

// TestPruneReservations has what has expired go, and nothing else.
func TestPruneReservations(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	at := parsec.DateTime(100)
	store := open(t, dsn, 1, func() parsec.DateTime { return at })
	populate(t, store)
	for id, until := range map[byte]parsec.DateTime{1: 100, 2: 101, 3: 100} {
		scope := inRealm(rules.Shared)
		block := parsec.BlockID{id}
		scope.Block = &block
		change(t, store, scope, func(tx rules.Tx) {
			tx.ReserveBlock(rules.BlockUpload{ID: block, Token: parsec.NewUUID(), Until: until})
		})
		if id == 3 {
			change(t, store, scope, func(tx rules.Tx) { tx.CreateBlock(rules.Block{ID: block, Author: aliceOne}) })
		}
	}
	if err := store.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := texts(t, testkit.Connect(t, dsn), "SELECT left(block_id::text, 2) FROM parsec3.block ORDER BY 1")
	if len(left) != 2 || left[0] != "02" || left[1] != "03" {
		t.Errorf("left are %v", left)
	}
}
