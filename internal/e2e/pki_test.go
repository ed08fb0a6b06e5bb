package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// TestPKIEnrollment has people join with X.509 certificates: one is accepted,
// and invites her own second device, one is rejected, and asks again.
func TestPKIEnrollment(t *testing.T) {
	t.Parallel()
	for _, g := range generations {
		if !parsec.PKIEnrollment.In(g.version) {
			continue // It does not know the commands.
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			w := newMailedWorld(t)
			alice := g.connect(w, g.foundByREST(w, "Org1", "alice@laptop"))
			bob := g.connect(w, g.addUser(w, g, alice, g.person("bob@desk"), parsec.ProfileStandard))
			administrator := g.listen(w, alice.device)
			anonymous := w.client.AnonymousRPC(alice.device.Organization, g.version)

			// Carol submits; nobody but an ADMIN sees it.
			carolsCard, alicesCard := w.identity("carol"), w.identity("alice")
			carol, submission := w.enroll(alice, carolsCard, "carol@example.com")
			submittedOn := ok(w, anonymous, protocol.PKIEnrollmentSubmit, submission).SubmittedOn
			w.wantUpdate(administrator)
			if again := ok(w, anonymous, protocol.PKIEnrollmentSubmit, submission).SubmittedOn; again != submittedOn {
				w.t.Errorf("sent again: submitted on %s, want %s", again, submittedOn)
			}
			_, other := w.enroll(alice, w.identity("dave"), "dave@example.com")
			other.EnrollmentID = submission.EnrollmentID
			refused(w, protocol.StatusIDAlreadyUsed, anonymous, protocol.PKIEnrollmentSubmit, other)
			_, again := w.enroll(alice, carolsCard, "carol@example.com")
			refused(w, protocol.StatusAlreadySubmitted, anonymous, protocol.PKIEnrollmentSubmit, again)
			_, taken := w.enroll(alice, w.identity("bob"), "bob@example.com")
			refused(w, protocol.StatusEmailAlreadyUsed, anonymous, protocol.PKIEnrollmentSubmit, taken)
			refused(w, protocol.StatusNotAllowed, bob, protocol.PKIEnrollmentList, &protocol.PKIEnrollmentListRequest{})
			about := &protocol.PKIEnrollmentInfoRequest{EnrollmentID: carol.ID}
			info := ok(w, anonymous, protocol.PKIEnrollmentInfo, about)
			if _, _, err := carol.Device(info); err == nil || info.EnrollmentStatus != parsec.PKIEnrollmentSubmitted || info.SubmittedOn != submittedOn {
				t.Errorf("pending: %+v, %v", info, err)
			}

			// Alice checks the certificate, and accepts.
			pending := ok(w, alice, protocol.PKIEnrollmentList, &protocol.PKIEnrollmentListRequest{}).Enrollments
			if len(pending) != 1 || pending[0].EnrollmentID != carol.ID || !bytes.Equal(pending[0].SubmitterDERX509Certificate, carolsCard.Certificate.Raw) {
				t.Fatalf("pending: %+v", pending)
			}
			person := parsec2.Person{HumanHandle: must(parsec.ParseHumanHandle("carol@example.com", "Carol"))}
			acceptance, err := testclient.AcceptEnrollment(alice.device, pending[0], alicesCard, person, parsec.ProfileStandard, w.tick())
			if err != nil {
				t.Fatal(err)
			}
			refused(w, protocol.StatusNotAllowed, bob, protocol.PKIEnrollmentAccept, acceptance)
			ok(w, alice, protocol.PKIEnrollmentAccept, acceptance)
			w.wantUpdate(administrator)
			ok(w, alice, protocol.PKIEnrollmentAccept, acceptance) // sent again
			another, err := testclient.AcceptEnrollment(alice.device, pending[0], alicesCard, person, parsec.ProfileStandard, w.tick())
			if err != nil {
				t.Fatal(err)
			}
			refused(w, protocol.StatusNoLongerAvailable, alice, protocol.PKIEnrollmentAccept, another)

			// Carol finds out, and works.
			device, accepter, err := carol.Device(ok(w, anonymous, protocol.PKIEnrollmentInfo, about))
			if err != nil || !accepter.Equal(alicesCard.Certificate) {
				t.Fatalf("accepted by %v: %v", accepter, err)
			}
			enrolled := g.connect(w, device)
			realm, err := device.NewRealm(newRealmID(), w.tick())
			if err != nil {
				t.Fatal(err)
			}
			ok(w, enrolled, protocol.RealmCreate, realm)
			seen := ok(w, bob, protocol.UserGet, &protocol.UserGetRequest{UserID: device.ID.User()})
			if !bytes.Equal(seen.UserCertificate, acceptance.UserCertificate) || len(seen.DeviceCertificates) != 1 {
				t.Errorf("bob sees %+v", seen)
			}
			refused(w, protocol.StatusAlreadyEnrolled, anonymous, protocol.PKIEnrollmentSubmit, again)
			g.connect(w, g.inviteDevice(w, enrolled, device.ID.User().String()+"@phone"))

			// Dave is rejected, and asks again twice.
			davesCard := w.identity("dave")
			first, submission := w.enroll(alice, davesCard, "")
			ok(w, anonymous, protocol.PKIEnrollmentSubmit, submission)
			ok(w, alice, protocol.PKIEnrollmentReject, &protocol.PKIEnrollmentRejectRequest{EnrollmentID: first.ID})
			w.wantStatus(anonymous, first, parsec.PKIEnrollmentRejected)
			second, submission := w.enroll(alice, davesCard, "")
			ok(w, anonymous, protocol.PKIEnrollmentSubmit, submission)
			third, submission := w.enroll(alice, davesCard, "")
			submission.Force = true
			ok(w, anonymous, protocol.PKIEnrollmentSubmit, submission)
			w.wantStatus(anonymous, second, parsec.PKIEnrollmentCancelled)
			w.wantStatus(anonymous, third, parsec.PKIEnrollmentSubmitted)
			refused(w, protocol.StatusNoLongerAvailable, alice, protocol.PKIEnrollmentReject, &protocol.PKIEnrollmentRejectRequest{EnrollmentID: second.ID})
			refused(w, protocol.StatusNotFound, alice, protocol.PKIEnrollmentReject, &protocol.PKIEnrollmentRejectRequest{})
		})
	}
}

