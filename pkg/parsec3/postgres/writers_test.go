//go:build !without_postgresql

package postgres_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// TestWritersAreNotRedone has writers of different vlobs of one realm at once: each
// runs once, and the checkpoints have no gap.
func TestWritersAreNotRedone(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, dsn, 8, now)
	populate(t, store)
	const writers, each = 8, 25
	var runs atomic.Int64
	var group sync.WaitGroup
	for writer := range byte(writers) {
		group.Go(func() {
			for i := range byte(each) {
				scope := onVlob()
				scope.Organization, scope.Author, scope.Vlob = acme, aliceOne, parsec.VlobID{9, writer, i / 5}
				err := store.Update(t.Context(), scope, func(tx rules.Tx) error {
					runs.Add(1)
					tx.WriteVlob(rules.VlobVersion{
						Vlob: scope.Vlob, Version: tx.Vlob() + 1, Author: aliceOne, Timestamp: parsec.DateTime(i), Blob: []byte("blob"),
					})
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if runs.Load() != writers*each {
		t.Errorf("%d runs of %d writes", runs.Load(), writers*each)
	}
	_, realm, changes, err := store.Changes(t.Context(), acme, aliceOne, theRealm, 0)
	const before = 1 // the vlob that the realm begins with
	if err != nil || realm.Checkpoint != before+writers*each || realm.LastVlob != each-1 || len(changes) != before+writers*each/5 {
		t.Errorf("checkpoint %d, last vlob %d, %d changes, error %v", realm.Checkpoint, realm.LastVlob, len(changes), err)
	}
	usage := testkit.Number(t, testkit.Connect(t, dsn), "SELECT vlobs_size FROM parsec3.realm_counter WHERE organization = 'Acme'")
	if want := int64(len("one") + writers*each*len("blob")); usage != want {
		t.Errorf("%d bytes, want %d", usage, want)
	}
}
