//go:build !without_postgresql

package postgres_test

import (
	"math"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// TestStrangersReadNoRow counts the rows that the database looks at when a
// user without role reads a realm: a statement that finds them, and then gives
// none, would cost as much as if the user might.
func TestStrangersReadNoRow(t *testing.T) {
	const many = 300 // vlobs, versions of one, and role certificates
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	filling := open(t, options(dsn), testkit.NewBus(t))
	populate(t, filling)
	bobOne := must(parsec.ParseDeviceID("bob@one"))
	change(t, filling, rules.Scope{LockOrganization: true}, func(tx rules.Tx) {
		tx.CreateUser(rules.User{ID: bobOne.User(), Profile: parsec.ProfileOutsider})
		tx.CreateDevice(rules.Device{ID: bobOne})
	})
	onRealm := rules.Scope{Realm: theRealm, By: rules.RealmExclusive}
	for i := range uint64(many - 1) {
		change(t, filling, rules.Scope{Realm: theRealm, Vlob: parsec.VlobID{3, byte(i >> 8), byte(i)}, By: rules.RealmVlobCreate}, func(tx rules.Tx) {
			tx.WriteVlob(rules.VlobVersion{Version: 1, Blob: []byte("blob"), Author: aliceOne}, 2*i+2, nil)
		})
		if err := updateVlob(t.Context(), filling); err != nil {
			t.Fatal(err)
		}
		change(t, filling, onRealm, func(tx rules.Tx) {
			tx.AddRole(rules.RoleCertificate{Realm: theRealm, User: alice, Role: parsec.RoleOwner, Author: aliceOne})
		})
	}
	change(t, filling, onRealm, func(tx rules.Tx) {
		tx.StartMaintenance(rules.Maintenance{Type: parsec.MaintenanceReencryption, StartedBy: aliceOne})
	})
	filling.Close()
	reader := testkit.Connect(t, dsn)
	testkit.Execute(t, reader, "ANALYZE")

	// read returns how many rows of vlobs, versions and role certificates were
	// looked at, which sessions report when they end.
	read := func(user parsec.UserID, with func(store rules.Store, user parsec.UserID) error) int64 {
		t.Helper()
		const looked = `SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables
			WHERE relname IN ('vlob', 'vlob_atom', 'realm_role_certificate')`
		alone := func() {
			t.Helper()
			testkit.Await(t, "the sessions end", func() bool {
				return testkit.Number(t, reader, `SELECT count(*) FROM pg_stat_activity
					WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`) == 0
			})
		}
		alone()
		before := testkit.Number(t, reader, looked)
		store := open(t, options(dsn), testkit.NewBus(t))
		err := with(store, user)
		store.Close()
		if err != nil {
			t.Fatal(err)
		}
		alone()
		return testkit.Number(t, reader, looked) - before
	}
	ctx := t.Context()
	for name, with := range map[string]func(store rules.Store, user parsec.UserID) error{
		"VlobVersions": func(store rules.Store, user parsec.UserID) error {
			_, _, _, err := store.VlobVersions(ctx, acme, user, theVlob)
			return err
		},
		"Changes": func(store rules.Store, user parsec.UserID) error {
			_, _, _, err := store.Changes(ctx, acme, user, theRealm, 0)
			return err
		},
		"RoleCertificates": func(store rules.Store, user parsec.UserID) error {
			_, _, _, err := store.RoleCertificates(ctx, acme, theRealm, user)
			return err
		},
		"ReencryptionBatch": func(store rules.Store, user parsec.UserID) error {
			_, _, _, err := store.ReencryptionBatch(ctx, acme, user, rules.BatchSelection{
				Realm: theRealm, Role: parsec.RoleOwner, Items: 1000, Bytes: math.MaxUint64,
			})
			return err
		},
	} {
		// The planner looks at some rows to estimate the others.
		if looked := read(bobOne.User(), with); looked > many/4 {
			t.Errorf("%s looks at %d rows for a user without role", name, looked)
		}
		if looked := read(alice, with); looked < many {
			t.Errorf("%s looks at %d rows for the OWNER, who is given %d", name, looked, many)
		}
	}
}