// identity returns a new certificate, signed by itself.
func (w *world) identity(name string) testclient.Identity {
	w.t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{name + "@example.com"},
		NotBefore: w.clock.Now().Time(), NotAfter: w.clock.Now().Time().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	return testclient.Identity{Certificate: must(x509.ParseCertificate(der)), Key: key}
}

func (w *world) enroll(administrator *peer, identity testclient.Identity, email string) (*testclient.Enrollment, *protocol.PKIEnrollmentSubmitRequest) {
	w.t.Helper()
	label := must(parsec.ParseDeviceLabel("Laptop"))
	enrollment, request, err := testclient.NewEnrollment(administrator.device.Organization, identity, email, label)
	if err != nil {
		w.t.Fatal(err)
	}
	return enrollment, request
}

// wantUpdate waits for the next event.
func (w *world) wantUpdate(administrator *listener) {
	w.t.Helper()
	event, err := administrator.next(w.ctx)
	if _, isUpdate := event.(*protocol.PKIEnrollmentUpdatedEvent); err != nil || !isUpdate {
		w.t.Fatalf("%s hears %+v, %v", administrator.name, event, err)
	}
}

func (w *world) wantStatus(anonymous *parsec2.RPC, enrollment *testclient.Enrollment, want parsec.PKIEnrollmentStatus) {
	w.t.Helper()
	info := ok(w, anonymous, protocol.PKIEnrollmentInfo, &protocol.PKIEnrollmentInfoRequest{EnrollmentID: enrollment.ID})
	if info.EnrollmentStatus != want {
		w.t.Errorf("enrollment %s, want %s", info.EnrollmentStatus, want)
	}
}
