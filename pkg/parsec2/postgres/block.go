package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// reserveBlock reads what ReserveBlock does, and reserves the block if nothing
// has its place. A reservation and a block are one row.
const reserveBlock = `
WITH reserved AS (
    INSERT INTO block (organization, block_id, realm, upload_token, upload_until)
    SELECT o.id, $4, r.id, $5, $6
    FROM organization o JOIN realm r ON r.organization = o.id AND r.realm_id = $3
    WHERE o.organization_id = $1
    ON CONFLICT (organization, block_id) DO NOTHING
    RETURNING 1
)
SELECT ` + realmColumns + `, EXISTS (SELECT FROM reserved), b.block_id IS NOT NULL, b.upload_token, b.upload_until
FROM organization o
LEFT JOIN realm r ON r.organization = o.id AND r.realm_id = $3
LEFT JOIN block b ON b.organization = o.id AND b.block_id = $4` + joinMember + `
WHERE o.organization_id = $1`

// NewUploadToken implements rules.BlockUploads.
func (s *Store) NewUploadToken() parsec.UUID { return s.NewToken() }

// ReserveBlock implements rules.BlockUploads. Only where there is another reservation,
// whose date has not come, does it ask whether the process of that one lives.
func (s *Store) ReserveBlock(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.RealmID, upload rules.BlockUpload, now parsec.DateTime) (rules.BlockReservation, error) {
	for {
		facts, present, err := s.reserveBlock(ctx, organization, user, id, upload)
		if err != nil || facts.Realm == nil || facts.Exists || facts.Reserved || present == nil {
			return facts, err
		}
		yields := present.YieldsTo(upload, now, false)
		if !yields {
			dead, err := s.HasDied(ctx, present.Token)
			if err != nil {
				return facts, err
			}
			yields = present.YieldsTo(upload, now, dead)
		}
		if !yields {
			return facts, nil
		}
		if facts.Reserved, err = s.takeOver(ctx, organization, id, *present, upload); err != nil || facts.Reserved {
			return facts, err
		}
		// Another upload was faster, or the one that yields has come to its end.
	}
}

// reserveBlock returns the reservation that it has found, nil for none.
func (s *Store) reserveBlock(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.RealmID, upload rules.BlockUpload) (facts rules.BlockReservation, present *rules.BlockUpload, err error) {
	var found bool
	var realm realmRow
	state := blockState{upload: rules.BlockUpload{ID: upload.ID}}
	err = s.One(ctx, database.Row(&found, reserveBlock,
		append(realmArgs(organization, id, user), database.Key(upload.ID), database.Key(upload.Token), int64(upload.Until)),
		append(realm.targets(), &facts.Reserved, &state.found, (*database.UUID)(&state.upload.Token), (*database.Integer)(&state.upload.Until))...))
	if err != nil || !found {
		return rules.BlockReservation{}, nil, err
	}
	if realm.key != 0 {
		facts.Realm = realm.facts()
	}
	facts.Exists, present = state.facts()
	return facts, present, nil
}

// takeOver reserves the block for upload in place of present, unless that is no
// longer there. It waits for who turns present into a block.
func (s *Store) takeOver(ctx context.Context, organization parsec.OrganizationID, realm parsec.RealmID, present, upload rules.BlockUpload) (reserved bool, err error) {
	err = s.One(ctx, database.Row(&reserved, `
UPDATE block b SET realm = r.id, upload_token = $4, upload_until = $5
FROM organization o JOIN realm r ON r.organization = o.id AND r.realm_id = $2
WHERE o.organization_id = $1 AND b.organization = o.id AND b.block_id = $3 AND b.upload_token = $6 AND b.upload_until = $7
RETURNING 1`,
		[]any{organization.String(), database.Key(realm), database.Key(upload.ID), database.Key(upload.Token), int64(upload.Until), database.Key(present.Token), int64(present.Until)}, new(int64)))
	return reserved, err
}

// ReleaseBlock implements rules.BlockUploads.
func (s *Store) ReleaseBlock(ctx context.Context, organization parsec.OrganizationID, block parsec.BlockID, token parsec.UUID) error {
	return s.One(ctx, database.Statement{
		SQL: `
DELETE FROM block b USING organization o
WHERE o.organization_id = $1 AND b.organization = o.id AND b.block_id = $2 AND b.upload_token = $3`,
		Args: []any{organization.String(), database.Key(block), database.Key(token)},
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
		[]any{organization.String(), user.String(), database.Key(id)},
		append(realm.targets(), database.Parsed(&block.Author), (*database.Unsigned)(&block.Size), (*database.Integer)(&block.CreatedOn), database.Fixed("checksum", &block.Checksum))...))
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
	return []any{(*database.UUID)(&b.upload.ID), (*database.UUID)(&b.upload.Token), (*database.Integer)(&b.upload.Until)}
}

// facts returns what Tx.Block does.
func (b *blockState) facts() (exists bool, upload *rules.BlockUpload) {
	switch {
	case !b.found:
		return false, nil
	case b.upload.Token == (parsec.UUID{}):
		return true, nil
	default:
		return false, new(b.upload)
	}
}

// Block implements rules.VlobTx.
func (t *tx) Block() (exists bool, upload *rules.BlockUpload) { return t.block.facts() }

// CreateBlock implements rules.VlobTx. It takes the place of the reservation
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
		realm, database.Key(block.ID), block.Author.User().String(), block.Author.Name().String(), database.Bounded(block.Size), int64(block.CreatedOn), database.Bytes(block.Checksum), database.Key(t.block.upload.Token))
}
