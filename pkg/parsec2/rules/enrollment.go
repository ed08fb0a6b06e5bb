package rules

import (
	"bytes"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// maxSubmittedPKIBytes bounds the enrollments that wait in an organization,
// some thousands: strangers submit them, and one reply lists them.
const maxSubmittedPKIBytes = 8 << 20

// PKIEnrollment is a request to join an organization, by somebody who has an
// X.509 certificate, as stored (docs/protocol/invite.md §7). The server does
// not look into certificates and signatures.
type PKIEnrollment struct {
	ID parsec.EnrollmentID
	// SubmitterCertificate is DER, as that of PKIAcceptance.
	SubmitterCertificate []byte
	Payload              []byte
	PayloadSignature     []byte
	SubmittedOn          parsec.DateTime
	PKIDecision
}

// Bytes returns how many bytes the submitter sent.
func (e *PKIEnrollment) Bytes() uint64 {
	return uint64(len(e.SubmitterCertificate)) + uint64(len(e.Payload)) + uint64(len(e.PayloadSignature))
}

// PKIDecision is what became of an enrollment.
type PKIDecision struct {
	Status parsec.PKIEnrollmentStatus
	// On is zero while the enrollment is SUBMITTED.
	On parsec.DateTime
	// Acceptance is nil unless the enrollment is ACCEPTED.
	Acceptance *PKIAcceptance
}

// KeepsSubmission reports whether what the submitter sent is still of use, as
// its certificate is while its owner is enrolled. Otherwise stores drop it:
// nobody asks for it any more, and strangers have written it.
func (d *PKIDecision) KeepsSubmission() bool { return d.Status == parsec.PKIEnrollmentAccepted }

// PKIAcceptance is an accepted enrollment.
type PKIAcceptance struct {
	Accepter parsec.DeviceID
	// Device is the first one of the new user.
	Device              parsec.DeviceID
	AccepterCertificate []byte
	Payload             []byte
	PayloadSignature    []byte
}

// PKIEnrollmentSubmit asks to join (docs/protocol/invite.md §7). It locks the
// organization, so that of several submissions at once each sees the one
// before, and nobody takes the e-mail meanwhile.
func (r *Rules) PKIEnrollmentSubmit(ctx context.Context, anonymous *Anonymous, request *protocol.PKIEnrollmentSubmitRequest) (*protocol.PKIEnrollmentSubmitReply, error) {
	now := r.now()
	if _, err := certificate.LoadPKISubmit(request.SubmitPayload); err != nil {
		return nil, refusePKIPayload(err)
	}
	enrollment := PKIEnrollment{
		ID: request.EnrollmentID, SubmitterCertificate: request.SubmitterDERX509Certificate,
		Payload: request.SubmitPayload, PayloadSignature: request.SubmitPayloadSignature,
		SubmittedOn: now, PKIDecision: PKIDecision{Status: parsec.PKIEnrollmentSubmitted},
	}
	var submittedOn parsec.DateTime
	err := r.store.Update(ctx, Scope{Organization: anonymous.Organization, LockOrganization: true}, func(tx Tx) error {
		submittedOn = now
		organization, _ := tx.Organization()
		if err := r.CheckOpen(organization); err != nil {
			return err
		}
		if stored, used, err := tx.PKIEnrollment(ctx, request.EnrollmentID); err != nil {
			return err
		} else if used && stored.sameSubmission(&enrollment) {
			submittedOn = stored.SubmittedOn
			return nil // sent again
		} else if used {
			return protocol.Refuse(protocol.StatusIDAlreadyUsed, "This enrollment id is already used.")
		}
		replaced, err := checkLatestEnrollment(ctx, tx, request)
		if err != nil {
			return err
		}
		if email := request.SubmitterDERX509CertificateEmail; email != "" {
			if taken, err := tx.HumanTaken(ctx, email); err != nil {
				return err
			} else if taken {
				return protocol.Refuse(protocol.StatusEmailAlreadyUsed, "An active user has this e-mail address.")
			}
		}
		if err := checkSubmittedBytes(ctx, tx, &enrollment, replaced); err != nil {
			return err
		}
		if replaced != nil {
			decide(tx, anonymous.Organization, parsec.DeviceID{}, replaced.ID, PKIDecision{Status: parsec.PKIEnrollmentCancelled, On: now})
		}
		tx.SubmitPKIEnrollment(enrollment)
		tx.Emit(event.Event{Organization: anonymous.Organization, Body: notice.PKIEnrollmentUpdated{}})
		return nil
	})
	return &protocol.PKIEnrollmentSubmitReply{SubmittedOn: submittedOn}, err
}

// checkLatestEnrollment returns the pending enrollment of the same certificate
// that this one replaces, nil if there is none.
func checkLatestEnrollment(ctx context.Context, tx Tx, request *protocol.PKIEnrollmentSubmitRequest) (*PKIEnrollment, error) {
	latest, found, err := tx.LatestPKIEnrollment(ctx, request.SubmitterDERX509Certificate)
	if err != nil || !found {
		return nil, err
	}
	switch latest.Status {
	case parsec.PKIEnrollmentSubmitted:
		if request.Force {
			return latest, nil
		}
		refusal := protocol.Refuse(protocol.StatusAlreadySubmitted, "An enrollment of this certificate is pending.")
		refusal.Details = &protocol.AlreadySubmittedDetails{SubmittedOn: latest.SubmittedOn}
		return nil, refusal
	case parsec.PKIEnrollmentAccepted:
		user, exists, err := tx.User(ctx, latest.Acceptance.Device.User())
		if err != nil {
			return nil, err
		}
		if exists && user.Revocation == nil {
			return nil, protocol.Refuse(protocol.StatusAlreadyEnrolled, "The owner of this certificate is enrolled.")
		}
	}
	return nil, nil
}

func checkSubmittedBytes(ctx context.Context, tx Tx, enrollment, replaced *PKIEnrollment) error {
	bytes, err := tx.SubmittedPKIBytes(ctx)
	if err != nil {
		return err
	}
	if replaced != nil {
		bytes -= replaced.Bytes()
	}
	if bytes+enrollment.Bytes() > maxSubmittedPKIBytes {
		return TooManyEnrollments
	}
	return nil
}

// PKIEnrollmentInfo returns to the submitter what became of an enrollment
// (docs/protocol/invite.md §7).
func (r *Rules) PKIEnrollmentInfo(ctx context.Context, anonymous *Anonymous, request *protocol.PKIEnrollmentInfoRequest) (*protocol.PKIEnrollmentInfoReply, error) {
	enrollment, found, err := r.store.PKIEnrollment(ctx, anonymous.Organization, request.EnrollmentID)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errEnrollmentNotFound
	}
	reply := &protocol.PKIEnrollmentInfoReply{EnrollmentStatus: enrollment.Status, SubmittedOn: enrollment.SubmittedOn}
	switch enrollment.Status {
	case parsec.PKIEnrollmentAccepted:
		reply.AcceptedOn = &enrollment.On
		reply.AccepterDERX509Certificate = notNil(enrollment.Acceptance.AccepterCertificate)
		reply.AcceptPayloadSignature = notNil(enrollment.Acceptance.PayloadSignature)
		reply.AcceptPayload = enrollment.Acceptance.Payload
	case parsec.PKIEnrollmentRejected:
		reply.RejectedOn = &enrollment.On
	case parsec.PKIEnrollmentCancelled:
		reply.CancelledOn = &enrollment.On
	}
	return reply, nil
}

