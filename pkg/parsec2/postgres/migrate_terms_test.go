//go:build !without_postgresql

package postgres_test

import (
	"reflect"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
)

// Organizations of before have no terms of service, and servers of the release
// before leave those that one has.
func TestMigrationOfTerms(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	migrateTo(t, dsn, 11)
	connection := testkit.Connect(t, dsn)
	const putBefore = `
INSERT INTO organization (organization_id, bootstrap_token, user_profile_outsider_allowed, minimum_archiving_period, created_on)
VALUES ('Acme', '', true, 0, 0)
ON CONFLICT (organization_id) DO UPDATE SET bootstrap_token = excluded.bootstrap_token`
	testkit.Execute(t, connection, putBefore)
	if _, err := database.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	store := open(t, options(dsn), testkit.NewBus(t))
	want := func(want *organization.TOS) {
		t.Helper()
		if got, found, err := store.Organization(t.Context(), acme); err != nil || !found || !reflect.DeepEqual(got.TOS, want) {
			t.Errorf("%+v, found %t, error %v", got, found, err)
		}
	}
	want(nil)
	terms := &organization.TOS{PerLocaleURLs: map[string]string{"en_US": "https://example.com"}, UpdatedOn: 1}
	err := store.ChangeOrganization(t.Context(), acme, func(tx organization.Tx) error {
		stored, _ := tx.Organization()
		stored.TOS = terms
		tx.PutOrganization(*stored)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(terms)
	testkit.Execute(t, connection, putBefore)
	want(terms)
}
