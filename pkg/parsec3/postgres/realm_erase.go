package postgres

import (
	"context"
	"fmt"
	"strings"

	"parsec-server/pkg/database"
	"parsec-server/pkg/erasure"
	erasurestore "parsec-server/pkg/erasure/postgres"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ erasurestore.Wing = (*Store)(nil)

// eraseBatch bounds the rows that one statement erases.
const eraseBatch = 500

// ofRealms are the tables of what goes with a realm that is deleted.
var ofRealms = []string{
	"parsec3.vlob_atom", "parsec3.vlob", "parsec3.block", "parsec3.keys_bundle_access", "parsec3.sequester_access", "parsec3.keys_bundle",
	"parsec3.cryptpad_session",
}

const (
	// markDeleted and the statements after it are the effects of MarkRealmDeleted.
	markDeleted = `
UPDATE parsec3.realm r SET deleted = true WHERE r.organization = $1 AND r.realm_id = $2 AND NOT r.deleted`

	clearCounter = `
UPDATE parsec3.realm_counter c SET vlobs_size = 0, blocks_size = 0, unsummed = true WHERE c.organization = $1 AND c.realm_id = $2`

	// eraseSome deletes at most so many rows of a table that no other eraser has under
	// way, of the organization $1.
	eraseSome = `
WITH erased AS (
    DELETE FROM TABLE d WHERE d.organization = $1 AND d.ctid = ANY (ARRAY(
        SELECT k.ctid FROM TABLE k WHERE k.organization = $1CONDITION LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM erased`

	// eraseBlocks is eraseSome for blocks and uploads, which become objects of the target
	// $2.
	eraseBlocks = `
WITH erased AS (
    DELETE FROM parsec3.block d WHERE d.organization = $1 AND d.ctid = ANY (ARRAY(
        SELECT k.ctid FROM parsec3.block k WHERE k.organization = $1CONDITION LIMIT $3 FOR UPDATE SKIP LOCKED
    ))
    RETURNING d.block_id, d.size, d.upload_until
)` + erasurestore.ListErased

	// holdBlocks holds the blocks $2 of the organization $1, but for those that are
	// known, and those that are reserved by others until after $5.
	holdBlocks = `
WITH held AS (
    INSERT INTO parsec3.block AS b (organization, block_id, realm_id, upload_token, upload_until)
    SELECT $1, q.block_id, '00000000-0000-0000-0000-000000000000', $3, $4 FROM unnest($2::uuid[]) q (block_id) ORDER BY q.block_id
    ON CONFLICT (organization, block_id) DO UPDATE
    SET realm_id = excluded.realm_id, upload_token = excluded.upload_token, upload_until = excluded.upload_until
    WHERE b.upload_token = $3 OR b.upload_until <= $5
    RETURNING b.block_id
)
SELECT EXISTS (SELECT FROM held h WHERE h.block_id = q.block_id), EXISTS (
    SELECT FROM parsec3.block b WHERE b.organization = $1 AND b.block_id = q.block_id AND b.upload_token IS NULL
)
FROM unnest($2::uuid[]) WITH ORDINALITY q (block_id, number) ORDER BY q.number`

	selectBlocksOf = `
SELECT b.block_id, coalesce(b.size, 0), coalesce(b.upload_until, 0) FROM parsec3.block b
WHERE b.organization = $1 AND b.realm_id = $2 AND ($3::uuid IS NULL OR b.block_id > $3) ORDER BY b.block_id LIMIT $4`
)

// MarkRealmDeleted implements rules.RealmTx. What the realm holds is erased later,
// bit by bit: see eraseRealms.
func (t *tx) MarkRealmDeleted() {
	for _, sql := range []string{markDeleted, clearCounter} {
		t.QueueOne(sql, t.realmArgs()...)
	}
	t.QueueOne(erasurestore.InsertRealm, t.realmArgs(int16(organization.Parsec3))...)
}

// eraseRealms erases the rows of what is to be erased, of every organization, in small
// transactions. When it fails, or its server dies, the next one goes on; several at
// once do no harm. The objects of blocks are left to commands.
func (s *Store) eraseRealms(ctx context.Context) error {
	return erasurestore.PruneRows(ctx, s.Database, organization.Parsec3, s)
}

// EraseRows implements erasurestore.Wing.
func (s *Store) EraseRows(ctx context.Context, target erasure.Target) (erased int64, left bool, err error) {
	if target.Realm == nil {
		return s.eraseOrganization(ctx, target)
	}
	for _, table := range ofRealms {
		some, err := s.eraseSome(ctx, target, table, " AND k.realm_id = ", database.Key(*target.Realm))
		if err != nil {
			return erased, true, err
		}
		if erased += some; erased >= eraseBatch {
			return erased, true, nil
		}
	}
	left, err = erasurestore.LeaveNoRows(ctx, s.Database, s, target)
	return erased, left, err
}

// eraseSome erases some rows of a table, those of which a condition holds: it is followed
// by its argument, if there is one.
func (s *Store) eraseSome(ctx context.Context, target erasure.Target, table, condition string, args ...any) (erased int64, err error) {
	sql, all := strings.ReplaceAll(eraseSome, "TABLE", table), []any{target.Organization.String(), eraseBatch}
	if table == "parsec3.block" {
		sql, all = eraseBlocks, []any{target.Organization.String(), target.Number, eraseBatch}
	}
	if all = append(all, args...); len(args) > 0 {
		condition = fmt.Sprintf("%s$%d", condition, len(all))
	}
	err = s.One(ctx, database.Only(strings.Replace(sql, "CONDITION", condition, 1), all, &erased))
	return erased, err
}

// RowsOf implements erasurestore.Wing.
func (s *Store) RowsOf(target erasure.Target) (tables []string, args []any) {
	if target.Realm == nil {
		for _, table := range ofOrganizations() {
			tables = append(tables, table+" k WHERE k.organization = $1")
		}
		return tables, nil
	}
	for _, table := range ofRealms {
		tables = append(tables, table+" k WHERE k.organization = $1 AND k.realm_id = $3")
	}
	return tables, []any{database.Key(*target.Realm)}
}

// HoldBlocks implements erasurestore.Wing. Sent again, it finds its own holds.
func (s *Store) HoldBlocks(ctx context.Context, organization parsec.OrganizationID, blocks []parsec.BlockID, hold erasure.Hold) (states []erasure.State, err error) {
	err = s.One(ctx, erasurestore.States(&states, holdBlocks, organization.String(), database.Keys(blocks),
		database.Key(hold.Token), int64(hold.Until), int64(hold.Now)))
	return states, err
}

// ReleaseBlocks implements erasurestore.Wing.
func (s *Store) ReleaseBlocks(ctx context.Context, organization parsec.OrganizationID, blocks []parsec.BlockID, hold erasure.Hold) error {
	return s.One(ctx, database.Statement{
		SQL:  "DELETE FROM parsec3.block b WHERE b.organization = $1 AND b.block_id = ANY ($2::uuid[]) AND b.upload_token = $3",
		Args: []any{organization.String(), database.Keys(blocks), database.Key(hold.Token)},
	})
}

// BlocksOf implements erasurestore.Wing.
func (s *Store) BlocksOf(ctx context.Context, organization parsec.OrganizationID, realm parsec.RealmID, after *parsec.BlockID, most int) ([]erasure.Object, error) {
	return erasurestore.BlocksOf(ctx, s.Database, selectBlocksOf, organization, realm, after, most)
}
