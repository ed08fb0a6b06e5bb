package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// StartMaintenance implements rules.ReencryptionTx.
func (t *tx) StartMaintenance(maintenance rules.Maintenance) {
	t.QueueOne(`
UPDATE realm SET maintenance_type = $3, maintenance_started_on = $4, maintenance_started_by = $5,
    encryption_revision = encryption_revision + 1, reencrypted = left_behind, reencrypted_through = 0
WHERE id = `+theRealm,
		t.organizationName(), database.Key(t.realmID()), string(maintenance.Type), int64(maintenance.StartedOn),
		maintenance.StartedBy.String())
}

// FinishMaintenance implements rules.ReencryptionTx. What the previous revision
// leaves is not read any more, and pruned later.
func (t *tx) FinishMaintenance() {
	t.QueueOne(`
UPDATE realm SET maintenance_type = NULL, maintenance_started_on = NULL, maintenance_started_by = NULL
WHERE id = `+theRealm,
		t.organizationName(), database.Key(t.realmID()))
}

// ReencryptionProgress implements rules.ReencryptionTx. Every version has one
// checkpoint, and none is written during a maintenance. Those that are left behind
// count as done.
func (t *tx) ReencryptionProgress(context.Context) (total, done uint64, err error) {
	if t.realm == nil || t.realm.value.Maintenance.Type == parsec.MaintenanceNone {
		return 0, 0, nil
	}
	return t.realm.value.Checkpoint, t.realm.reencrypted, nil
}

const (
	// saveReencrypted inserts in the order of the items, so that the first of
	// two that are the same stays.
	saveReencrypted = `
WITH saved AS (
    INSERT INTO vlob_atom (vlob, revision, version, author, written_on, blob)
    SELECT a.vlob, r.encryption_revision, a.version, a.author, a.written_on, item.blob
    FROM unnest($2::uuid[], $3::bigint[], $4::bytea[]) WITH ORDINALITY item(vlob_id, version, blob, place)
    JOIN realm r ON r.id = $1
    JOIN vlob v ON v.organization = r.organization AND v.vlob_id = item.vlob_id AND v.realm = r.id
    JOIN vlob_atom a ON a.vlob = v.id AND a.revision = r.encryption_revision - 1 AND a.version = item.version
    ORDER BY item.place
    ON CONFLICT (vlob, revision, version) DO NOTHING
    RETURNING 1
)
UPDATE realm SET reencrypted = reencrypted + (SELECT count(*) FROM saved) WHERE id = $1
RETURNING reencrypted`

	// leftToReencrypt is the vlobs of the realm r that have versions of the
	// previous revision left. Those whose last checkpoint is not after
	// reencrypted_through have none.
	leftToReencrypt = `
FROM vlob v
JOIN vlob_atom a ON a.vlob = v.id AND a.revision = r.encryption_revision - 1
WHERE v.realm = r.id AND v.checkpoint > r.reencrypted_through AND NOT EXISTS (
    SELECT FROM vlob_atom saved
    WHERE saved.vlob = a.vlob AND saved.revision = r.encryption_revision AND saved.version = a.version)`

	// selectBatch takes the items $4, the bytes $5, what an item takes beside
	// its blob $6, and the role $7. The length of a blob is known without
	// reading it.
	selectBatch = `
SELECT item.vlob_id, item.version, item.blob
FROM organization o JOIN realm r ON r.organization = o.id
CROSS JOIN LATERAL (
    SELECT unsaved.*, row_number() OVER selected AS place, sum(length(unsaved.blob) + $6::integer) OVER selected AS bytes
    FROM (
        SELECT v.vlob_id, v.checkpoint, a.version, a.blob ` + leftToReencrypt + `
        ORDER BY v.checkpoint, a.version
        LIMIT $4
    ) unsaved
    WINDOW selected AS (ORDER BY unsaved.checkpoint, unsaved.version ROWS UNBOUNDED PRECEDING)
) item
WHERE o.organization_id = $1 AND r.realm_id = $3 AND r.maintenance_type IS NOT NULL
    AND (item.bytes <= $5 OR item.place = 1) AND ` + roleInRealm + ` = $7`

	// passReencrypted moves reencrypted_through up to the first vlob that has
	// something left, so that each is passed once.
	passReencrypted = `
UPDATE realm r SET reencrypted_through = coalesce(
    (SELECT v.checkpoint - 1 ` + leftToReencrypt + ` ORDER BY v.checkpoint LIMIT 1), r.checkpoint)
WHERE r.id = $1`
)

// SaveReencrypted implements rules.ReencryptionTx.
func (t *tx) SaveReencrypted(ctx context.Context, items []protocol.ReencryptionItem) (total, done uint64, err error) {
	if t.realm == nil || t.realm.value.Maintenance.Type == parsec.MaintenanceNone {
		return 0, 0, nil
	}
	vlobs, versions, blobs := make([]pgtype.UUID, len(items)), make([]int64, len(items)), make([][]byte, len(items))
	for i := range items {
		vlobs[i], versions[i], blobs[i] = database.Key(items[i].VlobID), int64(items[i].Version), database.NotNull(items[i].Blob)
	}
	err = t.Ask(
		database.Only(saveReencrypted, []any{t.realm.key, vlobs, versions, blobs}, (*database.Unsigned)(&t.realm.reencrypted)),
		database.Statement{SQL: passReencrypted, Args: []any{t.realm.key}})
	if err != nil {
		return 0, 0, err
	}
	return t.ReencryptionProgress(ctx)
}

// ReencryptionBatch implements rules.ReencryptionReader.
func (s *Store) ReencryptionBatch(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection rules.BatchSelection) (*rules.Realm, []protocol.ReencryptionItem, bool, error) {
	var found bool
	var realm realmRow
	var batch []protocol.ReencryptionItem
	args := realmArgs(organization, selection.Realm, user)
	err := s.Snapshot(ctx,
		database.Row(&found, selectRealm, args, realm.targets()...),
		database.List(&batch, selectBatch, append(args, database.Bounded(selection.Items), database.Bounded(selection.Bytes),
			protocol.ReencryptionItemBytes, string(selection.Role)), func(item *protocol.ReencryptionItem) []any {
			return []any{(*database.UUID)(&item.VlobID), (*database.Number)(&item.Version), &item.Blob}
		}))
	if err != nil || !found {
		return nil, nil, false, err
	}
	return realm.facts(), batch, true, nil
}
