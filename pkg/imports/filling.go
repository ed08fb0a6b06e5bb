package imports

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Table is one of the target that is filled row by row.
type Table struct {
	// Name has its schema, if that is not public.
	Name    string
	Columns []string
	// Key are the columns that tell whether a row is there: then it is replaced.
	Key []string
}

// heapRows is how many rows of a table are in memory.
const heapRows = 500

// heap are rows on their way to a table.
type heap struct {
	of   *Table
	name string
	rows [][]any
}

// Filling puts rows into the target, in one transaction. A nil one takes them, and puts
// them nowhere.
type Filling struct {
	// base is what is added to the numbers of the source.
	base        int64
	transaction pgx.Tx
	open        map[string]*heap
	order       []*heap
}

// Put adds a row, of which there may be one already.
func (f *Filling) Put(ctx context.Context, table *Table, values ...any) error {
	if f == nil {
		return nil
	}
	h := f.open[table.Name]
	if h == nil {
		h = &heap{of: table, name: "import_" + strings.ReplaceAll(table.Name, ".", "_")}
		f.open[table.Name], f.order = h, append(f.order, h)
		if err := f.Run(ctx, "CREATE TEMP TABLE "+h.name+" ON COMMIT DROP AS SELECT "+list(table.Columns)+" FROM "+table.Name+" WITH NO DATA"); err != nil {
			return err
		}
	}
	h.rows = append(h.rows, values)
	if len(h.rows) < heapRows {
		return nil
	}
	return f.flush(ctx, h)
}

func (f *Filling) flush(ctx context.Context, h *heap) error {
	_, err := f.transaction.CopyFrom(ctx, pgx.Identifier{h.name}, h.of.Columns, pgx.CopyFromRows(h.rows))
	if err != nil {
		return fmt.Errorf("fill %s: %w", h.of.Name, err)
	}
	clear(h.rows)
	h.rows = h.rows[:0]
	return nil
}

// merge moves everything to where it belongs, in the order in which the tables came: one
// may refer to those before it.
func (f *Filling) merge(ctx context.Context) error {
	for _, h := range f.order {
		if err := f.flush(ctx, h); err != nil {
			return err
		}
		if err := f.Run(ctx, h.of.merge(h.name)); err != nil {
			return err
		}
	}
	return nil
}

// merge returns the statement that puts rows of a heap into the table. A row that is
// there, and is the same, is left alone.
func (t *Table) merge(from string) string {
	var set, old, fresh []string
	for _, column := range t.Columns {
		if !slices.Contains(t.Key, column) {
			set = append(set, quoted(column)+" = EXCLUDED."+quoted(column))
			old = append(old, "t."+quoted(column))
			fresh = append(fresh, "EXCLUDED."+quoted(column))
		}
	}
	sql := "INSERT INTO " + t.Name + " AS t (" + list(t.Columns) + ") OVERRIDING SYSTEM VALUE SELECT " + list(t.Columns) + " FROM " + from +
		" ON CONFLICT (" + list(t.Key) + ") DO "
	if len(set) == 0 {
		return sql + "NOTHING"
	}
	return sql + "UPDATE SET " + strings.Join(set, ", ") + " WHERE (" + strings.Join(old, ", ") + ") IS DISTINCT FROM (" + strings.Join(fresh, ", ") + ")"
}

// Run runs a statement of the transaction.
func (f *Filling) Run(ctx context.Context, sql string, args ...any) error {
	if f == nil {
		return nil
	}
	if _, err := f.transaction.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(strings.Fields(sql), " "), err)
	}
	return nil
}

// Number is what a number of the source is here.
func (f *Filling) Number(inSource int64) int64 {
	if f == nil {
		return inSource
	}
	return f.base + inSource
}

func quoted(name string) string { return `"` + name + `"` }

func list(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = quoted(name)
	}
	return strings.Join(all, ", ")
}
