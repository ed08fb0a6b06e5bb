package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var enrollmentChecks = []check{
	{"enrollment", pkiEnrollment},
	{"latest enrollment", pkiLatest},
	{"submitted enrollments", pkiSubmitted},
	{"organizations", pkiOrganizations},
}

func newEnrollment(certificate, name string, seconds int) rules.PKIEnrollment {
	return rules.PKIEnrollment{
		ID: parsec.EnrollmentID(parsec.NewUUID()), SubmitterCertificate: []byte(certificate),
		Payload: []byte("payload " + name), PayloadSignature: []byte("signature " + name),
		SubmittedOn: at(seconds), PKIDecision: rules.PKIDecision{Status: parsec.PKIEnrollmentSubmitted},
	}
}

func (f *fixture) submit(enrollments ...rules.PKIEnrollment) {
	f.Helper()
	f.queue(onOrganization(), func(tx rules.Tx) {
		for _, enrollment := range enrollments {
			tx.SubmitPKIEnrollment(enrollment)
		}
	})
}

// decide decides an enrollment, here and in the store.
func (f *fixture) decide(enrollment *rules.PKIEnrollment, decision rules.PKIDecision) {
	f.Helper()
	f.queue(onOrganization(), func(tx rules.Tx) { tx.DecidePKIEnrollment(enrollment.ID, decision) })
	enrollment.PKIDecision = decision
	if decision.Status != parsec.PKIEnrollmentAccepted { // nothing that a stranger wrote stays
		enrollment.SubmitterCertificate, enrollment.Payload, enrollment.PayloadSignature = []byte{}, []byte{}, []byte{}
	}
}

// wantEnrollment reads inside and outside of a transaction.
func (f *fixture) wantEnrollment(id parsec.EnrollmentID, want *rules.PKIEnrollment) {
	f.Helper()
	for range 2 {
		got, found, err := f.store.PKIEnrollment(f.Context(), f.organization, id)
		f.no(err)
		equal(f, "enrollment found", found, want != nil)
		equal(f, "enrollment", got, want)
		if got != nil && got.Acceptance != nil {
			got.Acceptance.Device = carolOne // Facts are the caller's.
		}
		f.update(onOrganization(), func(tx rules.Tx) error {
			got, found, err := tx.PKIEnrollment(f.Context(), id)
			equal(f, "enrollment found by a transaction", found, want != nil)
			equal(f, "enrollment in a transaction", got, want)
			if got != nil && got.Acceptance != nil {
				got.Acceptance.Device = carolOne
			}
			return err
		})
	}
}

func pkiEnrollment(f *fixture) {
	f.wantEnrollment(parsec.EnrollmentID{1}, nil)
	f.bootstrap()
	f.wantEnrollment(parsec.EnrollmentID{1}, nil)
	accepted, rejected, cancelled, pending := newEnrollment("a", "1", 1), newEnrollment("b", "2", 2), newEnrollment("c", "3", 3), newEnrollment("d", "4", 4)
	pending.PayloadSignature = []byte{}
	f.submit(accepted, rejected, cancelled, pending)
	f.wantEnrollment(accepted.ID, &accepted)
	f.decide(&accepted, rules.PKIDecision{Status: parsec.PKIEnrollmentAccepted, On: at(5), Acceptance: &rules.PKIAcceptance{
		Accepter: aliceOne, Device: bobOne, AccepterCertificate: []byte{}, Payload: []byte("answer"), PayloadSignature: []byte("signed"),
	}})
	f.decide(&rejected, rules.PKIDecision{Status: parsec.PKIEnrollmentRejected, On: at(6)})
	f.decide(&cancelled, rules.PKIDecision{Status: parsec.PKIEnrollmentCancelled, On: at(7)})
	for _, enrollment := range []rules.PKIEnrollment{accepted, rejected, cancelled, pending} {
		f.wantEnrollment(enrollment.ID, &enrollment)
	}
}

// pkiLatest looks for the enrollment submitted last, not for the latest date.
func pkiLatest(f *fixture) {
	f.bootstrap()
	first, second, other := newEnrollment("shared", "1", 9), newEnrollment("shared", "2", 1), newEnrollment("shared too", "3", 10)
	want := func(certificate string, want *rules.PKIEnrollment) {
		f.Helper()
		f.update(onOrganization(), func(tx rules.Tx) error {
			got, found, err := tx.LatestPKIEnrollment(f.Context(), []byte(certificate))
			equal(f, "latest found", found, want != nil)
			equal(f, "latest", got, want)
			return err
		})
	}
	want("shared", nil)
	f.submit(first)
	want("shared", &first)
	f.decide(&first, rules.PKIDecision{Status: parsec.PKIEnrollmentCancelled, On: at(9)})
	want("shared", nil)
	f.submit(second)
	f.submit(other)
	want("shared", &second)
	want("shared too", &other)
	want("", nil)
	empty := newEnrollment("", "4", 11)
	f.submit(empty)
	f.decide(&other, rules.PKIDecision{Status: parsec.PKIEnrollmentRejected, On: at(12)})
	want("", &empty) // and not one whose certificate is dropped
	f.decide(&second, rules.PKIDecision{Status: parsec.PKIEnrollmentAccepted, On: at(13), Acceptance: &rules.PKIAcceptance{
		Accepter: aliceOne, Device: bobOne, AccepterCertificate: []byte{}, Payload: []byte{}, PayloadSignature: []byte{},
	}})
	want("shared", &second)
}

func pkiSubmitted(f *fixture) {
	f.bootstrap()
	want := func(want ...rules.PKIEnrollment) {
		f.Helper()
		got, err := f.store.SubmittedPKIEnrollments(f.Context(), f.organization)
		f.no(err)
		equalList(f, "submitted", got, want)
		bytes := 0
		for _, enrollment := range want {
			bytes += len(enrollment.SubmitterCertificate) + len(enrollment.Payload) + len(enrollment.PayloadSignature)
		}
		f.update(onOrganization(), func(tx rules.Tx) error {
			sum, err := tx.SubmittedPKIBytes(f.Context())
			equal(f, "bytes submitted", sum, uint64(bytes))
			return err
		})
	}
	want()
	first, second, third := newEnrollment("a", "1", 3), newEnrollment("b", "2", 2), newEnrollment("c", "3", 1)
	// Each of the three that are sent counts, whatever the others.
	first.SubmitterCertificate = make([]byte, 1000)
	second.Payload = make([]byte, 20_000)
	third.PayloadSignature = make([]byte, 300_000)
	f.submit(first)
	f.submit(second, third)
	want(first, second, third)
	f.decide(&second, rules.PKIDecision{Status: parsec.PKIEnrollmentRejected, On: at(4)})
	want(first, third)
}

// pkiOrganizations has one id, and one certificate, in two organizations.
func pkiOrganizations(f *fixture) {
	f.bootstrap()
	elsewhere := &fixture{T: f.T, store: f.store, bus: f.bus, organization: newOrganizationID()}
	elsewhere.bootstrap()
	here := newEnrollment("a", "1", 1)
	f.submit(here)
	there := here
	elsewhere.wantEnrollment(here.ID, nil)
	elsewhere.submit(there)
	elsewhere.decide(&there, rules.PKIDecision{Status: parsec.PKIEnrollmentRejected, On: at(2)})
	f.wantEnrollment(here.ID, &here)
	elsewhere.wantEnrollment(here.ID, &there)
}
