package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is where the module is.
const root = "../.."

// TestUnreachedFunctionsAreFound has a function in a program that nothing calls,
// and one that something does.
func TestUnreachedFunctionsAreFound(t *testing.T) {
	t.Chdir(root)
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/program\n\ngo 1.26\n")
	write("main.go", "package main\n\nfunc main() { reached() }\n\nfunc reached() {}\n")
	var out bytes.Buffer
	if err := checkReached(t.Context(), &out, folder, "."); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	write("main.go", "package main\n\nfunc main() { reached() }\n\nfunc reached() {}\n\nfunc forgotten() {}\n")
	if err := checkReached(t.Context(), &out, folder, "."); err == nil || !strings.Contains(err.Error(), "unreachable func: forgotten") || strings.Contains(err.Error(), "func: reached") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// onMemory are the packages whose tests get their store from the environment
// and never run on PostgreSQL: they are about sockets, commands and load.
var onMemory = []string{
	"./cmd/parsec", "./deploy", "./pkg/client/parsec2/bench", "./pkg/metrics", "./pkg/server/parsec2",
}

// TestEveryStore keeps a suite that moves from falling out of the round on
// PostgreSQL.
func TestEveryStore(t *testing.T) {
	getsStore := regexp.MustCompile(`\btestkit\.(New(Parsec3)?Store\b|Start\()`)
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") || filepath.Dir(path) == filepath.Join(root, "internal/check") {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && getsStore.Match(content) {
			folder, _ := filepath.Rel(root, filepath.Dir(path))
			found = append(found, "./"+filepath.ToSlash(folder))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	for _, folder := range found {
		if !slices.Contains(onEveryStore, folder) && !slices.Contains(onMemory, folder) {
			t.Errorf("the tests of %s get their store from PARSEC_TEST_STORE: put them in onEveryStore", folder)
		}
	}
	for _, folder := range onEveryStore {
		if !slices.Contains(found, folder) {
			t.Errorf("no test of %s gets its store from PARSEC_TEST_STORE", folder)
		}
	}
}

// TestWingsAreApart wants nothing but its own server and client, the commands
// and what is not the product to see a wing: to remove it is a deletion.
func TestWingsAreApart(t *testing.T) {
	const module = "parsec-server/"
	command := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	within := func(path, room string) bool { return path == room || strings.HasPrefix(path, room+"/") }
	for _, wing := range []string{"parsec2", "parsec3"} {
		rooms := []string{module + "pkg/" + wing, module + "pkg/server/" + wing, module + "pkg/client/" + wing}
		ofWing := func(path string) bool {
			return slices.ContainsFunc(rooms, func(room string) bool { return within(path, room) })
		}
		sees := 0
		for line := range strings.Lines(string(output)) {
			names := strings.Fields(line)
			switch path := names[0]; {
			case ofWing(path):
				sees++
			case within(path, module+"cmd"), within(path, module+"internal"):
			default:
				for _, imported := range names[1:] {
					if ofWing(imported) {
						t.Errorf("%s imports %s", path, imported)
					}
				}
			}
		}
		if sees == 0 {
			t.Errorf("no package of %s is known", wing)
		}
	}
}

// TestServerIsTestedWithoutAWing wants the tests of what is general in the server
// to outlive every wing.
func TestServerIsTestedWithoutAWing(t *testing.T) {
	const module = "parsec-server/"
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-test", "./pkg/server")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(output))
	if !slices.Contains(names, module+"pkg/server") {
		t.Error("the server is not known")
	}
	for _, name := range names {
		if strings.HasPrefix(name, module) && (strings.Contains(name+"/", "/parsec2/") || strings.Contains(name+"/", "/parsec3/")) {
			t.Errorf("the tests of pkg/server need %s", name)
		}
	}
}

// TestFuzzed has every fuzz test that check runs: the Go tool does without one that
// there is not.
func TestFuzzed(t *testing.T) {
	for _, test := range fuzzed {
		files, err := filepath.Glob(filepath.Join(root, test.folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(files, func(file string) bool {
			content, err := os.ReadFile(file)
			return err == nil && bytes.Contains(content, []byte("\nfunc "+test.target+"(f *testing.F) {"))
		})
		if !found {
			t.Errorf("%s has no %s", test.folder, test.target)
		}
	}
}

// TestOwnStores keeps the tests that the round on PostgreSQL does without from getting
// their store from the environment.
func TestOwnStores(t *testing.T) {
	getsStore := regexp.MustCompile(`\btestkit\.New(Parsec3)?Store\b`)
	for _, test := range onOwnStore {
		found := false
		for _, folder := range onEveryStore {
			files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				content, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				_, body, has := bytes.Cut(content, []byte("\nfunc "+test+"(t *testing.T) {\n"))
				if !has {
					continue
				}
				found = true
				body, _, _ = bytes.Cut(body, []byte("\n}\n"))
				ownStore := bytes.Contains(body, []byte("testkit.NewPostgres(")) || bytes.Contains(body, []byte("buildBinary(")) || bytes.Contains(body, []byte("{Store: "))
				if getsStore.Match(body) || !ownStore && test != "TestBrowser" {
					t.Errorf("%s gets its store from the environment", test)
				}
			}
		}
		if !found {
			t.Errorf("there is no %s", test)
		}
	}
}
