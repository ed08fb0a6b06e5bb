package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

const (
	insertPresent = `
INSERT INTO parsec3.presence (organization, user_id, instance)
SELECT q.organization, q.user_id, $3
FROM unnest($1::text[], $2::uuid[]) q (organization, user_id)
ON CONFLICT (organization, user_id, instance) DO NOTHING`

	deletePresent = `
DELETE FROM parsec3.presence p
USING unnest($1::text[], $2::uuid[]) q (organization, user_id)
WHERE p.organization = q.organization AND p.user_id = q.user_id AND p.instance = $3`

	deleteAllPresent = "DELETE FROM parsec3.presence p WHERE p.instance = $1"

	// isPresent is of the user u, and counts what instances have written that live.
	isPresent = `EXISTS (
    SELECT 1 FROM parsec3.presence p JOIN instance n ON n.lock = p.instance AND n.vanished_on IS NULL
    WHERE p.organization = $1 AND p.user_id = u.user_id)`
)

// WritePresence implements rules.PresenceStore. What an instance has written lasts as
// long as its row in the table of instances.
func (s *Store) WritePresence(ctx context.Context, change rules.PresenceChange) (bool, error) {
	instance, entries := s.Instance()
	if entries == 0 || !change.All && s.presence.Load() != entries {
		return false, nil
	}
	var statements []database.Statement
	if change.All {
		statements = append(statements, database.Statement{SQL: deleteAllPresent, Args: []any{instance}})
	}
	for sql, users := range map[string][]rules.Present{insertPresent: change.Came, deletePresent: change.Gone} {
		if len(users) > 0 {
			statements = append(statements, database.Statement{SQL: sql, Args: append(presentArgs(users), instance)})
		}
	}
	if len(statements) == 0 {
		return true, nil
	}
	if err := s.Together(ctx, statements...); err != nil {
		return false, err
	}
	s.presence.Store(entries)
	return true, nil
}

func presentArgs(users []rules.Present) []any {
	organizations, ids := make([]string, len(users)), make([]pgtype.UUID, len(users))
	for i, of := range users {
		organizations[i], ids[i] = of.Organization.String(), database.Key(of.User)
	}
	return []any{organizations, ids}
}

// onlineStatus returns that of a user who has, or has not, a stream on an instance that
// is known to live.
func (s *Store) onlineStatus(isPresent bool) protocol.OnlineStatus {
	_, entries := s.Instance()
	switch {
	case isPresent:
		return protocol.Online
	case entries == 0:
		return protocol.OnlineUnknown
	default:
		return protocol.Offline
	}
}

// prunePresence deletes what instances have left that are no more.
func (s *Store) prunePresence(ctx context.Context) error {
	return s.Repeat(ctx, `
DELETE FROM parsec3.presence WHERE (organization, user_id, instance) IN (
    SELECT organization, user_id, instance FROM parsec3.presence p
    WHERE NOT EXISTS (SELECT 1 FROM instance n WHERE n.lock = p.instance AND n.vanished_on IS NULL)
    LIMIT $1 FOR UPDATE SKIP LOCKED)`)
}
