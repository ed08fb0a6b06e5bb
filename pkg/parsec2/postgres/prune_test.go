//go:build !without_postgresql

package postgres_test

import (
	"fmt"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// TestPruneRevisions leaves the complete revision, and the one before while it
// is reencrypted.
func TestPruneRevisions(t *testing.T) {
	const vlobs = 250 // more than are pruned at once
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn), testkit.NewBus(t))
	populate(t, store)
	reader := testkit.Connect(t, dsn)
	items := []protocol.ReencryptionItem{{VlobID: theVlob, Version: 1}}
	for i := range vlobs - 1 {
		id := parsec.VlobID{3, byte(i)}
		items = append(items, protocol.ReencryptionItem{VlobID: id, Version: 1})
		change(t, store, rules.Scope{Realm: theRealm, Vlob: id, By: rules.RealmVlobCreate}, func(tx rules.Tx) {
			tx.WriteVlob(rules.VlobVersion{Version: 1, Author: aliceOne}, uint64(i)+2, nil)
		})
	}
	onRealm := rules.Scope{Realm: theRealm, By: rules.RealmExclusive}
	want := func(revisions ...int64) {
		t.Helper()
		if err := store.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if all := testkit.Number(t, reader, "SELECT count(*) FROM vlob_atom"); all != int64(len(revisions)*vlobs) {
			t.Errorf("%d versions, want those of %v", all, revisions)
		}
		for _, revision := range revisions {
			if got := testkit.Number(t, reader, "SELECT count(*) FROM vlob_atom WHERE revision = $1", revision); got != vlobs {
				t.Errorf("%d versions under revision %d", got, revision)
			}
		}
	}
	want(1)
	for revision := int64(2); revision <= 3; revision++ {
		change(t, store, onRealm, func(tx rules.Tx) {
			tx.StartMaintenance(rules.Maintenance{Type: parsec.MaintenanceReencryption, StartedBy: aliceOne})
		})
		for i := range items {
			items[i].Blob = fmt.Append(nil, revision)
		}
		change(t, store, onRealm, func(tx rules.Tx) {
			if total, done, err := tx.SaveReencrypted(t.Context(), items); total != vlobs || done != total || err != nil {
				t.Errorf("%d of %d saved: %v", done, total, err)
			}
		})
		want(revision-1, revision)
		change(t, store, onRealm, rules.Tx.FinishMaintenance)
		want(revision)
		if kept := testkit.Number(t, reader, "SELECT kept_revision FROM realm"); kept != revision {
			t.Errorf("revision %d is kept, want %d", kept, revision)
		}
		_, version, _, err := store.ReadVlob(t.Context(), acme, alice, rules.VlobSelection{Vlob: theVlob, EncryptionRevision: uint64(revision)})
		if err != nil || string(version.Blob) != fmt.Sprint(revision) {
			t.Errorf("got %+v, %v", version, err)
		}
	}
}

func TestPruneReservations(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	now := parsec.DateTime(1000)
	settings := options(dsn)
	settings.Now = func() parsec.DateTime { return now }
	store := open(t, settings, testkit.NewBus(t))
	populate(t, store)
	created := parsec.BlockID{9}
	change(t, store, rules.Scope{Realm: theRealm, Block: created, By: rules.RealmData}, func(tx rules.Tx) {
		tx.CreateBlock(rules.Block{ID: created, Realm: theRealm, Author: aliceOne, Size: 1})
	})
	for i, until := range []parsec.DateTime{999, 1000, 1001} {
		upload := rules.BlockUpload{ID: parsec.BlockID{byte(i)}, Token: parsec.NewUUID(), Until: until}
		if facts, err := store.ReserveBlock(t.Context(), acme, alice, theRealm, upload, 0); err != nil || !facts.Reserved {
			t.Fatalf("%+v, %v", facts, err)
		}
	}
	reader := testkit.Connect(t, dsn)
	for _, step := range []struct {
		now  parsec.DateTime
		want int64
	}{{1000, 2}, {1001, 1}} {
		now = step.now
		if err := store.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := testkit.Number(t, reader, "SELECT count(*) FROM block"); got != step.want {
			t.Errorf("%d blocks and reservations at %d, want %d", got, step.now, step.want)
		}
	}
}
