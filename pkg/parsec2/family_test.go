package parsec2_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// families are the names that a family of commands, or what its rules depend
// on, has in every room. A file is of a family if its name is that of the
// family, or begins with it and an underscore: realm_role.go is of realm.
var families = []string{
	"administration", "authentication", "block", "certificate", "conduit", "device", "enrollment", "event", "find",
	"human_accesses", "invite", "invitev1", "message", "organization", "ping", "realm", "reencryption", "sequester",
	"session", "shamir", "statistics", "user", "vlob",
}

// rooms have files of their own, which are of no family or of all, beside doc.go
// and one with their name.
var rooms = map[string][]string{
	"protocol":  {"client", "command", "compatibility", "handshake", "size", "status", "validate"},
	"rules":     {"store"},
	"memory":    {"store", "tx"},
	"postgres":  {"keys", "prune", "store", "tx", "value"},
	"storetest": {"concurrency", "fixture", "memory", "pgbouncer", "postgres", "transaction"},
	"notice":    {"codec", "table", "topic"},
}

// otherNames are those that families had in one room or another.
var otherNames = []string{
	"access", "archiving", "facts", "maintenance", "pki", "reader", "realm_access", "recovery", "rendezvous", "retry", "role",
	"survey", "trustchain", "user_find",
}

// TestNamesOfFiles finds a family by the same name wherever one looks.
func TestNamesOfFiles(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
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
	for _, directory := range []string{"../server/parsec2", "../client/parsec2"} {
		for _, name := range names(t, directory) {
			if slices.Contains(otherNames, name) {
				t.Errorf("%s/%s.go: the family has another name", directory, name)
			}
		}
	}
}

func ofFamily(name string) bool {
	return slices.ContainsFunc(families, func(family string) bool { return name == family || strings.HasPrefix(name, family+"_") })
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