// notNil returns an empty value where nil would leave the field out.
func notNil(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

// PKIEnrollmentList lists the pending enrollments for an ADMIN
// (docs/protocol/invite.md §7).
func (r *Rules) PKIEnrollmentList(ctx context.Context, author *Author, _ *protocol.PKIEnrollmentListRequest) (*protocol.PKIEnrollmentListReply, error) {
	if err := checkAdministrator(author); err != nil {
		return nil, err
	}
	submitted, err := r.store.SubmittedPKIEnrollments(ctx, author.Organization)
	if err != nil {
		return nil, err
	}
	reply := &protocol.PKIEnrollmentListReply{Enrollments: make([]protocol.PKIEnrollmentItem, 0, len(submitted))}
	for _, enrollment := range submitted {
		reply.Enrollments = append(reply.Enrollments, protocol.PKIEnrollmentItem{
			EnrollmentID: enrollment.ID, SubmittedOn: enrollment.SubmittedOn,
			SubmitPayload: enrollment.Payload, SubmitPayloadSignature: enrollment.PayloadSignature,
			SubmitterDERX509Certificate: enrollment.SubmitterCertificate,
		})
	}
	return reply, nil
}

// PKIEnrollmentReject ends a pending enrollment (docs/protocol/invite.md §7).
func (r *Rules) PKIEnrollmentReject(ctx context.Context, author *Author, request *protocol.PKIEnrollmentRejectRequest) (*protocol.EmptyReply, error) {
	if err := checkAdministrator(author); err != nil {
		return nil, err
	}
	err := r.update(ctx, author, Scope{LockOrganization: true}, func(tx Tx, now parsec.DateTime) error {
		enrollment, err := existingEnrollment(ctx, tx, request.EnrollmentID)
		if err != nil {
			return err
		}
		if err := enrollment.checkSubmitted(); err != nil {
			return err
		}
		decide(tx, author.Organization, author.Device, request.EnrollmentID, PKIDecision{Status: parsec.PKIEnrollmentRejected, On: now})
		return nil
	})
	return &protocol.EmptyReply{}, err
}

// PKIEnrollmentAccept creates the user of a pending enrollment, in the same
// transaction (docs/protocol/invite.md §7).
func (r *Rules) PKIEnrollmentAccept(ctx context.Context, author *Author, request *protocol.PKIEnrollmentAcceptRequest) (*protocol.EmptyReply, error) {
	now := r.now()
	user, device, err := checkPKIEnrollmentAccept(author, now, request)
	if err != nil {
		return nil, err
	}
	acceptance := &PKIAcceptance{
		Accepter: author.Device, Device: device.ID, AccepterCertificate: request.AccepterDERX509Certificate,
		Payload: request.AcceptPayload, PayloadSignature: request.AcceptPayloadSignature,
	}
	err = r.updateAt(ctx, author, now, Scope{LockOrganization: true}, func(tx Tx) error {
		enrollment, err := existingEnrollment(ctx, tx, request.EnrollmentID)
		if err != nil {
			return err
		}
		stored, exists, err := tx.User(ctx, user.ID)
		if err != nil {
			return err
		}
		if exists && enrollment.acceptedAs(acceptance) {
			if again, err := sameUser(ctx, tx, stored, user, device); err != nil || again {
				return err
			}
		}
		if err := enrollment.checkSubmitted(); err != nil {
			return err
		}
		// In the order of this command, which is not that of user_create.
		if err := checkNobodyElse(ctx, tx, user, exists); err != nil {
			return err
		}
		if err := checkActiveUsersLimit(ctx, tx); err != nil {
			return err
		}
		createUser(tx, author, user, device)
		decide(tx, author.Organization, author.Device, request.EnrollmentID, PKIDecision{
			Status: parsec.PKIEnrollmentAccepted, On: now, Acceptance: acceptance,
		})
		return nil
	})
	return &protocol.EmptyReply{}, err
}

// checkPKIEnrollmentAccept makes the checks that need no state, those of
// user_create once the payload loads, and returns what to store.
func checkPKIEnrollmentAccept(author *Author, now parsec.DateTime, request *protocol.PKIEnrollmentAcceptRequest) (User, Device, error) {
	if err := checkAdministrator(author); err != nil {
		return User{}, Device{}, err
	}
	if _, err := certificate.LoadPKIAnswer(request.AcceptPayload); err != nil {
		return User{}, Device{}, refusePKIPayload(err)
	}
	return checkUserCreate(author, now, &request.UserCreateRequest)
}

// existingEnrollment refuses an enrollment that does not exist.
func existingEnrollment(ctx context.Context, tx Tx, id parsec.EnrollmentID) (*PKIEnrollment, error) {
	enrollment, found, err := tx.PKIEnrollment(ctx, id)
	if err == nil && !found {
		err = errEnrollmentNotFound
	}
	return enrollment, err
}

// checkSubmitted refuses an enrollment that is not pending.
func (e *PKIEnrollment) checkSubmitted() error {
	if e.Status != parsec.PKIEnrollmentSubmitted {
		return protocol.Refuse(protocol.StatusNoLongerAvailable, "The enrollment is not pending any more.")
	}
	return nil
}

// decide ends a pending enrollment; author is zero for its submitter.
func decide(tx Tx, organization parsec.OrganizationID, author parsec.DeviceID, id parsec.EnrollmentID, decision PKIDecision) {
	tx.DecidePKIEnrollment(id, decision)
	tx.Emit(event.Event{Organization: organization, Author: author, Body: notice.PKIEnrollmentUpdated{}})
}

var errEnrollmentNotFound = protocol.Refuse(protocol.StatusNotFound, "No such enrollment.")

func refusePKIPayload(err error) error {
	return refuseFailure(protocol.StatusInvalidPayloadData, "Invalid payload", err)
}

// EnrollmentReader reads PKI enrollments.
type EnrollmentReader interface {
	PKIEnrollment(ctx context.Context, organization parsec.OrganizationID, id parsec.EnrollmentID) (*PKIEnrollment, bool, error)
	// SubmittedPKIEnrollments lists those that are SUBMITTED, in order of
	// submission.
	SubmittedPKIEnrollments(ctx context.Context, organization parsec.OrganizationID) ([]PKIEnrollment, error)
}

// EnrollmentTx is for PKI enrollments; its effects need LockOrganization.
type EnrollmentTx interface {
	PKIEnrollment(ctx context.Context, id parsec.EnrollmentID) (*PKIEnrollment, bool, error)
	// LatestPKIEnrollment returns the last one submitted with the certificate,
	// among those that are SUBMITTED or ACCEPTED.
	LatestPKIEnrollment(ctx context.Context, certificate []byte) (*PKIEnrollment, bool, error)
	// SubmittedPKIBytes sums PKIEnrollment.Bytes of those that are SUBMITTED.
	SubmittedPKIBytes(ctx context.Context) (uint64, error)

	// SubmitPKIEnrollment adds an enrollment that is SUBMITTED.
	SubmitPKIEnrollment(enrollment PKIEnrollment)
	// DecidePKIEnrollment ends an enrollment that is SUBMITTED. What its
	// submitter sent becomes empty unless decision.KeepsSubmission.
	DecidePKIEnrollment(id parsec.EnrollmentID, decision PKIDecision)
}

// sameSubmission compares what the submitter sent.
func (e *PKIEnrollment) sameSubmission(sent *PKIEnrollment) bool {
	return bytes.Equal(e.SubmitterCertificate, sent.SubmitterCertificate) &&
		bytes.Equal(e.Payload, sent.Payload) && bytes.Equal(e.PayloadSignature, sent.PayloadSignature)
}

// acceptedAs reports whether the enrollment is accepted, in the very same way.
func (e *PKIEnrollment) acceptedAs(acceptance *PKIAcceptance) bool {
	stored := e.Acceptance
	return stored != nil && stored.Accepter == acceptance.Accepter && stored.Device == acceptance.Device &&
		bytes.Equal(stored.AccepterCertificate, acceptance.AccepterCertificate) &&
		bytes.Equal(stored.Payload, acceptance.Payload) && bytes.Equal(stored.PayloadSignature, acceptance.PayloadSignature)
}
