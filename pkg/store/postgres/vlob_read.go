package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
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

// selectReads answers many reads. The revision before the complete one may
// still be there, to be pruned.
const selectReads = "SELECT q.number, " + realmColumns + ", " + versionColumns + `, a.blob
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[])
    WITH ORDINALITY q (organization_id, user_id, vlob_id, revision, version, until, number)
JOIN organization o ON o.organization_id = q.organization_id
JOIN vlob v ON v.organization = o.id AND v.vlob_id = q.vlob_id
JOIN realm r ON r.id = v.realm
LEFT JOIN user_ u ON u.organization = o.id AND u.user_id = q.user_id
LEFT JOIN realm_member m ON m.realm = r.id AND m.user_ = u.id
LEFT JOIN vlob_atom a ON a.vlob = v.id
    AND a.revision = q.revision AND q.revision BETWEEN ` + complete + ` AND r.encryption_revision
    AND a.version = CASE
        WHEN q.version IS NOT NULL THEN q.version
        WHEN q.until IS NULL THEN v.version
        ELSE (SELECT max(b.version) FROM vlob_atom b
            WHERE b.vlob = v.id AND b.revision = q.revision AND b.written_on <= q.until)
    END` + joinAuthor

// vlobRead is one read, and its answer once done is closed.
type vlobRead struct {
	organization parsec.OrganizationID
	user         parsec.UserID
	selection    backend.VlobSelection
	// abandoned tells that nobody waits any more.
	abandoned func() bool

	realm   realmRow
	version backend.VlobVersion
	found   bool
	err     error
	done    chan struct{}
}

// ReadVlob implements backend.VlobReader.
func (s *Store) ReadVlob(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, selection backend.VlobSelection) (*backend.Realm, *backend.VlobVersion, bool, error) {
	read := &vlobRead{
		organization: organization, user: user, selection: selection,
		abandoned: func() bool { return ctx.Err() != nil },
		done:      make(chan struct{}),
	}
	s.vlobReads.add(read)
	select {
	case <-read.done:
	case <-ctx.Done():
		return nil, nil, false, ctx.Err()
	}
	switch {
	case read.err != nil || !read.found:
		return nil, nil, false, read.err
	case read.version.Version == 0:
		return read.realm.facts(), nil, true, nil
	default:
		return read.realm.facts(), &read.version, true, nil
	}
}

// readVlobs answers reads by one statement.
func (s *Store) readVlobs(reads []*vlobRead) {
	ctx, cancel := context.WithTimeout(context.Background(), acquireLimit+useLimit)
	defer cancel()
	err := s.one(ctx, vlobReadsStatement(reads))
	for _, read := range reads {
		read.err = err
		close(read.done)
	}
}

func vlobReadsStatement(reads []*vlobRead) statement {
	var (
		organizations, users      []string
		vlobs                     []pgtype.UUID
		revisions, numbers, until []*int64
		wanted                    []*vlobRead
	)
	for _, read := range reads {
		if read.abandoned() {
			continue
		}
		wanted = append(wanted, read)
		organizations, users = append(organizations, read.organization.String()), append(users, read.user.String())
		vlobs = append(vlobs, key(read.selection.Vlob))
		revisions = append(revisions, new(bounded(read.selection.EncryptionRevision)))
		var number, date *int64
		switch {
		case read.selection.Version != nil:
			number = new(int64(*read.selection.Version))
		case read.selection.Timestamp != nil:
			date = (*int64)(read.selection.Timestamp)
		}
		numbers, until = append(numbers, number), append(until, date)
	}
	return statement{
		sql:  selectReads,
		args: []any{organizations, users, vlobs, revisions, numbers, until},
		rows: func(rows pgx.Rows) error {
			for rows.Next() {
				if err := scanVlobRead(rows, wanted); err != nil {
					return err
				}
			}
			return rows.Err()
		},
	}
}

// scanVlobRead scans a row into the read whose number it begins with.
func scanVlobRead(rows pgx.Rows, reads []*vlobRead) error {
	var number int64
	var realm realmRow
	var version backend.VlobVersion
	targets := append([]any{&number}, realm.targets()...)
	targets = append(append(targets, versionTargets(&version)...), &version.Blob)
	if err := rows.Scan(targets...); err != nil {
		return err
	}
	read := reads[number-1]
	read.realm, read.version, read.found = realm, version, true
	return nil
}
