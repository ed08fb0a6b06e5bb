package rules

import (
	"cmp"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	// maxPendingEnrollments and maxPendingBytes bound what strangers have waiting in an
	// organization: ADMINs are sent all of it.
	maxPendingEnrollments = 1000
	maxPendingBytes       = 8 << 20
	// maxEnrollmentPayload bounds a payload of an enrollment, in bytes: a normal one has
	// a few hundred.
	maxEnrollmentPayload = 16 << 10
)

// AsyncEnrollmentSubmit has a stranger ask to become a user
// (docs/protocol/v5/enrollment.md §2.1). What is submitted is for ADMINs to judge: the
// server only looks at the form, and at the chain of X.509 certificates if it knows
// whom to trust.
func (r *Rules) AsyncEnrollmentSubmit(ctx context.Context, anonymous *Anonymous, request *protocol.AsyncEnrollmentSubmitRequest) (*protocol.AsyncEnrollmentSubmitReply, error) {
	now := r.now()
	submitted, email, err := r.loadSubmission(now, request)
	if err != nil { // But an organization that is not open comes first.
		stored, failed := r.find(ctx, anonymous.Organization)
		return nil, cmp.Or(failed, checkOpen(stored, now), err)
	}
	scope := Scope{Common: Shared, Enrollment: Exclusive}
	err = r.updateAnonymous(ctx, anonymous, now, scope, func(tx Tx) error {
		found, err := tx.Submissions(ctx, submitted.ID, email)
		switch {
		case err != nil:
			return err
		case found.Known:
			return protocol.Refuse(protocol.StatusIDAlreadyUsed)
		case found.Enrolled:
			return protocol.Refuse(protocol.StatusEmailAlreadyEnrolled)
		case found.Earlier != nil && !request.Force:
			return protocol.RefuseAlreadySubmitted(found.Earlier.SubmittedOn)
		case found.Others >= maxPendingEnrollments, found.OthersBytes+submitted.Size() > maxPendingBytes:
			return TooMany
		}
		if found.Earlier != nil {
			tx.EndEnrollment(found.Earlier.ID, protocol.EnrollmentCancelled, now)
		}
		tx.SubmitEnrollment(*submitted, email)
		emitEnrollment(tx, anonymous.Organization)
		return nil
	})
	return &protocol.AsyncEnrollmentSubmitReply{SubmittedOn: now}, err
}

// loadSubmission makes the checks 1 and 2 of async_enrollment_submit. It also returns
// the e-mail, without its case.
func (r *Rules) loadSubmission(now parsec.DateTime, request *protocol.AsyncEnrollmentSubmitRequest) (submitted *Enrollment, email string, err error) {
	payload, err := loadSubmitPayload(request.SubmitPayload)
	if err != nil {
		return nil, "", err
	}
	identity := identityOfSubmitter(&request.SubmitPayloadSignature)
	if _, err := r.checkIdentity(&identity, request.SubmitPayload, now, protocol.StatusInvalidSubmitPayloadSignature); err != nil {
		return nil, "", err
	}
	return &Enrollment{
		ID: request.EnrollmentID, Status: protocol.EnrollmentSubmitted, SubmittedOn: now,
		Payload: request.SubmitPayload, Identity: identity,
	}, parsec3.Mailbox(payload.HumanHandle.Email()), nil
}

func loadSubmitPayload(packed []byte) (certificate.EnrollmentSubmit, error) {
	payload, err := certificate.LoadEnrollmentSubmit(packed)
	if err != nil || len(packed) > maxEnrollmentPayload {
		return payload, protocol.Refuse(protocol.StatusInvalidSubmitPayload)
	}
	return payload, nil
}

// emitEnrollment tells the ADMINs that enrollments have changed.
func emitEnrollment(tx Tx, in parsec.OrganizationID) {
	tx.Emit(event.Event{Organization: in, Body: notice.AsyncEnrollment{ID: notice.NewID()}})
}

// AsyncEnrollmentInfo says what became of an enrollment
// (docs/protocol/v5/enrollment.md §2.2).
func (r *Rules) AsyncEnrollmentInfo(ctx context.Context, anonymous *Anonymous, request *protocol.AsyncEnrollmentInfoRequest) (*protocol.AsyncEnrollmentInfoReply, error) {
	now := r.now()
	standing, found, err := r.store.Enrollment(ctx, anonymous.Organization, request.EnrollmentID)
	if err != nil {
		return nil, err
	}
	if err := checkOpen(standing.Organization, now); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, protocol.Refuse(protocol.StatusEnrollmentNotFound)
	}
	reply := &protocol.AsyncEnrollmentInfoReply{Status: found.Status, SubmittedOn: found.SubmittedOn}
	switch found.Status {
	case protocol.EnrollmentCancelled:
		reply.CancelledOn = &found.EndedOn
	case protocol.EnrollmentRejected:
		reply.RejectedOn = &found.EndedOn
	case protocol.EnrollmentAccepted:
		reply.AcceptedOn, reply.AcceptPayload = &found.EndedOn, found.Payload
		reply.AcceptPayloadSignature = found.Identity.ofAccepter()
	}
	return reply, nil
}

// AsyncEnrollmentCancel has who submitted an enrollment take it back
// (docs/protocol/v5/enrollment.md §2.3): whoever knows its id may.
func (r *Rules) AsyncEnrollmentCancel(ctx context.Context, anonymous *Anonymous, request *protocol.AsyncEnrollmentCancelRequest) (*protocol.AsyncEnrollmentCancelReply, error) {
	now := r.now()
	err := r.updateAnonymous(ctx, anonymous, now, Scope{Enrollment: Exclusive}, func(tx Tx) error {
		found, err := pendingEnrollment(ctx, tx, request.EnrollmentID)
		if err != nil {
			return err
		}
		tx.EndEnrollment(found.ID, protocol.EnrollmentCancelled, now)
		emitEnrollment(tx, anonymous.Organization)
		return nil
	})
	return &protocol.AsyncEnrollmentCancelReply{}, err
}

