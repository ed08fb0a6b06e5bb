package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// enrollment is the state of an enrollment.
type enrollment struct {
	facts rules.Enrollment
	// email has no case; "" once the enrollment is ended.
	email string
}

func (e *enrollment) waits() bool { return e.facts.Status == protocol.EnrollmentSubmitted }

// Enrollment implements rules.EnrollmentReader.
func (s *Store) Enrollment(ctx context.Context, organization parsec.OrganizationID, id parsec3.EnrollmentID) (rules.Standing, *rules.Enrollment, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	return o.standing(parsec3.DeviceID{}), o.copyEnrollment(id), err
}

// copyEnrollment shares only bytes with the enrollment.
func (o *organization) copyEnrollment(id parsec3.EnrollmentID) *rules.Enrollment {
	stored, found := o.enrollments[id]
	if !found {
		return nil
	}
	return new(stored.facts)
}

// PendingEnrollments implements rules.EnrollmentReader.
func (s *Store) PendingEnrollments(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (rules.Standing, []rules.Enrollment, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	var waiting []*enrollment
	for _, stored := range o.enrollments {
		if stored.waits() {
			waiting = append(waiting, stored)
		}
	}
	slices.SortFunc(waiting, func(a, b *enrollment) int {
		return cmp.Or(cmp.Compare(a.facts.SubmittedOn, b.facts.SubmittedOn), bytes.Compare(a.facts.ID[:], b.facts.ID[:]))
	})
	pending := make([]rules.Enrollment, len(waiting))
	for i, stored := range waiting {
		pending[i] = stored.facts
	}
	return o.standing(author), pending, err
}

// Enrollment implements rules.EnrollmentTx.
func (t *tx) Enrollment(_ context.Context, id parsec3.EnrollmentID) (*rules.Enrollment, bool, error) {
	found := t.organization.copyEnrollment(id)
	return found, found != nil, nil
}

// Submissions implements rules.EnrollmentTx.
func (t *tx) Submissions(_ context.Context, id parsec3.EnrollmentID, email string) (rules.Submissions, error) {
	found := rules.Submissions{}
	_, found.Known = t.organization.enrollments[id]
	for taken := range t.organization.humans {
		found.Enrolled = found.Enrolled || parsec3.Mailbox(taken) == email
	}
	for _, stored := range t.organization.enrollments {
		switch {
		case !stored.waits():
		case stored.email != email:
			found.Others++
			found.OthersBytes += stored.facts.Size()
		default:
			found.Earlier = &rules.Enrollment{ID: stored.facts.ID, Status: stored.facts.Status, SubmittedOn: stored.facts.SubmittedOn}
		}
	}
	return found, nil
}

// SubmitEnrollment implements rules.EnrollmentTx.
func (t *tx) SubmitEnrollment(submitted rules.Enrollment, email string) {
	_, known := t.organization.enrollments[submitted.ID]
	taken := false
	for id, stored := range t.organization.enrollments {
		taken = taken || stored.waits() && stored.email == email && (t.ended == nil || id != *t.ended)
	}
	submitted = ownEnrollment(submitted)
	possible := !known && !taken && submitted.Status == protocol.EnrollmentSubmitted && t.scope.Common != rules.Unlocked
	t.queueEnrollment("SubmitEnrollment", possible, func() {
		t.organization.enrollments[submitted.ID] = &enrollment{submitted, email}
	})
}

// EndEnrollment implements rules.EnrollmentTx.
func (t *tx) EndEnrollment(id parsec3.EnrollmentID, status protocol.EnrollmentStatus, on parsec.DateTime) {
	stored, known := t.organization.enrollments[id]
	t.ended = &id
	t.queueEnrollment("EndEnrollment", known && stored.waits(), func() {
		stored.facts = rules.Enrollment{ID: id, Status: status, SubmittedOn: stored.facts.SubmittedOn, EndedOn: on}
		stored.email = ""
	})
}

// AcceptEnrollment implements rules.EnrollmentTx.
func (t *tx) AcceptEnrollment(accepted rules.Enrollment) {
	stored, known := t.organization.enrollments[accepted.ID]
	accepted = ownEnrollment(accepted)
	possible := known && stored.waits() && accepted.Status == protocol.EnrollmentAccepted && t.scope.Common == rules.Exclusive
	t.queueEnrollment("AcceptEnrollment", possible, func() { stored.facts, stored.email = accepted, "" })
}

// queueEnrollment queues an effect on enrollments.
func (t *tx) queueEnrollment(name string, possible bool, effect func()) {
	t.Queue(name, possible && t.scope.Enrollment == rules.Exclusive, effect)
}

// ownEnrollment copies the bytes of an enrollment.
func ownEnrollment(e rules.Enrollment) rules.Enrollment {
	e.Payload, e.Identity.Signature = bytes.Clone(e.Payload), bytes.Clone(e.Identity.Signature)
	e.Identity.Chain = slices.Clone(e.Identity.Chain)
	for i, one := range e.Identity.Chain {
		e.Identity.Chain[i] = bytes.Clone(one)
	}
	return e
}
