package testkit

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// InsertBlocks makes a database know blocks, without the commands that would,
// in one realm for each organization.
func InsertBlocks(t testing.TB, dsn string, blocks ...blockstore.Block) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(t.Context()) }() // It has done its work.
	batch := &pgx.Batch{}
	for _, block := range blocks {
		organization := block.Organization.String()
		batch.Queue(`
INSERT INTO organization (organization_id, bootstrap_token, user_profile_outsider_allowed, minimum_archiving_period, created_on)
VALUES ($1, '', true, 0, 0) ON CONFLICT DO NOTHING`, organization)
		batch.Queue(`
INSERT INTO realm (organization, realm_id, created_on)
SELECT id, $2, 0 FROM organization WHERE organization_id = $1 ON CONFLICT DO NOTHING`,
			organization, parsec.UUID{}.String())
		batch.Queue(`
WITH realm AS (
    UPDATE realm SET blocks_size = blocks_size + $3
    WHERE organization = (SELECT id FROM organization WHERE organization_id = $1) RETURNING id, organization
)
INSERT INTO block (organization, block_id, realm, author, size, created_on)
SELECT organization, $2, id, 1, $3, 0 FROM realm`,
			organization, block.ID.String(), block.Size)
	}
	if err := connection.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
}

// InsertParsec3Blocks is InsertBlocks for organizations of Parsec 3.
func InsertParsec3Blocks(t testing.TB, dsn string, blocks ...blockstore.Block) {
	t.Helper()
	connection := Connect(t, dsn)
	for _, block := range blocks {
		organization, realm := block.Organization.String(), parsec.UUID{}.String()
		Execute(t, connection, `
INSERT INTO organization (organization_id, bootstrap_token, user_profile_outsider_allowed, minimum_archiving_period, created_on, generation)
VALUES ($1, '', true, 0, 0, 3) ON CONFLICT DO NOTHING`, organization)
		Execute(t, connection, `
INSERT INTO parsec3.realm (organization, realm_id, created_on, last_date, key_index, named, archiving, deleted)
VALUES ($1, $2, 0, 0, 0, false, 'AVAILABLE', false) ON CONFLICT DO NOTHING`, organization, realm)
		Execute(t, connection, `
INSERT INTO parsec3.realm_counter AS c (organization, realm_id, checkpoint, last_vlob, vlobs_size, blocks_size)
VALUES ($1, $2, 0, 0, 0, $3)
ON CONFLICT (organization, realm_id) DO UPDATE SET blocks_size = c.blocks_size + excluded.blocks_size`, organization, realm, block.Size)
		Execute(t, connection, `
INSERT INTO parsec3.block (organization, block_id, realm_id, key_index, author, size, created_on)
VALUES ($1, $2, $3, 0, $3, $4, 0)`, organization, block.ID.String(), realm, block.Size)
	}
}

// StoredBlock returns what a memory has of a block, of whatever length, or
// blockstore.ErrNotFound.
func StoredBlock(ctx context.Context, memory *blockstore.Memory, organization parsec.OrganizationID, id parsec.BlockID) ([]byte, error) {
	objects, err := memory.List(ctx, organization.String()+"/"+id.String(), "")
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, blockstore.ErrNotFound
	}
	data := make([]byte, objects[0].Size)
	return data, memory.Read(ctx, organization, id, nil, data)
}
