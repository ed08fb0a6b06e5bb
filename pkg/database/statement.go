package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/span"
)

// Statement is one of those that are sent together.
type Statement struct {
	SQL  string
	Args []any
	// Rows reads the result; nil for a statement that has none.
	Rows func(pgx.Rows) error
	// Affected is the number of rows that it must change; with another number it
	// fails with ErrRaced. 0 is any number.
	Affected int64
}

// ErrRaced reports that what a transaction found has changed since.
var ErrRaced = errors.New("the database has changed meanwhile")

// Row returns a statement that reads its only row into targets, and sets found
// to whether there is one.
func Row(found *bool, sql string, args []any, targets ...any) Statement {
	return Statement{SQL: sql, Args: args, Rows: func(rows pgx.Rows) error {
		*found = rows.Next()
		if !*found {
			return rows.Err()
		}
		return rows.Scan(targets...)
	}}
}

// Only is Row for a statement that always has one row, or changes no target.
func Only(sql string, args []any, targets ...any) Statement {
	return Row(new(bool), sql, args, targets...)
}

// List returns a statement that reads all its rows, each into the targets of its
// item.
func List[T any](into *[]T, sql string, args []any, targets func(item *T) []any) Statement {
	return Statement{SQL: sql, Args: args, Rows: func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (item T, err error) {
			err = row.Scan(targets(&item)...)
			return item, err
		})
		return err
	}}
}

const (
	// begin does not depend on the default isolation of the database, but a
	// database that is made read-only is.
	begin         = "BEGIN ISOLATION LEVEL READ COMMITTED"
	beginSnapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	commit        = "COMMIT"
)

// One runs one statement, again when the connection is lost: running it twice
// must have the effect of running it once.
func (d *Database) One(ctx context.Context, read Statement) error {
	return d.again(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		return send(ctx, connection, read)
	})
}

// Reads runs statements that only read in one round trip, again when the connection is
// lost. Each may see what was committed while those before it ran.
func (d *Database) Reads(ctx context.Context, statements ...Statement) error {
	return d.again(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		return send(ctx, connection, statements...)
	})
}

// Once runs one statement, made when there is a connection for it, and never
// again: whether it has run is not known when the connection is lost.
func (d *Database) Once(ctx context.Context, single func() Statement) error {
	return d.use(ctx, acquireLimit, func(ctx context.Context, connection *pgx.Conn) error {
		return send(ctx, connection, single())
	})
}

// Together runs statements in one transaction and one round trip, and never
// again.
func (d *Database) Together(ctx context.Context, statements ...Statement) error {
	return d.use(ctx, acquireLimit, func(ctx context.Context, connection *pgx.Conn) error {
		return rolledBack(ctx, connection, send(ctx, connection, inTransaction(begin, statements)...))
	})
}

// Snapshot reads by several statements, at one instant, in one round trip.
func (d *Database) Snapshot(ctx context.Context, statements ...Statement) error {
	return d.again(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		return rolledBack(ctx, connection, send(ctx, connection, inTransaction(beginSnapshot, statements)...))
	})
}

// SnapshotOfTwo reads by a statement and by one that depends on what the first
// has read, at one instant, in two round trips.
func (d *Database) SnapshotOfTwo(ctx context.Context, first Statement, second func() Statement) error {
	return d.again(ctx, func(ctx context.Context, connection *pgx.Conn) error {
		err := send(ctx, connection, Statement{SQL: beginSnapshot}, first)
		if err == nil {
			err = send(ctx, connection, second(), Statement{SQL: commit})
		}
		return rolledBack(ctx, connection, err)
	})
}

func inTransaction(first string, statements []Statement) []Statement {
	all := append(make([]Statement, 0, len(statements)+2), Statement{SQL: first})
	return append(append(all, statements...), Statement{SQL: commit})
}

// send runs statements in one round trip. Those after one that fails do not
// run.
func send(ctx context.Context, connection *pgx.Conn, statements ...Statement) (err error) {
	statements = withSettings(connection, statements)
	batch := &pgx.Batch{}
	for _, s := range statements {
		batch.Queue(s.SQL, s.Args...)
	}
	end := span.Begin(ctx, "database")
	results := connection.SendBatch(ctx, batch)
	defer func() {
		if closing := results.Close(); err == nil {
			err = closing
		}
		end(err)
	}()
	for _, s := range statements {
		if err := s.result(results); err != nil {
			return err
		}
	}
	return nil
}

func (s *Statement) result(results pgx.BatchResults) error {
	if s.Rows != nil {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		if err := s.Rows(rows); err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	}
	tag, err := results.Exec()
	switch {
	case err != nil:
		return err
	case s.SQL == commit && tag.String() != "COMMIT":
		// PostgreSQL rolls a failed transaction back without an error.
		return fmt.Errorf("COMMIT answered %s", tag)
	case s.Affected != 0 && tag.RowsAffected() != s.Affected:
		return fmt.Errorf("%w: %d rows are changed instead of %d", ErrRaced, tag.RowsAffected(), s.Affected)
	default:
		return nil
	}
}

// The states of a session that PostgreSQL reports after each answer.
const (
	idle   = 'I'
	failed = 'E' // in a transaction that takes nothing but its end
)

// rolledBack ends the transaction that a failure leaves open, and returns the
// failure.
func rolledBack(ctx context.Context, connection *pgx.Conn, failure error) error {
	if failure == nil || connection.IsClosed() || connection.PgConn().TxStatus() == idle {
		return failure
	}
	if _, err := connection.Exec(ctx, rollBack); err != nil {
		return errors.Join(failure, fmt.Errorf("roll back: %w", err))
	}
	return failure
}
