package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parsec-server/pkg/sleep"
)

// The limits of one use of a connection.
const (
	// acquireLimit bounds the wait for a connection of the pool.
	acquireLimit = 10 * time.Second
	// againLimit bounds it when a connection was lost before, which may have
	// taken silenceLimit.
	againLimit = 5 * time.Second
	// fullPause is between two attempts when the server of the database has no
	// connection left.
	fullPause = 20 * time.Millisecond
	// useLimit bounds what is done with it.
	useLimit = time.Minute
)

// use runs work with a connection, for which it waits no longer than for
// patience, once the Database serves. Its errors are classified.
func (d *Database) use(ctx context.Context, patience time.Duration, work func(context.Context, *pgx.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-d.serving:
		return classified(d.connected(ctx, patience, work))
	default:
		return classified(errNotServing)
	}
}

// again is use for work that may be done twice: it runs again when its
// connection is lost.
func (d *Database) again(ctx context.Context, work func(context.Context, *pgx.Conn) error) error {
	err := d.use(ctx, acquireLimit, work)
	if IsLost(err) {
		err = d.use(ctx, againLimit, work)
	}
	return err
}

// connected runs work with a connection, and a context that does not end with
// ctx, but at its deadline.
func (d *Database) connected(ctx context.Context, patience time.Duration, work func(context.Context, *pgx.Conn) error) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	acquired, err := d.acquire(waiting)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		return fmt.Errorf("wait for a database connection: %w", &unavailableError{err})
	}
	defer acquired.Release()
	limit := useLimit
	if deadline, limited := ctx.Deadline(); limited {
		limit = min(limit, time.Until(deadline))
	}
	working, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err = work(working, acquired.Conn())
	switch {
	case err == nil:
		return nil
	case acquired.Conn().IsClosed():
		d.pool.Reset() // The others have likely died with it.
		d.lose()
		if working.Err() != nil {
			return &unavailableError{err}
		}
		return &lostError{err}
	case isReadOnly(err):
		d.pool.Reset() // New ones may find the primary.
	case isFullDisk(err):
		d.full.Store(true)
	}
	return err
}

// acquire takes a connection of the pool. When the database allows no more, it
// waits for one of those that there are.
func (d *Database) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for {
		acquired, err := d.pool.Acquire(ctx)
		if !isFull(err) || sleep.For(ctx, fullPause) != nil {
			return acquired, err
		}
	}
}

// OnLost has forget called when a connection is lost, before anything runs
// again: the database that comes back may have been restored, with other rows.
func (d *Database) OnLost(forget func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.losses = append(d.losses, forget)
}

func (d *Database) lose() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, forget := range d.losses {
		forget()
	}
}

// closeConnection ends a connection that nothing is under way on.
func closeConnection(connection *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return connection.Close(ctx)
}
