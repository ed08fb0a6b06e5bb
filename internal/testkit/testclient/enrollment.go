package testclient

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// Identity is what a smartcard holds: an X.509 certificate and the key that it
// certifies, ECDSA or RSA.
type Identity struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// sign signs a payload of an enrollment. RSA keys sign by PKCS #1 v1.5.
func (i Identity) sign(payload []byte) ([]byte, error) {
	digest := sha256.Sum256(payload)
	return i.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// verifyPayload checks that the owner of a certificate, in DER, signed a
// payload. Whom to trust is up to the caller.
func verifyPayload(der, payload, signature []byte) (*x509.Certificate, error) {
	owner, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	algorithm := x509.SHA256WithRSA
	if owner.PublicKeyAlgorithm == x509.ECDSA {
		algorithm = x509.ECDSAWithSHA256
	}
	return owner, owner.CheckSignature(algorithm, payload, signature)
}

// Enrollment is what somebody keeps who asks to join an organization with an
// X.509 certificate, until an ADMIN decides (docs/protocol/invite.md §7).
type Enrollment struct {
	Organization parsec.OrganizationID
	ID           parsec.EnrollmentID
	// SigningKey and PrivateKey become those of the device and the user.
	SigningKey ed25519.PrivateKey
	PrivateKey *ecdh.PrivateKey
}

// NewEnrollment returns a new enrollment and the request that submits it. email
// is "" for none.
func NewEnrollment(organization parsec.OrganizationID, identity Identity, email string, label parsec.DeviceLabel) (*Enrollment, *protocol.PKIEnrollmentSubmitRequest, error) {
	privateKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the user's key: %w", err)
	}
	verifyKey, signingKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the device's key: %w", err)
	}
	enrollment := &Enrollment{
		Organization: organization, ID: parsec.EnrollmentID(parsec.NewUUID()), SigningKey: signingKey, PrivateKey: privateKey,
	}
	payload, err := certificate.PKISubmit{
		VerifyKey:            parsec.VerifyKey(verifyKey),
		PublicKey:            parsec.PublicKey(privateKey.PublicKey().Bytes()),
		RequestedDeviceLabel: label,
	}.Pack()
	if err != nil {
		return nil, nil, err
	}
	signature, err := identity.sign(payload)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the enrollment: %w", err)
	}
	return enrollment, &protocol.PKIEnrollmentSubmitRequest{
		EnrollmentID: enrollment.ID, SubmitterDERX509Certificate: identity.Certificate.Raw,
		SubmitterDERX509CertificateEmail: email, SubmitPayload: payload, SubmitPayloadSignature: signature,
	}, nil
}

// AcceptEnrollment verifies that the owner of the certificate signed a pending
// enrollment, and returns the request by which d, of an ADMIN, accepts it as
// person. The label is the one requested unless person has another. now is the
// date of the certificates.
func AcceptEnrollment(d *parsec2.Device, item protocol.PKIEnrollmentItem, identity Identity, person parsec2.Person, profile parsec.UserProfile, now parsec.DateTime) (*protocol.PKIEnrollmentAcceptRequest, error) {
	if _, err := verifyPayload(item.SubmitterDERX509Certificate, item.SubmitPayload, item.SubmitPayloadSignature); err != nil {
		return nil, fmt.Errorf("verify the enrollment: %w", err)
	}
	submitted, err := certificate.LoadPKISubmit(item.SubmitPayload)
	if err != nil {
		return nil, err
	}
	if person.ID == (parsec.DeviceID{}) {
		person.ID = parsec2.RandomDeviceID()
	}
	if person.Label == (parsec.DeviceLabel{}) {
		person.Label = submitted.RequestedDeviceLabel
	}
	creation, err := parsec2.CertifyUser(certificate.User{
		Author: d.ID, Timestamp: now, UserID: person.ID.User(),
		HumanHandle: person.HumanHandle, PublicKey: submitted.PublicKey, Profile: profile,
	}, certificate.Device{
		Author: d.ID, Timestamp: now, DeviceID: person.ID, DeviceLabel: person.Label, VerifyKey: submitted.VerifyKey,
	}, d.SigningKey)
	if err != nil {
		return nil, err
	}
	payload, err := certificate.PKIAnswer{
		DeviceID: person.ID, DeviceLabel: person.Label, HumanHandle: person.HumanHandle, Profile: profile, RootVerifyKey: d.RootVerifyKey,
	}.Pack()
	if err != nil {
		return nil, err
	}
	signature, err := identity.sign(payload)
	if err != nil {
		return nil, fmt.Errorf("sign the answer: %w", err)
	}
	return &protocol.PKIEnrollmentAcceptRequest{
		UserCreateRequest: *creation, EnrollmentID: item.EnrollmentID,
		AcceptPayload: payload, AcceptPayloadSignature: signature, AccepterDERX509Certificate: identity.Certificate.Raw,
	}, nil
}

// Device verifies that the owner of the certificate signed the acceptance, and
// returns the device that the submitter now has and that certificate. Whether
// to trust its owner is up to the caller.
func (e *Enrollment) Device(info *protocol.PKIEnrollmentInfoReply) (*parsec2.Device, *x509.Certificate, error) {
	if info.EnrollmentStatus != parsec.PKIEnrollmentAccepted {
		return nil, nil, fmt.Errorf("the enrollment is %s", info.EnrollmentStatus)
	}
	accepter, err := verifyPayload(info.AccepterDERX509Certificate, info.AcceptPayload, info.AcceptPayloadSignature)
	if err != nil {
		return nil, nil, fmt.Errorf("verify the answer: %w", err)
	}
	answer, err := certificate.LoadPKIAnswer(info.AcceptPayload)
	if err != nil {
		return nil, nil, err
	}
	return &parsec2.Device{
		Organization: e.Organization, ID: answer.DeviceID, Label: answer.DeviceLabel, HumanHandle: answer.HumanHandle,
		Profile: answer.Profile, SigningKey: e.SigningKey, PrivateKey: e.PrivateKey, RootVerifyKey: answer.RootVerifyKey,
	}, accepter, nil
}
