package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parsec-server/migrations"
)

// unlimited is for what an operator waits for, however long it takes: it has no limits of
// commands, and nothing that keeps their plans from going through whole tables. Cursors
// are read to their end, and not for their first rows.
var unlimited = map[string]string{
	"statement_timeout":                   "0",
	"idle_in_transaction_session_timeout": "0",
	"enable_seqscan":                      "on",
	"plan_cache_mode":                     "auto",
	"cursor_tuple_fraction":               "1",
	"timezone":                            "UTC",
}

// Connect opens a connection without the limits of commands, to any database, which the
// caller closes.
func Connect(ctx context.Context, source Source) (*pgx.Conn, error) {
	from, err := newConnector(source, unlimited)
	if err != nil {
		return nil, err
	}
	connection, err := from.connect(ctx)
	if err != nil {
		return nil, explained(err)
	}
	return connection, nil
}

// ConnectMigrated is Connect for a database of ours, whose schema must be that of this
// server.
func ConnectMigrated(ctx context.Context, source Source) (*pgx.Conn, error) {
	connection, err := Connect(ctx, source)
	if err != nil {
		return nil, err
	}
	version, err := checkDatabase(ctx, connection)
	if err == nil && version != migrations.Latest() {
		err = errOldSchema(version)
	}
	if err != nil {
		return nil, errors.Join(err, closeConnection(connection))
	}
	return connection, nil
}

// BeginSnapshot begins to read on a connection, for as long as that takes, what the
// database holds at one instant. Nothing can be written there.
func BeginSnapshot(ctx context.Context, connection *pgx.Conn) (*Inspection, error) {
	if err := send(ctx, connection, Statement{SQL: beginSnapshot}); err != nil {
		return nil, fmt.Errorf("begin to read: %w", err)
	}
	return NewInspection(connection), nil
}
