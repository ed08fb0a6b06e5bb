package protocol

import (
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// AsyncEnrollmentSubmitRequest asks to become a user
// (docs/protocol/v5/enrollment.md §2.1).
type AsyncEnrollmentSubmitRequest struct {
	EnrollmentID parsec3.EnrollmentID `wire:"enrollment_id"`
	// Force cancels what was submitted for the same e-mail.
	Force                  bool            `wire:"force"`
	SubmitPayload          []byte          `wire:"submit_payload"`
	SubmitPayloadSignature SubmitSignature `wire:"submit_payload_signature"`
}

// AsyncEnrollmentSubmitReply says since when the enrollment waits.
type AsyncEnrollmentSubmitReply struct {
	SubmittedOn parsec.DateTime `wire:"submitted_on"`
}

// AsyncEnrollmentInfoRequest asks what became of an enrollment.
type AsyncEnrollmentInfoRequest struct {
	EnrollmentID parsec3.EnrollmentID `wire:"enrollment_id"`
}

// AsyncEnrollmentInfoReply has the fields of its status, and no others.
type AsyncEnrollmentInfoReply struct {
	Status      EnrollmentStatus `wire:"enrollment_status"`
	SubmittedOn parsec.DateTime  `wire:"submitted_on"`
	CancelledOn *parsec.DateTime `wire:"cancelled_on,optional,omitnil"`
	RejectedOn  *parsec.DateTime `wire:"rejected_on,optional,omitnil"`

	AcceptedOn             *parsec.DateTime `wire:"accepted_on,optional,omitnil"`
	AcceptPayload          []byte           `wire:"accept_payload,optional,omitnil"`
	AcceptPayloadSignature *AcceptSignature `wire:"accept_payload_signature,optional,omitnil"`
}

// Size implements rpc.Sized.
func (r *AsyncEnrollmentInfoReply) Size() int {
	size := len(r.AcceptPayload)
	if r.AcceptPayloadSignature != nil {
		size += r.AcceptPayloadSignature.size()
	}
	return size
}

// EnrollmentStatus is how far an enrollment is.
type EnrollmentStatus string

// An enrollment leaves EnrollmentSubmitted once, for ever.
const (
	EnrollmentSubmitted EnrollmentStatus = "SUBMITTED"
	EnrollmentCancelled EnrollmentStatus = "CANCELLED"
	EnrollmentRejected  EnrollmentStatus = "REJECTED"
	EnrollmentAccepted  EnrollmentStatus = "ACCEPTED"
)

// AsyncEnrollmentCancelRequest takes an enrollment back.
type AsyncEnrollmentCancelRequest struct {
	EnrollmentID parsec3.EnrollmentID `wire:"enrollment_id"`
}

// AsyncEnrollmentCancelReply has no field.
type AsyncEnrollmentCancelReply struct{}

// AsyncEnrollmentListRequest has no field.
type AsyncEnrollmentListRequest struct{}

// AsyncEnrollmentListReply has what waits for an ADMIN, the oldest first.
type AsyncEnrollmentListReply struct {
	Enrollments []SubmittedEnrollment `wire:"enrollments"`
}

// SubmittedEnrollment is an enrollment as it was submitted.
type SubmittedEnrollment struct {
	EnrollmentID           parsec3.EnrollmentID `wire:"enrollment_id"`
	SubmittedOn            parsec.DateTime      `wire:"submitted_on"`
	SubmitPayload          []byte               `wire:"submit_payload"`
	SubmitPayloadSignature SubmitSignature      `wire:"submit_payload_signature"`
}

// submittedBytes is what a SubmittedEnrollment takes beside its payload and signature.
const submittedBytes = 350

// Size implements rpc.Sized.
func (r *AsyncEnrollmentListReply) Size() int {
	size := 0
	for i := range r.Enrollments {
		size += submittedBytes + len(r.Enrollments[i].SubmitPayload) + r.Enrollments[i].SubmitPayloadSignature.size()
	}
	return size
}

// AsyncEnrollmentRejectRequest refuses an enrollment.
type AsyncEnrollmentRejectRequest struct {
	EnrollmentID parsec3.EnrollmentID `wire:"enrollment_id"`
}

// AsyncEnrollmentRejectReply has no field.
type AsyncEnrollmentRejectReply struct{}

// AsyncEnrollmentAcceptRequest makes a user of who has submitted an enrollment.
type AsyncEnrollmentAcceptRequest struct {
	EnrollmentID              parsec3.EnrollmentID `wire:"enrollment_id"`
	UserCertificate           []byte               `wire:"submitter_user_certificate"`
	DeviceCertificate         []byte               `wire:"submitter_device_certificate"`
	RedactedUserCertificate   []byte               `wire:"submitter_redacted_user_certificate"`
	RedactedDeviceCertificate []byte               `wire:"submitter_redacted_device_certificate"`
	AcceptPayload             []byte               `wire:"accept_payload"`
	AcceptPayloadSignature    AcceptSignature      `wire:"accept_payload_signature"`
	// SendEmail is of API 5.5; nil is false.
	SendEmail *bool `wire:"send_email,optional,omitnil"`
}

// AsyncEnrollmentAcceptReply says what became of the e-mail; clients before API 5.5
// ignore it.
type AsyncEnrollmentAcceptReply struct {
	EmailSent EmailSent `wire:"email_sent"`
}

// SignatureKind is by what clients trust a signature
// (docs/protocol/v5/enrollment.md §1.2).
type SignatureKind string

// The key of an X.509 certificate signs, or an OpenBao server for one of its entities.
const (
	SignedByPKI     SignatureKind = "PKI"
	SignedByOpenBao SignatureKind = "OPEN_BAO"
)

// PKIAlgorithm is the only one of the signatures of a PKI.
type PKIAlgorithm struct{}

const pkiAlgorithm = "RSASSA-PSS-SHA256"

// MarshalText returns the wire form.
func (PKIAlgorithm) MarshalText() ([]byte, error) { return []byte(pkiAlgorithm), nil }

// UnmarshalText refuses any other text.
func (*PKIAlgorithm) UnmarshalText(text []byte) error {
	if string(text) != pkiAlgorithm {
		return fmt.Errorf("must be %q", pkiAlgorithm)
	}
	return nil
}

// SubmitSignature is what who submits an enrollment proves to be. The certificates of a
// PKI are in DER; the intermediate ones in any order.
type SubmitSignature struct {
	Kind SignatureKind `wire:"type"`

	Signature     []byte       `wire:"signature,if=PKI"`
	Algorithm     PKIAlgorithm `wire:"algorithm,if=PKI"`
	Leaf          []byte       `wire:"submitter_der_x509_certificate,if=PKI"`
	Intermediates [][]byte     `wire:"intermediate_der_x509_certificates,if=PKI"`

	OpenBaoSignature string `wire:"signature,if=OPEN_BAO"`
	EntityID         string `wire:"submitter_openbao_entity_id,if=OPEN_BAO"`
}

// AcceptSignature is a SubmitSignature of who accepts.
type AcceptSignature struct {
	Kind SignatureKind `wire:"type"`

	Signature     []byte       `wire:"signature,if=PKI"`
	Algorithm     PKIAlgorithm `wire:"algorithm,if=PKI"`
	Leaf          []byte       `wire:"accepter_der_x509_certificate,if=PKI"`
	Intermediates [][]byte     `wire:"intermediate_der_x509_certificates,if=PKI"`

	OpenBaoSignature string `wire:"signature,if=OPEN_BAO"`
	EntityID         string `wire:"accepter_openbao_entity_id,if=OPEN_BAO"`
}

// size is at least what the signature takes in a message, in bytes, but for some 200.
func (s *SubmitSignature) size() int {
	return len(s.Signature) + len(s.Leaf) + binsSize(s.Intermediates) + len(s.OpenBaoSignature) + len(s.EntityID)
}

func (s *AcceptSignature) size() int {
	return len(s.Signature) + len(s.Leaf) + binsSize(s.Intermediates) + len(s.OpenBaoSignature) + len(s.EntityID)
}

// EmailAlreadySubmittedDetails is the field of email_already_submitted.
type EmailAlreadySubmittedDetails struct {
	SubmittedOn parsec.DateTime `wire:"submitted_on"`
}

// RefuseAlreadySubmitted returns the refusal of an enrollment for the e-mail of another
// one.
func RefuseAlreadySubmitted(on parsec.DateTime) *Refusal {
	return &Refusal{Status: StatusEmailAlreadySubmitted, Details: &EmailAlreadySubmittedDetails{on}}
}

// AsyncEnrollmentEvent tells an ADMIN that enrollments have changed.
type AsyncEnrollmentEvent struct{}

// EventName implements Event.
func (*AsyncEnrollmentEvent) EventName() string { return "ASYNC_ENROLLMENT" }
