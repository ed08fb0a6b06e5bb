package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/outage"
	"parsec-server/pkg/sleep"
)

// The limits of each connection, unless its DSN sets them.
const (
	connectLimit = 10 * time.Second
	// statementLimit bounds a statement.
	statementLimit = 30 * time.Second
	// idleLimit bounds the time that a transaction is left alone between two
	// statements: a server that freezes inside one holds up others no longer.
	// They wait twice as long for a lock.
	idleLimit = 5 * time.Second
	// lockLimit bounds the wait for one lock.
	lockLimit = 10 * time.Second
)

// defaults are the settings of each session, unless its DSN has them.
var defaults = map[string]string{
	"statement_timeout":                   milliseconds(statementLimit),
	"idle_in_transaction_session_timeout": milliseconds(idleLimit),
	"lock_timeout":                        milliseconds(lockLimit),
	"plan_cache_mode":                     "force_generic_plan",
	"jit":                                 "off",
	// A plan is kept: one made while a table is small must be good once it
	// has grown.
	"enable_seqscan": "off",
}

func milliseconds(duration time.Duration) string { return fmt.Sprint(duration.Milliseconds()) }

// Retry is how long the first connection is waited for. Only connections that
// are refused, reset or lost are tried again, and servers that are starting,
// full or read-only: a wrong name or password stays wrong.
type Retry struct {
	// Attempts is the number of attempts; below 1 it is 1.
	Attempts int
	// Pause is the time between two.
	Pause time.Duration
}

// connect opens a connection, which the caller closes.
func (r Retry) connect(ctx context.Context, open func(context.Context) (*pgx.Conn, error), readOnly bool, absence *outage.Dependency) (*pgx.Conn, error) {
	connection, err := r.await(ctx, open, readOnly, func(err error) { absence.Lost(ctx, err) })
	if err == nil {
		absence.Back(ctx)
	}
	return connection, err
}

// await is connect that tells of each failure but the last one.
func (r Retry) await(ctx context.Context, open func(context.Context) (*pgx.Conn, error), readOnly bool, failed func(error)) (connection *pgx.Conn, err error) {
	attempt := func(ctx context.Context) error {
		opened, err := open(ctx)
		if err == nil && !readOnly {
			if err = checkWritable(ctx, opened); err != nil {
				_ = closeConnection(opened) // The other error says more.
			}
		}
		if err != nil {
			return fmt.Errorf("connect to the database: %w", err)
		}
		connection = opened
		return nil
	}
	err = r.while(ctx, isTransient, attempt, failed)
	return connection, err
}

// Do does something until it succeeds or there are no attempts left, and tells of
// each failure but the last one, which it returns.
func (r Retry) Do(ctx context.Context, do func(context.Context) error, failed func(error)) error {
	return r.while(ctx, func(error) bool { return true }, do, failed)
}

// while is Do that gives up at once where a failure will stay.
func (r Retry) while(ctx context.Context, passes func(error) bool, do func(context.Context) error, failed func(error)) error {
	for attempt := 1; ; attempt++ {
		err := do(ctx)
		if err == nil || ctx.Err() != nil || attempt >= r.Attempts || !passes(err) {
			return err
		}
		failed(err)
		if err := sleep.For(ctx, r.Pause); err != nil {
			return err
		}
	}
}

// Await waits until the database of a DSN takes connections and writes, as Open
// does first. It tells of each failure but the last one, which it returns.
func Await(ctx context.Context, dsn string, retry Retry, failed func(error)) error {
	from, err := newConnector(Source{DSN: dsn, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		return err
	}
	connection, err := retry.await(ctx, from.connect, false, failed)
	if err != nil {
		return explained(err)
	}
	return closeConnection(connection)
}

// errReadOnly is the error of a replica, until it is promoted, and of a database
// that its administrator has frozen.
var errReadOnly = errors.New("the database is read-only: if it is a replica, name its primary, or all hosts with target_session_attrs=read-write")

// checkWritable returns errReadOnly for a database that takes no writes.
func checkWritable(ctx context.Context, connection *pgx.Conn) error {
	var readOnly string
	if err := connection.QueryRow(ctx, "SHOW transaction_read_only").Scan(&readOnly); err != nil {
		return fmt.Errorf("ask whether the database is read-only: %w", err)
	}
	if readOnly == "on" {
		return errReadOnly
	}
	return nil
}

// isReadOnly reports whether the database takes no writes, or no longer.
func isReadOnly(err error) bool {
	return errors.Is(err, errReadOnly) || codeOf(err) == "25006" // read_only_sql_transaction
}

// warnOfLimit warns when the database does not allow as many connections as
// this server may open.
func warnOfLimit(ctx context.Context, connection *pgx.Conn, wanted int32, logger *slog.Logger) error {
	var allowed int32
	err := connection.QueryRow(ctx, `
SELECT least(
    current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer,
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()))`).Scan(&allowed)
	if err != nil {
		return fmt.Errorf("read the limit of connections: %w", err)
	}
	if allowed < wanted {
		logger.WarnContext(ctx, "the database allows fewer connections than this server may open: commands will wait for one another",
			slog.Int("allowed", int(allowed)), slog.Int("wanted", int(wanted)))
	}
	return nil
}

// isFull reports whether the server of the database has no connection left.
func isFull(err error) bool { return codeOf(err) == "53300" } // too_many_connections

// isTransient reports whether an error is one of the network, or of a server that
// starts, stops, is full or read-only.
func isTransient(err error) bool {
	if errors.Is(err, errReadOnly) || isFull(err) {
		return true
	}
	switch code := codeOf(err); code {
	case "":
	case "57P01", "57P02", "57P03": // admin_shutdown, crash_shutdown, cannot_connect_now
		return true
	default:
		return strings.HasPrefix(code, "08") // connection_exception
	}
	if unknown, isName := errors.AsType[*net.DNSError](err); isName && unknown.IsNotFound {
		return false
	}
	// The socket file of a server that is not there yet.
	if errors.Is(err, syscall.ENOENT) {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}
