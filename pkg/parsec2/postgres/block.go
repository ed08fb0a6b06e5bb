package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// reserveBlock does in one statement what ReserveBlock says. A reservation and
// a block are one row: whether a row may be taken over is decided on its last
// state, after the wait for those who change it.
const reserveBlock = `
WITH reserved AS (
    INSERT INTO block AS b (organization, block_id, realm, upload_token, upload_until)
    SELECT o.id, $4, r.id, $5, $6
    FROM organization o JOIN realm r ON r.organization = o.id AND r.realm_id = $3
    WHERE o.organization_id = $1 AND NOT EXISTS (
        SELECT FROM block b
        WHERE b.organization = o.id AND b.block_id = $4 AND (b.upload_token IS NULL OR b.upload_until > $7 AND b.upload_token <> $5))
    ON CONFLICT (organization, block_id) DO UPDATE SET realm = excluded.realm,
        upload_token = excluded.upload_token, upload_until = excluded.upload_until
    WHERE b.upload_token IS NOT NULL AND (b.upload_until <= $7 OR b.upload_token = $5)
    RETURNING 1
)
SELECT ` + realmColumns + `, b.block_id IS NOT NULL, EXISTS (SELECT FROM reserved)
FROM organization o
LEFT JOIN realm r ON r.organization = o.id AND r.realm_id = $3
LEFT JOIN block b ON b.organization = o.id AND b.block_id = $4 AND b.upload_token IS NULL` + joinMember + `
WHERE o.organization_id = $1`

// NewUploadToken implements rules.BlockUploads.
func (s *Store) NewUploadToken() parsec.UUID { return s.NewToken() }

// ReserveBlock implements rules.BlockUploads. Only where there is another
// reservation does it ask whether the process of that one lives.
func (s *Store) ReserveBlock(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.RealmID, upload rules.BlockUpload, now parsec.DateTime) (rules.BlockReservation, error) {
	facts, err := s.reserveBlock(ctx, organization, user, id, upload, now)
	if err != nil || facts.Realm == nil || facts.Exists || facts.Reserved {
		return facts, err
	}
	ended, err := s.endDeadUpload(ctx, organization, upload.ID)
	if err != nil || !ended {
		return facts, err
	}
	return s.reserveBlock(ctx, organization, user, id, upload, now)
}

// endDeadUpload ends the reservation of a block whose process has died, and
// tells whether it did.
func (s *Store) endDeadUpload(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID) (ended bool, err error) {
	var found bool
	var token parsec.UUID
	err = s.One(ctx, database.Row(&found, `
SELECT b.upload_token FROM organization o JOIN block b ON b.organization = o.id
WHERE o.organization_id = $1 AND b.block_id = $2`, []any{organization.String(), key(block)}, (*uuid)(&token)))
	holder, known := database.LockOfToken(token)
	if err != nil || !found || !known {
		return false, err
	}
	err = s.One(ctx, database.Row(&ended, `
DELETE FROM block b USING organization o
WHERE o.organization_id = $1 AND b.organization = o.id AND b.block_id = $2 AND b.upload_token = $3
    AND pg_try_advisory_xact_lock_shared($4)
RETURNING 1`, []any{organization.String(), key(block), key(token), holder}, new(int64)))
	return ended, err
}

func (s *Store) reserveBlock(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.RealmID, upload rules.BlockUpload, now parsec.DateTime) (rules.BlockReservation, error) {
	var found bool
	var realm realmRow
	var facts rules.BlockReservation
	err := s.One(ctx, database.Row(&found, reserveBlock,
		append(realmArgs(organization, id, user), key(upload.ID), key(upload.Token), int64(upload.Until), int64(now)),
		append(realm.targets(), &facts.Exists, &facts.Reserved)...))
	if err != nil || !found {
		return rules.BlockReservation{}, err
	}
	if realm.key != 0 {
		facts.Realm = realm.facts()
	}
	return facts, nil
}

// ReleaseBlock implements rules.BlockUploads.
func (s *Store) ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error {
	return s.One(ctx, database.Statement{
		SQL: `
DELETE FROM block b USING organization o
WHERE o.organization_id = $1 AND b.organization = o.id AND b.block_id = $2 AND b.upload_token = $3`,
		Args: []any{organization.String(), key(block), key(token)},
	})
}

// Block implements rules.BlockReader.
func (s *Store) Block(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.BlockID) (*rules.Realm, *rules.Block, bool, error) {
	var found bool
	var realm realmRow
	block := rules.Block{ID: id}
	err := s.One(ctx, database.Row(&found, "SELECT "+realmColumns+`, author_user.user_id || '@' || author.name, b.size, b.created_on, b.checksum
FROM organization o
JOIN block b ON b.organization = o.id AND b.block_id = $3 AND b.upload_token IS NULL
JOIN realm r ON r.id = b.realm
JOIN device author ON author.id = b.author
JOIN user_ author_user ON author_user.id = author.user_`+joinMember+`
WHERE o.organization_id = $1`,
		[]any{organization.String(), user.String(), key(id)},
		append(realm.targets(), parsed{&block.Author}, (*unsigned)(&block.Size), (*integer)(&block.CreatedOn), checksum{&block.Checksum})...))
	if err != nil || !found {
		return nil, nil, false, err
	}
	block.Realm = realm.value.ID
	return realm.facts(), &block, true, nil
}

const selectBlockState = `
SELECT b.block_id, b.upload_token, b.upload_until
FROM organization o JOIN block b ON b.organization = o.id
WHERE o.organization_id = $1 AND b.block_id = $2`

// blockState is a block, or its upload; the zero value is neither.
type blockState struct {
	found  bool
	upload rules.BlockUpload
}

func (b *blockState) targets() []any {
	return []any{(*uuid)(&b.upload.ID), (*uuid)(&b.upload.Token), (*integer)(&b.upload.Until)}
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

// CreateBlock implements rules.BlockTx. It takes the place of the reservation
// that the rule has seen, and of no other: a newer one has the rule run again.
func (t *tx) CreateBlock(block rules.Block) {
	var realm int64 // of none
	if t.realm != nil {
		realm = t.realm.key
	}
	t.QueueOne(`
WITH created AS (
    INSERT INTO block AS b (organization, block_id, realm, author, size, created_on, checksum)
    SELECT r.organization, $2, r.id, d.id, $5, $6, $7
    FROM realm r
    JOIN user_ u ON u.organization = r.organization AND u.user_id = $3
    JOIN device d ON d.user_ = u.id AND d.name = $4
    WHERE r.id = $1
    ON CONFLICT (organization, block_id) DO UPDATE SET realm = excluded.realm, author = excluded.author,
        size = excluded.size, created_on = excluded.created_on, checksum = excluded.checksum, upload_token = NULL, upload_until = NULL
    WHERE b.upload_token = $8
    RETURNING b.size
)
UPDATE realm SET blocks_size = blocks_size + created.size FROM created WHERE realm.id = $1`,
		realm, key(block.ID), block.Author.User().String(), block.Author.Name().String(), bounded(block.Size), int64(block.CreatedOn), checksumBytes(block.Checksum), key(t.block.upload.Token))
}
