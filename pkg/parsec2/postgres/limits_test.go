//go:build !without_postgresql

package postgres_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// TestStatisticsReadNoData asks for statistics while nobody can read the tables
// that grow.
func TestStatisticsReadNoData(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	store := open(t, options(dsn+" lock_timeout=100ms"), testkit.NewBus(t))
	populate(t, store)
	other := testkit.Connect(t, dsn)
	block := func(tables string) {
		t.Helper()
		testkit.Execute(t, other, "BEGIN")
		testkit.Execute(t, other, "LOCK TABLE "+tables+" IN ACCESS EXCLUSIVE MODE")
	}
	block("vlob, vlob_atom, block, realm_role_certificate, message, device")
	if _, blocks, vlobs, found, err := store.RealmStatistics(t.Context(), acme, theRealm, alice); err != nil || !found || blocks != 0 || vlobs != 3 {
		t.Errorf("statistics of the realm: %d and %d bytes, found %t, error %v", blocks, vlobs, found, err)
	}
	testkit.Execute(t, other, "ROLLBACK")
	block("vlob, vlob_atom, block, realm_role_certificate, message, device, realm_member, user_")
	statistics, err := store.OrganizationStatistics(t.Context(), []parsec.OrganizationID{acme}, nil)
	if err != nil || statistics[0].Active[parsec.ProfileAdmin] != 1 {
		t.Errorf("statistics of the organization: %+v, error %v", statistics, err)
	}
	// The lock is one that reads wait for.
	_, _, _, err = store.ReadVlob(t.Context(), acme, alice, rules.VlobSelection{Vlob: theVlob, EncryptionRevision: 1})
	if err == nil {
		t.Error("a vlob is read without its table")
	}
	testkit.Execute(t, other, "ROLLBACK")
}
