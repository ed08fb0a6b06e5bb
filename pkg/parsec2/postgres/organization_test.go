package postgres

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTableOfOrganizations has the statements of this package find organizations
// by their names, and leave their other columns, and their changes, to the
// package that all wings share.
func TestTableOfOrganizations(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	columns := regexp.MustCompile(`\bo\.([a-z]\w*)`)
	changes := regexp.MustCompile(`(INTO|UPDATE|DELETE FROM) organization\b`)
	joins := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, column := range columns.FindAllSubmatch(source, -1) {
			if found := string(column[1]); found != "id" && found != "organization_id" {
				t.Errorf("%s reads the column %s", name, found)
			}
			joins++
		}
		if changes.Match(source) {
			t.Errorf("%s changes organizations", name)
		}
	}
	if joins == 0 {
		t.Error("no statement finds an organization")
	}
}
