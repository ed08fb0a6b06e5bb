package rules_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The tests that docs/invariants.md names exist.
func TestInvariantDocument(t *testing.T) {
	document, err := os.ReadFile("../../../docs/invariants.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := len(regexp.MustCompile(`(?m)^\| \d+ \|`).FindAll(document, -1))
	if rows != 57 {
		t.Errorf("%d invariants, want 57", rows)
	}
	var sources strings.Builder
	for _, folder := range []string{"../..", "../../../internal"} {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			sources.Write(source)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	names := regexp.MustCompile("`((?:Test|Fuzz)\\w+)(?:/(\\w+))?`").FindAllStringSubmatch(string(document), -1)
	for _, name := range names {
		if !strings.Contains(sources.String(), "\nfunc "+name[1]+"(") {
			t.Errorf("no test is called %s", name[1])
		}
		if name[2] != "" && !strings.Contains(sources.String(), "\t\""+name[2]+"\": ") {
			t.Errorf("no test is called %s/%s", name[1], name[2])
		}
	}
}
