package testclient3

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "modernc.org/sqlite" // The driver of the files.

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// RealmExport is a realm that was exported into a file, as its readers see it: they
// verify all of it, and trust nothing but the root key, which they know from elsewhere
// (docs/protocol/v5/administration.md §5).
type RealmExport struct {
	database  *sql.DB
	realm     parsec.RealmID
	knowledge *Knowledge
	keys      *Keys
}

// OpenExportAsMember opens the whole export in a file with the keys of a device whose
// user was a member of the realm. The caller closes it.
func OpenExportAsMember(ctx context.Context, path string, d *client3.Device) (*RealmExport, error) {
	e, err := openExport(ctx, path, d)
	if err != nil {
		return nil, err
	}
	return e.unlocked(e.unlock(ctx, "SELECT access FROM realm_keys_bundle_access WHERE user_id = ? AND key_index = ? ORDER BY _id DESC", d.User[:],
		func(sealed []byte) ([]byte, error) { return openAccess(d, sealed) }))
}

// OpenExportAsService opens the whole export in a file with the key of a sequester
// service. The caller closes it.
func OpenExportAsService(ctx context.Context, path string, root parsec.VerifyKey, service parsec.SequesterServiceID, key *rsa.PrivateKey) (*RealmExport, error) {
	e, err := openExport(ctx, path, &client3.Device{RootVerifyKey: root})
	if err != nil {
		return nil, err
	}
	return e.unlocked(e.unlock(ctx, "SELECT access FROM realm_sequester_keys_bundle_access WHERE sequester_service_id = ? AND key_index = ?", service[:],
		func(sealed []byte) ([]byte, error) { return openServiceAccess(key, sealed) }))
}

// openExport verifies the certificates.
func openExport(ctx context.Context, path string, d *client3.Device) (*RealmExport, error) {
	database, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return nil, err
	}
	e := &RealmExport{database: database}
	if err := e.learn(ctx, d); err != nil {
		return nil, errors.Join(err, database.Close())
	}
	return e, nil
}

func (e *RealmExport) learn(ctx context.Context, d *client3.Device) (err error) {
	var realm, root []byte
	var done bool
	err = e.database.QueryRowContext(ctx, `
SELECT realm_id, root_verify_key, certificates_export_done AND vlobs_export_done AND blocks_metadata_export_done AND blocks_data_export_done
FROM info WHERE magic = 87948 AND version = 1`).Scan(&realm, &root, &done)
	if err == nil && !done {
		err = errors.New("the export is not complete")
	}
	if err == nil && string(root) != string(d.RootVerifyKey[:]) {
		err = errors.New("the export is of another organization")
	}
	if err != nil {
		return err
	}
	e.realm = parsec.RealmID(realm)
	reply := &protocol.CertificateGetReply{RealmCertificates: map[parsec.RealmID][][]byte{}}
	if reply.CommonCertificates, err = e.certificates(ctx, "common_certificate"); err != nil {
		return err
	}
	if reply.SequesterCertificates, err = e.certificates(ctx, "sequester_certificate"); err != nil {
		return err
	}
	if reply.RealmCertificates[e.realm], err = e.certificates(ctx, "realm_certificate"); err != nil {
		return err
	}
	e.knowledge, err = NewKnowledge(d).Learn(reply)
	return err
}

func (e *RealmExport) certificates(ctx context.Context, table string) (list [][]byte, err error) {
	err = e.each(ctx, "SELECT certificate FROM "+table+" ORDER BY _id", nil, func(rows *sql.Rows) error {
		var certificate []byte
		err := rows.Scan(&certificate)
		list = append(list, certificate)
		return err
	})
	return list, err
}

func (e *RealmExport) each(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := e.database.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() && err == nil {
		err = scan(rows)
	}
	return errors.Join(err, rows.Err(), rows.Close())
}

