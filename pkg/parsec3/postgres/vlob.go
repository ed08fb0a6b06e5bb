package postgres

import (
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// selectVlobs and selectVersions take the realm $3, the most bytes of all blobs
	// together $4, and what is asked for from $5 on. Each row has the reading again;
	// there is one even if no version is found. No version is looked for when the
	// user has no role.
	selectVlobs = selectReading + `
        FROM unnest($5::uuid[]) WITH ORDINALITY q (vlob_id, number)
        CROSS JOIN LATERAL (
            SELECT a.* FROM parsec3.vlob_atom a
            WHERE a.organization = $1 AND a.realm_id = $3 AND a.vlob_id = q.vlob_id
                AND ($6::bigint IS NULL OR a.written_on <= $6)
            ORDER BY a.version DESC LIMIT 1
        ) a` + endReading

	selectVersions = selectReading + `
        FROM unnest($5::uuid[], $6::bigint[]) WITH ORDINALITY q (vlob_id, version, number)
        CROSS JOIN LATERAL (
            SELECT a.* FROM parsec3.vlob_atom a
            WHERE a.organization = $1 AND a.realm_id = $3 AND a.vlob_id = q.vlob_id AND a.version = q.version
            LIMIT 1
        ) a` + endReading

	selectReading = "SELECT " + readingColumns + ", " + topicColumns + `,
    found.number, found.total > $4, found.vlob_id, found.version, found.key_index, found.author, found.written_on,
    CASE WHEN found.total <= $4 THEN found.blob END` + standingTables + joinRealm + `
LEFT JOIN LATERAL (
    SELECT q.number, sum(octet_length(a.blob)) OVER () AS total,
        a.vlob_id, a.version, a.key_index, a.author, a.written_on, a.blob`

	endReading = `
    WHERE ` + roleInRealm + ` IS NOT NULL
) found ON true
WHERE o.organization_id = $1
ORDER BY found.number`

	// selectChanges takes the realm $3 and a checkpoint $4. A vlob has an entry
	// after a checkpoint if its last one is. All of them are one value, changeBytes
	// each: in rows, they would cost twice as much.
	selectChanges = "SELECT " + readingColumns + `, (
    SELECT string_agg(uuid_send(v.vlob_id) || int8send(v.version), '') FROM (
        SELECT v.vlob_id, v.version FROM parsec3.vlob v
        WHERE v.organization = $1 AND v.realm_id = $3 AND v.checkpoint > $4 AND v.checkpoint > 0 AND ` + roleInRealm + ` IS NOT NULL
        ORDER BY v.checkpoint
    ) v
)` + fromRealm

	// changeBytes is the length of an id, and of a version in big endian.
	changeBytes = 16 + 8
)

// ReadVlobs implements rules.VlobReader.
func (s *Store) ReadVlobs(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, vlobs []parsec.VlobID, at *parsec.DateTime, limit uint64) (rules.VlobReading, error) {
	if len(vlobs) == 1 { // as official clients ask
		read := vlobRead{organization: organization, device: author, realm: realm, vlob: vlobs[0], at: at, limit: limit}
		if err := s.ask(ctx, &read); err != nil {
			return rules.VlobReading{}, err
		}
		return read.found, nil
	}
	return s.readVersions(ctx, selectVlobs, args(organization, author, database.Key(realm), database.Bounded(limit), database.Keys(vlobs), database.Date(at)))
}

// ReadVersions implements rules.VlobReader.
func (s *Store) ReadVersions(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, items []rules.VlobNumber, limit uint64) (rules.VlobReading, error) {
	ids, versions := numberColumns(items)
	return s.readVersions(ctx, selectVersions, args(organization, author, database.Key(realm), database.Bounded(limit), ids, versions))
}

// numberColumns returns versions as two columns.
func numberColumns(numbers []rules.VlobNumber) (ids []pgtype.UUID, versions []int64) {
	ids, versions = make([]pgtype.UUID, len(numbers)), make([]int64, len(numbers))
	for i, number := range numbers {
		ids[i], versions[i] = database.Key(number.Vlob), int64(number.Version)
	}
	return ids, versions
}

// readVersions runs selectVlobs or selectVersions.
func (s *Store) readVersions(ctx context.Context, sql string, args []any) (rules.VlobReading, error) {
	var r reading
	var found rules.VlobReading
	err := s.One(ctx, database.Statement{SQL: sql, Args: args, Rows: func(rows pgx.Rows) error {
		r, found = reading{}, rules.VlobReading{}
		return scanVersions(rows, &r, &found)
	}})
	found.Standing, found.Realm = r.standing.facts(), r.foundRealm()
	return found, err
}

// scanVersions scans the reading of the first row, and the version of each.
func scanVersions(rows pgx.Rows, r *reading, found *rules.VlobReading) error {
	var number int64
	var version rules.VlobVersion
	targets := append(r.targets(), topicTargets(&found.Topics)...)
	sameInEachRow := len(targets)
	targets = append(targets, (*database.Integer)(&number), (*database.Flag)(&found.TooLong),
		(*database.UUID)(&version.Vlob), (*database.Number)(&version.Version), (*database.Unsigned)(&version.KeyIndex),
		(*database.UUID)(&version.Author), (*database.Integer)(&version.Timestamp), &version.Blob)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if !r.standing.found {
			r.standing.found = true
			clear(targets[:sameInEachRow])
		}
		if number != 0 && !found.TooLong {
			found.Versions = append(found.Versions, version)
		}
	}
	return rows.Err()
}

// Changes implements rules.VlobReader.
func (s *Store) Changes(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, checkpoint uint64) (rules.Standing, *rules.Realm, []rules.VlobChange, error) {
	var r reading
	var changes []byte
	err := s.One(ctx, database.Row(&r.standing.found, selectChanges, args(organization, author, database.Key(realm), database.Bounded(checkpoint)),
		append(r.targets(), &changes)...))
	if err != nil {
		return rules.Standing{}, nil, nil, err
	}
	return r.standing.facts(), r.foundRealm(), parseChanges(changes), nil
}

func parseChanges(packed []byte) []rules.VlobChange {
	changes := make([]rules.VlobChange, len(packed)/changeBytes)
	for i := range changes {
		one := packed[i*changeBytes:]
		changes[i] = rules.VlobChange{Vlob: parsec.VlobID(one), Version: uint32(binary.BigEndian.Uint64(one[16:]))}
	}
	return changes
}

// Vlob implements rules.VlobTx.
func (t *tx) Vlob() uint32 { return t.vlob }

// WriteVlob implements rules.VlobTx.
func (t *tx) WriteVlob(version rules.VlobVersion) {
	t.versions = append(t.versions, version)
}
