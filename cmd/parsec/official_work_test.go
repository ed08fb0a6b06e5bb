//go:build !without_postgresql

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
)

// TestOfficialWork runs official command lines on a database, with the options of logs
// and reports that they take officially, and those of the server in PARSEC_CMD_ARGS.
func TestOfficialWork(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	tail := []string{
		"--db-min-connections=1", "--db-max-connections=2", "--log-level=DEBUG", "--log-format", "JSON", "--log-file=-",
		"--sentry-dsn=https://k@s.example/1", "--sentry-environment=x", "--debug", "--blockstore=POSTGRESQL",
	}
	const nobody = "ab000000000000000000000000000000"
	for _, row := range []struct {
		words  string
		code   int
		stdout string
	}{
		{"migrate --dry-run", 0, "00001_"},
		{"migrate", 0, "(already applied)"},
		{"human_accesses --organization Unknown", 1, "Error: There is no organization Unknown in the database "},
		{"human_accesses", 2, ""},
		{"sequester list_services --organization Unknown", 1, "Error: "},
		{"export_email", 2, ""},
		{"list_deletable_realms --organization Unknown --json", 1, "Error: "},
		{"delete_realm --organization Unknown --realm " + nobody + " --dump-realm-blocks /nowhere/dump --dry-run", 1, "Error: "},
		{"export_realm /nowhere/file --organization Unknown --realm " + nobody, 1, "Error: "},
		{"export_realm one two", 2, ""},
	} {
		for name, run := range map[string]func() outcome{
			"options": func() outcome {
				return executeWith(t.Context(), idle, nil, append(append(strings.Fields(row.words), "--db", dsn), tail...)...)
			},
			"variables": func() outcome {
				return executeWith(t.Context(), idle, map[string]string{
					"PARSEC_DB": dsn, "PARSEC_CMD_ARGS": "--blockstore=POSTGRESQL --ssl-ciphers=x --spontaneous-organization-bootstrap",
				}, strings.Fields(row.words)...)
			},
		} {
			if got := run(); got.code != row.code || !strings.Contains(got.stdout+got.stderr, row.stdout) {
				t.Errorf("%s by %s: got %+v", row.words, name, got)
			}
		}
	}
}

// TestOfficialDeletion deletes a realm by the official command lines.
func TestOfficialDeletion(t *testing.T) {
	e := newEstate(t)
	due, kept := e.addRealm("Three", longAgo, 5, estateAlice), e.addRealm("Three", "", 5, estateAlice)
	run := func(words ...string) outcome {
		t.Helper()
		got := executeWith(t.Context(), idle, e.variables, append(words, "--organization", "Three", "--log-level=INFO")...)
		if got.code != 0 {
			t.Fatalf("%q: got %+v", words, got)
		}
		return got
	}
	listed := run("list_deletable_realms", "--json")
	if want := `[{"realm_id":"` + due.hex() + `","kind":"deletion_planned","deletion_date":"` + longAgo + `"}]`; strings.Join(strings.Fields(listed.stdout), "") != want {
		t.Errorf("listed %s, want %s", listed.stdout, want)
	}
	dump := filepath.Join(t.TempDir(), "dump")
	run("delete_realm", "--realm", due.hex(), "--dump-realm-blocks", dump, "--dry-run")
	e.wantLeft(due, kept)
	run("delete_realm", "--realm", due.hex(), "--dump-realm-blocks", dump)
	e.wantLeft(kept)
	if got := strings.Fields(string(must(os.ReadFile(dump)))); !slices.Equal(got, due.names) {
		t.Errorf("dumped %q, want %q", got, due.names)
	}
}

// TestOfficialExportEmail writes the e-mails to files.
func TestOfficialExportEmail(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "mails")
	got := executeWith(t.Context(), idle, officialBase(), "export_email", folder, "--log-format=JSON")
	files, err := os.ReadDir(folder)
	if got.code != 0 || err != nil || len(files) == 0 {
		t.Errorf("got %+v, %d files, %v", got, len(files), err)
	}
}
