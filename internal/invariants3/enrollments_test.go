//go:build !without_postgresql

package invariants3_test

import (
	"fmt"
	"slices"
	"testing"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// The invariants of docs/protocol/v5/enrollment.md §2.7.

func TestEnrollment1OneWaitsPerEmail(t *testing.T) { everywhere(t, oneEnrollmentPerEmail) }
func TestEnrollment2EndsOnce(t *testing.T)         { everywhere(t, enrollmentEndsOnce) }
func TestEnrollment3AcceptedAsCreated(t *testing.T) {
	everywhere(t, acceptedAsCreated)
}
func TestEnrollment4AcceptedHasItsUser(t *testing.T)  { everywhere(t, acceptedHasItsUser) }
func TestEnrollment5NotForWhoIsEnrolled(t *testing.T) { everywhere(t, notForWhoIsEnrolled) }
func TestEnrollmentsAreBounded(t *testing.T)          { everywhere(t, enrollmentsAreBounded) }

// submits returns an enrollment by OpenBao, and the call that submits it.
func (w *world) submits(instance int, person parsec3.Person, force bool) (*testclient3.Enrollment, call) {
	w.Helper()
	enrollment, request, err := testclient3.NewEnrollment(w.organization, testclient3.Entity(person.HumanHandle.Email()), person)
	w.no(err)
	request.Force = force
	return enrollment, send(w.clients[instance].Anonymous(w.organization), protocol.AsyncEnrollmentSubmit, request)
}

func (w *world) cancels(instance int, id vocabulary.EnrollmentID) call {
	return send(w.clients[instance].Anonymous(w.organization), protocol.AsyncEnrollmentCancel, &protocol.AsyncEnrollmentCancelRequest{EnrollmentID: id})
}

func (m *member) rejects(instance int, id vocabulary.EnrollmentID) call {
	return send(m.on[instance], protocol.AsyncEnrollmentReject, &protocol.AsyncEnrollmentRejectRequest{EnrollmentID: id})
}

// accepts accepts what was listed.
func (m *member) accepts(instance int, submitted *protocol.SubmittedEnrollment) call {
	return dated(m.on[instance], protocol.AsyncEnrollmentAccept, anytime, func(on parsec.DateTime) (*protocol.AsyncEnrollmentAcceptRequest, error) {
		return testclient3.AcceptEnrollment(m.Device, submitted, parsec.ProfileStandard, testclient3.Entity("administrator"), on)
	})
}

// waiting returns an enrollment that is listed.
func (w *world) waiting(id vocabulary.EnrollmentID) *protocol.SubmittedEnrollment {
	w.Helper()
	listed := ask(w.alice, 1, protocol.AsyncEnrollmentList, &protocol.AsyncEnrollmentListRequest{})
	i := slices.IndexFunc(listed.Enrollments, func(e protocol.SubmittedEnrollment) bool { return e.EnrollmentID == id })
	if i < 0 {
		w.Fatalf("%v is not listed", id)
	}
	return &listed.Enrollments[i]
}

// submitted submits, and returns what is listed.
func (w *world) submitted(person parsec3.Person) (*testclient3.Enrollment, *protocol.SubmittedEnrollment) {
	w.Helper()
	enrollment, submit := w.submits(0, person, false)
	w.ok(submit)
	return enrollment, w.waiting(enrollment.ID)
}

func (w *world) enrollment(instance int, id vocabulary.EnrollmentID) *protocol.AsyncEnrollmentInfoReply {
	w.Helper()
	reply, err := parsec3.Call(w.ctx, w.clients[instance].Anonymous(w.organization), protocol.AsyncEnrollmentInfo,
		&protocol.AsyncEnrollmentInfoRequest{EnrollmentID: id})
	w.no(err)
	return reply
}

func oneEnrollmentPerEmail(w *world) {
	for range rounds / 2 {
		newcomer := person("newcomer")
		got := w.collide(each(4, func(_, instance int) call {
			_, submit := w.submits(instance, newcomer, false)
			return submit
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusEmailAlreadySubmitted: 3})
		got = w.collide(each(4, func(_, instance int) call {
			_, submit := w.submits(instance, newcomer, true)
			return submit
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 4}) // each cancels the one before
		listed := ask(w.alice, 0, protocol.AsyncEnrollmentList, &protocol.AsyncEnrollmentListRequest{})
		if len(listed.Enrollments) != 1 {
			w.Fatalf("%d wait for one e-mail", len(listed.Enrollments))
		}
		w.ok(w.cancels(1, listed.Enrollments[0].EnrollmentID))
	}
}

func enrollmentEndsOnce(w *world) {
	bob := w.addUser("bob", parsec.ProfileAdmin)
	for range rounds {
		newcomer := person("newcomer")
		enrollment, submitted := w.submitted(newcomer)
		forced, force := w.submits(1, newcomer, true)
		got := w.collide(w.alice.accepts(0, submitted), bob.accepts(1, submitted), w.alice.rejects(1, enrollment.ID),
			w.cancels(0, enrollment.ID), force)
		status, ends := w.enrollment(0, enrollment.ID).Status, 0
		for _, one := range got[:4] {
			switch one {
			case protocol.StatusOK:
				ends++
			case protocol.StatusEnrollmentNoLongerAvailable:
			default:
				w.Fatalf("an end is answered %s", one)
			}
		}
		// The forced submission ends the first one, or finds it ended, or its user.
		switch {
		case got[4] == protocol.StatusEmailAlreadyEnrolled && status == protocol.EnrollmentAccepted && ends == 1:
		case got[4] == protocol.StatusOK && status != protocol.EnrollmentAccepted && ends == 1,
			got[4] == protocol.StatusOK && status == protocol.EnrollmentCancelled && ends == 0:
			w.ok(w.cancels(0, forced.ID))
		default:
			w.Fatalf("%s, of %v", status, got)
		}
	}
	w.coherent(bob)
}

// acceptedAsCreated keeps the limit of users, one user for each e-mail, and the order of
// the dates, with creations at the same time.
func acceptedAsCreated(w *world) {
	heard := w.alice.listen(1)
	for range rounds / 2 {
		newcomer := person("newcomer")
		_, submitted := w.submitted(newcomer)
		_, create := w.alice.creates(1, newcomer, parsec.ProfileStandard, anytime)
		w.wantEither(w.collide(w.alice.accepts(0, submitted), create),
			serial(protocol.StatusOK, protocol.StatusHumanHandleAlreadyTaken), serial(protocol.StatusHumanHandleAlreadyTaken, protocol.StatusOK))
	}
	users, err := w.store.Users(w.ctx, w.organization)
	w.no(err)
	limit := uint64(len(users)) + 1
	w.settle(organization.Change{ActiveUsersLimit: &organization.UsersLimit{Users: &limit}})
	_, one := w.submitted(person("one"))
	_, two := w.submitted(person("two"))
	_, create := w.alice.creates(1, person("three"), parsec.ProfileStandard, anytime)
	got := w.collide(w.alice.accepts(0, one), w.alice.accepts(1, two), create)
	w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusActiveUsersLimitReached: 2})
	w.settle(organization.Change{ActiveUsersLimit: &organization.UsersLimit{}})
	last := parsec.DateTime(0)
	for _, event := range heard.all() {
		if common, is := event.(*protocol.CommonCertificateEvent); is {
			if common.Timestamp <= last {
				w.Fatalf("a certificate of %s is committed after one of %s", common.Timestamp, last)
			}
			last = common.Timestamp
		}
	}
	w.coherent()
}

// acceptedHasItsUser has who is accepted work at once, on the other instance; who is
// refused as a user is not accepted.
func acceptedHasItsUser(w *world) {
	enrollment, submitted := w.submitted(person("newcomer"))
	w.ok(w.alice.accepts(0, submitted))
	device, err := enrollment.Finish(w.enrollment(1, enrollment.ID), now())
	w.no(err)
	newcomer := w.member(device)
	w.ok(newcomer.addsDevice(1, anytime))
	w.coherent(newcomer)

	limit := uint64(1)
	w.settle(organization.Change{ActiveUsersLimit: &organization.UsersLimit{Users: &limit}})
	refused, submitted := w.submitted(person("another"))
	w.want(protocol.StatusActiveUsersLimitReached, w.alice.accepts(1, submitted))
	if status := w.enrollment(0, refused.ID).Status; status != protocol.EnrollmentSubmitted {
		w.Fatalf("what is refused is %s", status)
	}
}

// notForWhoIsEnrolled has no submission succeed behind the creation of its user.
func notForWhoIsEnrolled(w *world) {
	w.inBothOrders(rounds, func() (first, second call, check func(first, second protocol.Status)) {
		newcomer := person("newcomer")
		enrollment, submit := w.submits(1, newcomer, false)
		_, create := w.alice.creates(0, newcomer, parsec.ProfileStandard, anytime)
		return submit, create, func(submitted, created protocol.Status) {
			w.Helper()
			if created != protocol.StatusOK || submitted != protocol.StatusOK && submitted != protocol.StatusEmailAlreadyEnrolled {
				w.Fatalf("submitted: %s, created: %s", submitted, created)
			}
			w.want(protocol.StatusEmailAlreadyEnrolled, func() call { _, again := w.submits(0, newcomer, true); return again }())
			if submitted == protocol.StatusOK {
				w.ok(w.cancels(0, enrollment.ID))
			}
		}
	})
}

// enrollmentsAreBounded lets no two of them take the last place.
func enrollmentsAreBounded(w *world) {
	const most = 1000
	_, stranger, err := testclient3.NewEnrollment(w.organization, testclient3.Entity(person("stranger").HumanHandle.Email()), person("stranger"))
	w.no(err)
	w.no(w.store.Update(w.ctx, rules.Scope{Organization: w.organization, Common: rules.Shared, Enrollment: rules.Exclusive}, func(tx rules.Tx) error {
		for i := range most - 1 {
			tx.SubmitEnrollment(rules.Enrollment{
				ID: vocabulary.EnrollmentID(parsec.NewUUID()), Status: protocol.EnrollmentSubmitted, SubmittedOn: now(),
				Payload: stranger.SubmitPayload, Identity: rules.Identity{Signature: []byte{}},
			}, fmt.Sprintf("stranger%d@example.com", i))
		}
		return nil
	}))
	var made []*testclient3.Enrollment
	got := w.collide(each(2, func(_, instance int) call {
		enrollment, submit := w.submits(instance, person("newcomer"), false)
		made = append(made, enrollment)
		return submit
	})...)
	if got[0] == got[1] { // which is how it fails without the lock
		w.Fatalf("both submissions for one place are %s", got[0])
	}
	w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, onHTTP(503): 1})
	for i := range made {
		if got[i] == protocol.StatusOK {
			w.ok(w.cancels(i, made[i].ID))
		}
	}
	_, again := w.submits(0, person("newcomer"), false)
	w.ok(again)
}
