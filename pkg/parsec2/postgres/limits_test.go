//go:build !without_postgresql

package postgres_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// TestLimits has every connection bounded, unless its DSN says otherwise.
func TestLimits(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	for _, test := range []struct{ dsn, lock string }{
		{dsn, "10s"},
		{dsn + " lock_timeout=3s", "3s"},
	} {
		pool, err := database.NewPool(database.Source{DSN: test.dsn}, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		for name, want := range map[string]string{
			"statement_timeout": "30s", "idle_in_transaction_session_timeout": "5s", "lock_timeout": test.lock,
		} {
			var got string
			if err := pool.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	}
}

// TestStatisticsReadNoData asks for statistics while nobody can read the tables
// that grow.
func TestStatisticsReadNoData(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	store := open(t, options(dsn+" lock_timeout=100ms"), newBus(t))
	populate(t, store)
	other := direct(t, dsn)
	block := func(tables string) {
		t.Helper()
		execute(t, other, "BEGIN")
		execute(t, other, "LOCK TABLE "+tables+" IN ACCESS EXCLUSIVE MODE")
	}
	block("vlob, vlob_atom, block, realm_role_certificate, message, device")
	if _, blocks, vlobs, found, err := store.RealmStatistics(t.Context(), acme, theRealm, alice); err != nil || !found || blocks != 0 || vlobs != 3 {
		t.Errorf("statistics of the realm: %d and %d bytes, found %t, error %v", blocks, vlobs, found, err)
	}
	execute(t, other, "ROLLBACK")
	block("vlob, vlob_atom, block, realm_role_certificate, message, device, realm_member, user_")
	statistics, err := store.OrganizationStatistics(t.Context(), acme)
	if err != nil || statistics.Active[parsec.ProfileAdmin] != 1 {
		t.Errorf("statistics of the organization: %+v, error %v", statistics, err)
	}
	// The lock is one that reads wait for.
	_, _, _, err = store.ReadVlob(t.Context(), acme, alice, rules.VlobSelection{Vlob: theVlob, EncryptionRevision: 1})
	if err == nil {
		t.Error("a vlob is read without its table")
	}
	execute(t, other, "ROLLBACK")
}
