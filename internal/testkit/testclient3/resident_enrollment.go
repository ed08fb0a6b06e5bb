package testclient3

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// Submitter is a client that asks to become a user without invitation, as a person with
// an identity of a PKI (docs/protocol/v5/enrollment.md §1).
type Submitter struct {
	// ID is that of the enrollment.
	ID       parsec3.EnrollmentID
	client   *client3.Client
	rpc      *client3.RPC
	pki      *PKI
	identity *Badge
	// device has no ids yet.
	device *client3.Device
}

// NewSubmitter returns one that has not asked yet.
func NewSubmitter(c *client3.Client, organization parsec.OrganizationID, as client3.Person, pki *PKI, identity *Badge) (*Submitter, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	return &Submitter{
		ID: parsec3.EnrollmentID(parsec.NewUUID()), client: c, rpc: c.Anonymous(organization), pki: pki, identity: identity,
		device: &client3.Device{
			Organization: organization, Label: as.Label, HumanHandle: as.HumanHandle,
			SigningKey: newSigningKey(), PrivateKey: private,
		},
	}, err
}

// Submit asks. force cancels what was submitted for the same e-mail address.
func (s *Submitter) Submit(ctx context.Context, force bool) error {
	payload, err := certificate.EnrollmentSubmit{
		VerifyKey: s.device.VerifyKey(), PublicKey: s.device.PublicKey(),
		DeviceLabel: s.device.Label, HumanHandle: s.device.HumanHandle,
	}.Pack()
	if err != nil {
		return err
	}
	signature, err := s.identity.sign(payload)
	if err != nil {
		return err
	}
	_, err = client3.Call(ctx, s.rpc, protocol.AsyncEnrollmentSubmit, &protocol.AsyncEnrollmentSubmitRequest{
		EnrollmentID: s.ID, Force: force, SubmitPayload: payload,
		SubmitPayloadSignature: protocol.SubmitSignature{PKI: &protocol.SubmitPKISignature{
			Signature: signature, Leaf: s.identity.leaf.Raw, Intermediates: s.identity.intermediates,
		}},
	})
	return err
}

// Info asks what became of it.
func (s *Submitter) Info(ctx context.Context) (*protocol.AsyncEnrollmentInfoReply, error) {
	return client3.Call(ctx, s.rpc, protocol.AsyncEnrollmentInfo, &protocol.AsyncEnrollmentInfoRequest{EnrollmentID: s.ID})
}

// Cancel takes it back.
func (s *Submitter) Cancel(ctx context.Context) error {
	_, err := client3.Call(ctx, s.rpc, protocol.AsyncEnrollmentCancel, &protocol.AsyncEnrollmentCancelRequest{EnrollmentID: s.ID})
	return err
}

// Finish returns the device, once the answer is verified.
func (s *Submitter) Finish(ctx context.Context) (*client3.Device, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return nil, err
	}
	if info.Status != protocol.EnrollmentAccepted || info.AcceptPayloadSignature == nil || info.AcceptPayloadSignature.PKI == nil {
		return nil, fmt.Errorf("the enrollment is %s", info.Status)
	}
	proof := info.AcceptPayloadSignature.PKI
	if _, err := s.pki.verify(info.AcceptPayload, proof.Signature, proof.Leaf, proof.Intermediates, s.client.Now().Time()); err != nil {
		return nil, fmt.Errorf("the answer: %w", err)
	}
	answer, err := certificate.LoadEnrollmentAccept(info.AcceptPayload)
	if err != nil {
		return nil, err
	}
	device := *s.device
	device.User, device.ID, device.Label = answer.UserID, answer.DeviceID, answer.DeviceLabel
	device.HumanHandle, device.Profile, device.RootVerifyKey = answer.HumanHandle, answer.Profile, answer.RootVerifyKey
	return &device, nil
}

