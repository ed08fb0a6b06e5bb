package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

const (
	enrollmentColumns = `e.enrollment_id, e.submitter_certificate, e.submit_payload, e.submit_payload_signature, e.submitted_on,
    e.status, e.decided_on, e.accepter, e.accepted_device, e.accepter_certificate, e.accept_payload, e.accept_payload_signature`

	fromEnrollments = `
FROM organization o JOIN pki_enrollment e ON e.organization = o.id
WHERE o.organization_id = $1`

	selectEnrollment = "SELECT " + enrollmentColumns + fromEnrollments + " AND e.enrollment_id = $2"

	selectLatestEnrollment = "SELECT " + enrollmentColumns + fromEnrollments + `
    AND sha256(e.submitter_certificate) = sha256($2) AND e.status IN ('SUBMITTED', 'ACCEPTED')
ORDER BY e.id DESC LIMIT 1`

	selectSubmittedEnrollments = "SELECT " + enrollmentColumns + fromEnrollments + " AND e.status = 'SUBMITTED' ORDER BY e.id"
)

// enrollmentRow is a row of enrollmentColumns.
type enrollmentRow struct {
	enrollment rules.PKIEnrollment
	acceptance rules.PKIAcceptance
}

func (r *enrollmentRow) targets() []any {
	e, a := &r.enrollment, &r.acceptance
	return []any{
		(*database.UUID)(&e.ID), &e.SubmitterCertificate, &e.Payload, &e.PayloadSignature, (*database.Integer)(&e.SubmittedOn),
		database.Parsed(&e.Status), (*database.Integer)(&e.On), database.Parsed(&a.Accepter), database.Parsed(&a.Device), &a.AccepterCertificate, &a.Payload, &a.PayloadSignature,
	}
}

// PKIEnrollment implements rules.EnrollmentReader.
func (s *Store) PKIEnrollment(ctx context.Context, organization parsec.OrganizationID, id parsec.EnrollmentID) (*rules.PKIEnrollment, bool, error) {
	return oneEnrollment(func(reads ...database.Statement) error { return s.One(ctx, reads[0]) }, selectEnrollment, organization.String(), database.Key(id))
}

// SubmittedPKIEnrollments implements rules.EnrollmentReader.
func (s *Store) SubmittedPKIEnrollments(ctx context.Context, organization parsec.OrganizationID) ([]rules.PKIEnrollment, error) {
	var rows []enrollmentRow
	err := s.One(ctx, database.List(&rows, selectSubmittedEnrollments, []any{organization.String()}, (*enrollmentRow).targets))
	submitted := make([]rules.PKIEnrollment, len(rows))
	for i := range rows {
		submitted[i] = rows[i].enrollment
	}
	return submitted, err
}

func oneEnrollment(ask func(...database.Statement) error, sql string, args ...any) (*rules.PKIEnrollment, bool, error) {
	var found bool
	var r enrollmentRow
	if err := ask(database.Row(&found, sql, args, r.targets()...)); err != nil || !found {
		return nil, false, err
	}
	if r.enrollment.Status == parsec.PKIEnrollmentAccepted {
		r.enrollment.Acceptance = &r.acceptance
	}
	return &r.enrollment, true, nil
}

// PKIEnrollment implements rules.EnrollmentTx.
func (t *tx) PKIEnrollment(_ context.Context, id parsec.EnrollmentID) (*rules.PKIEnrollment, bool, error) {
	return oneEnrollment(t.Ask, selectEnrollment, t.organizationName(), database.Key(id))
}

// LatestPKIEnrollment implements rules.EnrollmentTx.
func (t *tx) LatestPKIEnrollment(_ context.Context, certificate []byte) (*rules.PKIEnrollment, bool, error) {
	return oneEnrollment(t.Ask, selectLatestEnrollment, t.organizationName(), database.NotNull(certificate))
}

// SubmittedPKIBytes implements rules.EnrollmentTx.
func (t *tx) SubmittedPKIBytes(context.Context) (uint64, error) {
	var sum database.Unsigned
	err := t.Ask(database.Only(`
SELECT sum(length(e.submitter_certificate) + length(e.submit_payload) + length(e.submit_payload_signature))`+
		fromEnrollments+" AND e.status = 'SUBMITTED'", []any{t.organizationName()}, &sum))
	return uint64(sum), err
}

// SubmitPKIEnrollment implements rules.EnrollmentTx.
func (t *tx) SubmitPKIEnrollment(enrollment rules.PKIEnrollment) {
	t.QueueOne(`
INSERT INTO pki_enrollment (organization, enrollment_id, submitter_certificate, submit_payload, submit_payload_signature, submitted_on, status)
SELECT o.id, $2, $3, $4, $5, $6, $7 FROM organization o WHERE o.organization_id = $1`,
		t.organizationName(), database.Key(enrollment.ID), database.NotNull(enrollment.SubmitterCertificate), database.NotNull(enrollment.Payload),
		database.NotNull(enrollment.PayloadSignature), int64(enrollment.SubmittedOn), string(enrollment.Status))
}

// DecidePKIEnrollment implements rules.EnrollmentTx.
func (t *tx) DecidePKIEnrollment(id parsec.EnrollmentID, decision rules.PKIDecision) {
	var accepter, device *string
	var certificate, payload, signature []byte
	if a := decision.Acceptance; a != nil {
		accepter, device = new(a.Accepter.String()), new(a.Device.String())
		certificate, payload, signature = database.NotNull(a.AccepterCertificate), database.NotNull(a.Payload), database.NotNull(a.PayloadSignature)
	}
	dropped := ""
	if !decision.KeepsSubmission() {
		dropped = ", submitter_certificate = '', submit_payload = '', submit_payload_signature = ''"
	}
	t.QueueOne(`
UPDATE pki_enrollment SET status = $3, decided_on = $4, accepter = $5, accepted_device = $6,
    accepter_certificate = $7, accept_payload = $8, accept_payload_signature = $9`+dropped+`
FROM organization o
WHERE o.organization_id = $1 AND organization = o.id AND enrollment_id = $2 AND status = 'SUBMITTED'`,
		t.organizationName(), database.Key(id), string(decision.Status), int64(decision.On), accepter, device, certificate, payload, signature)
}
