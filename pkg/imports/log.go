package imports

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"parsec-server/pkg/database"
)

// Log is a table of the source to which rows are only ever added. It is copied in the
// binary form of COPY, without being looked at: what is selected has the very types of
// what it goes to.
type Log struct {
	// Name is what progress and the marks call it.
	Name string
	// Table is the table alone, such as "vlob_atom x", Number the expression of the number
	// of its rows, such as "x._id", and Size that of how many bytes one has, "0" for few.
	// Its ranges are those of all its rows, of the pass or not: they are found without a
	// look at other tables.
	Table, Number, Size string
	// From is what follows FROM, and Where the condition that a row is of the pass.
	From, Where string
	// Columns are what is filled of the table Into, by the expressions Select.
	Into            string
	Columns, Select []string
	// Merge, unless it is "", is what puts rows that were copied to the temporary table
	// batch, of the columns Shape, into the target. It may run again with the same rows.
	Shape, Merge string
	// Forget deletes everything of the pass, where the place of a row among the others
	// matters; "" where it does not.
	Forget string
}

const (
	// rangeRows and rangeBytes bound what one transaction copies.
	rangeRows  = 10_000
	rangeBytes = 16 << 20
)

// span is a range of numbers, and how many rows of the table it has.
type span struct{ first, last, rows int64 }

// within is the condition that a row is of a span.
func (l *Log) within(s span) string {
	return fmt.Sprintf("%s BETWEEN %d AND %d", l.Number, s.first, s.last)
}

// copyLog brings what the target has not of a log.
func (p *Pass) copyLog(ctx context.Context, log *Log) error {
	spans, err := p.spans(ctx, log)
	if err != nil {
		return err
	}
	for i, done := range spans {
		grown, err := p.grown(ctx, log, done)
		switch {
		case err != nil:
			return err
		case grown == done.rows:
			p.advance(log.Name, done.rows, 0)
		case log.Forget != "":
			if err := p.forget(ctx, log); err != nil {
				return err
			}
			return p.copyFrom(ctx, log, 0)
		default:
			spans[i].rows = grown
			if err := p.copySpan(ctx, log, spans[i], true); err != nil {
				return err
			}
			p.advance(log.Name, grown, 0)
		}
	}
	last := int64(0)
	if len(spans) > 0 {
		last = spans[len(spans)-1].last
	}
	return p.copyFrom(ctx, log, last)
}

// outdated is the number of rows of a span that is to be read again.
const outdated = -1

// Again has the ranges be read again that have rows of a condition, of which some have
// come to be in the log only now.
func (p *Pass) Again(ctx context.Context, f *Filling, log *Log, condition string) error {
	spans, err := p.spans(ctx, log)
	if err != nil {
		return err
	}
	for _, one := range spans {
		found, err := p.From.Number(ctx, "SELECT count(*) FROM (SELECT FROM "+log.From+" WHERE "+condition+" AND "+log.within(one)+" LIMIT 1) page")
		if err != nil {
			return err
		}
		if found == 0 {
			continue
		}
		if err := f.Run(ctx, "UPDATE import_range SET rows = $4 WHERE import = $1 AND log = $2 AND first = $3", p.id, log.Name, one.first, int64(outdated)); err != nil {
			return err
		}
	}
	return nil
}

// spans are those that were copied, in order.
func (p *Pass) spans(ctx context.Context, log *Log) (spans []span, err error) {
	err = p.target.read(ctx, database.List(&spans, "SELECT r.first, r.last, r.rows FROM import_range r WHERE r.import = $1 AND r.log = $2 ORDER BY r.first",
		[]any{p.id, log.Name}, func(s *span) []any { return []any{&s.first, &s.last, &s.rows} }))
	return spans, err
}

// grown counts the rows of a span.
func (p *Pass) grown(ctx context.Context, log *Log, of span) (int64, error) {
	return p.From.Number(ctx, "SELECT count(*) FROM "+log.Table+" WHERE "+log.within(of))
}

