package hostile_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	packageOfTests = regexp.MustCompile("`([a-z0-9/]+)`")
	nameOfTest     = regexp.MustCompile(`\bTest\w+`)
)

// Each row of docs/limits.md names a test, which exists.
func TestLimitsAreTested(t *testing.T) {
	const root = "../.."
	document, err := os.ReadFile(filepath.Join(root, "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(document)) {
		cells := strings.Split(strings.TrimSpace(line), " |")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| **") || strings.HasPrefix(line, "| What is bounded") {
			continue
		}
		rows++
		tests := cells[len(cells)-2]
		if !nameOfTest.MatchString(tests) {
			t.Errorf("no test: %s", line)
		}
		places := packageOfTests.FindAllStringSubmatchIndex(tests, -1)
		for i, place := range places {
			end := len(tests)
			if i+1 < len(places) {
				end = places[i+1][0]
			}
			folder := tests[place[2]:place[3]]
			for _, name := range nameOfTest.FindAllString(tests[place[1]:end], -1) {
				if !declares(t, root, folder, name) {
					t.Errorf("%s has no %s", folder, name)
				}
			}
		}
	}
	if rows < 30 {
		t.Errorf("%d rows are read", rows)
	}
}

// declares reports whether a package declares a test. What the conformance
// suites run is declared beside them.
func declares(t *testing.T, root, folder, name string) bool {
	t.Helper()
	for _, base := range []string{"pkg", "cmd", "."} {
		files, err := filepath.Glob(filepath.Join(root, base, folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(source), "func "+name+"(") {
				return true
			}
		}
	}
	return false
}
