package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/span"
)

// What requests read while others read is read together, in one round trip: the
// database answers many questions of one statement for little more than one.
const (
	// readsTogether bounds the reads of one round trip, and so what it holds in memory.
	readsTogether = 64
	// readRuns is how many round trips are made at the same time, and readPatience how
	// long one may take, as it does when the disk is read, before the next one no longer
	// waits for it.
	readRuns     = 2
	readPatience = time.Millisecond
)

// read is what a request wants to know.
type read interface {
	// kind names the reads that one statement may answer together.
	kind() readKind
	// statement answers reads of this kind, of which this is the first.
	statement(all []*waitingRead) database.Statement
}

// readKind is of reads in one organization.
type readKind struct {
	organization parsec.OrganizationID
	name         string
}

// waitingRead is a read, and its answer once done is closed. Nobody but its run may
// look at it before.
type waitingRead struct {
	read
	ctx  context.Context // that of the caller, who waits
	err  error
	done chan struct{}
}

// ask has a read answered. When it returns an error the answer may still be written.
func (s *Store) ask(ctx context.Context, r read) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	waiting := &waitingRead{read: r, ctx: ctx, done: make(chan struct{})}
	end := span.Begin(ctx, "database")
	s.reads.Add(waiting)
	select {
	case <-waiting.done:
		end(waiting.err)
		return waiting.err
	case <-ctx.Done():
		end(ctx.Err())
		return ctx.Err()
	}
}

// answer answers reads in one round trip, and each in one of its own when they fail
// because of what is read.
func (s *Store) answer(all []*waitingRead) {
	all = slices.DeleteFunc(all, func(r *waitingRead) bool { return r.ctx.Err() != nil })
	err := s.readTogether(all)
	for i, r := range all {
		if r.err = err; err != nil && len(all) > 1 && database.IsUndone(err) {
			r.err = s.readTogether(all[i : i+1])
		}
		close(r.done)
	}
}

func (s *Store) readTogether(all []*waitingRead) error {
	if len(all) == 0 {
		return nil
	}
	var kinds []readKind
	of := map[readKind][]*waitingRead{}
	var statements []database.Statement
	for _, r := range all {
		kind := r.kind()
		if kind.name == "" {
			statements = append(statements, r.statement(nil))
			continue
		}
		if of[kind] == nil {
			kinds = append(kinds, kind)
		}
		of[kind] = append(of[kind], r)
	}
	for _, kind := range kinds {
		statements = append(statements, of[kind][0].statement(of[kind]))
	}
	return s.Reads(context.Background(), statements...)
}

// single is a read that has a statement of its own.
type single database.Statement

func (*single) kind() readKind { return readKind{} }

func (r *single) statement([]*waitingRead) database.Statement { return database.Statement(*r) }

const (
	// joinAuthors adds the users of the devices q.device_id of the organization $1. Each
	// is looked up by its whole key, however small the tables were when the statement
	// was planned.
	joinAuthors = `
LEFT JOIN LATERAL (
    SELECT d.device_id, d.user_id, d.verify_key, d.created_on FROM parsec3.device d
    WHERE d.organization = $1 AND d.device_id = q.device_id LIMIT 1
) d ON true
LEFT JOIN LATERAL (
    SELECT u.* FROM parsec3.user_ u WHERE u.organization = $1 AND u.user_id = d.user_id LIMIT 1
) u ON true`

	// joinRealms adds the realms q.realm_id, likewise, and the roles there of the users.
	joinRealms = `
LEFT JOIN LATERAL (
    SELECT r.* FROM parsec3.realm r WHERE r.organization = $1 AND r.realm_id = q.realm_id LIMIT 1
) r ON true
LEFT JOIN LATERAL (
    SELECT c.* FROM parsec3.realm_counter c WHERE c.organization = $1 AND c.realm_id = q.realm_id LIMIT 1
) counter ON true
LEFT JOIN LATERAL (
    SELECT m.role FROM parsec3.realm_member m
    WHERE m.organization = $1 AND m.realm_id = q.realm_id AND m.user_id = d.user_id LIMIT 1
) m ON true`

	// selectStandings takes the devices $2.
	selectStandings = "SELECT q.number, " + standingColumns + `
FROM organization o
CROSS JOIN unnest($2::uuid[]) WITH ORDINALITY q (device_id, number)` + joinAuthors + ofOrganization

	// selectEachVlob reads one vlob for each of the devices $2: in the realms $3, the
	// vlobs $4, at the dates $5, of no more than $6 bytes. No version is looked for when
	// the user has no role.
	selectEachVlob = "SELECT q.number, " + readingColumns + ", " + topicColumns + `,
    a.version, octet_length(a.blob) > q.bytes, a.key_index, a.author, a.written_on,
    CASE WHEN octet_length(a.blob) <= q.bytes THEN a.blob END
FROM organization o
CROSS JOIN unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[])
    WITH ORDINALITY q (device_id, realm_id, vlob_id, until, bytes, number)` + joinAuthors + joinRealms + `
LEFT JOIN LATERAL (
    SELECT a.* FROM parsec3.vlob_atom a
    WHERE m.role IS NOT NULL AND a.organization = $1 AND a.realm_id = q.realm_id AND a.vlob_id = q.vlob_id
        AND (q.until IS NULL OR a.written_on <= q.until)
    ORDER BY a.version DESC LIMIT 1
) a ON true` + ofOrganization
)

