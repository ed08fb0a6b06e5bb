package imports

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/database"
)

// Target is the database that is imported into. It is not safe for concurrent use.
type Target struct{ connection *pgx.Conn }

// importLock is held by who imports: any number that nobody else takes.
const importLock = 0x70617273696d70

// OpenTarget connects to a database of ours. One may be imported into by one command at a
// time. The caller closes it.
func OpenTarget(ctx context.Context, source database.Source) (*Target, error) {
	t, err := LookAtTarget(ctx, source)
	if err != nil {
		return nil, err
	}
	var locked bool
	if err = t.connection.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(importLock)).Scan(&locked); err == nil && !locked {
		err = errors.New("another command imports into this database")
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// LookAtTarget is OpenTarget for who only reads, while another command may import.
func LookAtTarget(ctx context.Context, source database.Source) (*Target, error) {
	connection, err := database.ConnectMigrated(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("the database to import into: %w", err)
	}
	return &Target{connection}, nil
}

// closeLimit is how long Close waits for the database.
const closeLimit = 5 * time.Second

// Close ends the connection. It gives the lock back first: the database may notice the end
// of a connection only after the next command has asked for it.
func (t *Target) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	_, _ = t.connection.Exec(ctx, "SELECT pg_advisory_unlock_all()") // else the end does
	_ = t.connection.Close(ctx)                                      // What is done is committed.
}

// read runs statements that read, each by itself.
func (t *Target) read(ctx context.Context, statements ...database.Statement) error {
	return database.NewInspection(t.connection).Ask(ctx, statements...)
}

// Fill runs work in one transaction.
func (t *Target) Fill(ctx context.Context, work func(*Filling) error) error {
	transaction, err := t.connection.Begin(ctx)
	if err != nil {
		return fmt.Errorf("write to the database: %w", err)
	}
	f := &Filling{transaction: transaction, open: map[string]*heap{}}
	if err = work(f); err == nil {
		err = f.merge(ctx)
	}
	if err != nil {
		// It has failed anyhow, and the connection may be gone.
		_ = transaction.Rollback(context.WithoutCancel(ctx))
		return err
	}
	if err := transaction.Commit(ctx); err != nil {
		return fmt.Errorf("write to the database: %w", err)
	}
	return nil
}

// Inspected is the target as a Wing compares it.
type Inspected struct {
	*database.Inspection
	// Base is what the numbers of the source have become more by.
	Base int64
}
