package postgres

import (
	"context"

	"parsec-server/pkg/database"
)

const (
	// pruneRealms bounds the realms of one pruning.
	pruneRealms = 1000
	// pruneVlobs bounds the vlobs whose versions are looked at in one
	// statement.
	pruneVlobs = 100
)

// pruneReservations deletes the reservations of blocks that have expired.
func (s *Store) pruneReservations(ctx context.Context) error {
	return s.Repeat(ctx, `
DELETE FROM block WHERE (organization, block_id) IN (
    SELECT organization, block_id FROM block
    WHERE upload_token IS NOT NULL AND upload_until <= $2 LIMIT $1
) AND upload_token IS NOT NULL AND upload_until <= $2`, int64(s.now()))
}

// pruneRevisions deletes the versions under encryption revisions that are over.
func (s *Store) pruneRevisions(ctx context.Context) error {
	type work struct{ realm, revision int64 }
	var realms []work
	err := s.One(ctx, database.List(&realms, `
SELECT id, encryption_revision FROM realm
WHERE kept_revision < encryption_revision AND maintenance_type IS NULL
ORDER BY id LIMIT $1`, []any{pruneRealms}, func(w *work) []any { return []any{&w.realm, &w.revision} }))
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
		err := s.One(ctx, database.Only(`
SELECT coalesce(array_agg(id), '{}'), coalesce(max(checkpoint), 0) FROM (
    SELECT id, checkpoint FROM vlob WHERE realm = $1 AND checkpoint > $2 ORDER BY checkpoint LIMIT $3
) page`, []any{realm, checkpoint, pruneVlobs}, &vlobs, &checkpoint))
		if err != nil {
			return err
		}
		if len(vlobs) == 0 {
			break
		}
		err = s.Repeat(ctx, `
DELETE FROM vlob_atom WHERE (vlob, revision, version) IN (
    SELECT vlob, revision, version FROM vlob_atom
    WHERE vlob = ANY ($2::bigint[]) AND revision < $3 LIMIT $1
)`, vlobs, revision)
		if err != nil {
			return err
		}
	}
	return s.One(ctx, database.Statement{
		SQL:  "UPDATE realm SET kept_revision = $2 WHERE id = $1 AND kept_revision < $2",
		Args: []any{realm, revision},
	})
}
