//go:build !without_postgresql

package postgres_test

import (
	"database/sql"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"parsec-server/internal/testkit"
	"parsec-server/migrations"
	"parsec-server/pkg/database"
)

// migrateTo brings an empty database to the schema of an earlier server.
func migrateTo(t *testing.T, dsn string, version int64) {
	t.Helper()
	database, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, database, migrations.Files)
	if err != nil {
		t.Fatal(err)
	}
	_, err = provider.UpTo(t.Context(), version)
	if closed := provider.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
}

// The copies for sequester services that a database has before it knows their
// checkpoints get them in order of date, of which none is that of a later copy.
func TestMigrationOfSequesterCopies(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	migrateTo(t, dsn, 6)

	// Realm 2 is reencrypted: what its first revision has left does not count.
	connection := testkit.Connect(t, dsn)
	testkit.Execute(t, connection, `
INSERT INTO organization (organization_id, bootstrap_token, user_profile_outsider_allowed, minimum_archiving_period, created_on)
    VALUES ('Acme', '', true, 0, 0);
INSERT INTO realm (organization, realm_id, created_on, encryption_revision, checkpoint)
    VALUES (1, '00000000-0000-0000-0000-000000000001', 0, 1, 4), (1, '00000000-0000-0000-0000-000000000002', 0, 2, 1);
INSERT INTO vlob (organization, vlob_id, realm, version, updated_on, checkpoint) VALUES
    (1, '00000000-0000-0000-0000-00000000000a', 1, 2, 40, 4),
    (1, '00000000-0000-0000-0000-00000000000b', 1, 2, 30, 3),
    (1, '00000000-0000-0000-0000-00000000000c', 2, 1, 15, 1);
INSERT INTO vlob_atom (vlob, revision, version, author, written_on, blob) VALUES
    (1, 1, 1, 1, 10, ''), (2, 1, 1, 1, 20, ''), (2, 1, 2, 1, 30, ''), (1, 1, 2, 1, 40, ''),
    (3, 1, 1, 1, 15, 'old'), (3, 2, 1, 1, 15, 'new');
INSERT INTO sequester_copy (vlob, version, service, blob) VALUES
    (1, 1, 7, 'a1'), (2, 1, 7, 'b1'), (2, 2, 7, 'b2'), (1, 2, 7, 'a2'), (1, 2, 8, 'a2'), (3, 1, 7, 'c1')`)
	if _, err := database.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}

	rows, err := connection.Query(t.Context(), `
SELECT format('realm %s service %s: %s is %s', realm, service, checkpoint, convert_from(blob, 'UTF8'))
FROM sequester_copy ORDER BY realm, service, checkpoint`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"realm 1 service 7: 1 is a1", "realm 1 service 7: 2 is b1", "realm 1 service 7: 3 is b2", "realm 1 service 7: 4 is a2",
		"realm 1 service 8: 4 is a2",
		"realm 2 service 7: 1 is c1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
