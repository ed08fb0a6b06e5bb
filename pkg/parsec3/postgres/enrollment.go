package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

const (
	enrollmentColumns = "e.enrollment_id, e.status, e.submitted_on, e.ended_on, e.payload, e.signature, e.chain, e.entity"

	selectEnrollment = "SELECT " + enrollmentColumns + `
FROM parsec3.enrollment e
WHERE e.organization = $1 AND e.enrollment_id = $2`

	selectPending = "SELECT " + enrollmentColumns + `
FROM parsec3.enrollment e
WHERE e.organization = $1 AND e.email IS NOT NULL
ORDER BY e.submitted_on, e.enrollment_id`

	// selectSubmissions reads what stands against the enrollment $2 for the e-mail $3.
	selectSubmissions = `
SELECT EXISTS (SELECT FROM parsec3.enrollment e WHERE e.organization = $1 AND e.enrollment_id = $2),
    EXISTS (SELECT FROM parsec3.user_ u
        WHERE u.organization = $1 AND lower(u.human_email) = $3 AND lower(u.human_email) > '' AND u.revoked_on IS NULL),
    others.waiting, others.size, earlier.enrollment_id, earlier.submitted_on
FROM (
    SELECT count(*), coalesce(sum(e.size), 0)::bigint FROM parsec3.enrollment e
    WHERE e.organization = $1 AND e.email IS NOT NULL AND e.email <> $3
) others (waiting, size)
LEFT JOIN parsec3.enrollment earlier ON earlier.organization = $1 AND earlier.email = $3`

	insertEnrollment = `
INSERT INTO parsec3.enrollment (organization, enrollment_id, status, email, submitted_on, payload, signature, chain, entity, size)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

	// endEnrollment replaces what was submitted by $5 to $8, of $9 bytes.
	endEnrollment = `
UPDATE parsec3.enrollment e
SET status = $3, ended_on = $4, email = NULL, payload = $5, signature = $6, chain = $7, entity = $8, size = $9
WHERE e.organization = $1 AND e.enrollment_id = $2 AND e.email IS NOT NULL`
)

func enrollmentTargets(e *rules.Enrollment) []any {
	return []any{
		(*database.UUID)(&e.ID), (*database.Text)((*string)(&e.Status)), (*database.Integer)(&e.SubmittedOn), (*database.Integer)(&e.EndedOn),
		&e.Payload, &e.Identity.Signature, &e.Identity.Chain, (*database.Text)(&e.Identity.Entity),
	}
}

// Enrollment implements rules.EnrollmentReader.
func (s *Store) Enrollment(ctx context.Context, organization parsec.OrganizationID, id parsec3.EnrollmentID) (rules.Standing, *rules.Enrollment, error) {
	var standing standingRow
	var found bool
	var enrollment rules.Enrollment
	err := s.Snapshot(ctx, readStanding(&standing, organization, parsec3.DeviceID{}), readEnrollment(&found, &enrollment, organization.String(), id))
	if !found {
		return standing.facts(), nil, err
	}
	return standing.facts(), &enrollment, err
}

func readEnrollment(found *bool, into *rules.Enrollment, organization string, id parsec3.EnrollmentID) database.Statement {
	return database.Row(found, selectEnrollment, []any{organization, database.Key(id)}, enrollmentTargets(into)...)
}

// PendingEnrollments implements rules.EnrollmentReader.
func (s *Store) PendingEnrollments(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (rules.Standing, []rules.Enrollment, error) {
	var standing standingRow
	var pending []rules.Enrollment
	err := s.Snapshot(ctx, readStanding(&standing, organization, author),
		database.List(&pending, selectPending, []any{organization.String()}, enrollmentTargets))
	return standing.facts(), pending, err
}

// Enrollment implements rules.EnrollmentTx.
func (t *tx) Enrollment(_ context.Context, id parsec3.EnrollmentID) (*rules.Enrollment, bool, error) {
	var found bool
	var enrollment rules.Enrollment
	err := t.Ask(readEnrollment(&found, &enrollment, t.organizationName(), id))
	return &enrollment, found, err
}

// Submissions implements rules.EnrollmentTx.
func (t *tx) Submissions(_ context.Context, id parsec3.EnrollmentID, email string) (found rules.Submissions, err error) {
	earlier := rules.Enrollment{Status: protocol.EnrollmentSubmitted}
	err = t.Ask(database.Only(selectSubmissions, []any{t.organizationName(), database.Key(id), email},
		&found.Known, &found.Enrolled, (*database.Unsigned)(&found.Others), (*database.Unsigned)(&found.OthersBytes),
		(*database.UUID)(&earlier.ID), (*database.Integer)(&earlier.SubmittedOn)))
	if earlier.SubmittedOn != 0 {
		found.Earlier = &earlier
	}
	return found, err
}

// SubmitEnrollment implements rules.EnrollmentTx.
func (t *tx) SubmitEnrollment(submitted rules.Enrollment, email string) {
	t.QueueOne(insertEnrollment, append([]any{
		t.organizationName(), database.Key(submitted.ID), string(submitted.Status), email, int64(submitted.SubmittedOn),
	}, contentOf(&submitted)...)...)
}

// EndEnrollment implements rules.EnrollmentTx.
func (t *tx) EndEnrollment(id parsec3.EnrollmentID, status protocol.EnrollmentStatus, on parsec.DateTime) {
	t.QueueOne(endEnrollment, t.organizationName(), database.Key(id), string(status), int64(on),
		[]byte(nil), []byte(nil), [][]byte(nil), pgtype.Text{}, int64(0))
}

// AcceptEnrollment implements rules.EnrollmentTx.
func (t *tx) AcceptEnrollment(accepted rules.Enrollment) {
	t.QueueOne(endEnrollment, append([]any{
		t.organizationName(), database.Key(accepted.ID), string(accepted.Status), int64(accepted.EndedOn),
	}, contentOf(&accepted)...)...)
}

// contentOf returns the payload and the identity of an enrollment as columns: there is
// a chain or an entity.
func contentOf(e *rules.Enrollment) []any {
	return []any{
		database.NotNull(e.Payload), database.NotNull(e.Identity.Signature), e.Identity.Chain,
		pgtype.Text{String: e.Identity.Entity, Valid: e.Identity.Chain == nil}, database.Bounded(e.Size()),
	}
}

// refusedKept is how long it is told that an enrollment was cancelled or rejected, in
// microseconds.
const refusedKept = 90 * 24 * 3600 * 1_000_000

// pruneEnrollments erases those that were cancelled or rejected long ago.
func (s *Store) pruneEnrollments(ctx context.Context) error {
	return s.Repeat(ctx, `
DELETE FROM parsec3.enrollment e WHERE e.ctid = ANY(ARRAY(
    SELECT o.ctid FROM parsec3.enrollment o WHERE o.payload IS NULL AND o.ended_on < $2 LIMIT $1 FOR UPDATE SKIP LOCKED
))`, int64(s.now())-refusedKept)
}
