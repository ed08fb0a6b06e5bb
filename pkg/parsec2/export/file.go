package export

import (
	"context"
	"errors"

	"parsec-server/pkg/export"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
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

// errOther is of a file that is there, but is not an export of what is exported.
var errOther = errors.New("the file exists, and is not an export of this realm for this service")

// file is an export in the layout of the official command
// (docs/protocol/administration.md §7).
type file struct{ *export.File }

// openFile opens the file of what is exported, or creates it. The caller closes it.
func openFile(ctx context.Context, path string, key rules.ExportKey, root parsec.VerifyKey) (file, error) {
	opened, err := export.Open(ctx, path, func(tx *export.Tx, empty bool) error {
		if empty {
			return begin(tx, key, root)
		}
		var same bool
		err := tx.Read(`
SELECT magic = ? AND version = ? AND realm_id = ? AND root_verify_key = ? AND service_id = ?
FROM info, service`, []any{magic, version, key.Realm[:], root[:], key.Service[:]}, &same)
		if err != nil || !same {
			return errOther
		}
		return nil
	})
	return file{opened}, err
}

// begin makes the tables of an empty file.
func begin(tx *export.Tx, key rules.ExportKey, root parsec.VerifyKey) error {
	if err := tx.Script(schema); err != nil {
		return err
	}
	if err := tx.Execute("INSERT INTO info VALUES (?, ?, ?, ?)", magic, version, key.Realm[:], root[:]); err != nil {
		return err
	}
	return tx.Execute("INSERT INTO service VALUES (?)", key.Service[:])
}

// change commits what work adds to the file. It stops at the first failure, after which
// nothing is added.
func (f file) change(ctx context.Context, work func(batch)) error {
	return f.Change(ctx, func(tx *export.Tx) (err error) {
		work(batch{func(statement string, arguments ...any) {
			if err == nil {
				err = tx.Execute(statement, arguments...)
			}
		}})
		return err
	})
}

// lastVersion returns the number of the last version in the file, 0 for none.
func (f file) lastVersion(ctx context.Context) (last uint64, err error) {
	err = f.Change(ctx, func(tx *export.Tx) error { return tx.Read("SELECT coalesce(max(_id), 0) FROM vlob_atom", nil, &last) })
	return last, err
}

// hasBlock reports whether a block is in the file.
func (f file) hasBlock(ctx context.Context, id parsec.BlockID) (has bool, err error) {
	err = f.Change(ctx, func(tx *export.Tx) error {
		return tx.Read("SELECT EXISTS (SELECT 1 FROM block WHERE block_id = ?)", []any{id[:]}, &has)
	})
	return has, err
}

// batch is what is added to the file together. Numbers are those of the store, authors
// the numbers of devices.
type batch struct {
	execute func(statement string, arguments ...any)
}

// version adds a version of a vlob.
func (b batch) version(v *rules.ExportedVersion) {
	b.execute("INSERT INTO vlob_atom (_id, vlob_id, version, blob, author, timestamp) VALUES (?, ?, ?, ?, ?, ?)",
		int64(v.Checkpoint), v.Vlob[:], v.Version, export.NotNull(v.Copy), v.Author, int64(v.Timestamp))
}

// block adds a block.
func (b batch) block(of rules.ExportedBlock, data []byte) {
	b.execute("INSERT INTO block (block_id, data, author) VALUES (?, ?, ?)", of.ID[:], data, of.Author)
}

// certificates adds those that are not in the file, and revocations to users that are.
func (b batch) certificates(all *rules.ExportedCertificates) {
	for _, device := range all.Devices {
		b.execute("INSERT OR IGNORE INTO device (_id, device_certificate) VALUES (?, ?)", device.Number, export.NotNull(device.Certificate))
	}
	for _, role := range all.Roles {
		b.execute("INSERT OR IGNORE INTO realm_role (_id, role_certificate) VALUES (?, ?)", role.Number, export.NotNull(role.Certificate))
	}
	for _, user := range all.Users {
		b.execute(`
INSERT INTO user_ (_id, user_certificate, revoked_user_certificate) VALUES (?, ?, ?)
ON CONFLICT (_id) DO UPDATE SET revoked_user_certificate = excluded.revoked_user_certificate`,
			user.Number, export.NotNull(user.Certificate), user.Revocation)
	}
}
