package rules

import (
	"bytes"
	"context"
	"slices"
)

// What tells that a request is one whose effect is stored already, sent again by
// a device that did not get the reply (docs/retries.md). Certificates name their
// author and its date: the same bytes are the same request.

func sameDevice(stored *Device, device Device) bool {
	return bytes.Equal(stored.Certificate, device.Certificate) && bytes.Equal(stored.RedactedCertificate, device.RedactedCertificate)
}

// sameUser compares a stored user, and its first device.
func sameUser(ctx context.Context, tx Tx, stored *User, user User, device Device) (bool, error) {
	if !bytes.Equal(stored.Certificate, user.Certificate) || !bytes.Equal(stored.RedactedCertificate, user.RedactedCertificate) {
		return false, nil
	}
	first, exists, err := tx.Device(ctx, device.ID)
	return err == nil && exists && sameDevice(first, device), err
}

// sameBootstrap compares the bootstrap of an organization, whose first user is
// nobody else's.
func (o *Organization) sameBootstrap(ctx context.Context, tx Tx, token string, first bootstrap) (bool, error) {
	if token != o.BootstrapToken || *o.RootVerifyKey != first.RootVerifyKey ||
		!bytes.Equal(o.SequesterAuthorityCertificate, first.SequesterAuthorityCertificate) {
		return false, nil
	}
	stored, exists, err := tx.User(ctx, first.User.ID)
	if err != nil || !exists {
		return false, err
	}
	return sameUser(ctx, tx, stored, first.User, first.Device)
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

// sameSetup compares all that the owner sent.
func (s *ShamirSetup) sameSetup(setup *ShamirSetup) bool {
	sameShare := func(a, b ShamirShare) bool {
		return a.Recipient == b.Recipient && a.Shares == b.Shares && bytes.Equal(a.Certificate, b.Certificate)
	}
	return s.Owner == setup.Owner && s.RevealToken == setup.RevealToken && s.Threshold == setup.Threshold &&
		bytes.Equal(s.CipheredData, setup.CipheredData) && bytes.Equal(s.BriefCertificate, setup.BriefCertificate) &&
		slices.EqualFunc(s.Shares, setup.Shares, sameShare)
}
