package testclient3

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// Identity is what the payloads of an enrollment are signed with
// (docs/protocol/v5/enrollment.md §1.2): a Card or an Entity.
type Identity interface {
	signSubmission(payload []byte) (protocol.SubmitSignature, error)
	signAcceptance(payload []byte) (protocol.AcceptSignature, error)
	// verifySubmission and verifyAcceptance check that a payload is signed in the same
	// identity system. Whom to trust is up to the caller.
	verifySubmission(payload []byte, signature *protocol.SubmitSignature) error
	verifyAcceptance(payload []byte, signature *protocol.AcceptSignature) error
}

var (
	_ Identity = Card{}
	_ Identity = Entity("")
)

var errSignature = errors.New("not signed in the same identity system")

// Card is what a smart card holds: an X.509 certificate, in DER, with its RSA key, and
// those on the way to the root.
type Card struct {
	Leaf          []byte
	Key           *rsa.PrivateKey
	Intermediates [][]byte
}

func (c Card) sign(payload []byte) ([]byte, error) {
	digest := sha256.Sum256(payload)
	return rsa.SignPSS(rand.Reader, c.Key, crypto.SHA256, digest[:], nil)
}

func (c Card) signSubmission(payload []byte) (protocol.SubmitSignature, error) {
	signature, err := c.sign(payload)
	return protocol.SubmitSignature{PKI: &protocol.SubmitPKISignature{Signature: signature, Leaf: c.Leaf, Intermediates: c.Intermediates}}, err
}

func (c Card) signAcceptance(payload []byte) (protocol.AcceptSignature, error) {
	signature, err := c.sign(payload)
	return protocol.AcceptSignature{PKI: &protocol.AcceptPKISignature{Signature: signature, Leaf: c.Leaf, Intermediates: c.Intermediates}}, err
}

func (Card) verifySubmission(payload []byte, signature *protocol.SubmitSignature) error {
	if signature.PKI == nil {
		return errSignature
	}
	return verifyCard(signature.PKI.Leaf, payload, signature.PKI.Signature)
}

func (Card) verifyAcceptance(payload []byte, signature *protocol.AcceptSignature) error {
	if signature.PKI == nil {
		return errSignature
	}
	return verifyCard(signature.PKI.Leaf, payload, signature.PKI.Signature)
}

func verifyCard(leaf, payload, signature []byte) error {
	owner, err := x509.ParseCertificate(leaf)
	if err != nil {
		return err
	}
	key, isRSA := owner.PublicKey.(*rsa.PublicKey)
	if !isRSA {
		return errSignature
	}
	digest := sha256.Sum256(payload)
	return rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, nil)
}

// Entity is one of an OpenBao server, by its id: a stand-in, whose signatures are
// digests.
type Entity string

func (e Entity) sign(payload []byte) string { return signOf(string(e), payload) }

func signOf(entity string, payload []byte) string {
	return fmt.Sprintf("vault:v1:%x", sha256.Sum256(append([]byte(entity), payload...)))
}

func (e Entity) signSubmission(payload []byte) (protocol.SubmitSignature, error) {
	return protocol.SubmitSignature{OpenBao: &protocol.SubmitOpenBaoSignature{Signature: e.sign(payload), EntityID: string(e)}}, nil
}

func (e Entity) signAcceptance(payload []byte) (protocol.AcceptSignature, error) {
	return protocol.AcceptSignature{OpenBao: &protocol.AcceptOpenBaoSignature{Signature: e.sign(payload), EntityID: string(e)}}, nil
}

func (Entity) verifySubmission(payload []byte, signature *protocol.SubmitSignature) error {
	if signature.OpenBao == nil || signature.OpenBao.Signature != signOf(signature.OpenBao.EntityID, payload) {
		return errSignature
	}
	return nil
}

func (Entity) verifyAcceptance(payload []byte, signature *protocol.AcceptSignature) error {
	if signature.OpenBao == nil || signature.OpenBao.Signature != signOf(signature.OpenBao.EntityID, payload) {
		return errSignature
	}
	return nil
}

// Enrollment is what somebody keeps who asks to join an organization, until an ADMIN
// decides (docs/protocol/v5/enrollment.md §1).
type Enrollment struct {
	Organization parsec.OrganizationID
	ID           parsec3.EnrollmentID
	Identity     Identity
	// SigningKey and PrivateKey become those of the device and the user.
	SigningKey ed25519.PrivateKey
	PrivateKey *ecdh.PrivateKey
}

