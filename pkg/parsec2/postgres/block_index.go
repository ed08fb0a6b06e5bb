package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// Blocks returns the next blocks of all organizations, at most a number, that come
// after one; nil is before all. The blocks of an organization are together, in order of
// their ids.
func (s *Store) Blocks(ctx context.Context, after *blockstore.Block, most int) (blocks []blockstore.Block, err error) {
	condition, args := "", []any{most}
	if after != nil {
		condition = " AND (organization, block_id) > ((SELECT id FROM organization WHERE organization_id = $2), $3)"
		args = append(args, after.Organization.String(), database.Key(after.ID))
	}
	err = s.One(ctx, database.List(&blocks, `
SELECT o.organization_id, page.block_id, page.size, page.checksum FROM (
    SELECT organization, block_id, size, checksum FROM block
    WHERE upload_token IS NULL`+condition+`
    ORDER BY organization, block_id LIMIT $1
) page JOIN organization o ON o.id = page.organization
ORDER BY page.organization, page.block_id`, args, func(b *blockstore.Block) []any {
		return []any{database.Parsed(&b.Organization), (*database.UUID)(&b.ID), &b.Size, database.Fixed("checksum", &b.Checksum)}
	}))
	return blocks, indexError("list blocks", err)
}

// indexError says what failed to operators.
func indexError(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// BlocksSize returns the bytes of all blocks together.
func (s *Store) BlocksSize(ctx context.Context) (size int64, err error) {
	err = s.One(ctx, database.Only("SELECT coalesce(sum(blocks_size), 0)::bigint FROM realm", nil, &size))
	return size, indexError("add the sizes of blocks", err)
}

// AddChecksum stores the checksum that block has, unless the store has one of it by
// now.
func (s *Store) AddChecksum(ctx context.Context, block blockstore.Block) error {
	return indexError("add the checksum of a block", s.One(ctx, database.Statement{
		SQL: `
UPDATE block b SET checksum = $3 FROM organization o
WHERE o.organization_id = $1 AND b.organization = o.id AND b.block_id = $2 AND b.upload_token IS NULL AND b.checksum IS NULL`,
		Args: []any{block.Organization.String(), database.Key(block.ID), database.Bytes(block.Checksum)},
	}))
}

// StrayBlocks reports for each block, whose size does not matter, whether it is
// stray: of an organization of the database, and neither known to this store nor
// being uploaded; and whether it is foreign: of no organization.
func (s *Store) StrayBlocks(ctx context.Context, blocks []blockstore.Block) (stray, foreign []bool, err error) {
	organizations, ids := make([]string, len(blocks)), make([]string, len(blocks))
	for i, block := range blocks {
		organizations[i], ids[i] = block.Organization.String(), block.ID.String()
	}
	err = s.One(ctx, database.Statement{
		SQL: `
SELECT o.id IS NOT NULL AND b.block_id IS NULL, o.id IS NULL
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS asked (organization_id, block_id, position)
LEFT JOIN organization o ON o.organization_id = asked.organization_id
LEFT JOIN block b ON b.organization = o.id AND b.block_id = asked.block_id
ORDER BY asked.position`, Args: []any{organizations, ids},
		Rows: func(rows pgx.Rows) error {
			stray, foreign = nil, nil
			var isStray, isForeign bool
			_, err := pgx.ForEachRow(rows, []any{&isStray, &isForeign}, func() error {
				stray, foreign = append(stray, isStray), append(foreign, isForeign)
				return nil
			})
			return err
		},
	})
	return stray, foreign, indexError("look for blocks", err)
}

// HoldBlock keeps clients from uploading a block until a date, by a reservation
// without realm that ReleaseBlock ends. It returns false if the block is known or is
// being uploaded. It is not sent again when the connection is lost: it would find its own
// reservation.
func (s *Store) HoldBlock(ctx context.Context, block blockstore.Block, token parsec.UUID, until parsec.DateTime) (held bool, err error) {
	err = s.Once(ctx, func() database.Statement {
		return database.Row(&held, `
INSERT INTO block (organization, block_id, realm, upload_token, upload_until)
SELECT id, $2, 0, $3, $4 FROM organization WHERE organization_id = $1
ON CONFLICT (organization, block_id) DO NOTHING RETURNING 1`,
			[]any{block.Organization.String(), database.Key(block.ID), database.Key(token), int64(until)}, new(int64))
	})
	return held, indexError("hold a block", err)
}
