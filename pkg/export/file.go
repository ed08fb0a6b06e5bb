// Package export is the file of a realm for a sequester service, in the layout of
// the official command (docs/protocol/administration.md §7).
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

	"parsec-server/pkg/parsec"
)

// magic and version begin every file.
const (
	magic   = 87947
	version = 1
)

// The table service is no part of the official layout: it keeps the copies for
// two services apart. The numbers of devices, users and roles are those of the
// store.
const schema = `
CREATE TABLE info (magic INTEGER NOT NULL, version INTEGER NOT NULL, realm_id BLOB NOT NULL, root_verify_key BLOB NOT NULL);
CREATE TABLE service (service_id BLOB NOT NULL);
CREATE TABLE device (_id INTEGER PRIMARY KEY, device_certificate BLOB NOT NULL);
CREATE TABLE user_ (_id INTEGER PRIMARY KEY, user_certificate BLOB NOT NULL, revoked_user_certificate BLOB);
CREATE TABLE realm_role (_id INTEGER PRIMARY KEY, role_certificate BLOB NOT NULL);
CREATE TABLE block (
    _id INTEGER PRIMARY KEY, block_id BLOB NOT NULL UNIQUE, data BLOB NOT NULL, author INTEGER NOT NULL REFERENCES device
);
CREATE TABLE vlob_atom (
    _id INTEGER PRIMARY KEY, vlob_id BLOB NOT NULL, version INTEGER NOT NULL, blob BLOB NOT NULL,
    author INTEGER NOT NULL REFERENCES device, timestamp INTEGER NOT NULL,
    UNIQUE (vlob_id, version)
);`

// Subject is what a file is about.
type Subject struct {
	Realm         parsec.RealmID
	Service       parsec.SequesterServiceID
	RootVerifyKey parsec.VerifyKey
}

// errOther is of a file that is there, but is not an export of the subject.
var errOther = errors.New("the file exists, and is not an export of this realm for this service")

// File is an export. Another process that opens it meanwhile is refused.
type File struct{ database *sql.DB }

// Open opens the file of a subject to go on with it, or creates it. The caller
// closes it.
func Open(ctx context.Context, path string, subject Subject) (*File, error) {
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
	if err := f.begin(ctx, subject); err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, f.Close()))
	}
	return f, nil
}

// begin creates the tables of an empty file, and wants the subject in another.
func (f *File) begin(ctx context.Context, subject Subject) error {
	return f.change(ctx, func(tx *sql.Tx) error {
		var tables int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
			return err
		}
		if tables == 0 {
			if _, err := tx.ExecContext(ctx, schema); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO info VALUES (?, ?, ?, ?)", magic, version, subject.Realm[:], subject.RootVerifyKey[:]); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO service VALUES (?)", subject.Service[:])
			return err
		}
		var same bool
		err := tx.QueryRowContext(ctx, `
SELECT magic = ? AND version = ? AND realm_id = ? AND root_verify_key = ? AND service_id = ?
FROM info, service`, magic, version, subject.Realm[:], subject.RootVerifyKey[:], subject.Service[:]).Scan(&same)
		if err != nil || !same {
			return errOther
		}
		return nil
	})
}

// Close ends the work on the file.
func (f *File) Close() error { return f.database.Close() }

// Change commits what work adds to the file. It stops at the first failure,
// after which nothing is added.
func (f *File) Change(ctx context.Context, work func(Batch)) error {
	return f.change(ctx, func(tx *sql.Tx) (err error) {
		work(Batch{func(statement string, arguments ...any) {
			if err == nil {
				_, err = tx.ExecContext(ctx, statement, arguments...)
			}
		}})
		return err
	})
}

// change commits what work does, unless it fails.
func (f *File) change(ctx context.Context, work func(tx *sql.Tx) error) error {
	tx, err := f.database.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		_ = tx.Rollback() // The other error says more.
		return err
	}
	return tx.Commit()
}

// LastVersion returns the number of the last version in the file, 0 for none.
func (f *File) LastVersion(ctx context.Context) (last uint64, err error) {
	err = f.database.QueryRowContext(ctx, "SELECT coalesce(max(_id), 0) FROM vlob_atom").Scan(&last)
	return last, err
}

// HasBlock reports whether a block is in the file.
func (f *File) HasBlock(ctx context.Context, id parsec.BlockID) (has bool, err error) {
	err = f.database.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM block WHERE block_id = ?)", id[:]).Scan(&has)
	return has, err
}

// Batch is what is added to the file together. Numbers are those of the store,
// authors the numbers of devices.
type Batch struct {
	execute func(statement string, arguments ...any)
}

// Version adds a version of a vlob.
func (b Batch) Version(number uint64, vlob parsec.VlobID, version uint32, blob []byte, author int64, timestamp parsec.DateTime) {
	b.execute("INSERT INTO vlob_atom (_id, vlob_id, version, blob, author, timestamp) VALUES (?, ?, ?, ?, ?, ?)",
		int64(number), vlob[:], version, notNull(blob), author, int64(timestamp))
}

// Block adds a block.
func (b Batch) Block(id parsec.BlockID, data []byte, author int64) {
	b.execute("INSERT INTO block (block_id, data, author) VALUES (?, ?, ?)", id[:], data, author)
}

// Device adds the certificate of a device, unless it is in the file.
func (b Batch) Device(number int64, certificate []byte) {
	b.execute("INSERT OR IGNORE INTO device (_id, device_certificate) VALUES (?, ?)", number, notNull(certificate))
}

// Role adds the certificate of a role, unless it is in the file.
func (b Batch) Role(number int64, certificate []byte) {
	b.execute("INSERT OR IGNORE INTO realm_role (_id, role_certificate) VALUES (?, ?)", number, notNull(certificate))
}

// User adds the certificates of a user, or the revocation alone to one that is
// in the file; it is nil for an active one.
func (b Batch) User(number int64, certificate, revocation []byte) {
	b.execute(`
INSERT INTO user_ (_id, user_certificate, revoked_user_certificate) VALUES (?, ?, ?)
ON CONFLICT (_id) DO UPDATE SET revoked_user_certificate = excluded.revoked_user_certificate`,
		number, notNull(certificate), revocation)
}

// notNull makes an empty value of none.
func notNull(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}
