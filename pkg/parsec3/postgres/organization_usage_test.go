//go:build !without_postgresql

package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/postgres"
	"parsec-server/pkg/parsec3/rules"
)

// writeBlob writes a new vlob of the realm, and createBlock a block there.
func writeBlob(t testing.TB, store rules.Store, realm parsec.RealmID, blob string) {
	t.Helper()
	scope := rules.Scope{Common: rules.Shared, Realm: realm, RealmLock: rules.Shared, Vlob: parsec.VlobID(parsec.NewUUID())}
	change(t, store, scope, func(tx rules.Tx) {
		tx.WriteVlob(rules.VlobVersion{Vlob: scope.Vlob, Version: 1, KeyIndex: 1, Author: aliceOne, Blob: []byte(blob)})
	})
}

func createBlock(t testing.TB, store rules.Store, realm parsec.RealmID, size uint64) {
	t.Helper()
	block := parsec.BlockID(parsec.NewUUID())
	scope := rules.Scope{Common: rules.Shared, Realm: realm, RealmLock: rules.Shared, Block: &block}
	change(t, store, scope, func(tx rules.Tx) { tx.CreateBlock(rules.Block{ID: block, KeyIndex: 1, Author: aliceOne, Size: size}) })
}

func createRealm(t testing.TB, store rules.Store, realm parsec.RealmID) {
	t.Helper()
	change(t, store, rules.Scope{Common: rules.Shared, Realm: realm, RealmLock: rules.Exclusive}, func(tx rules.Tx) {
		tx.CreateRealm(alice, rules.Certificate{Timestamp: 2, Author: aliceOne, Bytes: []byte("certificate")})
	})
}

func wantUsage(t testing.TB, store *postgres.Store, metadata, data uint64) {
	t.Helper()
	_, got, err := store.Usage(t.Context(), acme, aliceOne)
	if want := (rules.Usage{Metadata: metadata, Data: data}); err != nil || got != want {
		t.Errorf("usage %+v, want %+v (%v)", got, want, err)
	}
}

func prune(t testing.TB, store *postgres.Store) {
	t.Helper()
	if err := store.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestUsageIsSummedUp has the usage be the same before and after its realms are
// summed up, and be read of the sums alone then.
func TestUsageIsSummedUp(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store, watcher := open(t, dsn, 1, now), testkit.Connect(t, dsn)
	unsummed := func() int64 {
		return testkit.Number(t, watcher, "SELECT count(*) FROM parsec3.realm_counter WHERE unsummed")
	}
	summed := func() int64 {
		return testkit.Number(t, watcher, "SELECT coalesce(sum(vlobs_size + blocks_size), 0)::bigint FROM parsec3.usage WHERE organization = 'Acme'")
	}
	populate(t, store) // a vlob of 3 bytes
	createRealm(t, store, aRealm)
	if got := unsummed(); got != 1 {
		t.Errorf("%d realms are not summed up, of one that was written to", got)
	}
	writeBlob(t, store, aRealm, "four")
	createBlock(t, store, theRealm, 100)
	wantUsage(t, store, 7, 100)
	for range 2 {
		prune(t, store)
		wantUsage(t, store, 7, 100)
		if unsummed() != 0 || summed() != 107 {
			t.Errorf("%d realms are not summed up, the sum is %d", unsummed(), summed())
		}
	}
	createBlock(t, store, aRealm, 1000)
	change(t, store, inRealm(rules.Exclusive), func(tx rules.Tx) { tx.MarkRealmDeleted() })
	wantUsage(t, store, 4, 1000)
	if unsummed() != 2 || summed() != 107 {
		t.Errorf("%d realms are not summed up, the sum is %d", unsummed(), summed())
	}
	prune(t, store)
	wantUsage(t, store, 4, 1000)
	if unsummed() != 0 || summed() != 1004 {
		t.Errorf("%d realms are not summed up, the sum is %d", unsummed(), summed())
	}
}

// TestUsageOfRealmsOfBefore has servers of the release before, which know nothing of
// sums, make a realm.
func TestUsageOfRealmsOfBefore(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store, watcher := open(t, dsn, 1, now), testkit.Connect(t, dsn)
	populate(t, store)
	testkit.Execute(t, watcher, `
WITH made AS (
    INSERT INTO parsec3.realm (organization, realm_id, created_on, last_date, key_index, named, archiving, deleted)
    VALUES ('Acme', $1, 0, 0, 0, false, 'AVAILABLE', false)
)
INSERT INTO parsec3.realm_counter (organization, realm_id, checkpoint, last_vlob, vlobs_size, blocks_size)
VALUES ('Acme', $1, 1, 1, 20, 300)`, parsec.UUID(aRealm).String())
	wantUsage(t, store, 23, 300)
	prune(t, store)
	wantUsage(t, store, 23, 300)
}

// TestSumsOfManyServers has several servers sum up what others write meanwhile:
// nothing is lost or counted twice, and a realm that is being written to keeps
// nobody waiting.
func TestSumsOfManyServers(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	writer, reader := open(t, dsn, 4, now), open(t, dsn, 1, now)
	populate(t, writer)
	createRealm(t, writer, aRealm)
	ctx, stop := context.WithCancel(t.Context())
	var sums, writes sync.WaitGroup
	for range 2 {
		server := open(t, dsn, 1, now)
		sums.Go(func() {
			for ctx.Err() == nil {
				if err := server.Prune(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	const writers, each = 4, 50
	for i := range writers {
		writes.Go(func() {
			for range each {
				writeBlob(t, writer, []parsec.RealmID{theRealm, aRealm}[i%2], "12345")
				_, _, err := reader.Usage(t.Context(), acme, aliceOne)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writes.Wait()
	stop()
	sums.Wait()
	const want = 3 + writers*each*5
	wantUsage(t, reader, want, 0)
	prune(t, reader)
	wantUsage(t, reader, want, 0)

	// A writer that is about to commit.
	held := testkit.Connect(t, dsn)
	transaction, err := held.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	testkit.Execute(t, held, "UPDATE parsec3.realm_counter SET vlobs_size = vlobs_size + 10, unsummed = true")
	prune(t, open(t, dsn+" lock_timeout=1ms", 1, now))
	if err := transaction.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, reader, want+20, 0)
}

// TestWritesStayInPlace has the second write to a realm, and those after, change its
// counters without any index.
func TestWritesStayInPlace(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, dsn, 1, now)
	populate(t, store)
	connection := testkit.Connect(t, dsn)
	err := pgx.BeginFunc(t.Context(), connection, func(pgx.Tx) error {
		const writes = 5
		for range writes {
			testkit.Execute(t, connection, `
UPDATE parsec3.realm_counter SET checkpoint = checkpoint + 1, vlobs_size = vlobs_size + 1, last_vlob = last_vlob + 1, unsummed = true`)
		}
		if got := testkit.Number(t, connection, "SELECT n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relid = 'parsec3.realm_counter'::regclass"); got != writes {
			t.Errorf("%d of %d writes stay in place", got, writes)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
