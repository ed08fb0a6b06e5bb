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
	// insertAtoms writes versions in the realms $2, a column each, and follows when the
	// users of the devices $10 have last signed in the realms $9, $11. It waits for who
	// writes the same version, and then fails by its key.
	insertAtoms = `
WITH signed AS (
    INSERT INTO parsec3.last_signed AS l (organization, user_id, realm_id, last_date)
    SELECT $1, s.user_id, s.realm_id, max(s.last_date)
    FROM (
        SELECT q.realm_id, (SELECT d.user_id FROM parsec3.device d WHERE d.organization = $1 AND d.device_id = q.device_id), q.last_date
        FROM unnest($9::uuid[], $10::uuid[], $11::bigint[]) q (realm_id, device_id, last_date)
    ) s (realm_id, user_id, last_date)
    WHERE s.user_id IS NOT NULL
    GROUP BY s.realm_id, s.user_id
    ORDER BY s.realm_id, s.user_id
    ON CONFLICT (organization, user_id, realm_id) DO UPDATE SET last_date = greatest(l.last_date, excluded.last_date)
)
INSERT INTO parsec3.vlob_atom (organization, realm_id, vlob_id, version, key_index, author, written_on, blob)
SELECT $1, a.realm_id, a.vlob_id, a.version, a.key_index, a.author, a.written_on, a.blob
FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::uuid[], $7::bigint[], $8::bytea[])
    a (realm_id, vlob_id, version, key_index, author, written_on, blob)`

	// countWrites takes in each of the realms $2 the next $3 checkpoints, for versions of $5
	// bytes, of which the last is dated $4, and adds blocks of $6 bytes. Each of the vlobs
	// $8 of the realms $7 has the version $9 as its latest one, with $10 versions of its
	// realm after it. From here on the writers of a realm wait for one another, in the order
	// of $2. Realms that are not there are not inserted: they are locked.
	countWrites = `
WITH counted AS (
    INSERT INTO parsec3.realm_counter AS c (organization, realm_id, checkpoint, last_vlob, vlobs_size, blocks_size)
    SELECT $1, q.realm_id, q.versions, q.last_vlob, q.vlobs_size, q.blocks_size
    FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) q (realm_id, versions, last_vlob, vlobs_size, blocks_size)
    ON CONFLICT (organization, realm_id) DO UPDATE
    SET checkpoint = c.checkpoint + excluded.checkpoint, last_vlob = greatest(c.last_vlob, excluded.last_vlob),
        vlobs_size = c.vlobs_size + excluded.vlobs_size, blocks_size = c.blocks_size + excluded.blocks_size, unsummed = true
    RETURNING c.realm_id, c.checkpoint
)
INSERT INTO parsec3.vlob AS v (organization, realm_id, vlob_id, version, checkpoint)
SELECT $1, w.realm_id, w.vlob_id, w.version, counted.checkpoint - w.later
FROM unnest($7::uuid[], $8::uuid[], $9::bigint[], $10::bigint[]) w (realm_id, vlob_id, version, later)
JOIN counted ON counted.realm_id = w.realm_id
ON CONFLICT (organization, realm_id, vlob_id) DO UPDATE SET version = excluded.version, checkpoint = excluded.checkpoint
WHERE v.version < excluded.version`
)

// writeAll queues what was written, and is written no more. Whoever writes the same
// waits for it in the order of the ids; the counters of the realms come last.
func (b *batch) writeAll(on *database.Tx) {
	name := b.scope.Organization.String()
	sizes := map[parsec.RealmID]int64{}
	for _, write := range b.blockWrites {
		sizes[write.realm] += write.size()
	}
	var atoms atomColumns
	var counts countColumns
	for _, r := range b.realms {
		atoms.add(r)
		counts.add(r, sizes[r.id])
		r.versions = nil
	}
	if len(atoms.vlobs) > 0 {
		on.QueueAll(len(atoms.vlobs), insertAtoms, name, atoms.realms, atoms.vlobs, atoms.versions, atoms.keyIndexes, atoms.authors,
			atoms.dates, atoms.blobs, atoms.signedRealms, atoms.signers, atoms.lasts)
	}
	b.writeBlocks(on)
	if len(counts.realms) > 0 {
		on.QueueAll(len(counts.heads), countWrites, name, counts.realms, counts.versions, counts.lasts, counts.vlobs, counts.blocks,
			counts.headRealms, counts.heads, counts.headVersions, counts.later)
	}
}

