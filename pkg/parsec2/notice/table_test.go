package notice

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
)

// TestKinds has every type of body in the outbox, under one name, but Lost,
// which is of one process.
func TestKinds(t *testing.T) {
	var want []string
	for _, file := range []string{"../../event/event.go", "notice.go"} {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range tree.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv == nil || function.Name.Name != "Topics" {
				continue
			}
			switch body := function.Recv.List[0].Type.(*ast.Ident).Name; body {
			case "Lost", "Resumed", "InstanceVanished": // of no outbox
			case "OrganizationTOSUpdated": // of the table of Parsec 3: nobody else has terms of service
			default:
				want = append(want, body)
			}
		}
	}
	var got []string
	for _, kind := range table {
		got = append(got, kind.body.Name())
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("bodies %v, the packages have %v", got, want)
	}
	if len(byName) != len(table) || len(byBody) != len(table) {
		t.Error("a name or a type is there twice")
	}
}

// TestTableIsTheDocument compares the table with docs/protocol/events.md: the
// events for clients with §2, all names with §6.
func TestTableIsTheDocument(t *testing.T) {
	document, err := os.ReadFile("../../../docs/protocol/events.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(document), "\n## ")
	type line struct{ name, since, author string }
	var want, got []line
	for _, cells := range tableOf(sections[2]) {
		author, _, _ := strings.Cut(cells[5], " ")
		want = append(want, line{strings.Trim(cells[0], "`"), cells[2], author})
	}
	var all []string
	for _, kind := range table {
		all = append(all, kind.Name)
		if kind.in == nil {
			continue
		}
		got = append(got, line{kind.Name, since(kind.in), map[bool]string{true: "yes", false: "no"}[kind.ForAuthor]})
		if told := kind.fresh(); told.EventName() != kind.Name {
			t.Errorf("clients are told of %s as %s", kind.Name, told.EventName())
		}
	}
	for i := range want { // §2 says where it is in releases as well, or that API 1 has none.
		want[i].since = map[string]string{
			"all": "all", "2.10 / 3.4": "2.10 / 3.4", "2.0 (never API v1)": "2.0 / 3.0", "2.6 (v2.8) / 3.0": "2.6 / 3.0",
		}[want[i].since]
	}
	if !slices.Equal(got, want) {
		t.Errorf("events for clients\n%v, the document has\n%v", got, want)
	}
	var written []string
	for _, cells := range tableOf(sections[6]) {
		for name := range strings.SplitSeq(cells[0], ", ") {
			// This server tells the date, in advance.
			written = append(written, strings.ReplaceAll(strings.Trim(name, "`"), "organization.expired", "organization.expiration"))
		}
	}
	if !slices.Equal(all, written) {
		t.Errorf("events\n%v, the document has\n%v", all, written)
	}
}

// tableOf returns the cells of the first table of a section, without its head.
func tableOf(section string) (lines [][]string) {
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| ") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			lines = append(lines, cells)
		} else if len(lines) > 0 && !strings.HasPrefix(line, "|") {
			break
		}
	}
	return lines[1:]
}

// since names the first versions that know an event.
func since(in func(parsec.APIVersion) bool) string {
	if in(parsec.APIVersion{Major: 1}) {
		return "all"
	}
	var first [4]uint32
	for major := range first {
		for first[major] < 99 && !in(parsec.APIVersion{Major: uint32(major), Minor: first[major]}) {
			first[major]++
		}
	}
	if first[1] != 99 {
		return "some of API 1"
	}
	return fmt.Sprintf("2.%d / 3.%d", first[2], first[3])
}
