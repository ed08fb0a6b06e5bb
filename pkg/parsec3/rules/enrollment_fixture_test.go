package rules_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// card is an X.509 certificate with its key.
type card struct {
	*x509.Certificate
	key crypto.Signer
}

// rootAuthority signs itself. All cards have the same key.
func (f *fixture) rootAuthority(name string) *card {
	f.t.Helper()
	return f.issue(nil, name, authority)
}

// issue makes a card that is valid for a day from an hour ago on; a nil issuer is itself.
func (f *fixture) issue(by *card, name string, changes ...func(*x509.Certificate)) *card {
	f.t.Helper()
	return f.issueFor(authorityKey(f.t), by, name, changes...)
}

// smallAuthority is rootAuthority with a short key.
func (f *fixture) smallAuthority(name string) *card {
	f.t.Helper()
	return f.issueFor(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), nil, name, authority)
}

// issueFor is issue for a key.
func (f *fixture) issueFor(key crypto.Signer, by *card, name string, changes ...func(*x509.Certificate)) *card {
	f.t.Helper()
	return &card{must(x509.ParseCertificate(f.issueDER(key, by, name, changes...))), key}
}

// issueOdd is issue for an owner whose e-mail address is in letters that clients read,
// and Go does not.
func (f *fixture) issueOdd(by *card, name string) *card {
	f.t.Helper()
	names := must(asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("zo\xe9@example.com")}}))
	odd := f.issueDER(authorityKey(f.t), by, name, func(template *x509.Certificate) {
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}}
	})
	if _, err := x509.ParseCertificate(odd); err == nil {
		f.t.Fatal("nothing is odd")
	}
	return &card{&x509.Certificate{Raw: odd}, authorityKey(f.t)}
}

func (f *fixture) issueDER(key crypto.Signer, by *card, name string, changes ...func(*x509.Certificate)) []byte {
	f.t.Helper()
	now := f.clock.now().Time()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	for _, change := range changes {
		change(template)
	}
	if by == nil {
		by = &card{template, key}
	}
	return must(x509.CreateCertificate(rand.Reader, template, by.Certificate, key.Public(), by.key))
}

// hugeKey has a public key of more bits than are taken, and nobody the private one.
type hugeKey struct{ crypto.Signer }

func (hugeKey) Public() crypto.PublicKey {
	const bits, exponent = 8192, 65537
	return &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), bits, 1), E: exponent}
}

// issueHuge is issue for a huge key: another one signs.
func (f *fixture) issueHuge(by *card, name string) *card {
	f.t.Helper()
	issued := f.issueFor(hugeKey{authorityKey(f.t)}, by, name)
	issued.key = authorityKey(f.t)
	return issued
}

// authority lets a card issue others.
func authority(template *x509.Certificate) {
	template.IsCA, template.BasicConstraintsValid = true, true
}

