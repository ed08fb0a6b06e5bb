//go:build !without_postgresql

package postgres_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// TestUploadsOfDeadServers has the reservations of a server count as long as
// it lives, and others end by their date alone.
func TestUploadsOfDeadServers(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	p := testkit.StartPostgresProxy(t, dsn)
	mortal, other := open(t, options(p.DSN), testkit.NewBus(t)), open(t, options(dsn), testkit.NewBus(t))
	populate(t, other)
	watcher := testkit.Connect(t, dsn)
	testkit.Await(t, "both tell that they live", func() bool {
		return testkit.Number(t, watcher, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == 2
	})
	reserve := func(store rules.Store, block byte, token parsec.UUID) bool {
		t.Helper()
		upload := rules.BlockUpload{ID: parsec.BlockID{block}, Token: token, Until: 1000}
		facts, err := store.ReserveBlock(t.Context(), acme, alice, theRealm, upload, 1)
		if err != nil {
			t.Fatal(err)
		}
		return facts.Reserved
	}
	const known, unknown = 1, 2
	token := mortal.NewUploadToken()
	if !reserve(mortal, known, token) || !reserve(mortal, unknown, parsec.NewUUID()) {
		t.Fatal("not reserved")
	}
	for _, block := range []byte{known, unknown} {
		if reserve(other, block, other.NewUploadToken()) || reserve(mortal, block, mortal.NewUploadToken()) {
			t.Errorf("block %d: taken over from a server that lives", block)
		}
	}
	// A server that is away for a moment is known again by its number.
	p.Cut()
	testkit.Await(t, "it lives again", func() bool {
		again := mortal.NewUploadToken()
		return [6]byte(again[:6]) == [6]byte(token[:6])
	})

	const forEver = 1 << 40
	p.Refusals.Store(forEver)
	p.Cut()
	testkit.Await(t, "the reservation of the dead server ends", func() bool { return reserve(other, known, other.NewUploadToken()) })
	testkit.Await(t, "the dead server knows that it is away", func() bool {
		const versionByte, version4 = 6, 0x40
		return mortal.NewUploadToken()[versionByte]&0xf0 == version4
	})
	if reserve(other, known, other.NewUploadToken()) {
		t.Error("taken over from the server that took it over")
	}
	if reserve(other, unknown, other.NewUploadToken()) {
		t.Error("taken over from nobody knows whom")
	}
}
