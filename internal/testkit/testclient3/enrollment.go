package testclient3

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// Identity is what a person signs the payloads of enrollments with, and verifies those
// of other people with: a smart card (PKI.Badge) or an Entity
// (docs/protocol/v5/enrollment.md §1.2).
type Identity interface {
	sign(payload []byte) (protocol.SubmitSignature, error)
	// verify judges a signature as clients do: by whom they trust themselves, in the
	// same identity system. It returns the e-mail addresses of who has signed.
	verify(payload []byte, by protocol.SubmitSignature, now time.Time) (emails []string, err error)
}

var (
	errSystem    = errors.New("not signed in the same identity system")
	errSignature = errors.New("something else is signed")
	// errOtherIdentity is that of who asks for an e-mail address that the identity is
	// not of.
	errOtherIdentity = errors.New("the identity is of somebody else")
)

// Enrollment is what somebody keeps who asks to become a user without invitation, until
// an ADMIN decides (docs/protocol/v5/enrollment.md §1).
type Enrollment struct {
	ID       parsec3.EnrollmentID
	identity Identity
	// device has no ids yet.
	device client3.Device
}

// NewEnrollment returns a new enrollment, and the request that submits it.
func NewEnrollment(organization parsec.OrganizationID, identity Identity, as client3.Person) (*Enrollment, *protocol.AsyncEnrollmentSubmitRequest, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	e := &Enrollment{ID: parsec3.EnrollmentID(parsec.NewUUID()), identity: identity, device: client3.Device{
		Organization: organization, Label: as.Label, HumanHandle: as.HumanHandle, SigningKey: newSigningKey(), PrivateKey: private,
	}}
	payload, err := certificate.EnrollmentSubmit{
		VerifyKey: e.device.VerifyKey(), PublicKey: e.device.PublicKey(), DeviceLabel: as.Label, HumanHandle: as.HumanHandle,
	}.Pack()
	if err != nil {
		return nil, nil, err
	}
	signature, err := identity.sign(payload)
	return e, &protocol.AsyncEnrollmentSubmitRequest{EnrollmentID: e.ID, SubmitPayload: payload, SubmitPayloadSignature: signature}, err
}

// Finish returns the first device of who was accepted, once the answer is verified.
func (e *Enrollment) Finish(info *protocol.AsyncEnrollmentInfoReply, now parsec.DateTime) (*client3.Device, error) {
	if info.Status != protocol.EnrollmentAccepted || info.AcceptPayloadSignature == nil {
		return nil, fmt.Errorf("the enrollment is %s", info.Status)
	}
	proof := protocol.SubmitSignature(*info.AcceptPayloadSignature)
	if _, err := e.identity.verify(info.AcceptPayload, proof, now.Time()); err != nil {
		return nil, fmt.Errorf("the answer: %w", err)
	}
	answer, err := certificate.LoadEnrollmentAccept(info.AcceptPayload)
	if err != nil {
		return nil, err
	}
	device := e.device
	device.User, device.ID, device.Label = answer.UserID, answer.DeviceID, answer.DeviceLabel
	device.HumanHandle, device.Profile, device.RootVerifyKey = answer.HumanHandle, answer.Profile, answer.RootVerifyKey
	return &device, nil
}

// AcceptEnrollment returns the request by which d, of an ADMIN, makes a user of who has
// submitted an enrollment, once that is verified. The ADMIN signs with an identity, too.
// now is the date of the certificates.
func AcceptEnrollment(d *client3.Device, submitted *protocol.SubmittedEnrollment, profile parsec.UserProfile, identity Identity, now parsec.DateTime) (*protocol.AsyncEnrollmentAcceptRequest, error) {
	emails, err := identity.verify(submitted.SubmitPayload, submitted.SubmitPayloadSignature, now.Time())
	if err != nil {
		return nil, fmt.Errorf("the enrollment: %w", err)
	}
	asked, err := certificate.LoadEnrollmentSubmit(submitted.SubmitPayload)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(emails, asked.HumanHandle.Email()) {
		return nil, errOtherIdentity
	}
	newcomer := newcomer{
		user: parsec3.UserID(parsec.NewUUID()), device: parsec3.DeviceID(parsec.NewUUID()), label: asked.DeviceLabel,
		handle: asked.HumanHandle, profile: profile, publicKey: asked.PublicKey, verifyKey: asked.VerifyKey,
	}
	payload, err := certificate.EnrollmentAccept{
		UserID: newcomer.user, DeviceID: newcomer.device, DeviceLabel: newcomer.label, HumanHandle: newcomer.handle,
		Profile: profile, RootVerifyKey: d.RootVerifyKey,
	}.Pack()
	if err != nil {
		return nil, err
	}
	proof, err := identity.sign(payload)
	if err != nil {
		return nil, err
	}
	certificates, err := certifyNewcomer(d, newcomer, now)
	if err != nil {
		return nil, err
	}
	return &protocol.AsyncEnrollmentAcceptRequest{
		EnrollmentID:    submitted.EnrollmentID,
		UserCertificate: certificates.UserCertificate, RedactedUserCertificate: certificates.RedactedUserCertificate,
		DeviceCertificate: certificates.DeviceCertificate, RedactedDeviceCertificate: certificates.RedactedDeviceCertificate,
		AcceptPayload: payload, SendEmail: new(false),
		AcceptPayloadSignature: protocol.AcceptSignature(proof),
	}, nil
}

// AcceptEnrollment makes a user of who has submitted an enrollment, as the function of
// that name says, and has the server tell so by e-mail.
func (r *Resident) AcceptEnrollment(ctx context.Context, submitted *protocol.SubmittedEnrollment, profile parsec.UserProfile, identity Identity) (protocol.EmailSent, error) {
	reply, err := certifyFor(ctx, r, protocol.AsyncEnrollmentAccept, aheadCommon, func(now parsec.DateTime) (*protocol.AsyncEnrollmentAcceptRequest, error) {
		request, err := AcceptEnrollment(r.Device, submitted, profile, identity, now)
		if err != nil {
			return nil, err
		}
		request.SendEmail = new(true)
		return request, nil
	})
	if err != nil {
		return "", err
	}
	return reply.EmailSent, r.Poll(ctx)
}
