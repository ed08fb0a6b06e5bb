package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3/lock"

	"parsec-server/pkg/sleep"
)

const (
	// migrationLockLimit bounds the wait for other migrations, which may build
	// indexes.
	migrationLockLimit = time.Hour
	migrationLockPause = 500 * time.Millisecond
)

// migrationLock implements goose's lock.Locker by a lock of a transaction,
// which poolers keep where they do not keep that of a session. It excludes the
// session locks of goose as well. While it waits no statement runs: one would
// keep the snapshot that CREATE INDEX CONCURRENTLY waits for.
type migrationLock struct{ transaction *sql.Tx }

// Lock implements lock.Locker.
func (l *migrationLock) Lock(ctx context.Context, database *sql.DB) error {
	// The transaction outlives ctx, for Unlock.
	transaction, err := database.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	if err := awaitMigrationLock(ctx, transaction); err != nil {
		return errors.Join(fmt.Errorf("wait for other migrations: %w", err), transaction.Rollback())
	}
	l.transaction = transaction
	return nil
}

func awaitMigrationLock(ctx context.Context, transaction *sql.Tx) error {
	if _, err := transaction.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, migrationLockLimit)
	defer cancel()
	for {
		var locked bool
		err := transaction.QueryRowContext(waiting, "SELECT pg_try_advisory_xact_lock($1)", lock.DefaultLockID).Scan(&locked)
		if err != nil || locked {
			return err
		}
		if err := sleep.For(waiting, migrationLockPause); err != nil {
			return err
		}
	}
}

// Unlock implements lock.Locker.
func (l *migrationLock) Unlock(context.Context, *sql.DB) error { return l.transaction.Rollback() }
