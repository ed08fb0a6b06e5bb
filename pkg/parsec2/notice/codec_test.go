package notice

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// TestKinds has every type of body in the outbox, under one name, but Lost,
// which is of one process.
func TestKinds(t *testing.T) {
	files, err := filepath.Glob("../../event/*.go")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range tree.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv == nil || function.Name.Name != "topics" {
				continue
			}
			if body := function.Recv.List[0].Type.(*ast.Ident).Name; body != "Lost" {
				want = append(want, body)
			}
		}
	}
	var got []string
	for _, kind := range kinds {
		got = append(got, kind.body.Name())
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("bodies %v, the package event has %v", got, want)
	}
	if len(kindsByName) != len(kinds) || len(kindsByBody) != len(kinds) {
		t.Error("a name or a type is there twice")
	}
}
