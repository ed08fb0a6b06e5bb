//go:build !without_postgresql

package main

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// TestMigrateRefuses has databases that this server cannot work with: every
// command that would use them says so, and none reports success.
func TestMigrateRefuses(t *testing.T) {
	newer := testkit.NewBlankPostgres(t)
	if _, err := database.Migrate(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	executeOn(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	official := testkit.NewBlankPostgres(t)
	executeOn(t, official, "CREATE TABLE migration (_id integer PRIMARY KEY, name text, applied timestamptz)")
	for dsn, want := range map[string]string{
		newer:    "newer than version",
		official: "a database of the official Parsec server, which this server cannot use as it is; nothing was changed. To move in, give an empty database, and run `parsec backend migrate` on that, then `parsec backend import --from` this one",
	} {
		s := &shell{t: t, variables: map[string]string{
			"PARSEC_DB": dsn, "PARSEC_BLOCKSTORE": "POSTGRESQL", "PARSEC_ADMINISTRATION_TOKEN": parsec.NewUUID().Hex(), "PARSEC_PORT": "0",
		}}
		for _, command := range [][]string{
			{"backend", "migrate"},
			{"backend", "migrate", "--dry-run"},
			{"backend", "migrate", "status"},
			{"backend", "run"},
			{"backend", "run", "--migrate"},
			{"run"}, // as official servers of Parsec 3
			{"migrate"},
			{"human-accesses", "--organization", "Acme"},
		} {
			stdout, _, err := s.run(command...)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(stdout, "applied") {
				t.Errorf("%q: printed %q, error %v", command, stdout, err)
			}
		}
	}
	if _, _, err := (&shell{t: t, variables: map[string]string{"PARSEC_DB": testkit.NewBlankPostgres(t)}}).run("backend", "migrate"); err != nil {
		t.Errorf("a blank database: %v", err)
	}
}

func executeOn(t *testing.T, dsn, sql string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(context.WithoutCancel(t.Context())) }()
	if _, err := connection.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
