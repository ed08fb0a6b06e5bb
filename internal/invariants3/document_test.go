//go:build !without_postgresql

package invariants3_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// document is docs/invariants.md.
func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/invariants.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// quoted returns what a cell has in backticks.
func quoted(cell string) (names []string) {
	for _, found := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		names = append(names, found[1])
	}
	return names
}

// TestDocumentOfInvariants wants a row, with its test, for each invariant.
func TestDocumentOfInvariants(t *testing.T) {
	var rows []int
	var named []string
	locks := documentedLocks(t)
	for _, row := range regexp.MustCompile(`(?m)^\| v5\.(\d+) \| ([^|]*) \| ([^|]*) \|$`).FindAllStringSubmatch(document(t), -1) {
		number, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, number)
		for _, lock := range quoted(row[2]) {
			if _, known := locks[lock]; !known {
				t.Errorf("invariant %d is guarded by %s, which is no lock", number, lock)
			}
		}
		for _, test := range quoted(row[3]) {
			if !strings.HasPrefix(test, "TestInvariant"+strconv.Itoa(100 + number)[1:]) {
				t.Errorf("%s is not the test of invariant %d", test, number)
			}
			named = append(named, test)
		}
	}
	var want []int
	for number := 1; number <= 54; number++ {
		want = append(want, number)
	}
	if !slices.Equal(rows, want) {
		t.Errorf("rows of %v, want %v", rows, want)
	}
	tests := slices.DeleteFunc(declared(t, "."), func(name string) bool {
		return !strings.HasPrefix(name, "TestInvariant")
	})
	slices.Sort(tests)
	slices.Sort(named)
	if !slices.Equal(tests, named) {
		t.Errorf("tests are %v, the document names %v", tests, named)
	}
}

// declared returns the names of the functions of the tests of a folder.
func declared(t *testing.T, folder string) (names []string) {
	t.Helper()
	eachFunction(t, folder, true, func(function *ast.FuncDecl) { names = append(names, function.Name.Name) })
	return names
}

// eachFunction visits those of the tests of a folder, or of all else.
func eachFunction(t *testing.T, folder string, tests bool, visit func(*ast.FuncDecl)) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") != tests {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), folder+"/"+entry.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			if function, is := declaration.(*ast.FuncDecl); is {
				visit(function)
			}
		}
	}
}

// documentedLock is one row of the table of locks.
type documentedLock struct{ takers, proofs []string }

func documentedLocks(t *testing.T) map[string]documentedLock {
	t.Helper()
	_, section, _ := strings.Cut(document(t), "\n## Each lock is needed\n")
	section, _, _ = strings.Cut(section, "\n# ")
	locks := map[string]documentedLock{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]*) \\| ([^|]*) \\|$").FindAllStringSubmatch(section, -1) {
		locks[row[1]] = documentedLock{quoted(row[2]), quoted(row[3])}
		if strings.TrimSpace(row[3]) == "" {
			t.Errorf("the lock %s has neither test nor reason", row[1])
		}
	}
	return locks
}

// TestDocumentOfLocks compares the table of locks with the scopes of the rules, and with
// the proofs.
func TestDocumentOfLocks(t *testing.T) {
	documented := documentedLocks(t)
	takers := map[string][]string{}
	for lock, row := range documented {
		takers[lock] = row.takers
	}
	if taken := locksOfRules(t); !reflect.DeepEqual(taken, takers) {
		t.Errorf("the rules take\n%v\nthe document says\n%v", taken, takers)
	}
	proved := map[string][]string{}
	for _, proof := range proofs {
		proved[proof.lock] = append(proved[proof.lock], proof.test)
	}
	for lock, tests := range proved {
		if !slices.Equal(documented[lock].proofs, tests) {
			t.Errorf("the proofs of %s are %s, the document says %v", lock, tests, documented[lock].proofs)
		}
		delete(documented, lock)
	}
	if len(documented) > 0 {
		t.Errorf("locks without proof are %v", slices.Sorted(maps.Keys(documented)))
	}
}

// letters are the locks by the fields of rules.Scope.
var letters = map[string]string{
	"Common": "C", "RealmLock": "R", "Sequester": "Q", "Shamir": "S", "Enrollment": "E", "Invitations": "I",
	"Founding": "founding", "Invitation": "invitation", "Attempt": "invitation", "TOTP": "totp", "OpaqueKey": "opaque key", "Block": "block",
}

// nameOf returns the name of a function, behind that of its type unless that is Rules.
func nameOf(function *ast.FuncDecl) string {
	name := function.Name.Name
	if function.Recv == nil {
		return name
	}
	of := function.Recv.List[0].Type
	if pointed, is := of.(*ast.StarExpr); is {
		of = pointed.X
	}
	if receiver := of.(*ast.Ident).Name; receiver != "Rules" {
		name = receiver + "." + name
	}
	return name
}

// locksOfRules returns the functions that name each lock in a scope, by their names.
func locksOfRules(t *testing.T) map[string][]string {
	t.Helper()
	taken := map[string][]string{}
	take := func(function, field string, value ast.Expr) {
		lock, is := letters[field]
		if how, named := value.(*ast.Ident); is && named && how.Name == "Exclusive" {
			lock += ":x"
		} else if is && named && how.Name == "Shared" {
			lock += ":s"
		}
		if is && !slices.Contains(taken[lock], function) {
			taken[lock] = append(taken[lock], function)
		}
	}
	eachFunction(t, "../../pkg/parsec3/rules", false, func(function *ast.FuncDecl) {
		ast.Inspect(function, func(node ast.Node) bool {
			switch found := node.(type) {
			case *ast.CompositeLit:
				if name, is := found.Type.(*ast.Ident); !is || name.Name != "Scope" {
					return true
				}
				for _, element := range found.Elts {
					pair := element.(*ast.KeyValueExpr)
					take(nameOf(function), pair.Key.(*ast.Ident).Name, pair.Value)
				}
			case *ast.AssignStmt:
				field, is := found.Lhs[0].(*ast.SelectorExpr)
				if how, named := found.Rhs[0].(*ast.Ident); is && named && (how.Name == "Shared" || how.Name == "Exclusive") {
					take(nameOf(function), field.Sel.Name, how)
				}
			}
			return true
		})
	})
	for _, functions := range taken {
		slices.Sort(functions)
	}
	return taken
}
