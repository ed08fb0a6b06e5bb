package protocol

import (
	"fmt"

	"parsec-server/pkg/parsec"
)

// The PKI enrollments of API 2.6 and 3 (docs/protocol/invite.md §7). X.509
// certificates are DER; they and the signatures made with them are opaque to
// the server.

// maxEnrollmentField bounds each of the bytes of an enrollment: a certificate
// with many extensions has a few KiB, and strangers write them.
const maxEnrollmentField = 16 << 10

// PKIEnrollmentSubmitRequest asks to join the organization.
type PKIEnrollmentSubmitRequest struct {
	EnrollmentID parsec.EnrollmentID `wire:"enrollment_id"`
	// Force cancels the pending enrollment of the same certificate.
	Force                       bool   `wire:"force"`
	SubmitterDERX509Certificate []byte `wire:"submitter_der_x509_certificate"`
	// SubmitterDERX509CertificateEmail is "" for none; clients before 2.8.3 do
	// not send it.
	SubmitterDERX509CertificateEmail string `wire:"submitter_der_x509_certificate_email,nullable,optional"`
	SubmitPayloadSignature           []byte `wire:"submit_payload_signature"`
	SubmitPayload                    []byte `wire:"submit_payload"`
}

// Validate bounds what is stored.
func (r *PKIEnrollmentSubmitRequest) Validate() error {
	if err := validateEmail("submitter_der_x509_certificate_email", r.SubmitterDERX509CertificateEmail); err != nil {
		return err
	}
	return validateEnrollment(map[string][]byte{
		"submitter_der_x509_certificate": r.SubmitterDERX509Certificate,
		"submit_payload_signature":       r.SubmitPayloadSignature,
		"submit_payload":                 r.SubmitPayload,
	})
}

func validateEnrollment(fields map[string][]byte) error {
	for name, value := range fields {
		if len(value) > maxEnrollmentField {
			return fmt.Errorf("%s: more than %d bytes", name, maxEnrollmentField)
		}
	}
	return nil
}

// PKIEnrollmentSubmitReply is the date of the submission.
type PKIEnrollmentSubmitReply struct {
	SubmittedOn parsec.DateTime `wire:"submitted_on"`
}

// AlreadySubmittedDetails is the field of already_submitted: the date of the
// pending enrollment.
type AlreadySubmittedDetails struct {
	SubmittedOn parsec.DateTime `wire:"submitted_on"`
}

// PKIEnrollmentInfoRequest asks what became of an enrollment.
type PKIEnrollmentInfoRequest struct {
	EnrollmentID parsec.EnrollmentID `wire:"enrollment_id"`
}

// PKIEnrollmentInfoReply has the fields of its status; the others are nil, and
// not on the wire.
type PKIEnrollmentInfoReply struct {
	EnrollmentStatus           parsec.PKIEnrollmentStatus `wire:"enrollment_status"`
	SubmittedOn                parsec.DateTime            `wire:"submitted_on"`
	AcceptedOn                 *parsec.DateTime           `wire:"accepted_on,optional,omitnil"`
	RejectedOn                 *parsec.DateTime           `wire:"rejected_on,optional,omitnil"`
	CancelledOn                *parsec.DateTime           `wire:"cancelled_on,optional,omitnil"`
	AccepterDERX509Certificate []byte                     `wire:"accepter_der_x509_certificate,optional,omitnil"`
	AcceptPayloadSignature     []byte                     `wire:"accept_payload_signature,optional,omitnil"`
	AcceptPayload              []byte                     `wire:"accept_payload,optional,omitnil"`
}

// PKIEnrollmentListRequest has no field.
type PKIEnrollmentListRequest struct{}

// PKIEnrollmentListReply lists the pending enrollments, oldest first.
type PKIEnrollmentListReply struct {
	Enrollments []PKIEnrollmentItem `wire:"enrollments"`
}

// PKIEnrollmentItem is a pending enrollment.
type PKIEnrollmentItem struct {
	EnrollmentID                parsec.EnrollmentID `wire:"enrollment_id"`
	SubmitPayload               []byte              `wire:"submit_payload"`
	SubmitPayloadSignature      []byte              `wire:"submit_payload_signature"`
	SubmittedOn                 parsec.DateTime     `wire:"submitted_on"`
	SubmitterDERX509Certificate []byte              `wire:"submitter_der_x509_certificate"`
}

// PKIEnrollmentRejectRequest ends an enrollment.
type PKIEnrollmentRejectRequest struct {
	EnrollmentID parsec.EnrollmentID `wire:"enrollment_id"`
}

// PKIEnrollmentAcceptRequest creates the user of an enrollment, as user_create
// does.
type PKIEnrollmentAcceptRequest struct {
	UserCreateRequest
	EnrollmentID               parsec.EnrollmentID `wire:"enrollment_id"`
	AcceptPayload              []byte              `wire:"accept_payload"`
	AcceptPayloadSignature     []byte              `wire:"accept_payload_signature"`
	AccepterDERX509Certificate []byte              `wire:"accepter_der_x509_certificate"`
}

// Validate bounds what is given to strangers.
func (r *PKIEnrollmentAcceptRequest) Validate() error {
	return validateEnrollment(map[string][]byte{
		"accepter_der_x509_certificate": r.AccepterDERX509Certificate,
		"accept_payload_signature":      r.AcceptPayloadSignature,
		"accept_payload":                r.AcceptPayload,
	})
}

// Size implements rpc.Sized.
func (r *PKIEnrollmentListReply) Size() int {
	const otherFields = 256
	size := 0
	for i := range r.Enrollments {
		e := &r.Enrollments[i]
		size += len(e.SubmitPayload) + len(e.SubmitPayloadSignature) + len(e.SubmitterDERX509Certificate) + otherFields
	}
	return size
}
