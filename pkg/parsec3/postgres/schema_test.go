//go:build !without_postgresql

package postgres_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
)

// texts reads a column of texts.
func texts(t testing.TB, connection *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := connection.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestOrganizationFirst reads the catalogue: the organization is the first column
// of every key and index, and of what a foreign key refers to. Accounts are of none, and
// look for their owner in all of them.
func TestOrganizationFirst(t *testing.T) {
	connection := testkit.Connect(t, testkit.NewPostgres(t, testkit.Unsound))
	for _, test := range []struct{ what, sql string }{
		{"indexes and the keys on them", `
SELECT i.indexrelid::regclass || ' ' || coalesce(a.attname, 'an expression')
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE c.relnamespace = 'parsec3'::regnamespace AND c.relname NOT LIKE 'account%' AND i.indexrelid::regclass::text NOT LIKE '%\_of\_account'`},
		{"foreign keys", `
SELECT f.conrelid::regclass || ' ' || f.conname || ' ' || a.attname
FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
WHERE f.connamespace = 'parsec3'::regnamespace AND f.contype = 'f' AND f.conrelid::regclass::text NOT LIKE 'parsec3.account%'`},
		{"what foreign keys refer to", `
SELECT f.conrelid::regclass || ' ' || f.conname || ' ' || replace(a.attname, 'organization_id', 'organization')
FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = f.confkey[1]
WHERE f.connamespace = 'parsec3'::regnamespace AND f.contype = 'f' AND f.conrelid::regclass::text NOT LIKE 'parsec3.account%'`},
		{"tables", `
SELECT a.attrelid::regclass || ' ' || a.attname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'parsec3'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE 'account%' AND a.attnum = 1`},
	} {
		found := texts(t, connection, test.sql)
		const least = 10
		if len(found) < least {
			t.Errorf("only %d %s are found", len(found), test.what)
		}
		for _, first := range found {
			if !strings.HasSuffix(first, " organization") {
				t.Errorf("of the %s, one begins otherwise: %s", test.what, first)
			}
		}
	}
	// A table without key would have no index to look at.
	for _, table := range texts(t, connection, `
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'parsec3'::regnamespace AND c.relkind = 'r'
    AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)`) {
		t.Errorf("the table %s has no primary key", table)
	}
}

// TestHotRows has the rows that every write changes in place, beside room for the
// next version, and no index on what changes: realm_counter_unsummed is of what the
// first write in a minute changes. TestWritesStayInPlace has it so.
func TestHotRows(t *testing.T) {
	connection := testkit.Connect(t, testkit.NewPostgres(t, testkit.Unsound))
	for table, want := range map[string]int{"realm_counter": 2, "last_signed": 1, "topic": 1, "realm": 1, "usage": 1} {
		if got := texts(t, connection, "SELECT indexrelid::text FROM pg_index WHERE indrelid = ('parsec3.' || $1::text)::regclass", table); len(got) != want {
			t.Errorf("%s has %d indexes", table, len(got))
		}
		options := texts(t, connection, "SELECT unnest(reloptions) FROM pg_class WHERE oid = ('parsec3.' || $1::text)::regclass", table)
		if !slices.Equal(options, []string{"fillfactor=50"}) {
			t.Errorf("%s has the options %v", table, options)
		}
	}
}

// TestStorage has what is encrypted or signed stored without compression.
func TestStorage(t *testing.T) {
	connection := testkit.Connect(t, testkit.NewPostgres(t, testkit.Unsound))
	got := texts(t, connection, `
SELECT c.relname || '.' || a.attname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'parsec3'::regnamespace AND c.relkind = 'r' AND a.attstorage = 'e'
ORDER BY 1`)
	want := []string{
		"account_item.item", "account_method.vault_key_access", "certificate.certificate", "certificate.redacted", "greeting_attempt.claimer_said", "greeting_attempt.greeter_said",
		"keys_bundle.bundle", "shamir_setup.ciphered_data", "vlob_atom.blob",
	}
	if !slices.Equal(got, want) {
		t.Errorf("stored as they are: %v, want %v", got, want)
	}
}

// TestDocument compares the tables, columns and indexes with docs/database.md.
func TestDocument(t *testing.T) {
	document, err := os.ReadFile("../../../docs/database.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(document), "\n## Tables of Parsec 3\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("no section has the tables")
	}
	code := regexp.MustCompile("`([^`]+)`")
	names := func(text string) map[string]bool {
		all := map[string]bool{}
		for _, match := range code.FindAllStringSubmatch(text, -1) {
			all[match[1]] = true
		}
		return all
	}
	aside := regexp.MustCompile(`\([^)]*\)`)
	columns, indexes := map[string]map[string]bool{}, map[string]map[string]bool{}
	for row := range strings.Lines(section) {
		cells := strings.Split(row, "|")
		const wanted = 6 // with what is before the first and after the last
		if len(cells) != wanted || !strings.Contains(cells[1], "`") {
			continue
		}
		table := slices.Collect(maps.Keys(names(cells[1])))[0]
		columns[table], indexes[table] = names(aside.ReplaceAllString(cells[3], "")), names(cells[4])
	}
	connection := testkit.Connect(t, testkit.NewPostgres(t, testkit.Unsound))
	known := texts(t, connection, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'parsec3'")
	if len(known) != len(columns) {
		t.Errorf("%d tables are explained of %d", len(columns), len(known))
	}
	for _, table := range known {
		got := map[string]bool{}
		for _, column := range texts(t, connection, `
SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'parsec3' AND table_name = $1`, table) {
			got[column] = true
		}
		if !maps.Equal(got, columns[table]) {
			t.Errorf("the columns of %s are %v, explained are %v", table, got, columns[table])
		}
		for _, index := range texts(t, connection, `
SELECT i.indexrelid::regclass::text FROM pg_index i
WHERE i.indrelid = ('parsec3.' || $1::text)::regclass AND NOT i.indisprimary`, table) {
			if !indexes[table][strings.TrimPrefix(index, "parsec3.")] {
				t.Errorf("the index %s of %s is not explained", index, table)
			}
		}
	}
}
