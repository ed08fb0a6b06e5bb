package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// fromExported is the realm $2 and the service $3 of the organization $1.
const fromExported = `
FROM organization o
JOIN realm r ON r.organization = o.id AND r.realm_id = $2
JOIN sequester_service s ON s.organization = o.id AND s.service_id = $3`

func exportArgs(of rules.ExportKey) []any {
	return []any{of.Organization.String(), database.Key(of.Realm), database.Key(of.Service)}
}

// ExportedSize implements rules.SequesterExportReader.
func (s *Store) ExportedSize(ctx context.Context, of rules.ExportKey) (size uint64, found bool, err error) {
	err = s.One(ctx, database.Row(&found, "SELECT r.blocks_size"+fromExported+" WHERE o.organization_id = $1",
		exportArgs(of), (*database.Unsigned)(&size)))
	return size, found, err
}

// ExportedVersions implements rules.SequesterExportReader.
func (s *Store) ExportedVersions(ctx context.Context, of rules.ExportKey, after uint64, most int) ([]rules.ExportedVersion, error) {
	var versions []rules.ExportedVersion
	err := s.One(ctx, database.List(&versions, `
SELECT c.checkpoint, v.vlob_id, c.version, c.blob, a.author, a.written_on`+fromExported+`
CROSS JOIN LATERAL (
    SELECT vlob, version, checkpoint, blob FROM sequester_copy
    WHERE realm = r.id AND service = s.id AND checkpoint > $4
    ORDER BY checkpoint LIMIT $5
) c
JOIN vlob v ON v.id = c.vlob
JOIN vlob_atom a ON a.vlob = c.vlob AND a.revision = `+complete+` AND a.version = c.version
WHERE o.organization_id = $1
ORDER BY c.checkpoint`, append(exportArgs(of), database.Bounded(after), most), func(v *rules.ExportedVersion) []any {
		return []any{(*database.Unsigned)(&v.Checkpoint), (*database.UUID)(&v.Vlob), (*database.Number)(&v.Version), &v.Copy, &v.Author, (*database.Integer)(&v.Timestamp)}
	}))
	return versions, err
}

// blocksAtOnce bounds the blocks of the organization, of which some are of the
// realm, that one statement looks at.
const blocksAtOnce = 10_000

// ExportedBlocks implements rules.SequesterExportReader.
func (s *Store) ExportedBlocks(ctx context.Context, of rules.ExportKey, after parsec.BlockID) (blocks []rules.ExportedBlock, last parsec.BlockID, done bool, err error) {
	looked := 0
	err = s.One(ctx, database.Statement{
		SQL: `
SELECT b.block_id, b.realm = r.id AND b.upload_token IS NULL, b.author, b.size, b.checksum` + fromExported + `
CROSS JOIN LATERAL (
    SELECT * FROM block WHERE organization = o.id AND block_id > $4
    ORDER BY block_id LIMIT $5
) b
WHERE o.organization_id = $1
ORDER BY b.block_id`, Args: append(exportArgs(of), database.Key(after), blocksAtOnce),
		Rows: func(rows pgx.Rows) error {
			blocks, looked = nil, 0
			for rows.Next() {
				var block rules.ExportedBlock
				var ofRealm bool
				if err := rows.Scan((*database.UUID)(&block.ID), &ofRealm, (*database.Integer)(&block.Author), (*database.Integer)(&block.Size), database.Fixed("checksum", &block.Checksum)); err != nil {
					return err
				}
				if last = block.ID; ofRealm {
					blocks = append(blocks, block)
				}
				looked++
			}
			return rows.Err()
		},
	})
	return blocks, last, looked < blocksAtOnce, err
}

// ExportedCertificates implements rules.SequesterExportReader.
func (s *Store) ExportedCertificates(ctx context.Context, of rules.ExportKey) (certificates rules.ExportedCertificates, err error) {
	args := exportArgs(of)
	err = s.Snapshot(ctx,
		database.List(&certificates.Roles, "SELECT c.id, c.certificate"+fromExported+`
JOIN realm_role_certificate c ON c.realm = r.id
WHERE o.organization_id = $1 ORDER BY c.id`, args, exportedTargets),
		database.List(&certificates.Devices, "SELECT d.id, d.certificate"+fromExported+`
JOIN user_ u ON u.organization = o.id JOIN device d ON d.user_ = u.id
WHERE o.organization_id = $1 ORDER BY d.id`, args, exportedTargets),
		database.List(&certificates.Users, "SELECT u.id, u.certificate, u.revoked_certificate"+fromExported+`
JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1 ORDER BY u.id`, args, func(user *rules.ExportedUser) []any {
			return []any{&user.Number, &user.Certificate, &user.Revocation}
		}))
	return certificates, err
}

func exportedTargets(c *rules.ExportedCertificate) []any { return []any{&c.Number, &c.Certificate} }
