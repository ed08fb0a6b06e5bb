package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// BlockIndex lists the blocks that the database knows, for those who check and
// clean block stores beside the servers. Its methods are safe for concurrent
// use, and each runs one statement.
type BlockIndex struct {
	pool *pgxpool.Pool
}

// NewBlockIndex uses pool, which the caller closes. It fails unless the schema
// is the one of this server.
func NewBlockIndex(ctx context.Context, pool *pgxpool.Pool) (*BlockIndex, error) {
	if err := database.CheckSchema(ctx, pool); err != nil {
		return nil, err
	}
	return &BlockIndex{pool}, nil
}

// Blocks returns the next blocks, at most a number, that come after one; nil is
// before all. The blocks of an organization are together, in order of their
// ids.
func (b *BlockIndex) Blocks(ctx context.Context, after *blockstore.Block, most int) ([]blockstore.Block, error) {
	condition, args := "", []any{most}
	if after != nil {
		condition = " AND (organization, block_id) > ((SELECT id FROM organization WHERE organization_id = $2), $3)"
		args = append(args, after.Organization.String(), key(after.ID))
	}
	rows, err := b.pool.Query(ctx, `
SELECT o.organization_id, page.block_id, page.size, page.checksum FROM (
    SELECT organization, block_id, size, checksum FROM block
    WHERE upload_token IS NULL`+condition+`
    ORDER BY organization, block_id LIMIT $1
) page JOIN organization o ON o.id = page.organization
ORDER BY page.organization, page.block_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	blocks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (block blockstore.Block, err error) {
		err = row.Scan(database.Parsed(&block.Organization), (*database.UUID)(&block.ID), &block.Size, checksum{&block.Checksum})
		return block, err
	})
	if err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	return blocks, nil
}

// AddChecksum stores the checksum that block has, unless the database has one
// of it by now.
func (b *BlockIndex) AddChecksum(ctx context.Context, block blockstore.Block) error {
	_, err := b.pool.Exec(ctx, `
UPDATE block b SET checksum = $3 FROM organization o
WHERE o.organization_id = $1 AND b.organization = o.id AND b.block_id = $2 AND b.upload_token IS NULL AND b.checksum IS NULL`,
		block.Organization.String(), key(block.ID), checksumBytes(block.Checksum))
	if err != nil {
		return fmt.Errorf("add the checksum of a block: %w", err)
	}
	return nil
}

// BlocksSize returns the bytes of all blocks together.
func (b *BlockIndex) BlocksSize(ctx context.Context) (size int64, err error) {
	err = b.pool.QueryRow(ctx, "SELECT coalesce(sum(blocks_size), 0)::bigint FROM realm").Scan(&size)
	if err != nil {
		return 0, fmt.Errorf("add the sizes of blocks: %w", err)
	}
	return size, nil
}

// KnowsOrganization reports whether the database has an organization.
func (b *BlockIndex) KnowsOrganization(ctx context.Context, organization parsec.OrganizationID) (known bool, err error) {
	err = b.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM organization WHERE organization_id = $1)", organization.String()).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("look for an organization: %w", err)
	}
	return known, nil
}

// StrayBlocks reports for each block, whose size does not matter, whether it is
// stray: of an organization of the database, and neither known to it nor being
// uploaded; and whether it is foreign: of no organization of the database.
func (b *BlockIndex) StrayBlocks(ctx context.Context, blocks []blockstore.Block) (stray, foreign []bool, err error) {
	organizations, ids := make([]string, len(blocks)), make([]string, len(blocks))
	for i, block := range blocks {
		organizations[i], ids[i] = block.Organization.String(), block.ID.String()
	}
	rows, err := b.pool.Query(ctx, `
SELECT o.id IS NOT NULL AND b.block_id IS NULL, o.id IS NULL
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS asked (organization_id, block_id, position)
LEFT JOIN organization o ON o.organization_id = asked.organization_id
LEFT JOIN block b ON b.organization = o.id AND b.block_id = asked.block_id
ORDER BY asked.position`, organizations, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("look for blocks: %w", err)
	}
	var isStray, isForeign bool
	_, err = pgx.ForEachRow(rows, []any{&isStray, &isForeign}, func() error {
		stray, foreign = append(stray, isStray), append(foreign, isForeign)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for blocks: %w", err)
	}
	return stray, foreign, nil
}

// HoldBlock keeps clients from uploading a block until a date, by a reservation
// without realm; held is false if the block is known or is being uploaded.
func (b *BlockIndex) HoldBlock(ctx context.Context, block blockstore.Block, token parsec.UUID, until parsec.DateTime) (held bool, err error) {
	tag, err := b.pool.Exec(ctx, `
INSERT INTO block (organization, block_id, realm, upload_token, upload_until)
SELECT id, $2, 0, $3, $4 FROM organization WHERE organization_id = $1
ON CONFLICT (organization, block_id) DO NOTHING`,
		block.Organization.String(), key(block.ID), key(token), int64(until))
	if err != nil {
		return false, fmt.Errorf("hold a block: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// FreeBlock ends what HoldBlock began.
func (b *BlockIndex) FreeBlock(ctx context.Context, block blockstore.Block, token parsec.UUID) error {
	_, err := b.pool.Exec(ctx, `
DELETE FROM block b USING organization o
WHERE o.organization_id = $1 AND b.organization = o.id AND b.block_id = $2 AND b.upload_token = $3`,
		block.Organization.String(), key(block.ID), key(token))
	if err != nil {
		return fmt.Errorf("free a block: %w", err)
	}
	return nil
}
