//go:build !without_postgresql

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
)

// TestImportCommand moves an official database in, as an operator does.
func TestImportCommand(t *testing.T) {
	t.Parallel()
	from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, "1.13"))
	to := testkit.NewPostgres(t)
	file := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(file, []byte(from+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &shell{t: t, variables: map[string]string{"PARSEC_IMPORT_FROM_FILE": file}}
	if out := s.succeed("backend", "import", "--dry-run"); !strings.Contains(out, "v1.13 (step 3)") || !strings.Contains(out, "3 organizations") || !strings.Contains(out, "to be copied") {
		t.Errorf("a dry run says %q", out)
	}
	s.variables["PARSEC_DB"], s.variables["PARSEC_BLOCKSTORE"] = to, "POSTGRESQL"
	if out := s.succeed("backend", "import"); !strings.Contains(out, "run the same command with --final") {
		t.Errorf("a first run says %q", out)
	}
	serving := testkit.Connect(t, owner)
	if _, _, err := s.run("backend", "import", "--final"); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("an official server runs: %v", err)
	}
	if err := serving.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	elsewhere := testkit.Connect(t, to)
	testkit.Await(t, "the end of what is connected", func() bool {
		return testkit.Number(t, elsewhere, "SELECT count(*) FROM pg_stat_activity a WHERE a.datname = $1", serving.Config().Database) == 0
	})
	report := filepath.Join(t.TempDir(), "report")
	if out := s.succeed("backend", "import", "--final", "--report", report); !strings.Contains(out, "the import is complete") {
		t.Errorf("the last run says %q", out)
	}
	if out := s.succeed("backend", "import"); !strings.Contains(out, "Nothing is left") {
		t.Errorf("a run after the last says %q", out)
	}
	if out := s.succeed("backend", "import", "verify"); strings.Count(out, "nothing wrong") != 3 {
		t.Errorf("verify says %q", out)
	}
	if text, err := os.ReadFile(report); err != nil || !strings.Contains(string(text), "v1.13") {
		t.Errorf("the report says %q, %v", text, err)
	}
}

// TestImportOfBoth moves databases of both generations into one.
func TestImportOfBoth(t *testing.T) {
	t.Parallel()
	to := testkit.NewPostgres(t)
	s := &shell{t: t, variables: map[string]string{"PARSEC_DB": to}}
	second, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, "2.17"))
	third, _ := testkit.NewOfficial(t, testkit.LoadOfficial(t, "3.9.3"))
	if _, _, err := s.run("backend", "import", "--from", third, "--same-vlob", "keep-first"); err == nil || !strings.Contains(err.Error(), "before 3.0") {
		t.Errorf("a choice that this source does not know: %v", err)
	}
	s.succeed("backend", "import", "--from", third)
	if out, _, err := s.run("backend", "import", "--from", second, "--dry-run"); !errors.Is(err, errProblems) || !strings.Contains(out, "organization Alpha: the database to import into has one of this name") {
		t.Errorf("a dry run, where organizations have the same names: %v, %q", err, out)
	}
	out, _, err := s.run("backend", "import", "--from", second)
	if !errors.Is(err, errProblems) || !strings.Contains(out, "organization Alpha: the database to import into has one of this name") || !strings.Contains(out, "Nothing is left") {
		t.Errorf("organizations of the same names: %v, %q", err, out)
	}
	executeOn(t, owner, "UPDATE organization SET organization_id = 'Second' || _id")
	s.succeed("backend", "import", "--from", second)
	for _, from := range []string{second, third} {
		if out := s.succeed("backend", "import", "verify", "--from", from); strings.Contains(out, "stop") {
			t.Errorf("verify says %q", out)
		}
	}
}

// TestImportOfAccountsTwice has a dry run, and a copy after it, name accounts that have come
// from elsewhere.
func TestImportOfAccountsTwice(t *testing.T) {
	t.Parallel()
	sample := testkit.LoadOfficial(t, "3.9.3")
	first, _ := testkit.NewOfficial(t, sample)
	second, owner := testkit.NewOfficial(t, sample)
	executeOn(t, owner, "UPDATE organization SET organization_id = 'Second' || _id")
	s := &shell{t: t, variables: map[string]string{"PARSEC_DB": testkit.NewPostgres(t)}}
	s.succeed("backend", "import", "--from", first)
	for _, run := range [][]string{{"--dry-run"}, nil} {
		out, _, err := s.run(append([]string{"backend", "import", "--from", second}, run...)...)
		if !errors.Is(err, errProblems) || !strings.Contains(out, "stop: account alice@example.com: the database to import into has an account alice@example.com") {
			t.Errorf("accounts of the same people, %q: %v, %q", run, err, out)
		}
	}
}

// TestImportRefusals are of sources that are none, and of names that are taken.
func TestImportRefusals(t *testing.T) {
	t.Parallel()
	ours := testkit.NewPostgres(t, testkit.Unsound)
	s := &shell{t: t, variables: map[string]string{"PARSEC_DB": ours}}
	for dsn, want := range map[string]string{
		ours:                        "one of this server",
		testkit.NewBlankPostgres(t): "empty",
	} {
		if _, _, err := s.run("backend", "import", "--from", dsn); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("an import from what is %s: %v", want, err)
		}
	}
	// What is typed wrong is told before anything is asked, and copied.
	if _, _, err := s.run("backend", "import", "--from", ours, "--blockstore", "POSTGRESQL", "--from-blockstore", "nonsense"); err == nil || !strings.Contains(err.Error(), "--from-blockstore") {
		t.Errorf("blocks from nowhere: %v", err)
	}
	from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, "1.13"))
	executeOn(t, ours, "INSERT INTO organization (organization_id, bootstrap_token, user_profile_outsider_allowed, minimum_archiving_period, created_on) VALUES ('Alpha', '', false, 0, 0)")
	out, _, err := s.run("backend", "import", "--from", from)
	if !errors.Is(err, errProblems) || !strings.Contains(out, "organization Alpha: the database to import into has one of this name") ||
		!strings.Contains(out, "2 organizations") {
		t.Errorf("a name that is taken: %v, %q", err, out)
	}
	executeOn(t, owner, "ALTER TABLE realm RENAME COLUMN encryption_revision TO revision")
	if _, _, err := s.run("backend", "import", "--from", from); err == nil || !strings.Contains(err.Error(), "the column encryption_revision of the table realm is missing") {
		t.Errorf("a column that is missing: %v", err)
	}
}
