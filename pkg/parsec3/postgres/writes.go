package postgres

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// insertAtoms writes versions, a column each from $3 on, and follows when the
	// users of the devices $9 have last signed, $10. It waits for who writes the same
	// version, and then fails by its key.
	insertAtoms = `
WITH signed AS (
    INSERT INTO parsec3.last_signed AS l (organization, user_id, realm_id, last_date)
    SELECT $1, s.user_id, $2, max(s.last_date)
    FROM (
        SELECT (SELECT d.user_id FROM parsec3.device d WHERE d.organization = $1 AND d.device_id = q.device_id), q.last_date
        FROM unnest($9::uuid[], $10::bigint[]) q (device_id, last_date)
    ) s (user_id, last_date)
    WHERE s.user_id IS NOT NULL
    GROUP BY s.user_id
    ORDER BY s.user_id
    ON CONFLICT (organization, user_id, realm_id) DO UPDATE SET last_date = greatest(l.last_date, excluded.last_date)
)
INSERT INTO parsec3.vlob_atom (organization, realm_id, vlob_id, version, key_index, author, written_on, blob)
SELECT $1, $2, a.vlob_id, a.version, a.key_index, a.author, a.written_on, a.blob
FROM unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::uuid[], $7::bigint[], $8::bytea[])
    a (vlob_id, version, key_index, author, written_on, blob)`

	// countVersions takes the next $3 checkpoints of the realm $2, whose last vlob is
	// dated $4 or later, for versions of $5 bytes. Each of the vlobs $6 has the version
	// $7 as its latest one, the $8th of these. From here on the writers of the realm
	// wait for one another.
	countVersions = `
WITH counted AS (
    UPDATE parsec3.realm_counter c
    SET checkpoint = c.checkpoint + $3::bigint, last_vlob = greatest(c.last_vlob, $4), vlobs_size = c.vlobs_size + $5,
        unsummed = true
    WHERE c.organization = $1 AND c.realm_id = $2
    RETURNING c.checkpoint - $3::bigint AS before
)
INSERT INTO parsec3.vlob AS v (organization, realm_id, vlob_id, version, checkpoint)
SELECT $1, $2, w.vlob_id, w.version, (SELECT counted.before FROM counted) + w.place
FROM unnest($6::uuid[], $7::bigint[], $8::bigint[]) w (vlob_id, version, place)
WHERE (SELECT counted.before FROM counted) IS NOT NULL
ON CONFLICT (organization, realm_id, vlob_id) DO UPDATE SET version = excluded.version, checkpoint = excluded.checkpoint
WHERE v.version < excluded.version`

	// countBlocks adds $3 bytes.
	countBlocks = `
UPDATE parsec3.realm_counter c SET blocks_size = c.blocks_size + $3, unsummed = true
WHERE c.organization = $1 AND c.realm_id = $2`
)

// writeAll queues what was written, and is written no more. Whoever writes the same
// waits for it in the order of the ids; the counters of the realms come last.
func (b *batch) writeAll(on *database.Tx) {
	name := b.scope.Organization.String()
	for _, r := range b.realms {
		if len(r.versions) > 0 {
			on.QueueAll(len(r.versions), insertAtoms, append([]any{name, database.Key(r.id)}, r.atoms()...)...)
		}
	}
	sizes := map[parsec.RealmID]int64{}
	for _, id := range slices.SortedFunc(maps.Keys(b.blockWrites), func(a, b parsec.BlockID) int { return bytes.Compare(a[:], b[:]) }) {
		write := b.blockWrites[id]
		sql, args := write.statement()
		on.QueueOne(sql, append([]any{name, database.Key(write.realm)}, args...)...)
		sizes[write.realm] += write.size()
	}
	for _, r := range b.realms {
		if len(r.versions) > 0 {
			heads, args := r.heads()
			on.QueueAll(heads, countVersions, append([]any{name, database.Key(r.id)}, args...)...)
		}
		if size := sizes[r.id]; size > 0 {
			on.QueueOne(countBlocks, name, database.Key(r.id), size)
		}
		r.versions = nil
	}
	clear(b.blockWrites)
}

// atoms returns the arguments of insertAtoms from $3 on.
func (r *realmInBatch) atoms() []any {
	sorted := slices.SortedFunc(slices.Values(r.versions), func(a, b rules.VlobVersion) int {
		return cmp.Or(bytes.Compare(a.Vlob[:], b.Vlob[:]), cmp.Compare(a.Version, b.Version))
	})
	var vlobs, authors, signers []pgtype.UUID
	var versions, keyIndexes, dates, lasts []int64
	var blobs [][]byte
	signed := map[parsec3.DeviceID]parsec.DateTime{}
	for i := range sorted {
		version := &sorted[i]
		vlobs, versions = append(vlobs, database.Key(version.Vlob)), append(versions, int64(version.Version))
		keyIndexes, authors = append(keyIndexes, database.Bounded(version.KeyIndex)), append(authors, database.Key(version.Author))
		dates, blobs = append(dates, int64(version.Timestamp)), append(blobs, database.NotNull(version.Blob))
		signed[version.Author] = max(signed[version.Author], version.Timestamp)
	}
	for signer, last := range signed {
		signers, lasts = append(signers, database.Key(signer)), append(lasts, int64(last))
	}
	return []any{vlobs, versions, keyIndexes, authors, dates, blobs, signers, lasts}
}

// heads returns how many vlobs have a new version, and the arguments of countVersions
// from $3 on.
func (r *realmInBatch) heads() (heads int, args []any) {
	last := map[parsec.VlobID]int{} // the index of the latest version
	size, date := int64(0), parsec.DateTime(0)
	for i := range r.versions {
		last[r.versions[i].Vlob] = i
		size += int64(len(r.versions[i].Blob))
		date = max(date, r.versions[i].Timestamp)
	}
	var vlobs []pgtype.UUID
	var versions, places []int64
	for vlob, i := range last {
		vlobs, versions = append(vlobs, database.Key(vlob)), append(versions, int64(r.versions[i].Version))
		places = append(places, int64(i)+1)
	}
	return len(vlobs), []any{int64(len(r.versions)), int64(date), size, vlobs, versions, places}
}
