package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// ErrRealmNotFound tells that there is no such realm to export.
var ErrRealmNotFound = errors.New("no such realm")

// RealmExport reads a realm for a sequester service, beside the servers. Each
// method runs one statement, or a few.
type RealmExport struct {
	pool *pgxpool.Pool
	// The rows of the organization, the realm and the service.
	organization, realm, service int64
	// BlocksSize is in bytes.
	BlocksSize int64
}

// NewRealmExport uses pool, which the caller closes, on a database whose schema
// is the one of this server. The service is one of the organization.
func NewRealmExport(ctx context.Context, pool *pgxpool.Pool, organization parsec.OrganizationID, realm parsec.RealmID, service parsec.SequesterServiceID) (*RealmExport, error) {
	e := &RealmExport{pool: pool}
	err := pool.QueryRow(ctx, `
SELECT o.id, r.id, s.id, r.blocks_size
FROM organization o
JOIN realm r ON r.organization = o.id AND r.realm_id = $2
JOIN sequester_service s ON s.organization = o.id AND s.service_id = $3
WHERE o.organization_id = $1`, organization.String(), key(realm), key(service)).Scan(&e.organization, &e.realm, &e.service, &e.BlocksSize)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, ErrRealmNotFound
	case err != nil:
		return nil, fmt.Errorf("look for a realm: %w", err)
	default:
		return e, nil
	}
}

// Versions gives the next copies, at most a number, after a checkpoint.
func (e *RealmExport) Versions(ctx context.Context, after uint64, most int) ([]rules.ExportedVersion, error) {
	return collect(ctx, e.pool, "read the copies of files", `
SELECT c.checkpoint, v.vlob_id, c.version, c.blob, a.author, a.written_on
FROM (
    SELECT vlob, version, checkpoint, blob FROM sequester_copy
    WHERE realm = $1 AND service = $2 AND checkpoint > $3
    ORDER BY checkpoint LIMIT $4
) c
JOIN realm r ON r.id = $1
JOIN vlob v ON v.id = c.vlob
JOIN vlob_atom a ON a.vlob = c.vlob AND a.revision = `+complete+` AND a.version = c.version
ORDER BY c.checkpoint`, []any{e.realm, e.service, bounded(after), most}, func(row pgx.CollectableRow) (v rules.ExportedVersion, err error) {
		err = row.Scan((*unsigned)(&v.Checkpoint), (*uuid)(&v.Vlob), (*number)(&v.Version), &v.Copy, &v.Author, (*integer)(&v.Timestamp))
		return v, err
	})
}

// blocksAtOnce bounds the blocks of the organization, of which some are of the
// realm, that one statement looks at.
const blocksAtOnce = 10_000

// Blocks gives next blocks, in the order of their ids, that come after one, and
// the last one that was looked at; done is true once there is no more.
func (e *RealmExport) Blocks(ctx context.Context, after parsec.BlockID) (blocks []rules.ExportedBlock, last parsec.BlockID, done bool, err error) {
	type looked struct {
		block   rules.ExportedBlock
		ofRealm bool
	}
	all, err := collect(ctx, e.pool, "list blocks", `
SELECT block_id, realm = $2 AND upload_token IS NULL, author, size, checksum FROM block
WHERE organization = $1 AND block_id > $3
ORDER BY block_id LIMIT $4`, []any{e.organization, e.realm, key(after), blocksAtOnce}, func(row pgx.CollectableRow) (l looked, err error) {
		err = row.Scan((*uuid)(&l.block.ID), &l.ofRealm, (*integer)(&l.block.Author), (*integer)(&l.block.Size), checksum{&l.block.Checksum})
		return l, err
	})
	for _, l := range all {
		last = l.block.ID
		if l.ofRealm {
			blocks = append(blocks, l.block)
		}
	}
	return blocks, last, len(all) < blocksAtOnce, err
}

// Certificates gives those that there are now.
func (e *RealmExport) Certificates(ctx context.Context) (certificates rules.ExportedCertificates, err error) {
	certificates.Roles, err = collect(ctx, e.pool, "read role certificates",
		"SELECT id, certificate FROM realm_role_certificate WHERE realm = $1 ORDER BY id", []any{e.realm}, scanExported)
	if err != nil {
		return certificates, err
	}
	certificates.Devices, err = collect(ctx, e.pool, "read device certificates", `
SELECT d.id, d.certificate FROM user_ u JOIN device d ON d.user_ = u.id
WHERE u.organization = $1 ORDER BY d.id`, []any{e.organization}, scanExported)
	if err != nil {
		return certificates, err
	}
	certificates.Users, err = collect(ctx, e.pool, "read user certificates", `
SELECT id, certificate, revoked_certificate FROM user_
WHERE organization = $1 ORDER BY id`, []any{e.organization}, func(row pgx.CollectableRow) (user rules.ExportedUser, err error) {
		err = row.Scan(&user.Number, &user.Certificate, &user.Revocation)
		return user, err
	})
	return certificates, err
}

func scanExported(row pgx.CollectableRow) (exported rules.ExportedCertificate, err error) {
	err = row.Scan(&exported.Number, &exported.Certificate)
	return exported, err
}

// collect runs one statement that does what.
func collect[T any](ctx context.Context, pool *pgxpool.Pool, what, sql string, args []any, scan pgx.RowToFunc[T]) ([]T, error) {
	rows, err := pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	collected, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return collected, nil
}