// writeBlocks queues what was written of blocks.
func (b *batch) writeBlocks(on *database.Tx) {
	for _, id := range slices.SortedFunc(maps.Keys(b.blockWrites), func(a, b parsec.BlockID) int { return bytes.Compare(a[:], b[:]) }) {
		write := b.blockWrites[id]
		sql, args := write.statement()
		on.QueueOne(sql, append([]any{b.scope.Organization.String(), database.Key(write.realm)}, args...)...)
	}
	clear(b.blockWrites)
}

// atomColumns are the arguments of insertAtoms from $2 on.
type atomColumns struct {
	realms, vlobs         []pgtype.UUID
	versions, keyIndexes  []int64
	authors               []pgtype.UUID
	dates                 []int64
	blobs                 [][]byte
	signedRealms, signers []pgtype.UUID
	lasts                 []int64
}

// add adds what is written in a realm.
func (c *atomColumns) add(r *realmInBatch) {
	sorted := slices.SortedFunc(slices.Values(r.versions), func(a, b rules.VlobVersion) int {
		return cmp.Or(bytes.Compare(a.Vlob[:], b.Vlob[:]), cmp.Compare(a.Version, b.Version))
	})
	realm := database.Key(r.id)
	signed := map[parsec3.DeviceID]parsec.DateTime{}
	for i := range sorted {
		version := &sorted[i]
		c.realms, c.vlobs = append(c.realms, realm), append(c.vlobs, database.Key(version.Vlob))
		c.versions = append(c.versions, int64(version.Version))
		c.keyIndexes, c.authors = append(c.keyIndexes, database.Bounded(version.KeyIndex)), append(c.authors, database.Key(version.Author))
		c.dates, c.blobs = append(c.dates, int64(version.Timestamp)), append(c.blobs, database.NotNull(version.Blob))
		signed[version.Author] = max(signed[version.Author], version.Timestamp)
	}
	for signer, last := range signed {
		c.signedRealms, c.signers, c.lasts = append(c.signedRealms, realm), append(c.signers, database.Key(signer)), append(c.lasts, int64(last))
	}
}

// countColumns are the arguments of countWrites from $2 on.
type countColumns struct {
	realms                         []pgtype.UUID
	versions, lasts, vlobs, blocks []int64
	headRealms, heads              []pgtype.UUID
	headVersions, later            []int64
}

// add adds what a realm has more, with the bytes of its blocks, and its vlobs that have a
// new version.
func (c *countColumns) add(r *realmInBatch, blocks int64) {
	if len(r.versions) == 0 && blocks == 0 {
		return
	}
	realm := database.Key(r.id)
	latest := map[parsec.VlobID]int{} // the index of the version
	size, date := int64(0), parsec.DateTime(0)
	for i := range r.versions {
		latest[r.versions[i].Vlob] = i
		size += int64(len(r.versions[i].Blob))
		date = max(date, r.versions[i].Timestamp)
	}
	c.realms, c.versions = append(c.realms, realm), append(c.versions, int64(len(r.versions)))
	c.lasts, c.vlobs, c.blocks = append(c.lasts, int64(date)), append(c.vlobs, size), append(c.blocks, blocks)
	for vlob, i := range latest {
		c.headRealms, c.heads = append(c.headRealms, realm), append(c.heads, database.Key(vlob))
		c.headVersions, c.later = append(c.headVersions, int64(r.versions[i].Version)), append(c.later, int64(len(r.versions)-1-i))
	}
}