// NewEnrollment returns a new enrollment, and the request that submits it.
func NewEnrollment(organization parsec.OrganizationID, identity Identity, person client3.Person) (*Enrollment, *protocol.AsyncEnrollmentSubmitRequest, error) {
	e := &Enrollment{Organization: organization, ID: parsec3.EnrollmentID(parsec.NewUUID()), Identity: identity}
	var err error
	if e.PrivateKey, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return nil, nil, err
	}
	verifyKey, signingKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	e.SigningKey = signingKey
	payload, err := certificate.EnrollmentSubmit{
		VerifyKey: parsec.VerifyKey(verifyKey), PublicKey: parsec.PublicKey(e.PrivateKey.PublicKey().Bytes()),
		DeviceLabel: person.Label, HumanHandle: person.HumanHandle,
	}.Pack()
	if err != nil {
		return nil, nil, err
	}
	signature, err := identity.signSubmission(payload)
	return e, &protocol.AsyncEnrollmentSubmitRequest{EnrollmentID: e.ID, SubmitPayload: payload, SubmitPayloadSignature: signature}, err
}

// AcceptEnrollment returns the request by which d, of an ADMIN, makes a user as it is
// asked for. now is the date of the certificates.
func AcceptEnrollment(d *client3.Device, submitted *protocol.SubmittedEnrollment, profile parsec.UserProfile, identity Identity, now parsec.DateTime) (*protocol.AsyncEnrollmentAcceptRequest, error) {
	if err := identity.verifySubmission(submitted.SubmitPayload, &submitted.SubmitPayloadSignature); err != nil {
		return nil, err
	}
	asked, err := certificate.LoadEnrollmentSubmit(submitted.SubmitPayload)
	if err != nil {
		return nil, err
	}
	user := certificate.User{
		Author: d.ID, Timestamp: now, UserID: parsec3.UserID(parsec.NewUUID()),
		HumanHandle: asked.HumanHandle, PublicKey: asked.PublicKey, Profile: profile,
	}
	device := certificate.Device{
		Author: d.ID, Timestamp: now, Purpose: parsec3.PurposeStandard, UserID: user.UserID,
		DeviceID: parsec3.DeviceID(parsec.NewUUID()), DeviceLabel: asked.DeviceLabel, VerifyKey: asked.VerifyKey,
	}
	request := &protocol.AsyncEnrollmentAcceptRequest{EnrollmentID: submitted.EnrollmentID, SendEmail: new(false)}
	var errs [6]error
	request.UserCertificate, errs[0] = user.Sign(d.SigningKey)
	request.DeviceCertificate, errs[1] = device.Sign(d.SigningKey)
	request.RedactedUserCertificate, errs[2] = user.Redacted().Sign(d.SigningKey)
	request.RedactedDeviceCertificate, errs[3] = device.Redacted().Sign(d.SigningKey)
	request.AcceptPayload, errs[4] = certificate.EnrollmentAccept{
		UserID: user.UserID, DeviceID: device.DeviceID, DeviceLabel: device.DeviceLabel,
		HumanHandle: user.HumanHandle, Profile: profile, RootVerifyKey: d.RootVerifyKey,
	}.Pack()
	request.AcceptPayloadSignature, errs[5] = identity.signAcceptance(request.AcceptPayload)
	return request, errors.Join(errs[:]...)
}

// Finish returns the first device of who was accepted.
func (e *Enrollment) Finish(info *protocol.AsyncEnrollmentInfoReply) (*client3.Device, error) {
	if info.Status != protocol.EnrollmentAccepted {
		return nil, fmt.Errorf("the enrollment is %s", info.Status)
	}
	if err := e.Identity.verifyAcceptance(info.AcceptPayload, info.AcceptPayloadSignature); err != nil {
		return nil, err
	}
	told, err := certificate.LoadEnrollmentAccept(info.AcceptPayload)
	if err != nil {
		return nil, err
	}
	return &client3.Device{
		Organization: e.Organization, User: told.UserID, ID: told.DeviceID, Label: told.DeviceLabel, HumanHandle: told.HumanHandle,
		Profile: told.Profile, SigningKey: e.SigningKey, PrivateKey: e.PrivateKey, RootVerifyKey: told.RootVerifyKey,
	}, nil
}
