// Package export is the files that realms are exported to, whatever is in them: SQLite
// databases that grow by one process at a time, and that an export which was stopped
// goes on with.
package export

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // The driver of the files.
)

// File is an export. Another process that opens it meanwhile is refused.
type File struct{ database *sql.DB }

// Open opens a file to go on with it, or creates it. Begin is told whether it is empty,
// in which case it makes the tables, or else looks whether it is what it should be;
// nothing of a file changes that it refuses. The caller closes the file.
func Open(ctx context.Context, path string, begin func(tx *Tx, empty bool) error) (*File, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(absolute, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	_ = file.Close() // It was opened for its rights alone.
	address := url.URL{Scheme: "file", Path: absolute, RawQuery: "_txlock=immediate&_pragma=locking_mode(EXCLUSIVE)"}
	database, err := sql.Open("sqlite", address.String())
	if err != nil {
		return nil, err
	}
	database.SetMaxOpenConns(1)
	f := &File{database}
	err = f.Change(ctx, func(tx *Tx) error {
		tables := 0
		if err := tx.Read("SELECT count(*) FROM sqlite_schema", nil, &tables); err != nil {
			return err
		}
		return begin(tx, tables == 0)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, f.Close()))
	}
	return f, nil
}

// Close ends the work on the file.
func (f *File) Close() error { return f.database.Close() }

// Change commits what work does, unless it fails.
func (f *File) Change(ctx context.Context, work func(tx *Tx) error) error {
	begun, err := f.database.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	tx := &Tx{ctx: ctx, tx: begun, prepared: map[string]*sql.Stmt{}}
	if err := work(tx); err != nil {
		_ = begun.Rollback() // The other error says more.
		return err
	}
	return begun.Commit()
}

// Tx is a transaction on a file. It is not safe for concurrent use.
type Tx struct {
	ctx      context.Context //nolint:containedctx // It ends with the transaction.
	tx       *sql.Tx
	prepared map[string]*sql.Stmt
}

// Execute runs a statement. One that is run often is read once.
func (t *Tx) Execute(statement string, arguments ...any) error {
	prepared, known := t.prepared[statement]
	if !known {
		var err error
		if prepared, err = t.tx.PrepareContext(t.ctx, statement); err != nil {
			return err
		}
		t.prepared[statement] = prepared
	}
	_, err := prepared.ExecContext(t.ctx, arguments...)
	return err
}

// Script runs several statements without arguments.
func (t *Tx) Script(statements string) error {
	_, err := t.tx.ExecContext(t.ctx, statements)
	return err
}

// Read reads the only row of a statement into targets. Without any it is sql.ErrNoRows.
func (t *Tx) Read(statement string, arguments []any, targets ...any) error {
	return t.tx.QueryRowContext(t.ctx, statement, arguments...).Scan(targets...)
}

// Each reads rows, each into targets before it calls next.
func (t *Tx) Each(statement string, arguments, targets []any, next func() error) (err error) {
	rows, err := t.tx.QueryContext(t.ctx, statement, arguments...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if err := next(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// NotNull makes an empty value of none.
func NotNull(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}
