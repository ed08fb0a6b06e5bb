package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// The statements of an export take the organization $1 and the realm $2.
const (
	// selectExportedRealm takes the snapshot $3. Each rotation has an access of its
	// date.
	selectExportedRealm = `
SELECT r.created_on, r.deleted, coalesce(
    (SELECT max(a.key_index) FROM parsec3.keys_bundle_access a
     WHERE a.organization = $1 AND a.realm_id = $2 AND a.dated <= $3), 0)
FROM parsec3.realm r
WHERE r.organization = $1 AND r.realm_id = $2`

	selectExportedBundles = `
SELECT b.key_index, b.bundle FROM parsec3.keys_bundle b
WHERE b.organization = $1 AND b.realm_id = $2 AND b.key_index > $3 AND b.key_index <= $4
ORDER BY b.key_index LIMIT $5`

	selectExportedAccesses = `
SELECT a.user_id, a.key_index, a.dated, a.access FROM parsec3.keys_bundle_access a
WHERE a.organization = $1 AND a.realm_id = $2 AND a.dated <= $3 AND (a.user_id, a.key_index, a.dated) > ($4, $5, $6)
ORDER BY a.user_id, a.key_index, a.dated LIMIT $7`

	selectExportedServiceAccesses = `
SELECT a.key_index, a.service_id, a.access FROM parsec3.sequester_access a
WHERE a.organization = $1 AND a.realm_id = $2 AND (a.key_index, a.service_id) > ($3, $4) AND a.key_index <= $5
ORDER BY a.key_index, a.service_id LIMIT $6`

	// selectExportedVersions reads no blob for its length.
	selectExportedVersions = `
SELECT a.vlob_id, a.version, a.written_on, octet_length(a.blob) FROM parsec3.vlob_atom a
WHERE a.organization = $1 AND a.realm_id = $2 AND a.written_on <= $3 AND (a.vlob_id, a.version) > ($4, $5)
ORDER BY a.vlob_id, a.version LIMIT $6`

	selectExportedBlobs = `
SELECT a.vlob_id, a.version, a.key_index, a.author, a.written_on, a.blob
FROM unnest($3::uuid[], $4::bigint[]) WITH ORDINALITY q (vlob_id, version, number)
CROSS JOIN LATERAL (
    SELECT a.* FROM parsec3.vlob_atom a
    WHERE a.organization = $1 AND a.realm_id = $2 AND a.vlob_id = q.vlob_id AND a.version = q.version
    LIMIT 1
) a
ORDER BY q.number`

	// selectExportedBlocks looks at the blocks of the organization, of which some are
	// of the realm: they are in no order of realms.
	selectExportedBlocks = `
SELECT b.block_id, b.realm_id = $2 AND b.upload_token IS NULL AND b.created_on <= $3, b.key_index, b.author, b.size, b.created_on
FROM (
    SELECT b.* FROM parsec3.block b WHERE b.organization = $1 AND b.block_id > $4
    ORDER BY b.block_id LIMIT $5
) b
ORDER BY b.block_id`

	selectExportedChecksums = `
SELECT b.checksum
FROM unnest($3::uuid[]) WITH ORDINALITY q (block_id, number)
CROSS JOIN LATERAL (
    SELECT b.checksum FROM parsec3.block b
    WHERE b.organization = $1 AND b.block_id = q.block_id AND b.realm_id = $2 AND b.upload_token IS NULL
    LIMIT 1
) b
ORDER BY q.number`

	// blocksAtOnce bounds the blocks that one statement looks at.
	blocksAtOnce = 10_000
)

func exportArgs(of rules.ExportKey, more ...any) []any {
	return append([]any{of.Organization.String(), database.Key(of.Realm)}, more...)
}

// ExportedRealm implements rules.ExportReader.
func (s *Store) ExportedRealm(ctx context.Context, of rules.ExportKey) (realm rules.ExportedRealm, found bool, err error) {
	err = s.One(ctx, database.Row(&found, selectExportedRealm, exportArgs(of, int64(of.Snapshot)),
		(*database.Integer)(&realm.CreatedOn), &realm.Deleted, (*database.Unsigned)(&realm.KeyIndex)))
	return realm, found, err
}

// ExportedBundles implements rules.ExportReader.
func (s *Store) ExportedBundles(ctx context.Context, of rules.ExportKey, after, last uint64, most int) ([]rules.ExportedBundle, error) {
	var bundles []rules.ExportedBundle
	args := exportArgs(of, database.Bounded(after), database.Bounded(last), most)
	err := s.One(ctx, database.List(&bundles, selectExportedBundles, args, func(b *rules.ExportedBundle) []any {
		return []any{(*database.Unsigned)(&b.KeyIndex), &b.Bundle}
	}))
	return bundles, err
}