// pendingEnrollment returns an enrollment that waits.
func pendingEnrollment(ctx context.Context, tx Tx, id parsec3.EnrollmentID) (*Enrollment, error) {
	found, known, err := tx.Enrollment(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !known:
		return nil, protocol.Refuse(protocol.StatusEnrollmentNotFound)
	case found.Status != protocol.EnrollmentSubmitted:
		return nil, protocol.Refuse(protocol.StatusEnrollmentNoLongerAvailable)
	}
	return found, nil
}

// AsyncEnrollmentList returns what waits for an ADMIN, the oldest first
// (docs/protocol/v5/enrollment.md §2.4).
func (r *Rules) AsyncEnrollmentList(ctx context.Context, author *Author, _ *protocol.AsyncEnrollmentListRequest) (*protocol.AsyncEnrollmentListReply, error) {
	now := r.now()
	standing, pending, err := r.store.PendingEnrollments(ctx, author.Organization, author.Device)
	if err != nil {
		return nil, err
	}
	if err := standing.checkAdministrator(now); err != nil {
		return nil, err
	}
	reply := &protocol.AsyncEnrollmentListReply{Enrollments: make([]protocol.SubmittedEnrollment, len(pending))}
	for i := range pending {
		reply.Enrollments[i] = protocol.SubmittedEnrollment{
			EnrollmentID: pending[i].ID, SubmittedOn: pending[i].SubmittedOn,
			SubmitPayload: pending[i].Payload, SubmitPayloadSignature: pending[i].Identity.ofSubmitter(),
		}
	}
	return reply, nil
}

// AsyncEnrollmentReject has an ADMIN refuse an enrollment
// (docs/protocol/v5/enrollment.md §2.5).
func (r *Rules) AsyncEnrollmentReject(ctx context.Context, author *Author, request *protocol.AsyncEnrollmentRejectRequest) (*protocol.AsyncEnrollmentRejectReply, error) {
	now := r.now()
	err := r.update(ctx, author, now, Scope{Common: Shared, Enrollment: Exclusive}, func(tx Tx, user *User) error {
		if err := checkAdministrator(user); err != nil {
			return err
		}
		found, err := pendingEnrollment(ctx, tx, request.EnrollmentID)
		if err != nil {
			return err
		}
		tx.EndEnrollment(found.ID, protocol.EnrollmentRejected, now)
		emitEnrollment(tx, author.Organization)
		return nil
	})
	return &protocol.AsyncEnrollmentRejectReply{}, err
}

// Enrollment is an asynchronous enrollment as stored
// (docs/protocol/v5/enrollment.md §2). Nothing is kept of it that nobody is told any
// more.
type Enrollment struct {
	ID          parsec3.EnrollmentID
	Status      protocol.EnrollmentStatus
	SubmittedOn parsec.DateTime
	// EndedOn is when the enrollment left EnrollmentSubmitted, zero before.
	EndedOn parsec.DateTime
	// Payload and Identity are those of the submission while it waits, those of the
	// acceptance if it is accepted, and zero otherwise: what the other one reads.
	Payload  []byte
	Identity Identity
}

// Size returns how many bytes the payload and the identity have.
func (e *Enrollment) Size() uint64 {
	size := len(e.Payload) + len(e.Identity.Signature) + len(e.Identity.Entity)
	for _, one := range e.Identity.Chain {
		size += len(one)
	}
	return uint64(size)
}

// Submissions is what stands against a submission.
type Submissions struct {
	// Known reports that there is an enrollment of that id, and Enrolled that an active
	// user has the e-mail, in any case of its letters.
	Known, Enrolled bool
	// Earlier waits with that e-mail; nil for none. It has neither payload nor identity.
	Earlier *Enrollment
	// Others counts those that wait with other e-mails, and OthersBytes their sizes.
	Others, OthersBytes uint64
}

// EnrollmentReader reads enrollments.
type EnrollmentReader interface {
	// Enrollment returns an enrollment, nil if there is none. Of the standing there is
	// the organization alone.
	Enrollment(ctx context.Context, organization parsec.OrganizationID, id parsec3.EnrollmentID) (Standing, *Enrollment, error)
	// PendingEnrollments lists those that wait, by date of submission.
	PendingEnrollments(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (Standing, []Enrollment, error)
}

// EnrollmentTx is for enrollments. Its effects need Scope.Enrollment.
type EnrollmentTx interface {
	// Enrollment returns an enrollment, false if there is none.
	Enrollment(ctx context.Context, id parsec3.EnrollmentID) (*Enrollment, bool, error)
	// Submissions returns what stands against a submission. The e-mail has no case.
	Submissions(ctx context.Context, id parsec3.EnrollmentID, email string) (Submissions, error)

	// SubmitEnrollment adds an enrollment that waits, the only one with its e-mail, which
	// has no case.
	SubmitEnrollment(submitted Enrollment, email string)
	// EndEnrollment has one that waits be cancelled or rejected.
	EndEnrollment(id parsec3.EnrollmentID, status protocol.EnrollmentStatus, on parsec.DateTime)
	// AcceptEnrollment has one that waits be accepted.
	AcceptEnrollment(accepted Enrollment)
}