// unlock opens the last keys bundle with an access that query finds for its owner and
// the index, and open unseals. A realm without rotation needs none.
func (e *RealmExport) unlock(ctx context.Context, query string, owner []byte, open func(sealed []byte) ([]byte, error)) error {
	known := e.knowledge.Realm(e.realm)
	if known == nil || known.KeyIndex == 0 {
		return errors.New("the realm has no key")
	}
	var sealed, bundle []byte
	if err := e.database.QueryRowContext(ctx, query, owner, known.KeyIndex).Scan(&sealed); err != nil {
		return fmt.Errorf("access to key %d: %w", known.KeyIndex, err)
	}
	if err := e.database.QueryRowContext(ctx, "SELECT keys_bundle FROM realm_keys_bundle WHERE key_index = ?", known.KeyIndex).Scan(&bundle); err != nil {
		return fmt.Errorf("keys bundle %d: %w", known.KeyIndex, err)
	}
	packed, err := open(sealed)
	if err != nil {
		return err
	}
	author := known.Rotated[known.KeyIndex-1].Value
	key, found := e.knowledge.KeyOf(author)
	if !found {
		return incoherent("a key rotation by %s, who is unknown", author)
	}
	e.keys, _, err = openKeysBundle(packed, bundle, e.realm, known.KeyIndex, author, key)
	return err
}

// unlocked closes an export that does not open.
func (e *RealmExport) unlocked(err error) (*RealmExport, error) {
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Close ends the reading.
func (e *RealmExport) Close() error { return e.database.Close() }

// Versions returns the latest version of each vlob at a date.
func (e *RealmExport) Versions(ctx context.Context, at parsec.DateTime) (map[parsec.VlobID]Version, error) {
	versions := map[parsec.VlobID]Version{}
	err := e.each(ctx, `
SELECT vlob_id, version, key_index, blob, author, timestamp FROM vlob_atom WHERE timestamp <= ? ORDER BY sequential_id`, []any{int64(at)}, func(rows *sql.Rows) error {
		var vlob, author []byte
		var timestamp int64
		item := &protocol.VlobItem{}
		if err := rows.Scan(&vlob, &item.Version, &item.KeyIndex, &item.Blob, &author, &timestamp); err != nil {
			return err
		}
		item.Vlob, item.Author, item.CreatedOn = parsec.VlobID(vlob), parsec3.DeviceID(author), parsec.DateTime(timestamp)
		content, err := openVersion(e.knowledge, e.keys, e.realm, item)
		if err != nil {
			return fmt.Errorf("vlob %s version %d: %w", item.Vlob, item.Version, err)
		}
		versions[item.Vlob] = Version{item.Version, item.CreatedOn, content}
		return nil
	})
	return versions, err
}

// Blocks returns the data of all blocks.
func (e *RealmExport) Blocks(ctx context.Context) (map[parsec.BlockID][]byte, error) {
	blocks := map[parsec.BlockID][]byte{}
	err := e.each(ctx, "SELECT b.block_id, b.key_index, d.data FROM block b JOIN block_data d ON d.block = b.sequential_id", nil, func(rows *sql.Rows) error {
		var id, encrypted []byte
		var index uint64
		if err := rows.Scan(&id, &index, &encrypted); err != nil {
			return err
		}
		data, err := e.keys.Decrypt(index, encrypted)
		if err != nil {
			return fmt.Errorf("block %x: %w", id, err)
		}
		blocks[parsec.BlockID(id)] = data
		return nil
	})
	return blocks, err
}

// openServiceAccess returns what Access.ForService has sealed.
func openServiceAccess(key *rsa.PrivateKey, sealed []byte) ([]byte, error) {
	rest, found := strings.CutPrefix(string(sealed), serviceAccessPrefix)
	if !found || len(rest) < key.Size() {
		return nil, errors.New("no access of a sequester service")
	}
	once, err := rsa.DecryptOAEP(sha256.New(), nil, key, []byte(rest[:key.Size()]), nil)
	if err != nil || len(once) != 32 {
		return nil, errors.New("the access is for another sequester service")
	}
	return unseal([]byte(rest[key.Size():]), (*[32]byte)(once))
}
