package imports

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"parsec-server/pkg/database"
	"parsec-server/pkg/sleep"
)

// Activity is how much was ever written to a source.
type Activity struct{ writes int64 }

// session is another one that the source has.
type session struct{ id, user, application, address, statement string }

func (s *session) targets() []any {
	return []any{&s.id, &s.user, &s.application, &s.address, &s.statement}
}

// selectSessions finds the sessions of a database but for its own and that of the process
// $1. A user who may not see what others do sees NULL.
const selectSessions = `
SELECT a.pid::text, coalesce(a.usename, '')::text, coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.query, '')
FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid NOT IN (pg_backend_pid(), $1) AND a.usename IS NOT NULL
    AND coalesce(a.backend_type, 'client backend') = 'client backend' ORDER BY a.pid`

const selectWrites = "SELECT coalesce(sum(t.n_tup_ins + t.n_tup_upd + t.n_tup_del), 0)::bigint FROM pg_stat_user_tables t"

// AwaitStopped makes sure that no official server works with a source any more: one that
// is idle writes nothing, but stays connected, so nobody may be; and nothing may be
// written for a time.
func AwaitStopped(ctx context.Context, source database.Source, interval time.Duration) (Activity, error) {
	before, err := readActivity(ctx, source, 0)
	if err != nil {
		return Activity{}, err
	}
	if err := sleep.For(ctx, interval); err != nil {
		return Activity{}, err
	}
	return before, before.lasts(ctx, source, 0)
}

// Lasts fails if something has been written since, or there is a session but that of a
// snapshot.
func (a Activity) Lasts(ctx context.Context, source database.Source, own *Snapshot) error {
	return a.lasts(ctx, source, own.connection.PgConn().PID())
}

func (a Activity) lasts(ctx context.Context, source database.Source, own uint32) error {
	now, err := readActivity(ctx, source, own)
	if err == nil && now != a {
		err = errors.New("something writes to the database to import from: stop the official server first")
	}
	return err
}

func readActivity(ctx context.Context, source database.Source, own uint32) (activity Activity, err error) {
	connection, err := database.Connect(ctx, source)
	if err != nil {
		return activity, fmt.Errorf("the database to import from: %w", err)
	}
	defer func() { _ = connection.Close(context.WithoutCancel(ctx)) }() // It has only read.
	var sessions []session
	var behind bool
	err = database.NewInspection(connection).Ask(ctx,
		database.List(&sessions, selectSessions, []any{int32(own)},
			(*session).targets),
		database.Only(selectWrites, nil, &activity.writes),
		database.Only("SELECT pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()", nil, &behind))
	switch {
	case err != nil:
		return activity, fmt.Errorf("ask who uses the database to import from: %w", err)
	case behind:
		return activity, errors.New("the database to import from is a standby that has not replayed all it has received: try again")
	case len(sessions) > 0:
		return activity, sessionsError(sessions)
	}
	return activity, nil
}

// sessionsError names the sessions, and the official server by what it listens to.
func sessionsError(sessions []session) error {
	var names []string
	for _, one := range sessions {
		name := fmt.Sprintf("process %s of user %s", one.id, one.user)
		if one.address != "" {
			name += " from " + one.address
		}
		if one.application != "" {
			name += " (" + one.application + ")"
		}
		if strings.Contains(one.statement, "app_notification") {
			name += ", which is an official server"
		}
		names = append(names, name)
	}
	return errors.New("the database to import from is in use, so the official server may run: stop it first, and end " + strings.Join(names, "; "))
}
