// Package house checks where the things of a wing are
// (docs/development.md, "The house").
package house

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// CheckFamilies finds a family of commands by the same name in every room of the wing
// whose folder the test runs in: a file is of a family if its name is that of the
// family, or begins with it and an underscore: realm_role.go is of realm. Rooms have
// files of their own beside doc.go and one with their name. No file of the other
// directories has one of the other names, which families have had in one room or
// another.
func CheckFamilies(t *testing.T, families []string, rooms map[string][]string, directories, otherNames []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	ofFamily := func(name string) bool {
		return slices.ContainsFunc(families, func(family string) bool { return name == family || strings.HasPrefix(name, family+"_") })
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		room := entry.Name()
		for _, name := range names(t, room) {
			if name != room && name != "doc" && !slices.Contains(rooms[room], name) && !ofFamily(name) {
				t.Errorf("%s/%s.go: neither a family nor a file of the room", room, name)
			}
		}
	}
	for _, directory := range directories {
		found := names(t, directory)
		if len(found) == 0 {
			t.Errorf("no file in %s", directory)
		}
		for _, name := range found {
			if slices.Contains(otherNames, name) {
				t.Errorf("%s/%s.go: the family has another name", directory, name)
			}
		}
	}
}

// names returns the names of the files of a room: without tests, unless it has
// nothing else.
func names(t *testing.T, room string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(room, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var product, tests []string
	for _, path := range paths {
		name, isTest := strings.CutSuffix(strings.TrimSuffix(filepath.Base(path), ".go"), "_test")
		if isTest {
			tests = append(tests, name)
		} else {
			product = append(product, name)
		}
	}
	if len(product) == 0 {
		return tests
	}
	return product
}
