package database_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"parsec-server/migrations"
)

// TestNoTableOfOthers has the statements of this package name no table of the
// schema but the outbox, and that of instances: the others are of those who stand on it.
func TestNoTableOfOthers(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var statements strings.Builder
	for _, name := range names {
		if source, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(name, "_test.go") {
			statements.Write(source)
		}
	}
	entries, err := migrations.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for _, entry := range entries {
		step, err := migrations.Files.ReadFile(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, created := range regexp.MustCompile(`CREATE TABLE ([\w.]+)`).FindAllSubmatch(step, -1) {
			table := string(created[1])
			tables++
			named := regexp.MustCompile(`(FROM|JOIN|INTO|UPDATE|TABLE) ` + table + `\b`).MatchString(statements.String())
			if named != (table == "event_outbox" || table == "instance") {
				t.Errorf("the table %s: named %t", table, named)
			}
		}
	}
	const least = 20
	if tables < least {
		t.Errorf("only %d tables are found in the migrations", tables)
	}
}
