package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// prunePeriod is the time between two prunings.
	prunePeriod = time.Minute
	// pruneBatch bounds the rows that one statement deletes.
	pruneBatch = 1000
	// pruneVlobs bounds the vlobs whose versions are looked at in one
	// statement.
	pruneVlobs = 100
	// eventsKept is how long events stay in the outbox, for the stores that are
	// out of reach of the database meanwhile.
	eventsKept = 15 * time.Minute
)

// maintain prunes from time to time until ctx is done.
func (s *Store) maintain(ctx context.Context) {
	for pause(ctx, prunePeriod) == nil {
		if err := s.Prune(ctx); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "the database is not pruned", slog.Any("error", err))
		}
	}
}

// Prune deletes what nobody reads any more: the versions of vlobs under
// encryption revisions that are over, reservations of blocks that have
// expired, and old events. It does so in small transactions, and stops when ctx
// is done. The store does it each minute; several stores at once do no harm.
func (s *Store) Prune(ctx context.Context) error {
	for _, prune := range []func(context.Context) error{s.pruneEvents, s.pruneReservations, s.pruneRevisions} {
		if err := prune(ctx); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	return nil
}

// repeat runs a deletion of at most pruneBatch rows until it finds none left.
func (s *Store) repeat(ctx context.Context, sql string, args ...any) error {
	for {
		var deleted int64
		err := s.use(ctx, func(ctx context.Context, connection *pgx.Conn) error {
			tag, err := connection.Exec(ctx, sql, args...)
			deleted = tag.RowsAffected()
			return err
		})
		if err != nil || deleted < pruneBatch {
			return err
		}
	}
}

// pruneEvents deletes rows in the order of their ids only, and never the last
// one: see delivery.
func (s *Store) pruneEvents(ctx context.Context) error {
	return s.repeat(ctx, `
DELETE FROM event_outbox WHERE id <= (
    SELECT max(oldest.id) FROM (SELECT id, written_on FROM event_outbox ORDER BY id LIMIT $1) oldest
    WHERE oldest.written_on < clock_timestamp() - $2::bigint * interval '1 second'
) AND id < (SELECT max(id) FROM event_outbox)`, pruneBatch, int64(eventsKept.Seconds()))
}

func (s *Store) pruneReservations(ctx context.Context) error {
	return s.repeat(ctx, `
DELETE FROM block WHERE (organization, block_id) IN (
    SELECT organization, block_id FROM block
    WHERE upload_token IS NOT NULL AND upload_until <= $2 LIMIT $1
) AND upload_token IS NOT NULL AND upload_until <= $2`, pruneBatch, int64(s.now()))
}

// pruneRevisions goes through the realms whose reencryption is over.
func (s *Store) pruneRevisions(ctx context.Context) error {
	type work struct{ realm, revision int64 }
	var realms []work
	err := s.one(ctx, list(&realms, `
SELECT id, encryption_revision FROM realm
WHERE kept_revision < encryption_revision AND maintenance_type IS NULL
ORDER BY id LIMIT $1`, []any{pruneBatch}, func(row pgx.CollectableRow) (w work, err error) {
		err = row.Scan(&w.realm, &w.revision)
		return w, err
	}))
	if err != nil {
		return err
	}
	for _, work := range realms {
		if err := s.pruneRealm(ctx, work.realm, work.revision); err != nil {
			return err
		}
	}
	return nil
}

// pruneRealm goes through the vlobs in the order of their checkpoints: those
// that are written meanwhile come again later.
func (s *Store) pruneRealm(ctx context.Context, realm, revision int64) error {
	var checkpoint int64
	for {
		var vlobs []int64
		err := s.use(ctx, func(ctx context.Context, connection *pgx.Conn) error {
			var found bool
			return send(ctx, connection, row(&found, `
SELECT coalesce(array_agg(id), '{}'), coalesce(max(checkpoint), 0) FROM (
    SELECT id, checkpoint FROM vlob WHERE realm = $1 AND checkpoint > $2 ORDER BY checkpoint LIMIT $3
) page`, []any{realm, checkpoint, pruneVlobs}, &vlobs, &checkpoint))
		})
		if err != nil {
			return err
		}
		if len(vlobs) == 0 {
			break
		}
		err = s.repeat(ctx, `
DELETE FROM vlob_atom WHERE (vlob, revision, version) IN (
    SELECT vlob, revision, version FROM vlob_atom
    WHERE vlob = ANY ($2::bigint[]) AND revision < $3 LIMIT $1
)`, pruneBatch, vlobs, revision)
		if err != nil {
			return err
		}
	}
	return s.one(ctx, statement{
		sql:  "UPDATE realm SET kept_revision = $2 WHERE id = $1 AND kept_revision < $2",
		args: []any{realm, revision},
	})
}
