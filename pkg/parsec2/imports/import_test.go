//go:build !without_postgresql

package imports_test

import (
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	parsec2imports "parsec-server/pkg/parsec2/imports"
)

// importDate is when the tests import.
const importDate = parsec.DateTime(1_800_000_000_000_000)

// move imports from a database into another one, and returns what it tells.
func move(t testing.TB, from, to string, choices imports.Choices) *imports.Report {
	t.Helper()
	choices.At = importDate
	snapshot, wing, err := imports.OpenSnapshot(t.Context(), database.Source{DSN: from}, []imports.Wing{parsec2imports.Wing{}})
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	report, err := imports.Survey(t.Context(), snapshot, wing, imports.Selection{}, choices, func(*imports.Organization) {})
	if err != nil {
		t.Fatal(err)
	}
	report.LeaveStopped()
	target, err := imports.OpenTarget(t.Context(), database.Source{DSN: to})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if err := imports.Import(t.Context(), snapshot, wing, target, report, choices, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Compare(t.Context(), snapshot, wing, report); err != nil {
		t.Fatal(err)
	}
	return report
}

// dump returns the rows of all tables of the target, without the marks of the import.
func dump(t testing.TB, dsn string) string {
	t.Helper()
	connection := testkit.Connect(t, dsn)
	var tables []string
	rows, err := connection.Query(t.Context(), `
SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname IN ('public', 'parsec3') AND tablename NOT IN ('goose_db_version', 'event_outbox') AND tablename NOT LIKE 'import%' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	rows.Close()
	var all strings.Builder
	for _, table := range tables {
		var content string
		err := connection.QueryRow(t.Context(), "SELECT coalesce(string_agg(x::text, E'\\n' ORDER BY x::text), '') FROM "+table+" x").Scan(&content)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(table + "\n" + content + "\n")
	}
	return all.String()
}

// TestOfficialDatabases imports the real ones, twice.
func TestOfficialDatabases(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"1.13", "2.17"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, release))
			to := testkit.NewPostgres(t)
			before := dump(t, owner)
			report := move(t, from, to, imports.Choices{BlockData: true})
			for _, one := range report.Organizations {
				for _, finding := range one.Findings {
					t.Logf("%s %s %s: %s: %s", one.ID, finding.Severity, finding.Rule, finding.Subject, finding.Detail)
					if finding.Severity == imports.Stop {
						t.Error("that is a stop")
					}
				}
			}
			first := dump(t, to)
			move(t, from, to, imports.Choices{BlockData: true})
			if second := dump(t, to); second != first {
				t.Errorf("a second run changes something:\n%s", difference(first, second))
			}
			if after := dump(t, owner); after != before {
				t.Error("the source has changed")
			}
		})
	}
}

// difference returns the lines that are in one text alone.
func difference(before, after string) string {
	old, fresh := strings.Split(before, "\n"), strings.Split(after, "\n")
	var lines []string
	for _, line := range old {
		if !slices.Contains(fresh, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range fresh {
		if !slices.Contains(old, line) {
			lines = append(lines, "+ "+line)
		}
	}
	return strings.Join(lines, "\n")
}