// ExportedAccesses implements rules.ExportReader.
func (s *Store) ExportedAccesses(ctx context.Context, of rules.ExportKey, after rules.ExportedAccess, most int) ([]rules.ExportedAccess, error) {
	var accesses []rules.ExportedAccess
	args := exportArgs(of, int64(of.Snapshot), database.Key(after.User), database.Bounded(after.KeyIndex), int64(after.Dated), most)
	err := s.One(ctx, database.List(&accesses, selectExportedAccesses, args, func(a *rules.ExportedAccess) []any {
		return []any{(*database.UUID)(&a.User), (*database.Unsigned)(&a.KeyIndex), (*database.Integer)(&a.Dated), &a.Access}
	}))
	return accesses, err
}

// ExportedServiceAccesses implements rules.ExportReader.
func (s *Store) ExportedServiceAccesses(ctx context.Context, of rules.ExportKey, after rules.ExportedServiceAccess, last uint64, most int) ([]rules.ExportedServiceAccess, error) {
	var accesses []rules.ExportedServiceAccess
	args := exportArgs(of, database.Bounded(after.KeyIndex), database.Key(after.Service), database.Bounded(last), most)
	err := s.One(ctx, database.List(&accesses, selectExportedServiceAccesses, args, func(a *rules.ExportedServiceAccess) []any {
		return []any{(*database.Unsigned)(&a.KeyIndex), (*database.UUID)(&a.Service), &a.Access}
	}))
	return accesses, err
}

// ExportedVersions implements rules.ExportReader.
func (s *Store) ExportedVersions(ctx context.Context, of rules.ExportKey, after rules.VlobNumber, most int) ([]rules.ExportedVersion, error) {
	var versions []rules.ExportedVersion
	args := exportArgs(of, int64(of.Snapshot), database.Key(after.Vlob), int64(after.Version), most)
	err := s.One(ctx, database.List(&versions, selectExportedVersions, args, func(v *rules.ExportedVersion) []any {
		return []any{(*database.UUID)(&v.Vlob), (*database.Number)(&v.Version), (*database.Integer)(&v.Timestamp), (*database.Unsigned)(&v.Size)}
	}))
	return versions, err
}

// ExportedBlobs implements rules.ExportReader.
func (s *Store) ExportedBlobs(ctx context.Context, of rules.ExportKey, numbers []rules.VlobNumber) ([]rules.VlobVersion, error) {
	ids, versions := numberColumns(numbers)
	var read []rules.VlobVersion
	err := s.One(ctx, database.List(&read, selectExportedBlobs, exportArgs(of, ids, versions), func(v *rules.VlobVersion) []any {
		return []any{
			(*database.UUID)(&v.Vlob), (*database.Number)(&v.Version), (*database.Unsigned)(&v.KeyIndex),
			(*database.UUID)(&v.Author), (*database.Integer)(&v.Timestamp), &v.Blob,
		}
	}))
	return read, err
}

// ExportedBlocks implements rules.ExportReader.
func (s *Store) ExportedBlocks(ctx context.Context, of rules.ExportKey, after parsec.BlockID) (blocks []rules.Block, last parsec.BlockID, done bool, err error) {
	looked := 0
	err = s.One(ctx, database.Statement{
		SQL: selectExportedBlocks, Args: exportArgs(of, int64(of.Snapshot), database.Key(after), blocksAtOnce),
		Rows: func(rows pgx.Rows) error {
			blocks, looked = nil, 0
			for rows.Next() {
				block := rules.Block{Realm: of.Realm}
				var exported bool
				err := rows.Scan((*database.UUID)(&block.ID), (*database.Flag)(&exported), (*database.Unsigned)(&block.KeyIndex),
					(*database.UUID)(&block.Author), (*database.Unsigned)(&block.Size), (*database.Integer)(&block.CreatedOn))
				if err != nil {
					return err
				}
				if last = block.ID; exported {
					blocks = append(blocks, block)
				}
				looked++
			}
			return rows.Err()
		},
	})
	return blocks, last, looked < blocksAtOnce, err
}

// ExportedChecksums implements rules.ExportReader.
func (s *Store) ExportedChecksums(ctx context.Context, of rules.ExportKey, blocks []parsec.BlockID) ([]*blockstore.Checksum, error) {
	var checksums []*blockstore.Checksum
	err := s.One(ctx, database.List(&checksums, selectExportedChecksums, exportArgs(of, database.Keys(blocks)), func(checksum **blockstore.Checksum) []any {
		return []any{database.Fixed("checksum", checksum)}
	}))
	return checksums, err
}
