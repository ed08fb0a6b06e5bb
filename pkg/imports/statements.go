package imports

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"parsec-server/pkg/database"
)

// ParseTables reads tables of a source as text: a name, then its columns between blanks.
// A name may be followed by @ and the first step that has it and, after a hyphen, the last
// one; a column without is there as long as its table.
func ParseTables(described map[string]string) (all []SourceTable) {
	for name, columns := range described {
		var table SourceTable
		table.Name, table.Steps = parseSteps(name)
		for column := range strings.FieldsSeq(columns) {
			name, steps := parseSteps(column)
			table.Columns = append(table.Columns, Column{Name: name, Steps: steps})
		}
		all = append(all, table)
	}
	slices.SortFunc(all, func(a, b SourceTable) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func parseSteps(text string) (name string, steps Steps) {
	name, bounds, _ := strings.Cut(text, "@")
	from, to, _ := strings.Cut(bounds, "-")
	steps.From, _ = strconv.Atoi(from) // "" is 0, from the beginning
	steps.To, _ = strconv.Atoi(to)
	return name, steps
}

// Micro is the expression of a date as it is stored here.
func Micro(date string) string { return "(extract(epoch FROM " + date + ") * 1000000)::bigint" }

// Hashed is the expression of a sum over rows that is the same in any order.
func Hashed(expression string) string {
	return "sum(('x' || substr(md5(" + expression + "), 1, 15))::bit(60)::bigint::numeric)::text"
}

// Each visits the rows of a statement that takes the key of an organization.
func Each[T any](ctx context.Context, from *Snapshot, one *Organization, sql string, targets func(*T) []any, visit func(*T) error) error {
	cursor, err := database.NewCursor(ctx, from.Inspection, sql, []any{one.Key}, targets)
	if err != nil {
		return err
	}
	return cursor.Each(ctx, nil, visit)
}

// Counted is what is counted of an organization: what follows FROM, for the organization
// $1, and the expression of bytes.
type Counted struct {
	Table, From, Bytes string
	Steps
}

// CountAll counts what an organization holds.
func CountAll(ctx context.Context, from *Snapshot, one *Organization, all []Counted) error {
	for _, counted := range all {
		if !counted.At(from.Step) {
			continue
		}
		var count Count
		err := from.Ask(ctx, database.Only("SELECT count(*), coalesce(sum("+counted.Bytes+"), 0)::bigint FROM "+counted.From,
			[]any{one.Key}, &count.Rows, &count.Bytes))
		if err != nil {
			return fmt.Errorf("count %s: %w", counted.Table, err)
		}
		one.Counts[counted.Table] = count
	}
	return nil
}

// Question finds what is wrong by one statement, for the organization $1, which answers
// subjects and details.
type Question struct {
	Severity Severity
	Rule     string
	Steps
	SQL string
}

// AskAll asks all questions about an organization.
func AskAll(ctx context.Context, from *Snapshot, one *Organization, all []Question) error {
	for _, asked := range all {
		if !asked.At(from.Step) {
			continue
		}
		err := Each(ctx, from, one, asked.SQL, (*compared).targets, func(row *compared) error {
			one.Found(asked.Severity, asked.Rule, row.subject, row.what)
			return nil
		})
		if err != nil {
			return fmt.Errorf("ask about %s: %w", asked.Rule, err)
		}
	}
	return nil
}

// Comparison has two statements that answer a subject and what there is of it, in the
// order of the subject: of the source, which takes the key of the organization, and of the
// target, which takes its name.
type Comparison struct {
	Rule string
	Steps
	Source, Target string
}

// CompareAll tells where the target differs from the source.
func CompareAll(ctx context.Context, from *Snapshot, one *Organization, in *Inspected, all []Comparison) error {
	for _, pair := range all {
		if !pair.At(from.Step) {
			continue
		}
		if err := compare(ctx, from, one, in, pair.Rule, pair.Source, pair.Target); err != nil {
			return fmt.Errorf("compare %s: %w", pair.Rule, err)
		}
	}
	return nil
}
