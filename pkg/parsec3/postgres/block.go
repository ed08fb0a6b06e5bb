package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// ReadBlock implements rules.BlockReader.
func (s *Store) ReadBlock(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, id parsec.BlockID) (rules.Standing, *rules.Realm, *rules.Block, error) {
	var r reading
	block := rules.Block{ID: id, Realm: realm}
	var found bool
	err := s.ask(ctx, (*single)(new(database.Row(&r.standing.found, "SELECT "+readingColumns+`,
    b.realm_id = $3, b.key_index, b.author, b.size, b.created_on, b.checksum`+standingTables+joinRealm+`
LEFT JOIN parsec3.block b ON b.organization = $1 AND b.block_id = $4 AND b.upload_token IS NULL`+ofOrganization, args(organization, author, database.Key(realm), database.Key(id)),
		append(r.targets(), (*database.Flag)(&found), (*database.Unsigned)(&block.KeyIndex), (*database.UUID)(&block.Author),
			(*database.Unsigned)(&block.Size), (*database.Integer)(&block.CreatedOn), database.Fixed("checksum", &block.Checksum))...))))
	if err != nil {
		return rules.Standing{}, nil, nil, err
	}
	if !found {
		return r.standing.facts(), r.foundRealm(), nil, nil
	}
	return r.standing.facts(), r.foundRealm(), &block, nil
}

// NewUploadToken implements rules.BlockUploads.
func (s *Store) NewUploadToken() parsec.UUID { return s.NewToken() }

// ReleaseBlock implements rules.BlockUploads.
func (s *Store) ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error {
	return s.One(ctx, database.Statement{
		SQL:  "DELETE FROM parsec3.block b WHERE b.organization = $1 AND b.block_id = $2 AND b.upload_token = $3",
		Args: []any{organization.String(), database.Key(block), database.Key(token)},
	})
}

// pruneReservations deletes the reservations of blocks that have expired, of every
// organization.
func (s *Store) pruneReservations(ctx context.Context) error {
	return s.Repeat(ctx, `
DELETE FROM parsec3.block WHERE (organization, block_id) IN (
    SELECT organization, block_id FROM parsec3.block
    WHERE upload_token IS NOT NULL AND upload_until <= $2 LIMIT $1
) AND upload_token IS NOT NULL AND upload_until <= $2`, int64(s.now()))
}

const (
	// lockBlocks locks the blocks $2, in this order.
	lockBlocks = `
SELECT 1 FROM unnest($2::uuid[]) q (block_id)
CROSS JOIN LATERAL (
    SELECT b.block_id FROM parsec3.block b WHERE b.organization = $1 AND b.block_id = q.block_id LIMIT 1` + forUpdate + `
) b`

	selectBlocks = `
SELECT b.block_id, b.upload_token, b.upload_until FROM unnest($2::uuid[]) q (block_id)
CROSS JOIN LATERAL (
    SELECT b.* FROM parsec3.block b WHERE b.organization = $1 AND b.block_id = q.block_id LIMIT 1
) b`
)

// readBlocks reads what is known of blocks.
func readBlocks(into map[parsec.BlockID]blockState, organization string, blocks []parsec.BlockID) database.Statement {
	return database.Statement{SQL: selectBlocks, Args: []any{organization, database.Keys(blocks)}, Rows: func(rows pgx.Rows) error {
		for _, id := range blocks {
			delete(into, id)
		}
		var state blockState
		_, err := pgx.ForEachRow(rows, state.targets(), func() error {
			state.found = true
			into[state.upload.ID] = state
			return nil
		})
		return err
	}}
}

// blockState is a block, or its upload; the zero value is neither.
type blockState struct {
	found  bool
	upload rules.BlockUpload
}

func (b *blockState) targets() []any {
	return []any{(*database.UUID)(&b.upload.ID), (*database.UUID)(&b.upload.Token), (*database.Integer)(&b.upload.Until)}
}

// Block implements rules.BlockTx.
func (t *tx) Block() (exists bool, upload *rules.BlockUpload) {
	switch {
	case !t.block.found:
		return false, nil
	case t.block.upload.Token == (parsec.UUID{}):
		return true, nil
	default:
		return false, new(t.block.upload)
	}
}

// UploadIsDead implements rules.BlockTx.
func (t *tx) UploadIsDead() bool {
	if _, upload := t.Block(); upload == nil {
		return false
	}
	dead, err := t.HasDied(t.block.upload.Token)
	if err != nil && t.failure == nil {
		t.failure = err
	}
	return dead
}

const (
	// reserveBlock takes the place of the reservation by the token $6, and of no
	// other: a newer one has the rules run again.
	reserveBlock = `
INSERT INTO parsec3.block AS b (organization, realm_id, block_id, upload_token, upload_until)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (organization, block_id) DO UPDATE
SET realm_id = excluded.realm_id, upload_token = excluded.upload_token, upload_until = excluded.upload_until
WHERE b.upload_token = $6`

	// createBlock takes the place of the reservation by the token $9, likewise.
	createBlock = `
INSERT INTO parsec3.block AS b (organization, realm_id, block_id, key_index, author, size, created_on, checksum)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (organization, block_id) DO UPDATE SET realm_id = excluded.realm_id, key_index = excluded.key_index,
    author = excluded.author, size = excluded.size, created_on = excluded.created_on, checksum = excluded.checksum,
    upload_token = NULL, upload_until = NULL
WHERE b.upload_token = $9`
)

// blockWrite is a block that is reserved, or created.
type blockWrite struct {
	realm parsec.RealmID
	// upload is nil for a block that is created, and block for one that is not.
	upload *rules.BlockUpload
	block  *rules.Block
	// before is the token of the reservation that it takes the place of, zero for none.
	before parsec.UUID
}

// state returns that of the block afterwards.
func (w *blockWrite) state() blockState {
	if w.upload != nil {
		return blockState{found: true, upload: *w.upload}
	}
	return blockState{found: true, upload: rules.BlockUpload{ID: w.block.ID}}
}

// size returns how many bytes the realm has more, by a block that is created.
func (w *blockWrite) size() int64 {
	if w.block == nil {
		return 0
	}
	return database.Bounded(w.block.Size)
}

// statement returns what writes it, with the arguments from $3 on.
func (w *blockWrite) statement() (sql string, args []any) {
	if w.upload != nil {
		return reserveBlock, []any{database.Key(w.upload.ID), database.Key(w.upload.Token), int64(w.upload.Until), database.Key(w.before)}
	}
	return createBlock, []any{database.Key(w.block.ID), database.Bounded(w.block.KeyIndex), database.Key(w.block.Author),
		database.Bounded(w.block.Size), int64(w.block.CreatedOn), database.Bytes(w.block.Checksum), database.Key(w.before)}
}

// ReserveBlock implements rules.BlockTx.
func (t *tx) ReserveBlock(upload rules.BlockUpload) {
	t.blockWrite = &blockWrite{realm: t.scope.Realm, upload: &upload, before: t.block.upload.Token}
}

// CreateBlock implements rules.BlockTx.
func (t *tx) CreateBlock(block rules.Block) {
	t.blockWrite = &blockWrite{realm: t.scope.Realm, block: &block, before: t.block.upload.Token}
}
