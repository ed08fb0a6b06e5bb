package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/span"
)

const (
	// vlobReadsTogether bounds the reads of one statement, and so the blobs
	// that it holds in memory.
	vlobReadsTogether = 32
	// vlobReadRuns is how many such statements run at the same time, and
	// vlobReadPatience how long one may take, as it does when the disk is
	// read, before the next one no longer waits for it.
	vlobReadRuns     = 4
	vlobReadPatience = time.Millisecond
)

// selectReads answers many reads, each on its own: LIMIT keeps the planner from
// joining whole tables with all of them, which it would prefer while these are
// small or not analyzed. The revision before the complete one may still be
// there, to be pruned. No version is looked for when the user has no role.
const selectReads = `
SELECT q.number, found.*
FROM unnest($1::integer[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[])
    WITH ORDINALITY q (organization, user_, vlob_id, revision, version, until, number)
CROSS JOIN LATERAL (
    SELECT ` + realmColumns + ", " + versionColumns + `, a.blob
    FROM vlob v
    JOIN realm r ON r.id = v.realm
    LEFT JOIN realm_member m ON m.realm = r.id AND m.user_ = q.user_
    LEFT JOIN vlob_atom a ON a.vlob = CASE WHEN m.role IS NOT NULL THEN v.id END
        AND a.revision = q.revision AND q.revision BETWEEN ` + complete + ` AND r.encryption_revision
        AND a.version = CASE
            WHEN q.version IS NOT NULL THEN q.version
            WHEN q.until IS NULL THEN v.version
            ELSE (SELECT max(b.version) FROM vlob_atom b
                WHERE b.vlob = v.id AND b.revision = q.revision AND b.written_on <= q.until)
        END` + joinAuthor + `
    WHERE v.organization = q.organization AND v.vlob_id = q.vlob_id
    LIMIT 1
) found`

// vlobRead is one read, and its answer once done is closed.
type vlobRead struct {
	reader    accountKeys
	selection rules.VlobSelection
	// abandoned reports whether nobody waits any more.
	abandoned func() bool

	realm   realmRow
	version rules.VlobVersion
	found   bool
	err     error
	done    chan struct{}
}

// ReadVlob implements rules.VlobReader.
func (s *Store) ReadVlob(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection rules.VlobSelection) (*rules.Realm, *rules.VlobVersion, bool, error) {
	realm, version, found, err := s.readVlob(ctx, account{organization, user}, selection)
	if database.IsLost(err) { // What was remembered of the account is forgotten now.
		realm, version, found, err = s.readVlob(ctx, account{organization, user}, selection)
	}
	return realm, version, found, err
}

// readVlob is ReadVlob, once.
func (s *Store) readVlob(ctx context.Context, of account, selection rules.VlobSelection) (*rules.Realm, *rules.VlobVersion, bool, error) {
	reader, found, remembered, err := s.keysOf(ctx, of)
	if err != nil || !found {
		return nil, nil, false, err
	}
	read := &vlobRead{
		reader: reader, selection: selection,
		abandoned: func() bool { return ctx.Err() != nil },
		done:      make(chan struct{}),
	}
	end := span.Begin(ctx, "database")
	s.vlobReads.Add(read)
	select {
	case <-read.done:
		end(read.err)
	case <-ctx.Done():
		end(ctx.Err())
		return nil, nil, false, ctx.Err()
	}
	switch {
	case read.err == nil && !read.found && remembered:
		s.keys.drop(of)
		return s.readVlob(ctx, of, selection)
	case read.err != nil || !read.found:
		return nil, nil, false, read.err
	case read.version.Version == 0:
		return read.realm.facts(), nil, true, nil
	default:
		return read.realm.facts(), &read.version, true, nil
	}
}

// readVlobs answers reads by one statement. It does not run again by itself:
// the database that comes back may have other rows.
func (s *Store) readVlobs(reads []*vlobRead) {
	err := s.Once(context.Background(), func() database.Statement { return vlobReadsStatement(reads) })
	for _, read := range reads {
		read.err = err
		close(read.done)
	}
}

func vlobReadsStatement(reads []*vlobRead) database.Statement {
	var (
		organizations                    []int32
		users, revisions, numbers, until []*int64
		vlobs                            []pgtype.UUID
		wanted                           []*vlobRead
	)
	for _, read := range reads {
		if read.abandoned() {
			continue
		}
		wanted = append(wanted, read)
		organizations, users = append(organizations, read.reader.organization), append(users, read.reader.user)
		vlobs = append(vlobs, database.Key(read.selection.Vlob))
		revisions = append(revisions, new(database.Bounded(read.selection.EncryptionRevision)))
		var number, date *int64
		switch {
		case read.selection.Version != nil:
			number = new(int64(*read.selection.Version))
		case read.selection.Timestamp != nil:
			date = (*int64)(read.selection.Timestamp)
		}
		numbers, until = append(numbers, number), append(until, date)
	}
	return database.Statement{
		SQL:  selectReads,
		Args: []any{organizations, users, vlobs, revisions, numbers, until},
		Rows: func(rows pgx.Rows) error { return scanVlobReads(rows, wanted) },
	}
}

// scanVlobReads scans each row into the read whose number it begins with.
func scanVlobReads(rows pgx.Rows, reads []*vlobRead) error {
	var number int64
	var scanned vlobRead
	targets := append([]any{&number}, scanned.realm.targets()...)
	targets = append(append(targets, versionTargets(&scanned.version)...), &scanned.version.Blob)
	for rows.Next() {
		scanned = vlobRead{} // NULL may leave what the last row gave.
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		read := reads[number-1]
		read.realm, read.version, read.found = scanned.realm, scanned.version, true
	}
	return rows.Err()
}
