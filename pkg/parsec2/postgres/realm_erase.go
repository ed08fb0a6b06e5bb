package postgres

import (
	"context"
	"strings"

	"parsec-server/pkg/database"
	"parsec-server/pkg/erasure"
	erasurestore "parsec-server/pkg/erasure/postgres"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ erasurestore.Wing = (*Store)(nil)

const (
	// eraseBatch bounds the rows that one statement erases, and eraseVlobs the vlobs,
	// each with all of its versions.
	eraseBatch = 500
	eraseVlobs = 100
)

const (
	// eraseVersions deletes at most so many vlobs that no other eraser has under way,
	// with their versions. The organization is $1.
	eraseVersions = `
WITH erased AS (
    DELETE FROM vlob d WHERE d.ctid = ANY (ARRAY(
        SELECT k.ctid FROM vlob k WHERE CONDITION LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
    RETURNING d.id
), atoms AS (
    DELETE FROM vlob_atom a USING erased e WHERE a.vlob = e.id
)
SELECT count(*) FROM erased`

	eraseCopies = `
WITH erased AS (
    DELETE FROM sequester_copy d WHERE d.ctid = ANY (ARRAY(
        SELECT k.ctid FROM sequester_copy k WHERE CONDITION LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM erased`

	// eraseBlocks is for blocks and uploads, which become objects of the target $2.
	eraseBlocks = `
WITH erased AS (
    DELETE FROM block d WHERE d.ctid = ANY (ARRAY(
        SELECT k.ctid FROM block k WHERE CONDITION LIMIT $3 FOR UPDATE SKIP LOCKED
    ))
    RETURNING d.block_id, d.size, d.upload_until
)` + erasurestore.ListErased

	// realmOf chooses the rows of the realm $REALM of the organization $1.
	realmOf = `k.realm = (SELECT r.id FROM organization o JOIN realm r ON r.organization = o.id
    WHERE o.organization_id = $1 AND r.realm_id = $REALM)`

	// holdBlocks holds the blocks $2 of the organization $1, but for those that are
	// known, and those that are reserved by others until after $5.
	holdBlocks = `
WITH held AS (
    INSERT INTO block AS b (organization, block_id, realm, upload_token, upload_until)
    SELECT o.id, q.block_id, 0, $3, $4 FROM organization o CROSS JOIN unnest($2::uuid[]) q (block_id)
    WHERE o.organization_id = $1 ORDER BY q.block_id
    ON CONFLICT (organization, block_id) DO UPDATE
    SET realm = excluded.realm, upload_token = excluded.upload_token, upload_until = excluded.upload_until
    WHERE b.upload_token = $3 OR b.upload_until <= $5
    RETURNING b.block_id
)
SELECT EXISTS (SELECT FROM held h WHERE h.block_id = q.block_id), EXISTS (
    SELECT FROM organization o JOIN block b ON b.organization = o.id
    WHERE o.organization_id = $1 AND b.block_id = q.block_id AND b.upload_token IS NULL
)
FROM unnest($2::uuid[]) WITH ORDINALITY q (block_id, number) ORDER BY q.number`

	selectBlocksOf = `
SELECT b.block_id, coalesce(b.size, 0), coalesce(b.upload_until, 0)
FROM organization o JOIN realm r ON r.organization = o.id AND r.realm_id = $2
JOIN block b ON b.realm = r.id
WHERE o.organization_id = $1 AND ($3::uuid IS NULL OR b.block_id > $3) ORDER BY b.block_id LIMIT $4`
)

// MarkRealmDeleted implements rules.RealmTx. What the realm holds is erased later, bit by
// bit: see eraseRealms.
func (t *tx) MarkRealmDeleted() {
	t.QueueOne("UPDATE realm SET deleted = true, vlobs_size = 0, blocks_size = 0 WHERE id = "+theRealm+" AND NOT deleted",
		t.organizationName(), database.Key(t.realmID()))
	t.QueueOne(erasurestore.InsertRealm, t.organizationName(), database.Key(t.realmID()), int16(organization.Parsec2))
}

// RealmEnd implements organization.RealmEndReader.
func (s *Store) RealmEnd(ctx context.Context, of parsec.OrganizationID, realm parsec.RealmID) (*organization.RealmEnd, error) {
	facts, found, err := s.Realm(ctx, of, realm, parsec.UserID{})
	if err != nil || !found {
		return nil, err
	}
	return facts.End(), nil
}

// RealmEnds implements organization.RealmEndReader. It passes over the realms.
func (s *Store) RealmEnds(ctx context.Context, of parsec.OrganizationID) (ends []organization.RealmEnd, err error) {
	err = s.One(ctx, database.List(&ends, `
SELECT r.realm_id, r.archiving_deletion_date FROM organization o JOIN realm r ON r.organization = o.id
WHERE o.organization_id = $1 AND NOT r.deleted AND r.archiving_type = 'DELETION_PLANNED' ORDER BY r.realm_id`,
		[]any{of.String()}, func(end *organization.RealmEnd) []any {
			return []any{(*database.UUID)(&end.ID), database.OptionalDate(&end.Planned)}
		}))
	return ends, err
}

// eraseRealms erases the rows of what is to be erased, of every organization, in small
// transactions. When it fails, or its server dies, the next one goes on; several at
// once do no harm. The objects of blocks are left to commands.
func (s *Store) eraseRealms(ctx context.Context) error {
	return erasurestore.PruneRows(ctx, s.Database, organization.Parsec2, s)
}

// EraseRows implements erasurestore.Wing.
func (s *Store) EraseRows(ctx context.Context, target erasure.Target) (erased int64, left bool, err error) {
	if target.Realm == nil {
		return s.eraseOrganization(ctx, target)
	}
	name, realm := target.Organization.String(), database.Key(*target.Realm)
	for _, step := range []struct {
		sql   string
		args  []any
		realm string // The number of its argument.
		batch int64
	}{
		{eraseVersions, []any{name, eraseVlobs, realm}, "$3", eraseVlobs},
		{eraseCopies, []any{name, eraseBatch, realm}, "$3", eraseBatch},
		{eraseBlocks, []any{name, target.Number, eraseBatch, realm}, "$4", eraseBatch},
	} {
		some, err := s.eraseSome(ctx, step.sql, strings.Replace(realmOf, "$REALM", step.realm, 1), step.args...)
		if err != nil {
			return erased, true, err
		}
		if erased += some; some >= step.batch {
			return erased, true, nil
		}
	}
	left, err = erasurestore.LeaveNoRows(ctx, s.Database, s, target)
	return erased, left, err
}

// eraseSome erases some of the rows for which a condition holds.
func (s *Store) eraseSome(ctx context.Context, sql, condition string, args ...any) (erased int64, err error) {
	err = s.One(ctx, database.Only(strings.Replace(sql, "CONDITION", condition, 1), args, &erased))
	return erased, err
}

// RowsOf implements erasurestore.Wing.
func (s *Store) RowsOf(target erasure.Target) (tables []string, args []any) {
	if target.Realm == nil {
		for _, of := range ofOrganizations {
			tables = append(tables, of.table+" k WHERE "+of.condition)
		}
		return tables, nil
	}
	for _, table := range []string{"vlob", "sequester_copy", "block"} {
		tables = append(tables, table+" k WHERE "+strings.Replace(realmOf, "$REALM", "$3", 1))
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
		SQL: `
DELETE FROM block b USING organization o
WHERE o.organization_id = $1 AND b.organization = o.id AND b.block_id = ANY ($2::uuid[]) AND b.upload_token = $3`,
		Args: []any{organization.String(), database.Keys(blocks), database.Key(hold.Token)},
	})
}

// BlocksOf implements erasurestore.Wing.
func (s *Store) BlocksOf(ctx context.Context, organization parsec.OrganizationID, realm parsec.RealmID, after *parsec.BlockID, most int) ([]erasure.Object, error) {
	return erasurestore.BlocksOf(ctx, s.Database, selectBlocksOf, organization, realm, after, most)
}
