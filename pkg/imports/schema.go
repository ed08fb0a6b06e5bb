package imports

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"parsec-server/pkg/database"
)

// Steps are the migrations that something is there for: from the one that adds it to the
// last one that has it, 0 for ever.
type Steps struct{ From, To int }

// At reports whether it is there after a step.
func (s Steps) At(step int) bool { return step >= s.From && (s.To == 0 || step <= s.To) }

// Column is one of a table of the source.
type Column struct {
	Name string
	Steps
}

// SourceTable is a table of the source.
type SourceTable struct {
	Name string
	Steps
	Columns []Column
}

// Schema is what the official server of a generation makes.
type Schema struct {
	// Named are the names of the first steps that are recorded, by which the generation
	// is known.
	Named map[int]string
	// Unrecorded is a table that tells the generation where no step is recorded, "" for
	// a generation that always records.
	Unrecorded string
	// Latest is the last step that is known, and Releases say which one made which.
	Latest   int
	Releases map[int]string
	Tables   []SourceTable
}

// errNotOfficial says what a database is that is no official one.
func errNotOfficial(what string) error {
	return fmt.Errorf("the database to import from is %s: nothing was changed", what)
}

// recognize finds the wing that knows the database, and the step that it is at.
func (s *Snapshot) recognize(ctx context.Context, wings []Wing) (Wing, error) {
	var encoding string
	var columns []struct{ table, column string }
	err := s.Ask(ctx,
		database.Only("SELECT current_setting('server_encoding')", nil, &encoding),
		database.List(&columns, `
SELECT c.table_name::text, c.column_name::text FROM information_schema.columns c WHERE c.table_schema = current_schema()`, nil,
			func(c *struct{ table, column string }) []any { return []any{&c.table, &c.column} }))
	if err != nil {
		return nil, fmt.Errorf("ask what the database is: %w", err)
	}
	tables := map[string][]string{}
	for _, c := range columns {
		tables[c.table] = append(tables[c.table], c.column)
	}
	has := func(table string) bool { return tables[table] != nil }
	switch {
	case encoding != "UTF8":
		return nil, errNotOfficial("of the encoding " + encoding)
	case len(tables) == 0:
		return nil, errNotOfficial("empty, or has no table that its user may read")
	case has("goose_db_version") && !has("migration"):
		return nil, errNotOfficial("one of this server, and not of the official one")
	}
	names := map[int]string{}
	if has("migration") {
		if names, err = s.steps(ctx); err != nil {
			return nil, err
		}
	}
	for _, wing := range wings {
		if wing.Schema().made(names, has) {
			return wing, s.settle(wing.Schema(), names, tables)
		}
	}
	return nil, errNotOfficial("not one of the official server: it has the tables " + strings.Join(some(tables), ", "))
}

func (s *Snapshot) steps(ctx context.Context) (names map[int]string, err error) {
	var steps []struct {
		step int64
		name string
	}
	err = s.Ask(ctx, database.List(&steps, "SELECT m._id::bigint, m.name::text FROM migration m", nil, func(m *struct {
		step int64
		name string
	},
	) []any {
		return []any{&m.step, &m.name}
	}))
	if err != nil {
		return nil, fmt.Errorf("read the migrations of the database to import from: %w", err)
	}
	names = map[int]string{}
	for _, m := range steps {
		names[int(m.step)] = m.name
	}
	return names, nil
}

// made reports whether the official server of this generation has made a database.
func (s *Schema) made(names map[int]string, has func(table string) bool) bool {
	if len(names) == 0 {
		return s.Unrecorded != "" && has(s.Unrecorded)
	}
	for step, name := range s.Named {
		if names[step] == name {
			return true
		}
	}
	return false
}

// settle compares what is there with what the record says.
func (s *Snapshot) settle(schema *Schema, names map[int]string, tables map[string][]string) error {
	s.Step = 1
	for step := range names {
		s.Step = max(s.Step, step)
	}
	if s.Step > schema.Latest {
		return errNotOfficial(fmt.Sprintf("at step %d (%s), newer than step %d, the last one that this server knows: install a later server",
			s.Step, names[s.Step], schema.Latest))
	}
	var problems []error
	for _, table := range schema.Tables {
		if !table.At(s.Step) {
			continue
		}
		if tables[table.Name] == nil {
			problems = append(problems, fmt.Errorf("the table %s is missing, or its user may not read it", table.Name))
			continue
		}
		for _, column := range table.Columns {
			if column.At(s.Step) && !slices.Contains(tables[table.Name], column.Name) {
				problems = append(problems, fmt.Errorf("the column %s of the table %s is missing", column.Name, table.Name))
			}
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("the database to import from says that it is at step %d of the official server (%s), and is not: %w",
			s.Step, schema.Releases[s.Step], errors.Join(problems...))
	}
	return nil
}

// some returns the names of a few tables.
func some(tables map[string][]string) []string {
	const most = 5
	var names []string
	for name := range tables {
		names = append(names, name)
	}
	slices.Sort(names)
	return names[:min(most, len(names))]
}
