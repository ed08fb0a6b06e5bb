package rules_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"parsec-server/pkg/parsec3/protocol"
)

// documentedRow is a row of a status table of a document.
type documentedRow struct {
	number string
	// answers are statuses, or aborts.
	answers []protocol.Status
}

// documents have the status tables, of docs/protocol/v5.
var documents = []string{"commands.md", "invite.md", "enrollment.md", "account.md"}

// documentedTables are the status tables of the documents by command.
var documentedTables = sync.OnceValues(func() (map[string][]documentedRow, error) {
	tables := map[string][]documentedRow{}
	for _, name := range documents {
		document, err := os.ReadFile("../../../docs/protocol/v5/" + name)
		if err != nil {
			return nil, err
		}
		readTables(tables, string(document))
	}
	return tables, nil
})

// readTables reads a document. A section of two commands has a column of answers for
// each of them, or one for both.
func readTables(tables map[string][]documentedRow, document string) {
	var commands, columns []string
	for line := range strings.Lines(document) {
		line = strings.TrimSpace(line)
		if heading := commandHeading.FindStringSubmatch(line); heading != nil {
			commands = slices.DeleteFunc(heading[1:], func(name string) bool { return name == "" })
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		switch {
		case !strings.HasPrefix(line, "|"):
			columns = nil
		case strings.TrimSpace(cells[0]) == "#" && answerColumns.MatchString(cells[1]):
			columns = commands
		case columns != nil && rowNumbers.MatchString(cells[0]):
			for i, command := range columns {
				if answers := cells[1+i]; strings.TrimSpace(answers) != "–" {
					tables[command] = append(tables[command], documentedRows(cells[0], answers, tables)...)
				}
			}
		}
	}
}

var (
	// A command has a section, or shares one, or has a paragraph that begins with its
	// name.
	commandHeading = regexp.MustCompile(`^(?:#+ (?:[\d.]+ )?([a-z_]*)(?: / ([a-z_]+))?|\*\*([a-z_]+)\.\*\*)`)
	answerColumns  = regexp.MustCompile(`^ (?:Status|Answer|Greeter answer) $`)
	rowNumbers     = regexp.MustCompile(`^ (\d+)(?:–(\d+))? $`)
	rowAnswers     = regexp.MustCompile("`([a-z0-9_]+)`|(abort \\d+)")
	rowsOfAnother  = regexp.MustCompile(`^ as ([a-z_]+) $`)
	parentheses    = regexp.MustCompile(`\([^()]*\)|{[^{}]*}`)
)

// documentedRows reads one line, which may stand for several rows: they are those of
// another command, or have an answer each.
func documentedRows(numbers, answers string, tables map[string][]documentedRow) []documentedRow {
	parts := rowNumbers.FindStringSubmatch(numbers)
	first, _ := strconv.Atoi(parts[1])
	last, err := strconv.Atoi(parts[2])
	if err != nil {
		last = first
	}
	if another := rowsOfAnother.FindStringSubmatch(answers); another != nil {
		return slices.Clone(tables[another[1]][first-1 : last])
	}
	answers = strings.ReplaceAll(parentheses.ReplaceAllString(answers, ""), "HTTP", "abort")
	var found []protocol.Status
	for _, answer := range rowAnswers.FindAllStringSubmatch(answers, -1) {
		if status := protocol.Status(answer[1] + answer[2]); !slices.Contains(found, status) {
			found = append(found, status)
		}
	}
	if first == last {
		return []documentedRow{{strconv.Itoa(first), found}}
	}
	var rows []documentedRow
	for i, answer := range found {
		rows = append(rows, documentedRow{strconv.Itoa(first + i), []protocol.Status{answer}})
	}
	return rows
}

// documentedTable returns the table of a command.
func documentedTable(t *testing.T, command string) []documentedRow {
	t.Helper()
	tables, err := documentedTables()
	if err != nil {
		t.Fatal(err)
	}
	if len(tables[command]) == 0 {
		t.Fatalf("%s has no table", command)
	}
	return tables[command]
}

// Every table that is documented is checked by a test.
func TestEveryTableIsChecked(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		source.Write(must(os.ReadFile(file)))
	}
	tables := must(documentedTables())
	if len(tables) < 20 {
		t.Fatalf("only %d tables are found", len(tables))
	}
	for command, rows := range tables {
		last := 0
		for i, documented := range rows {
			number, err := strconv.Atoi(documented.number)
			if isGap := number != last+1 && !strings.Contains(command, "_greeter_"); err != nil || isGap || len(documented.answers) == 0 {
				t.Errorf("%s: row %d is read as %v", command, i+1, documented)
			}
			last = number
		}
		if !strings.Contains(source.String(), `checkTable(t, "`+command+`", `) {
			t.Errorf("no test checks %s", command)
		}
	}
}
