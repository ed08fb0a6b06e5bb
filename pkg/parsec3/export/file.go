package export

import (
	"context"
	"errors"
	"fmt"

	"parsec-server/pkg/export"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// magic and version begin every file.
const (
	magic   = 87948
	version = 1
)

// schema is the layout of docs/protocol/v5/administration.md §5.
const schema = `
CREATE TABLE info (
    magic INTEGER NOT NULL, version INTEGER NOT NULL, organization_id TEXT NOT NULL, realm_id BLOB NOT NULL, root_verify_key BLOB NOT NULL,
    snapshot_timestamp INTEGER NOT NULL, vlobs_total_bytes INTEGER NOT NULL, blocks_total_bytes INTEGER NOT NULL,
    certificates_export_done INTEGER NOT NULL, vlobs_export_done INTEGER NOT NULL,
    blocks_metadata_export_done INTEGER NOT NULL, blocks_data_export_done INTEGER NOT NULL
);
CREATE TABLE common_certificate (_id INTEGER PRIMARY KEY NOT NULL, certificate BLOB NOT NULL);
CREATE TABLE sequester_certificate (_id INTEGER PRIMARY KEY NOT NULL, certificate BLOB NOT NULL);
CREATE TABLE realm_certificate (_id INTEGER PRIMARY KEY NOT NULL, certificate BLOB NOT NULL);
CREATE TABLE realm_keys_bundle (key_index INTEGER PRIMARY KEY NOT NULL, keys_bundle BLOB NOT NULL);
CREATE TABLE realm_keys_bundle_access (
    _id INTEGER PRIMARY KEY NOT NULL, user_id BLOB NOT NULL, key_index INTEGER NOT NULL, access BLOB NOT NULL
);
CREATE TABLE realm_sequester_keys_bundle_access (
    _id INTEGER PRIMARY KEY NOT NULL, sequester_service_id BLOB NOT NULL, key_index INTEGER NOT NULL, access BLOB NOT NULL
);
CREATE TABLE vlob_atom (
    sequential_id INTEGER PRIMARY KEY NOT NULL, vlob_id BLOB NOT NULL, version INTEGER NOT NULL, key_index INTEGER NOT NULL,
    blob BLOB NOT NULL, size INTEGER NOT NULL, author BLOB NOT NULL, timestamp INTEGER NOT NULL,
    UNIQUE (vlob_id, timestamp)
);
CREATE TABLE block (
    sequential_id INTEGER PRIMARY KEY NOT NULL, block_id BLOB NOT NULL UNIQUE, author BLOB NOT NULL, size INTEGER NOT NULL,
    key_index INTEGER NOT NULL
);
CREATE TABLE block_data (block INTEGER PRIMARY KEY NOT NULL REFERENCES block (sequential_id), data BLOB NOT NULL);`

// tables is how many the schema has.
const tables = 10

// errNoExport is of a file that is there, but is none of these.
var errNoExport = errors.New("not the export of a realm")

// OtherExportError is of an export that is there, but is of something else.
type OtherExportError struct {
	// Of is what differs, and Got and Expected that of the file, and what is asked for.
	Of, Got, Expected string
}

func (e *OtherExportError) Error() string {
	return "Existing output export database is for a different " + e.Of + ": got " + e.Got + " instead of expected " + e.Expected
}

// info is the row of that table, but for its flags.
type info struct {
	magic, version              int64
	organization                string
	realm, root                 []byte
	snapshot                    int64
	vlobsBytes, blocksBytes     int64
	certificates, vlobs, blocks bool
}

func readInfo(tx *export.Tx) (read info, err error) {
	var rows, found int
	err = tx.Read(`
SELECT (SELECT count(*) FROM info), (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN (
    'info', 'common_certificate', 'sequester_certificate', 'realm_certificate', 'realm_keys_bundle', 'realm_keys_bundle_access',
    'realm_sequester_keys_bundle_access', 'vlob_atom', 'block', 'block_data'))`, nil, &rows, &found)
	if err == nil && (rows != 1 || found != tables) {
		err = fmt.Errorf("%d of its %d tables, and %d rows of info", found, tables, rows)
	}
	if err == nil {
		err = tx.Read(`
SELECT magic, version, organization_id, realm_id, root_verify_key, snapshot_timestamp, vlobs_total_bytes, blocks_total_bytes,
    certificates_export_done, vlobs_export_done, blocks_metadata_export_done
FROM info`, nil, &read.magic, &read.version, &read.organization, &read.realm, &read.root, &read.snapshot,
			&read.vlobsBytes, &read.blocksBytes, &read.certificates, &read.vlobs, &read.blocks)
	}
	if err == nil && (read.magic != magic || read.version != version) {
		err = fmt.Errorf("magic %d and version %d", read.magic, read.version)
	}
	if err != nil {
		return info{}, fmt.Errorf("%w: %w", errNoExport, err)
	}
	return read, nil
}

// checkIs wants the row to be of what is exported.
func (i *info) checkIs(source *rules.RealmExport) error {
	for _, is := range []OtherExportError{
		{"organization", i.organization, source.Organization.String()},
		{"realm", fmt.Sprintf("%x", i.realm), parsec.UUID(source.Realm).Hex()},
		{"root verify key", fmt.Sprintf("%x", i.root), fmt.Sprintf("%x", source.RootVerifyKey[:])},
		{"timestamp", parsec.DateTime(i.snapshot).String(), source.Snapshot.String()},
	} {
		if is.Got != is.Expected {
			return &is
		}
	}
	return nil
}

// checkHolds wants the sums to be those of what is exported.
func (i *info) checkHolds(wanted *plan) error {
	for _, is := range []OtherExportError{
		{"size of vlobs", fmt.Sprint(i.vlobsBytes), fmt.Sprint(wanted.vlobsBytes)},
		{"size of blocks", fmt.Sprint(i.blocksBytes), fmt.Sprint(wanted.blocksBytes)},
	} {
		if is.Got != is.Expected {
			return &is
		}
	}
	return nil
}

// openFile opens the file of an export to go on with it, which found is of, or creates
// it, nil. The caller closes it.
func openFile(ctx context.Context, path string, source *rules.RealmExport) (file *export.File, found *info, err error) {
	file, err = export.Open(ctx, path, func(tx *export.Tx, empty bool) error {
		if empty {
			return nil
		}
		read, err := readInfo(tx)
		if err != nil {
			return err
		}
		found = &read
		return read.checkIs(source)
	})
	return file, found, err
}

// begin makes the tables of an empty file.
func begin(tx *export.Tx, source *rules.RealmExport, holds *plan) error {
	if err := tx.Script(schema); err != nil {
		return err
	}
	return tx.Execute("INSERT INTO info VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)", magic, version, source.Organization.String(),
		source.Realm[:], source.RootVerifyKey[:], int64(source.Snapshot), holds.vlobsBytes, holds.blocksBytes)
}