// standingRead is who asks.
type standingRead struct {
	organization parsec.OrganizationID
	device       parsec3.DeviceID
	found        standingRow
}

func (r *standingRead) kind() readKind { return readKind{r.organization, "standing"} }

func (r *standingRead) statement(all []*waitingRead) database.Statement {
	devices := make([]pgtype.UUID, len(all))
	for i, of := range all {
		devices[i] = database.Key(of.read.(*standingRead).device)
	}
	return database.Statement{SQL: selectStandings, Args: []any{r.organization.String(), devices}, Rows: func(rows pgx.Rows) error {
		var number int64
		var found standingRow
		_, err := pgx.ForEachRow(rows, append([]any{&number}, found.targets()...), func() error {
			found.found = true
			all[number-1].read.(*standingRead).found = found
			found = standingRow{}
			return nil
		})
		return err
	}}
}

// vlobRead is one vlob that someone asks for.
type vlobRead struct {
	organization parsec.OrganizationID
	device       parsec3.DeviceID
	realm        parsec.RealmID
	vlob         parsec.VlobID
	at           *parsec.DateTime
	limit        uint64
	found        rules.VlobReading
}

func (r *vlobRead) kind() readKind { return readKind{r.organization, "vlob"} }

func (r *vlobRead) statement(all []*waitingRead) database.Statement {
	devices, realms, vlobs := make([]pgtype.UUID, len(all)), make([]pgtype.UUID, len(all)), make([]pgtype.UUID, len(all))
	until, limits := make([]*int64, len(all)), make([]int64, len(all))
	for i, of := range all {
		one := of.read.(*vlobRead)
		devices[i], realms[i], vlobs[i] = database.Key(one.device), database.Key(one.realm), database.Key(one.vlob)
		until[i], limits[i] = (*int64)(one.at), database.Bounded(one.limit)
	}
	return database.Statement{
		SQL: selectEachVlob, Args: []any{r.organization.String(), devices, realms, vlobs, until, limits},
		Rows: func(rows pgx.Rows) error { return scanEachVlob(rows, all) },
	}
}

// scanEachVlob scans each row into the read whose number it begins with.
func scanEachVlob(rows pgx.Rows, all []*waitingRead) error {
	var number int64
	var r reading
	var topics rules.Topics
	var version rules.VlobVersion
	var tooLong bool
	targets := slices.Concat([]any{&number}, r.targets(), topicTargets(&topics), []any{
		(*database.Number)(&version.Version), (*database.Flag)(&tooLong), (*database.Unsigned)(&version.KeyIndex),
		(*database.UUID)(&version.Author), (*database.Integer)(&version.Timestamp), &version.Blob,
	})
	_, err := pgx.ForEachRow(rows, targets, func() error {
		one := all[number-1].read.(*vlobRead)
		r.standing.found = true
		one.found = rules.VlobReading{Standing: r.standing.facts(), Topics: topics, TooLong: tooLong}
		if r.exists {
			one.found.Realm = new(r.realm)
		}
		if version.Version != 0 && !tooLong {
			version.Vlob = one.vlob
			one.found.Versions = []rules.VlobVersion{version}
		}
		r, topics, version = reading{}, rules.Topics{}, rules.VlobVersion{} // what may be NULL
		return nil
	})
	return err
}
