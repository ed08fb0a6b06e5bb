package rules

import (
	"context"
	"crypto/x509"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// AsyncEnrollmentAccept has an ADMIN make a user of who submitted an enrollment
// (docs/protocol/v5/enrollment.md §2.6). Then it sends the e-mail that is asked for;
// the acceptance stands whatever becomes of that.
func (r *Rules) AsyncEnrollmentAccept(ctx context.Context, author *Author, request *protocol.AsyncEnrollmentAcceptRequest) (*protocol.AsyncEnrollmentAcceptReply, error) {
	now := r.now()
	accepted := r.loadAcceptance(author, now, request)
	scope := Scope{Common: Exclusive, Enrollment: Exclusive}
	if accepted.invalidUser == nil {
		scope.Date = accepted.created.userCertificate.Timestamp
	}
	err := r.update(ctx, author, now, scope, func(tx Tx, user *User) error {
		if err := checkAdministrator(user); err != nil {
			return err
		}
		submitted, err := pendingEnrollment(ctx, tx, request.EnrollmentID)
		if err != nil {
			return err
		}
		if err := r.checkAcceptance(accepted, submitted); err != nil {
			return err
		}
		if err := addUser(ctx, tx, author, accepted.created); err != nil {
			return err
		}
		tx.AcceptEnrollment(Enrollment{
			ID: submitted.ID, Status: protocol.EnrollmentAccepted, SubmittedOn: submitted.SubmittedOn, EndedOn: now,
			Payload: request.AcceptPayload, Identity: accepted.identity,
		})
		emitEnrollment(tx, author.Organization)
		return cancelInvitationsTo(ctx, tx, author.Organization, accepted.created.user.HumanHandle.Email(), now)
	})
	if err != nil {
		return nil, err
	}
	reply := &protocol.AsyncEnrollmentAcceptReply{EmailSent: protocol.EmailSuccess}
	if request.SendEmail != nil && *request.SendEmail {
		reply.EmailSent = r.sendEnrollmentAccepted(ctx, author, accepted.created)
	}
	return reply, nil
}

// cancelInvitationsTo ends the invitations of an e-mail, whose owner is a user now
// (docs/protocol/v5/invite.md §5). New ones wait for the common topic.
func cancelInvitationsTo(ctx context.Context, tx Tx, in parsec.OrganizationID, email string, now parsec.DateTime) error {
	pending, err := tx.PendingInvitations(ctx, Claimer{Type: parsec.InvitationUser, Email: email})
	if err != nil {
		return err
	}
	for i := range pending {
		attempts, err := cancelInvitation(ctx, tx, in, &pending[i], now)
		if err != nil {
			return err
		}
		for j := range attempts {
			tx.CancelAttempt(attempts[j].ID, AttemptEnd{protocol.Greeter, now, protocol.AutomaticallyCancelled})
			emitAttemptChanged(tx, in, &attempts[j])
		}
	}
	return nil
}

func (r *Rules) sendEnrollmentAccepted(ctx context.Context, author *Author, created *newUser) protocol.EmailSent {
	if r.options.Mailer == nil {
		return protocol.EmailServerUnavailable
	}
	return r.options.Mailer.SendEnrollmentAccepted(ctx, EnrollmentMail{
		To: created.user.HumanHandle.Email(), Organization: author.Organization,
	})
}

// acceptance is what a request to accept an enrollment says, as far as it loads.
type acceptance struct {
	payload  certificate.EnrollmentAccept
	identity Identity
	// roots are those that the identity ends at.
	roots   []*x509.Certificate
	created *newUser

	// Why the payload, the identity and the certificates are refused, nil if they are
	// not: the checks 5, 6 and 7.
	invalidPayload, invalidIdentity, invalidUser error
}

// loadAcceptance reads what needs no lock.
func (r *Rules) loadAcceptance(author *Author, now parsec.DateTime, request *protocol.AsyncEnrollmentAcceptRequest) *acceptance {
	a := &acceptance{identity: identityOfAccepter(&request.AcceptPayloadSignature)}
	var err error
	if a.payload, err = certificate.LoadEnrollmentAccept(request.AcceptPayload); err != nil || len(request.AcceptPayload) > maxEnrollmentPayload {
		a.invalidPayload = protocol.Refuse(protocol.StatusInvalidAcceptPayload)
	}
	a.roots, a.invalidIdentity = r.checkIdentity(&a.identity, request.AcceptPayload, now, protocol.StatusInvalidAcceptPayloadSignature)
	a.created, a.invalidUser = loadUserCreate(author, now, signedUser{
		user: request.UserCertificate, redactedUser: request.RedactedUserCertificate,
		device: request.DeviceCertificate, redactedDevice: request.RedactedDeviceCertificate,
	})
	return a
}

// checkAcceptance makes the checks 4 to 7 of async_enrollment_accept.
func (r *Rules) checkAcceptance(accepted *acceptance, submitted *Enrollment) error {
	if accepted.identity.isPKI() != submitted.Identity.isPKI() {
		return protocol.Refuse(protocol.StatusSubmitAndAcceptMismatch)
	}
	if accepted.invalidPayload != nil {
		return accepted.invalidPayload
	}
	if accepted.invalidIdentity != nil {
		return accepted.invalidIdentity
	}
	if err := r.checkSameRoot(accepted, submitted); err != nil {
		return err
	}
	if accepted.invalidUser != nil {
		return accepted.invalidUser
	}
	payload, err := loadSubmitPayload(submitted.Payload)
	if err != nil {
		return err
	}
	if !accepted.created.isOf(&payload, &accepted.payload) {
		return errInvalidCertificate
	}
	return nil
}

// checkSameRoot wants the chains of both to end at the same root, if it is known whom to
// trust. That of the submitter counts as it was then.
func (r *Rules) checkSameRoot(accepted *acceptance, submitted *Enrollment) error {
	if r.options.TrustedRoots == nil || !submitted.Identity.isPKI() {
		return nil
	}
	roots, err := r.checkIdentity(&submitted.Identity, submitted.Payload, submitted.SubmittedOn, protocol.StatusInvalidX509Trustchain)
	if err != nil || !slices.ContainsFunc(roots, func(root *x509.Certificate) bool {
		return slices.ContainsFunc(accepted.roots, root.Equal)
	}) {
		return protocol.Refuse(protocol.StatusInvalidX509Trustchain)
	}
	return nil
}

// isOf reports whether the user, with its first device, is the one of an enrollment:
// with the keys that were submitted, and all that the newcomer is told. Otherwise its
// client would refuse the result, and the account would be dead.
func (n *newUser) isOf(submitted *certificate.EnrollmentSubmit, accepted *certificate.EnrollmentAccept) bool {
	return n.publicKey == submitted.PublicKey && n.device.VerifyKey == submitted.VerifyKey &&
		n.user.ID == accepted.UserID && n.device.ID == accepted.DeviceID &&
		n.user.HumanHandle == accepted.HumanHandle && n.label == accepted.DeviceLabel && n.user.Profile == accepted.Profile
}
