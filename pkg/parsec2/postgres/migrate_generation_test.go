//go:build !without_postgresql

package postgres_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
)

// Organizations that were bootstrapped before are of Parsec 2, others of no
// generation yet.
func TestMigrationOfGenerations(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	migrateTo(t, dsn, 10)
	connection := testkit.Connect(t, dsn)
	testkit.Execute(t, connection, `
INSERT INTO organization (organization_id, bootstrap_token, user_profile_outsider_allowed, minimum_archiving_period, created_on, root_verify_key)
    VALUES ('Acme', '', true, 0, 0, '\x0000000000000000000000000000000000000000000000000000000000000000'), ('Other', '', true, 0, 0, NULL)`)
	if _, err := database.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"Acme": 2, "Other": 0} {
		if got := testkit.Number(t, connection, "SELECT coalesce(generation, 0) FROM organization WHERE organization_id = $1", name); got != want {
			t.Errorf("%s: generation %d, want %d", name, got, want)
		}
	}
}
