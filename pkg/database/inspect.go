package database

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// Inspection reads what a database holds at one instant, for as long as that takes. It is
// not safe for concurrent use.
type Inspection struct{ connection *pgx.Conn }

// NewInspection reads in the transaction that the caller has begun on a connection.
func NewInspection(connection *pgx.Conn) *Inspection { return &Inspection{connection} }

// Inspect runs work on the database as it is at one instant. It changes nothing, and
// holds up no writer; while it lasts, PostgreSQL cannot clear away what is replaced.
// Unlike other methods, it ends with ctx.
func (d *Database) Inspect(ctx context.Context, work func(context.Context, *Inspection) error) error {
	acquired, err := d.acquire(ctx)
	if err != nil {
		return fmt.Errorf("wait for a database connection: %w", err)
	}
	defer acquired.Release()
	connection := acquired.Conn()
	statements := []Statement{{SQL: beginSnapshot}}
	for name, value := range unlimited {
		statements = append(statements, Statement{SQL: "SELECT set_config($1, $2, true)", Args: []any{name, value}})
	}
	if err = send(ctx, connection, statements...); err == nil {
		err = work(ctx, NewInspection(connection))
	}
	if err == nil {
		return send(ctx, connection, Statement{SQL: commit})
	}
	return rolledBack(ctx, connection, err)
}

// Ask runs statements that only read, in one round trip.
func (i *Inspection) Ask(ctx context.Context, statements ...Statement) error {
	for n := range statements {
		if err := send(ctx, i.connection, statements[n]); err != nil {
			return err
		}
	}
	return nil
}

// cursorPage is how many rows of a Cursor are in memory.
const cursorPage = 256

// cursors counts them: a connection remembers what a statement returns by its text.
var cursors atomic.Int64

// Cursor goes through the rows of a statement, a page at a time. Several of one
// inspection may be open at once.
type Cursor[T any] struct {
	on      *Inspection
	name    string
	targets func(*T) []any
	page    []T
	ended   bool
}

// NewCursor begins to go through the rows of a statement. Each is read into the targets
// of its item.
func NewCursor[T any](ctx context.Context, on *Inspection, sql string, args []any, targets func(*T) []any) (*Cursor[T], error) {
	c := &Cursor[T]{on: on, name: "inspection_" + strconv.FormatInt(cursors.Add(1), 10), targets: targets}
	return c, on.Ask(ctx, Statement{SQL: "DECLARE " + c.name + " NO SCROLL CURSOR FOR " + sql, Args: args})
}

// Peek returns the row that comes next, nil after the last one.
func (c *Cursor[T]) Peek(ctx context.Context) (*T, error) {
	if len(c.page) == 0 && !c.ended {
		err := c.on.Ask(ctx, List(&c.page, "FETCH "+strconv.Itoa(cursorPage)+" FROM "+c.name, nil, c.targets))
		if err != nil {
			return nil, err
		}
		if c.ended = len(c.page) < cursorPage; c.ended {
			if err := c.on.Ask(ctx, Statement{SQL: "CLOSE " + c.name}); err != nil {
				return nil, err
			}
		}
	}
	if len(c.page) == 0 {
		return nil, nil
	}
	return &c.page[0], nil
}

// Skip goes on to the row after the one that Peek returns.
func (c *Cursor[T]) Skip() { c.page = c.page[1:] }

// Each visits the rows that are left, as long as more says so of them; nil is for all.
func (c *Cursor[T]) Each(ctx context.Context, more func(*T) bool, visit func(*T) error) error {
	for {
		row, err := c.Peek(ctx)
		if err != nil || row == nil || more != nil && !more(row) {
			return err
		}
		if err := visit(row); err != nil {
			return err
		}
		c.Skip()
	}
}
