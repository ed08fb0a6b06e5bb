package database

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/sleep"
)

const (
	// prunePeriod is the time between two prunings, and two looks at the clocks.
	prunePeriod = time.Minute
	// repeatBatch bounds the rows that one statement of Repeat changes.
	repeatBatch = 1000
	// eventsKept is how long events stay in the outbox, for the servers that are
	// out of reach of the database meanwhile.
	eventsKept = 15 * time.Minute
)

// maintain looks at the clocks, then prunes and looks again from time to time until ctx
// is done.
func (d *Database) maintain(ctx context.Context) {
	for {
		if err := d.compareClocks(ctx); err != nil && ctx.Err() == nil {
			d.logger.DebugContext(ctx, "the clock of the database is not known", slog.Any("error", err))
		}
		if sleep.For(ctx, prunePeriod) != nil {
			return
		}
		if err := d.Prune(ctx); err != nil && ctx.Err() == nil {
			d.outage.Failed(ctx, d.logger, "the database is not pruned", slog.Any("error", err))
		}
	}
}

// OnPrune has prune called each minute, and by Prune, from now on: it deletes
// what nobody reads any more, in small transactions such as those of Repeat,
// and may run on several servers at once.
func (d *Database) OnPrune(prune func(context.Context) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pruners = append(d.pruners, prune)
}

// Prune deletes old events, and instances that vanished long ago, then what the functions
// of OnPrune delete. It stops when ctx is done. A server does it each minute; several at
// once do no harm.
func (d *Database) Prune(ctx context.Context) error {
	d.mu.Lock()
	pruners := append([]func(context.Context) error{d.pruneEvents, d.pruneInstances}, d.pruners...)
	d.mu.Unlock()
	for _, prune := range pruners {
		if err := prune(ctx); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	return nil
}

// Repeat runs a statement, which changes at most $1 rows, until it finds none
// left. The arguments are those from $2 on.
func (d *Database) Repeat(ctx context.Context, sql string, args ...any) error {
	args = append([]any{repeatBatch}, args...)
	for {
		var changed int64
		err := d.use(ctx, acquireLimit, func(ctx context.Context, connection *pgx.Conn) error {
			tag, err := connection.Exec(ctx, sql, args...)
			changed = tag.RowsAffected()
			return err
		})
		if err != nil || changed < repeatBatch {
			return err
		}
	}
}

// pruneEvents deletes rows in the order of their ids only, and never the last
// one: see delivery.
func (d *Database) pruneEvents(ctx context.Context) error {
	return d.Repeat(ctx, `
DELETE FROM event_outbox WHERE id <= (
    SELECT max(oldest.id) FROM (SELECT id, written_on FROM event_outbox ORDER BY id LIMIT $1) oldest
    WHERE oldest.written_on < clock_timestamp() - $2::bigint * interval '1 second'
) AND id < (SELECT max(id) FROM event_outbox)`, int64(eventsKept.Seconds()))
}