// Enrollments returns what waits for an ADMIN.
func (r *Resident) Enrollments(ctx context.Context) ([]protocol.SubmittedEnrollment, error) {
	reply, err := client3.Call(ctx, r.rpc, protocol.AsyncEnrollmentList, &protocol.AsyncEnrollmentListRequest{})
	if err != nil {
		return nil, err
	}
	return reply.Enrollments, nil
}

// RejectEnrollment refuses one.
func (r *Resident) RejectEnrollment(ctx context.Context, id parsec3.EnrollmentID) error {
	_, err := client3.Call(ctx, r.rpc, protocol.AsyncEnrollmentReject, &protocol.AsyncEnrollmentRejectRequest{EnrollmentID: id})
	return err
}

// errOtherIdentity is that of who asks for an e-mail address that the identity is not of.
var errOtherIdentity = errors.New("the identity is of somebody else")

// AcceptEnrollment makes a user of who has submitted an enrollment, once its identity is
// verified, and has an e-mail tell so. The owner of r signs with an identity, too.
func (r *Resident) AcceptEnrollment(ctx context.Context, submitted *protocol.SubmittedEnrollment, profile parsec.UserProfile, pki *PKI, identity *Badge) (parsec3.UserID, protocol.EmailSent, error) {
	asked, err := r.verifyEnrollment(submitted, pki)
	if err != nil {
		return parsec3.UserID{}, "", err
	}
	newcomer := newcomer{
		user: parsec3.UserID(parsec.NewUUID()), device: parsec3.DeviceID(parsec.NewUUID()), label: asked.DeviceLabel,
		handle: asked.HumanHandle, profile: profile, publicKey: asked.PublicKey, verifyKey: asked.VerifyKey,
	}
	payload, err := certificate.EnrollmentAccept{
		UserID: newcomer.user, DeviceID: newcomer.device, DeviceLabel: newcomer.label, HumanHandle: newcomer.handle,
		Profile: profile, RootVerifyKey: r.Device.RootVerifyKey,
	}.Pack()
	if err != nil {
		return parsec3.UserID{}, "", err
	}
	signature, err := identity.sign(payload)
	if err != nil {
		return parsec3.UserID{}, "", err
	}
	reply, err := certifyFor(ctx, r, protocol.AsyncEnrollmentAccept, aheadCommon, func(now parsec.DateTime) (*protocol.AsyncEnrollmentAcceptRequest, error) {
		certificates, err := certifyNewcomer(r.Device, newcomer, now)
		if err != nil {
			return nil, err
		}
		return &protocol.AsyncEnrollmentAcceptRequest{
			EnrollmentID:    submitted.EnrollmentID,
			UserCertificate: certificates.UserCertificate, RedactedUserCertificate: certificates.RedactedUserCertificate,
			DeviceCertificate: certificates.DeviceCertificate, RedactedDeviceCertificate: certificates.RedactedDeviceCertificate,
			AcceptPayload: payload, SendEmail: new(true),
			AcceptPayloadSignature: protocol.AcceptSignature{PKI: &protocol.AcceptPKISignature{
				Signature: signature, Leaf: identity.leaf.Raw, Intermediates: identity.intermediates,
			}},
		}, nil
	})
	if err != nil {
		return parsec3.UserID{}, "", err
	}
	return newcomer.user, reply.EmailSent, r.Poll(ctx)
}

func (r *Resident) verifyEnrollment(submitted *protocol.SubmittedEnrollment, pki *PKI) (certificate.EnrollmentSubmit, error) {
	var none certificate.EnrollmentSubmit
	proof := submitted.SubmitPayloadSignature.PKI
	if proof == nil {
		return none, errOtherIdentity
	}
	emails, err := pki.verify(submitted.SubmitPayload, proof.Signature, proof.Leaf, proof.Intermediates, r.client.Now().Time())
	if err != nil {
		return none, fmt.Errorf("the enrollment: %w", err)
	}
	asked, err := certificate.LoadEnrollmentSubmit(submitted.SubmitPayload)
	if err != nil {
		return none, err
	}
	if !isOf(emails, asked.HumanHandle.Email()) {
		return none, errOtherIdentity
	}
	return asked, nil
}
