package testclient_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"testing"

	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// identity certifies a key by itself.
func identity(t *testing.T, key crypto.Signer) testclient.Identity {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return testclient.Identity{Certificate: must(x509.ParseCertificate(der)), Key: key}
}

// TestEnrollment follows an enrollment between two smartcards, and spoils what
// each must verify.
func TestEnrollment(t *testing.T) {
	submitter := identity(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	accepter := identity(t, must(rsa.GenerateKey(rand.Reader, 2048)))
	address := must(parsec.ParseBootstrapAddress("parsec://localhost/CoolOrg?action=bootstrap_organization"))
	administrator, _, err := parsec2.NewOrganization(address, parsec2.Person{}, reference)
	if err != nil {
		t.Fatal(err)
	}
	enrollment, request, err := testclient.NewEnrollment(administrator.Organization, submitter, "", must(parsec.ParseDeviceLabel("Laptop")))
	if err != nil {
		t.Fatal(err)
	}
	item := protocol.PKIEnrollmentItem{
		EnrollmentID: request.EnrollmentID, SubmitPayload: request.SubmitPayload,
		SubmitPayloadSignature: request.SubmitPayloadSignature, SubmitterDERX509Certificate: request.SubmitterDERX509Certificate,
	}
	accept := func(item protocol.PKIEnrollmentItem) (*protocol.PKIEnrollmentAcceptRequest, error) {
		return testclient.AcceptEnrollment(administrator, item, accepter, parsec2.Person{}, parsec.ProfileOutsider, reference)
	}
	forged := item
	forged.SubmitterDERX509Certificate = accepter.Certificate.Raw
	if _, err := accept(forged); err == nil {
		t.Error("accepted with the certificate of somebody else")
	}
	acceptance, err := accept(item)
	if err != nil {
		t.Fatal(err)
	}
	info := protocol.PKIEnrollmentInfoReply{
		EnrollmentStatus: parsec.PKIEnrollmentAccepted, AccepterDERX509Certificate: acceptance.AccepterDERX509Certificate,
		AcceptPayload: acceptance.AcceptPayload, AcceptPayloadSignature: acceptance.AcceptPayloadSignature,
	}
	spoilt := info
	spoilt.AcceptPayload = append([]byte{}, info.AcceptPayload...)
	spoilt.AcceptPayload[len(spoilt.AcceptPayload)-1]++
	if _, _, err := enrollment.Device(&spoilt); err == nil {
		t.Error("a spoilt answer is believed")
	}
	pending := info
	pending.EnrollmentStatus = parsec.PKIEnrollmentSubmitted
	if _, _, err := enrollment.Device(&pending); err == nil {
		t.Error("a pending enrollment gives a device")
	}
	device, owner, err := enrollment.Device(&info)
	if err != nil {
		t.Fatal(err)
	}
	if !owner.Equal(accepter.Certificate) || device.Profile != parsec.ProfileOutsider || device.Label.String() != "Laptop" ||
		device.RootVerifyKey != administrator.RootVerifyKey || device.Organization != administrator.Organization {
		t.Errorf("accepted by %v: %+v", owner.Subject, device)
	}
}
