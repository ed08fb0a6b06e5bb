package memory

import (
	"bytes"
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// PKIEnrollment implements rules.EnrollmentReader.
func (s *Store) PKIEnrollment(ctx context.Context, organization parsec.OrganizationID, id parsec.EnrollmentID) (*rules.PKIEnrollment, bool, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	enrollment := o.enrollment(id)
	return copyEnrollment(enrollment), enrollment != nil, err
}

// SubmittedPKIEnrollments implements rules.EnrollmentReader.
func (s *Store) SubmittedPKIEnrollments(ctx context.Context, organization parsec.OrganizationID) ([]rules.PKIEnrollment, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	var submitted []rules.PKIEnrollment
	for _, enrollment := range o.enrollments {
		if enrollment.Status == parsec.PKIEnrollmentSubmitted {
			submitted = append(submitted, enrollment)
		}
	}
	return submitted, err
}

// enrollment is nil if there is none.
func (o *organization) enrollment(id parsec.EnrollmentID) *rules.PKIEnrollment {
	for i := range o.enrollments {
		if o.enrollments[i].ID == id {
			return &o.enrollments[i]
		}
	}
	return nil
}

// copyEnrollment shares only bytes with the enrollment.
func copyEnrollment(enrollment *rules.PKIEnrollment) *rules.PKIEnrollment {
	enrollment = organizationstore.CopyOf(enrollment)
	if enrollment != nil {
		enrollment.Acceptance = organizationstore.CopyOf(enrollment.Acceptance)
	}
	return enrollment
}

// PKIEnrollment implements rules.EnrollmentTx.
func (t *tx) PKIEnrollment(_ context.Context, id parsec.EnrollmentID) (*rules.PKIEnrollment, bool, error) {
	enrollment := t.organization.enrollment(id)
	return copyEnrollment(enrollment), enrollment != nil, nil
}

// LatestPKIEnrollment implements rules.EnrollmentTx.
func (t *tx) LatestPKIEnrollment(_ context.Context, certificate []byte) (*rules.PKIEnrollment, bool, error) {
	for i := len(t.organization.enrollments) - 1; i >= 0; i-- {
		switch enrollment := &t.organization.enrollments[i]; enrollment.Status {
		case parsec.PKIEnrollmentSubmitted, parsec.PKIEnrollmentAccepted:
			if bytes.Equal(enrollment.SubmitterCertificate, certificate) {
				return copyEnrollment(enrollment), true, nil
			}
		}
	}
	return nil, false, nil
}

// SubmittedPKIBytes implements rules.EnrollmentTx.
func (t *tx) SubmittedPKIBytes(context.Context) (uint64, error) {
	var sum uint64
	for i := range t.organization.enrollments {
		if enrollment := &t.organization.enrollments[i]; enrollment.Status == parsec.PKIEnrollmentSubmitted {
			sum += enrollment.Bytes()
		}
	}
	return sum, nil
}

// SubmitPKIEnrollment implements rules.EnrollmentTx.
func (t *tx) SubmitPKIEnrollment(enrollment rules.PKIEnrollment) {
	enrollment.SubmitterCertificate = bytes.Clone(enrollment.SubmitterCertificate)
	enrollment.Payload = bytes.Clone(enrollment.Payload)
	enrollment.PayloadSignature = bytes.Clone(enrollment.PayloadSignature)
	allowed := t.scope.LockOrganization && t.organization.enrollment(enrollment.ID) == nil
	t.Queue("SubmitPKIEnrollment", allowed, func() {
		t.organization.enrollments = append(t.organization.enrollments, enrollment)
	})
}

// DecidePKIEnrollment implements rules.EnrollmentTx.
func (t *tx) DecidePKIEnrollment(id parsec.EnrollmentID, decision rules.PKIDecision) {
	if acceptance := organizationstore.CopyOf(decision.Acceptance); acceptance != nil {
		acceptance.AccepterCertificate = bytes.Clone(acceptance.AccepterCertificate)
		acceptance.Payload = bytes.Clone(acceptance.Payload)
		acceptance.PayloadSignature = bytes.Clone(acceptance.PayloadSignature)
		decision.Acceptance = acceptance
	}
	enrollment := t.organization.enrollment(id)
	allowed := t.scope.LockOrganization && enrollment != nil && enrollment.Status == parsec.PKIEnrollmentSubmitted
	t.Queue("DecidePKIEnrollment", allowed, func() {
		decided := t.organization.enrollment(id)
		decided.PKIDecision = decision
		if !decision.KeepsSubmission() {
			decided.SubmitterCertificate, decided.Payload, decided.PayloadSignature = []byte{}, []byte{}, []byte{}
		}
	})
}