// sign is the signature of a PKI.
func (c *card) sign(payload []byte) []byte {
	digest := sha256.Sum256(payload)
	return must(rsa.SignPSS(rand.Reader, c.key.(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
}

// ders returns the bytes of cards.
func ders(cards ...*card) [][]byte {
	list := make([][]byte, len(cards))
	for i, one := range cards {
		list[i] = one.Raw
	}
	return list
}

func enrollmentID(name string) parsec3.EnrollmentID {
	return parsec3.EnrollmentID(namedID("enrollment", name))
}

// submission is the content of an async_enrollment_submit; tests spoil it before request
// makes it.
type submission struct {
	id      parsec3.EnrollmentID
	payload certificate.EnrollmentSubmit
	// packed replaces the payload, unless it is nil.
	packed []byte
	force  bool
	// leaf signs; nil is OpenBao.
	leaf          *card
	intermediates [][]byte
	spoilt        bool
}

// submission is of the owner of a device, whose it will be, by OpenBao.
func (f *fixture) submission(first parsec3.DeviceID) *submission {
	creation := f.userCreation(f.alice(), first, parsec.ProfileStandard)
	return &submission{
		id: enrollmentID(nameOf(parsec.UUID(first))),
		payload: certificate.EnrollmentSubmit{
			VerifyKey: creation.device.VerifyKey, PublicKey: creation.user.PublicKey,
			DeviceLabel: creation.device.DeviceLabel, HumanHandle: creation.user.HumanHandle,
		},
	}
}

func (s *submission) setEmail(email string) {
	s.payload.HumanHandle = must(parsec3.ParseHumanHandle(email, "name"))
}

func (s *submission) bytes() []byte {
	if s.packed != nil {
		return s.packed
	}
	return must(s.payload.Pack())
}

func (s *submission) request() *protocol.AsyncEnrollmentSubmitRequest {
	return &protocol.AsyncEnrollmentSubmitRequest{
		EnrollmentID: s.id, Force: s.force, SubmitPayload: s.bytes(), SubmitPayloadSignature: s.signature(),
	}
}

func (s *submission) signature() protocol.SubmitSignature {
	if s.leaf == nil {
		return protocol.SubmitSignature{Kind: protocol.SignedByOpenBao, OpenBaoSignature: "vault:v1:submit", EntityID: "newcomer"}
	}
	signed := s.bytes()
	if s.spoilt {
		signed = []byte("another payload")
	}
	return protocol.SubmitSignature{
		Kind: protocol.SignedByPKI, Signature: s.leaf.sign(signed), Leaf: s.leaf.Raw, Intermediates: s.intermediates,
	}
}

// stranger asks in Acme.
var stranger = &rules.Anonymous{Organization: acme, API: latest}

// submit submits, and returns the request.
func (f *fixture) submit(s *submission) *protocol.AsyncEnrollmentSubmitRequest {
	f.t.Helper()
	request := s.request()
	f.ok(f.AsyncEnrollmentSubmit(f.t.Context(), stranger, request))
	return request
}

func (f *fixture) cancelEnrollment(id parsec3.EnrollmentID) {
	f.t.Helper()
	f.ok(f.AsyncEnrollmentCancel(f.t.Context(), stranger, &protocol.AsyncEnrollmentCancelRequest{EnrollmentID: id}))
}

func (f *fixture) info(id parsec3.EnrollmentID) *protocol.AsyncEnrollmentInfoReply {
	f.t.Helper()
	reply, err := f.AsyncEnrollmentInfo(f.t.Context(), stranger, &protocol.AsyncEnrollmentInfoRequest{EnrollmentID: id})
	f.ok(nil, err)
	return reply
}

// listedEnrollments returns what waits.
func (f *fixture) listedEnrollments() []protocol.SubmittedEnrollment {
	f.t.Helper()
	reply, err := f.AsyncEnrollmentList(f.t.Context(), f.alice(), &protocol.AsyncEnrollmentListRequest{})
	f.ok(nil, err)
	return reply.Enrollments
}

// acceptance is the content of an async_enrollment_accept; tests spoil it before request
// makes it.
type acceptance struct {
	*userCreation
	id parsec3.EnrollmentID
	// told changes the payload, which says what the certificates do.
	told func(*certificate.EnrollmentAccept)
	// packed replaces the payload, unless it is nil.
	packed []byte
	// leaf signs; nil is OpenBao.
	leaf          *card
	intermediates [][]byte
	spoilt        bool
	sendEmail     *bool
}

// acceptance makes an ADMIN accept what was submitted for a device.
func (f *fixture) acceptance(author *rules.Author, first parsec3.DeviceID) *acceptance {
	return &acceptance{
		userCreation: f.userCreation(author, first, parsec.ProfileStandard), id: enrollmentID(nameOf(parsec.UUID(first))),
		told: func(*certificate.EnrollmentAccept) {},
	}
}

func (a *acceptance) bytes() []byte {
	if a.packed != nil {
		return a.packed
	}
	payload := certificate.EnrollmentAccept{
		UserID: a.user.UserID, DeviceID: a.device.DeviceID, DeviceLabel: a.device.DeviceLabel,
		HumanHandle: a.user.HumanHandle, Profile: a.user.Profile, RootVerifyKey: verifyKey(rootKey()),
	}
	a.told(&payload)
	return must(payload.Pack())
}

func (a *acceptance) request() *protocol.AsyncEnrollmentAcceptRequest {
	signed := a.userCreation.request()
	return &protocol.AsyncEnrollmentAcceptRequest{
		EnrollmentID: a.id, UserCertificate: signed.UserCertificate, DeviceCertificate: signed.DeviceCertificate,
		RedactedUserCertificate: signed.RedactedUserCertificate, RedactedDeviceCertificate: signed.RedactedDeviceCertificate,
		AcceptPayload: a.bytes(), AcceptPayloadSignature: a.signature(), SendEmail: a.sendEmail,
	}
}

func (a *acceptance) signature() protocol.AcceptSignature {
	if a.leaf == nil {
		return protocol.AcceptSignature{Kind: protocol.SignedByOpenBao, OpenBaoSignature: "vault:v1:accept", EntityID: "administrator"}
	}
	signed := a.bytes()
	if a.spoilt {
		signed = []byte("another payload")
	}
	return protocol.AcceptSignature{
		Kind: protocol.SignedByPKI, Signature: a.leaf.sign(signed), Leaf: a.leaf.Raw, Intermediates: a.intermediates,
	}
}
