// Package moving imports databases of official servers in tests, and tells what has come
// of it.
package moving

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
)

// Date is when the tests import that do not say when.
const Date = parsec.DateTime(1_800_000_000_000_000)

// Move surveys a database, imports it into another one, and compares the two.
func Move(t testing.TB, wing imports.Wing, from, to string, choices imports.Choices) *imports.Report {
	t.Helper()
	choices.At = cmp.Or(choices.At, Date)
	snapshot := open(t, wing, from)
	defer snapshot.Close()
	report, err := imports.Survey(t.Context(), snapshot, wing, imports.Selection{}, choices, func(*imports.Organization) {})
	if err != nil {
		t.Fatal(err)
	}
	target := openTarget(t, to)
	defer target.Close()
	if err := target.MatchServer(t.Context(), snapshot, wing, choices, report); err != nil {
		t.Fatal(err)
	}
	report.LeaveStopped()
	if err := imports.Import(t.Context(), snapshot, wing, target, report, choices, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Compare(t.Context(), snapshot, wing, report); err != nil {
		t.Fatal(err)
	}
	return report
}

// Complete ends what Move has begun, at a date.
func Complete(t testing.TB, to string, report *imports.Report, at parsec.DateTime) {
	t.Helper()
	target := openTarget(t, to)
	defer target.Close()
	if err := imports.Complete(t.Context(), target, report, at); err != nil {
		t.Fatal(err)
	}
}

// Survey tells what an import would bring.
func Survey(t testing.TB, wing imports.Wing, from string, choices imports.Choices) *imports.Report {
	t.Helper()
	choices.At = Date
	snapshot := open(t, wing, from)
	defer snapshot.Close()
	report, err := imports.Survey(t.Context(), snapshot, wing, imports.Selection{}, choices, func(*imports.Organization) {})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Run imports, without survey, until ctx ends.
func Run(ctx context.Context, t testing.TB, wing imports.Wing, from, to string, choices imports.Choices, progress imports.Progress) error {
	t.Helper()
	choices.At = Date
	snapshot := open(t, wing, from)
	defer snapshot.Close()
	report, err := imports.List(t.Context(), snapshot, wing, imports.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	target := openTarget(t, to)
	defer target.Close()
	return imports.Import(ctx, snapshot, wing, target, report, choices, progress)
}

// open opens a source, which the caller closes.
func open(t testing.TB, wing imports.Wing, from string) *imports.Snapshot {
	t.Helper()
	snapshot, _, err := imports.OpenSnapshot(t.Context(), database.Source{DSN: from}, []imports.Wing{wing})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// openTarget waits for an import that has been killed to let go of the target.
func openTarget(t testing.TB, to string) (target *imports.Target) {
	t.Helper()
	testkit.Await(t, "the target that was being imported into", func() (opened bool) {
		var err error
		target, err = imports.OpenTarget(t.Context(), database.Source{DSN: to})
		return err == nil
	})
	return target
}

// Killer is a progress that ends a context after some steps.
type Killer struct {
	Left int
	Kill context.CancelFunc
}

// Advance implements imports.Progress.
func (k *Killer) Advance(string, int64, int64) {
	if k.Left--; k.Left == 0 {
		k.Kill()
	}
}

// Dump returns the rows of all tables of a database, without the marks of imports, and what
// servers tell one another.
func Dump(t testing.TB, dsn string) string {
	t.Helper()
	connection := testkit.Connect(t, dsn)
	rows, err := connection.Query(t.Context(), `
SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
WHERE schemaname IN ('public', 'parsec3') AND tablename NOT IN ('goose_db_version', 'event_outbox') AND tablename NOT LIKE 'import%' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
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

// Difference returns the lines that are in one text alone.
func Difference(before, after string) string {
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

// Findings are all of a report, a line each.
func Findings(report *imports.Report) (lines []string) {
	for _, finding := range report.Server {
		lines = append(lines, fmt.Sprintf("%s %s: %s: %s", finding.Severity, finding.Rule, finding.Subject, finding.Detail))
	}
	for _, one := range report.Organizations {
		for _, finding := range one.Findings {
			lines = append(lines, fmt.Sprintf("%s %s %s: %s: %s", one.ID, finding.Severity, finding.Rule, finding.Subject, finding.Detail))
		}
	}
	return lines
}

// Stops are the findings that stop something.
func Stops(report *imports.Report) (lines []string) {
	for _, line := range Findings(report) {
		if words := strings.Fields(line); words[0] == string(imports.Stop) || words[1] == string(imports.Stop) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Downgrade takes from a database what came after a step; older makes what the step has
// and later ones have replaced, by table or table.column.
func Downgrade(t testing.TB, connection *pgx.Conn, wing imports.Wing, from, step int, older map[string]string) {
	t.Helper()
	for _, table := range wing.Schema().Tables {
		switch {
		case table.At(from) && !table.At(step):
			testkit.Execute(t, connection, "DROP TABLE "+table.Name+" CASCADE")
			continue
		case !table.At(from) && table.At(step):
			testkit.Execute(t, connection, older[table.Name])
		case !table.At(step):
			continue
		}
		for _, column := range table.Columns {
			name := table.Name + "." + column.Name
			switch {
			case column.At(from) && !column.At(step):
				if sql, given := older[name]; given {
					testkit.Execute(t, connection, sql)
				}
				testkit.Execute(t, connection, "ALTER TABLE "+table.Name+" DROP COLUMN "+column.Name+" CASCADE")
			case !column.At(from) && column.At(step):
				testkit.Execute(t, connection, older[name])
			}
		}
	}
	testkit.Execute(t, connection, fmt.Sprintf("DELETE FROM migration WHERE _id > %d", step))
}
