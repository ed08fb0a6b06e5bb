//go:build !without_postgresql

package database_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
)

// TestRefusedDatabases are those that a server must neither serve nor migrate.
// Nothing changes in them.
func TestRefusedDatabases(t *testing.T) {
	newer := testkit.NewBlankPostgres(t)
	if _, err := database.Migrate(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	testkit.Execute(t, testkit.Connect(t, newer), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	before113 := createOfficial(t, "1.13")
	testkit.Execute(t, testkit.Connect(t, before113), "DROP TABLE migration")
	// What an earlier server made there.
	asked := createOfficial(t, "2.17")
	testkit.Execute(t, testkit.Connect(t, asked), "CREATE TABLE goose_db_version (id serial, version_id bigint, is_applied boolean, tstamp timestamp DEFAULT now())")
	testkit.Execute(t, testkit.Connect(t, asked), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true)")
	for name, test := range map[string]struct{ dsn, message string }{
		"schema of later":         {newer, "version 99999, newer than version"},
		"encoding":                {createLatin(t), "encoding of the database is LATIN1"},
		"official, before 1.13":   {before113, "official Parsec server, which this server cannot use"},
		"official, 1.13":          {createOfficial(t, "1.13"), "official Parsec server, which this server cannot use"},
		"official, 2.17":          {createOfficial(t, "2.17"), "official Parsec server, which this server cannot use"},
		"official, 3.9.3":         {createOfficial(t, "3.9.3"), "official Parsec server, which this server cannot use"},
		"official, asked earlier": {asked, "official Parsec server, which this server cannot use"},
	} {
		t.Run(name, func(t *testing.T) {
			before := contents(t, test.dsn)
			store, err := database.Open(t.Context(), options(test.dsn), testkit.NewBus(t))
			if err == nil {
				store.Close()
			}
			_, migrating := database.Migrate(t.Context(), test.dsn)
			_, asking := database.MigrationStatus(t.Context(), test.dsn)
			for way, err := range map[string]error{"open": err, "migrate": migrating, "status": asking} {
				if err == nil || !strings.Contains(err.Error(), test.message) {
					t.Errorf("%s: %v", way, err)
				}
			}
			if after := contents(t, test.dsn); after != before {
				t.Errorf("changed to %s from %s", after, before)
			}
		})
	}
}

// contents returns which relations a database has, and which migrations.
func contents(t testing.TB, dsn string) (list string) {
	t.Helper()
	connection := testkit.Connect(t, dsn)
	const relations = `SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class
		WHERE relnamespace = 'public'::regnamespace`
	if err := connection.QueryRow(t.Context(), relations).Scan(&list); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"migration", "goose_db_version"} {
		if slices.Contains(strings.Fields(list), table) {
			list += fmt.Sprintf(" %s:%d", table, testkit.Number(t, connection, "SELECT count(*) FROM "+table))
		}
	}
	return list
}

// createOfficial returns a database with the tables of a release of the
// official server, and the record of its migrations.
func createOfficial(t testing.TB, release string) string {
	t.Helper()
	official := testkit.LoadOfficial(t, release)
	official.Rows = map[string][]map[string]*string{"migration": official.Rows["migration"]}
	_, owner := testkit.NewOfficial(t, official)
	return owner
}
