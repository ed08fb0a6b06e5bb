package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// statement is one of those that are sent together.
type statement struct {
	sql  string
	args []any
	// rows reads the result; nil for a statement that gives none.
	rows func(pgx.Rows) error
	// affected is the number of rows that it must change, unless 0.
	affected int64
}

// errRaced tells that what a transaction found has changed since.
var errRaced = errors.New("the database has changed meanwhile")

// send runs statements in one round trip. Those after one that fails do not
// run.
func send(ctx context.Context, connection *pgx.Conn, statements ...statement) (err error) {
	statements = withSettings(connection, statements)
	batch := &pgx.Batch{}
	for _, s := range statements {
		batch.Queue(s.sql, s.args...)
	}
	results := connection.SendBatch(ctx, batch)
	defer func() {
		if closing := results.Close(); err == nil {
			err = closing
		}
	}()
	for _, s := range statements {
		if err := s.result(results); err != nil {
			return err
		}
	}
	return nil
}

func (s *statement) result(results pgx.BatchResults) error {
	if s.rows != nil {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		if err := s.rows(rows); err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	}
	tag, err := results.Exec()
	switch {
	case err != nil:
		return err
	case s.sql == commit && tag.String() != "COMMIT":
		// PostgreSQL rolls a failed transaction back without an error.
		return fmt.Errorf("COMMIT answered %s", tag)
	case s.affected != 0 && tag.RowsAffected() != s.affected:
		return fmt.Errorf("%w: %d rows are changed instead of %d", errRaced, tag.RowsAffected(), s.affected)
	default:
		return nil
	}
}

const (
	// begin does not depend on the default isolation of the database, but a
	// database that is made read-only is.
	begin         = "BEGIN ISOLATION LEVEL READ COMMITTED"
	beginSnapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	commit        = "COMMIT"
)

// row reads the only row of a statement into targets, and tells whether there
// is one.
func row(found *bool, sql string, args []any, targets ...any) statement {
	return statement{sql: sql, args: args, rows: func(rows pgx.Rows) error {
		*found = rows.Next()
		if !*found {
			return rows.Err()
		}
		return rows.Scan(targets...)
	}}
}

// list reads every row of a statement.
func list[T any](into *[]T, sql string, args []any, scan func(pgx.CollectableRow) (T, error)) statement {
	return statement{sql: sql, args: args, rows: func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, scan)
		return err
	}}
}

// snapshot reads by several statements, at one instant, in one round trip.
func (s *Store) snapshot(ctx context.Context, statements ...statement) error {
	all := append([]statement{{sql: beginSnapshot}}, statements...)
	all = append(all, statement{sql: commit})
	return s.read(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		return rolledBack(ctx, connection, send(ctx, connection, all...))
	})
}

// one reads by one statement.
func (s *Store) one(ctx context.Context, read statement) error {
	return s.read(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		return send(ctx, connection, read)
	})
}

// rolledBack ends the transaction that a failure leaves open, and returns the
// failure.
func rolledBack(ctx context.Context, connection *pgx.Conn, failure error) error {
	const idle = 'I'
	if failure == nil || connection.IsClosed() || connection.PgConn().TxStatus() == idle {
		return failure
	}
	if _, err := connection.Exec(ctx, "ROLLBACK"); err != nil {
		return errors.Join(failure, fmt.Errorf("roll back: %w", err))
	}
	return failure
}