// forget has everything be read again.
func (p *Pass) forget(ctx context.Context, log *Log) error {
	return p.target.Fill(ctx, func(f *Filling) error {
		if err := f.Run(ctx, log.Forget); err != nil {
			return err
		}
		return f.Run(ctx, "DELETE FROM import_range WHERE import = $1 AND log = $2", p.id, log.Name)
	})
}

// copyFrom copies what comes after a number.
func (p *Pass) copyFrom(ctx context.Context, log *Log, after int64) error {
	for {
		var next span
		var bytes int64
		err := p.From.Ask(ctx, database.Only(fmt.Sprintf(`
SELECT coalesce(max(n), 0)::bigint, count(*), coalesce(sum(size), 0)::bigint FROM (
    SELECT n, size, sum(size) OVER (ORDER BY n) - size AS before FROM (
        SELECT %s AS n, %s AS size FROM %s WHERE %[1]s > %[4]d ORDER BY 1 LIMIT %[5]d
    ) page
) fitting WHERE before < %[6]d`, log.Number, log.Size, log.Table, after, cmp.Or(p.Choices.RangeRows, rangeRows), rangeBytes), nil, &next.last, &next.rows, &bytes))
		if err != nil {
			return fmt.Errorf("read %s: %w", log.Name, err)
		}
		if next.rows == 0 {
			return nil
		}
		next.first = after + 1
		if err := p.copySpan(ctx, log, next, false); err != nil {
			return err
		}
		p.advance(log.Name, next.rows, bytes)
		after = next.last
	}
}

// copySpan copies a span, and marks it as copied.
func (p *Pass) copySpan(ctx context.Context, log *Log, one span, again bool) error {
	return p.target.Fill(ctx, func(f *Filling) error {
		err := p.copyRows(ctx, f, log, log.Where+" AND "+log.within(one), again)
		if err != nil {
			return fmt.Errorf("copy %s from %d to %d: %w", log.Name, one.first, one.last, err)
		}
		return f.Run(ctx, `
INSERT INTO import_range AS r (import, log, first, last, rows) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (import, log, first) DO UPDATE SET rows = EXCLUDED.rows`, p.id, log.Name, one.first, one.last, one.rows)
	})
}

// copyRows copies the rows of a condition. Some of those that are copied again are there.
func (p *Pass) copyRows(ctx context.Context, f *Filling, log *Log, condition string, again bool) error {
	query := "SELECT " + strings.Join(log.Select, ", ") + " FROM " + log.From + " WHERE " + condition + " ORDER BY " + log.Number
	if log.Merge == "" && !again {
		return p.stream(ctx, f, query, log.Into+" ("+list(log.Columns)+")")
	}
	shape, merge := log.Shape, log.Merge
	if merge == "" {
		shape = "AS SELECT " + list(log.Columns) + " FROM " + log.Into + " WITH NO DATA"
		merge = "INSERT INTO " + log.Into + " (" + list(log.Columns) + ") OVERRIDING SYSTEM VALUE SELECT " + list(log.Columns) + " FROM batch ON CONFLICT DO NOTHING"
	} else {
		shape = "(" + shape + ")"
	}
	if log.Merge != "" {
		shape += " ON COMMIT DROP"
	} else {
		shape = "ON COMMIT DROP " + shape
	}
	if err := f.Run(ctx, "CREATE TEMP TABLE batch "+shape); err != nil {
		return err
	}
	if err := p.stream(ctx, f, query, "batch"); err != nil {
		return err
	}
	return f.Run(ctx, merge)
}

// stream copies what the source answers to a query, as it comes.
func (p *Pass) stream(ctx context.Context, f *Filling, query, into string) error {
	reader, writer := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := p.From.copyTo(ctx, writer, query)
		_ = writer.CloseWithError(err) // nil is the end
		read <- err
	}()
	_, err := f.transaction.Conn().PgConn().CopyFrom(ctx, reader, "COPY "+into+" FROM STDIN (FORMAT binary)")
	_ = reader.Close() // has the source end, if it has not
	if failure := <-read; failure != nil && err == nil {
		return failure
	}
	return err
}
