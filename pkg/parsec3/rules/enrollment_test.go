package rules_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// strangerRows begin the tables of strangers.
func strangerRows[S scenario]() []row[S] {
	return append(standingRows[S]()[:2], row[S]{"A1", "organization not bootstrapped", func(s S) {
		s.base().createOrganization(other)
		s.base().spoilAuthor(func(a *rules.Author) { a.Organization = other })
	}, aborted(rules.OrganizationNotFound)})
}

// strangerApart are the pairs of strangerRows that nothing violates at once.
var strangerApart = [][2]string{
	{"organization unknown", "organization expired"},
	{"organization expired", "organization not bootstrapped"},
}

// stranger asks in the organization of the author.
func (c *command) stranger() *rules.Anonymous {
	return &rules.Anonymous{Organization: c.author.Organization, API: latest}
}

// submitting has carol submit by a PKI that is trusted.
type submitting struct {
	command
	*submission
}

func newSubmitting(t *testing.T) *submitting {
	t.Helper()
	trusted := x509.NewCertPool()
	f := newFixture(t, withOptions(func(o *rules.Options) { o.TrustedRoots = trusted }))
	root := f.rootAuthority("root")
	trusted.AddCert(root.Certificate)
	s := &submitting{command{f, f.alice()}, f.submission(carolLaptop)}
	s.leaf = f.issue(root, "carol")
	return s
}

func (s *submitting) run() error {
	_, err := s.AsyncEnrollmentSubmit(s.t.Context(), s.stranger(), s.request())
	return err
}

// submitAnother has somebody submit earlier, by OpenBao.
func (s *submitting) submitAnother(change func(*submission)) {
	another := s.fixture.submission(deviceID("dave@laptop"))
	change(another)
	s.submit(another)
}

func TestAsyncEnrollmentSubmitTable(t *testing.T) {
	checkTable(t, "async_enrollment_submit", newSubmitting, append(strangerRows[*submitting](),
		row[*submitting]{"1", "no payload", func(s *submitting) { s.packed = []byte("no payload") }, protocol.StatusInvalidSubmitPayload},
		row[*submitting]{"2", "no X.509 certificate", func(s *submitting) { s.intermediates = [][]byte{[]byte("none")} }, protocol.StatusInvalidDERX509Certificate},
		row[*submitting]{"2", "another root", func(s *submitting) { s.leaf = s.issue(s.rootAuthority("another root"), "carol") }, protocol.StatusInvalidX509Trustchain},
		row[*submitting]{"2", "signature of something else", func(s *submitting) { s.spoilt = true }, protocol.StatusInvalidSubmitPayloadSignature},
		row[*submitting]{"3", "id is used", func(s *submitting) {
			s.submitAnother(func(another *submission) { another.id = s.id })
			s.cancelEnrollment(s.id)
		}, protocol.StatusIDAlreadyUsed},
		row[*submitting]{"4", "e-mail is enrolled", func(s *submitting) {
			s.createUser(s.alice(), deviceID("carol@phone"), parsec.ProfileStandard)
		}, protocol.StatusEmailAlreadyEnrolled},
		row[*submitting]{"5", "e-mail is submitted", func(s *submitting) {
			s.submitAnother(func(another *submission) { another.payload.HumanHandle = s.payload.HumanHandle })
		}, protocol.StatusEmailAlreadySubmitted},
	), strangerApart...)
}

// inquiry is somebody who asks for an enrollment of carol.
type inquiry struct {
	command
	id  parsec3.EnrollmentID
	ask func(s *inquiry) error
}

func newInquiry(t *testing.T, ask func(s *inquiry) error) *inquiry {
	t.Helper()
	f := newFixture(t)
	s := &inquiry{command{f, f.alice()}, enrollmentID(nameOf(parsec.UUID(carolLaptop))), ask}
	f.submit(f.submission(carolLaptop))
	return s
}

func (s *inquiry) run() error { return s.ask(s) }

var inquiryNotFound = row[*inquiry]{"", "unknown", func(s *inquiry) { s.id = enrollmentID("another") }, protocol.StatusEnrollmentNotFound}

func TestAsyncEnrollmentInfoTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *inquiry {
		return newInquiry(t, func(s *inquiry) error {
			_, err := s.AsyncEnrollmentInfo(s.t.Context(), s.stranger(), &protocol.AsyncEnrollmentInfoRequest{EnrollmentID: s.id})
			return err
		})
	}, append(strangerRows[*inquiry](), inquiryNotFound), strangerApart...)
}

func TestAsyncEnrollmentCancelTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *inquiry {
		return newInquiry(t, func(s *inquiry) error {
			_, err := s.AsyncEnrollmentCancel(s.t.Context(), s.stranger(), &protocol.AsyncEnrollmentCancelRequest{EnrollmentID: s.id})
			return err
		})
	}, append(strangerRows[*inquiry](), inquiryNotFound,
		row[*inquiry]{"", "cancelled", func(s *inquiry) { s.cancelEnrollment(enrollmentID(nameOf(parsec.UUID(carolLaptop)))) }, protocol.StatusEnrollmentNoLongerAvailable},
	), strangerApart...)
}

func TestAsyncEnrollmentListTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *inquiry {
		return newInquiry(t, func(s *inquiry) error {
			_, err := s.AsyncEnrollmentList(s.t.Context(), s.author, &protocol.AsyncEnrollmentListRequest{})
			return err
		})
	}, append(standingRows[*inquiry](),
		row[*inquiry]{"", "author not allowed", func(s *inquiry) { s.author = s.bob() }, protocol.StatusAuthorNotAllowed},
	), standingApart...)
}

func TestAsyncEnrollmentRejectTable(t *testing.T) {
	checkTable(t, "async_enrollment_reject", func(t *testing.T) *inquiry {
		return newInquiry(t, func(s *inquiry) error {
			_, err := s.AsyncEnrollmentReject(s.t.Context(), s.author, &protocol.AsyncEnrollmentRejectRequest{EnrollmentID: s.id})
			return err
		})
	}, append(standingRows[*inquiry](),
		row[*inquiry]{"1", "author not allowed", func(s *inquiry) { s.author = s.bob() }, protocol.StatusAuthorNotAllowed},
		row[*inquiry]{"2", "unknown", func(s *inquiry) { s.id = enrollmentID("another") }, protocol.StatusEnrollmentNotFound},
		row[*inquiry]{"3", "cancelled", func(s *inquiry) { s.cancelEnrollment(enrollmentID(nameOf(parsec.UUID(carolLaptop)))) }, protocol.StatusEnrollmentNoLongerAvailable},
	), standingApart...)
}

// accepting has alice accept what carol submitted, both by a PKI that is trusted.
type accepting struct {
	command
	*acceptance
	trusted *x509.CertPool
	root    *card
}

func newAccepting(t *testing.T) *accepting {
	t.Helper()
	trusted := x509.NewCertPool()
	f := newFixture(t, withOptions(func(o *rules.Options) { o.TrustedRoots = trusted }))
	root := f.rootAuthority("root")
	trusted.AddCert(root.Certificate)
	submitted := f.submission(carolLaptop)
	submitted.leaf = f.issue(root, "carol")
	f.submit(submitted)
	s := &accepting{command{f, f.alice()}, f.acceptance(f.alice(), carolLaptop), trusted, root}
	s.leaf = f.issue(root, "alice")
	return s
}

func (s *accepting) run() error {
	_, err := s.AsyncEnrollmentAccept(s.t.Context(), s.author, s.request())
	return err
}

func TestAsyncEnrollmentAcceptTable(t *testing.T) {
	checkTable(t, "async_enrollment_accept", newAccepting, append(standingRows[*accepting](),
		row[*accepting]{"1", "author not allowed", func(s *accepting) { s.author = s.bob() }, protocol.StatusAuthorNotAllowed},
		row[*accepting]{"2", "unknown", func(s *accepting) { s.id = enrollmentID("another") }, protocol.StatusEnrollmentNotFound},
		row[*accepting]{"3", "cancelled", func(s *accepting) { s.cancelEnrollment(enrollmentID(nameOf(parsec.UUID(carolLaptop)))) }, protocol.StatusEnrollmentNoLongerAvailable},
		row[*accepting]{"4", "another identity system", func(s *accepting) { s.leaf = nil }, protocol.StatusSubmitAndAcceptMismatch},
		row[*accepting]{"5", "no payload", func(s *accepting) { s.packed = []byte("no payload") }, protocol.StatusInvalidAcceptPayload},
		row[*accepting]{"5", "a long payload", func(s *accepting) { s.packed = lengthened(s.bytes()) }, protocol.StatusInvalidAcceptPayload},
		row[*accepting]{"6", "no X.509 certificate", func(s *accepting) { s.intermediates = [][]byte{[]byte("none")} }, protocol.StatusInvalidDERX509Certificate},
		row[*accepting]{"6", "a root that is not trusted", func(s *accepting) { s.leaf = s.issue(s.rootAuthority("another root"), "alice") }, protocol.StatusInvalidX509Trustchain},
		row[*accepting]{"6", "signature of something else", func(s *accepting) { s.spoilt = true }, protocol.StatusInvalidAcceptPayloadSignature},
		row[*accepting]{"6", "another root than the submitter's", func(s *accepting) {
			another := s.rootAuthority("another root")
			s.trusted.AddCert(another.Certificate)
			s.leaf = s.issue(another, "alice")
		}, protocol.StatusInvalidX509Trustchain},
		row[*accepting]{"7", "another key", func(s *accepting) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		row[*accepting]{"7", "out of the ballpark", func(s *accepting) { s.at(s.clock.now().Add(outOfBallpark)) }, protocol.StatusTimestampOutOfBallpark},
		row[*accepting]{"7", "another user than told", func(s *accepting) {
			s.told = func(told *certificate.EnrollmentAccept) { told.UserID = bobID }
		}, protocol.StatusInvalidCertificate},
		row[*accepting]{"8", "limit reached", func(s *accepting) { s.limitUsers(3) }, protocol.StatusActiveUsersLimitReached},
		row[*accepting]{"9", "user exists", func(s *accepting) { s.setUserID(bobID) }, protocol.StatusUserAlreadyExists},
		row[*accepting]{"10", "human taken", func(s *accepting) { s.user.HumanHandle = human(bobID) }, protocol.StatusHumanHandleAlreadyTaken},
		row[*accepting]{"11", "not later than the topic", func(s *accepting) { s.at(s.lastCommon()) }, protocol.StatusRequireGreaterTimestamp},
	), append(standingApart,
		[2]string{"unknown", "cancelled"},
		[2]string{"a root that is not trusted", "signature of something else"},
		[2]string{"signature of something else", "another root than the submitter's"},
	)...)
}

// TestSubmittersMayExpire: whose card was valid when they submitted can be accepted.
func TestSubmittersMayExpire(t *testing.T) {
	trusted := x509.NewCertPool()
	f := newFixture(t, withOptions(func(o *rules.Options) { o.TrustedRoots = trusted }))
	root := f.issue(nil, "root", authority, func(template *x509.Certificate) { template.NotAfter = template.NotAfter.Add(24 * time.Hour) })
	trusted.AddCert(root.Certificate)
	submitted := f.submission(carolLaptop)
	submitted.leaf = f.issue(root, "carol")
	f.submit(submitted)
	f.clock.advance(25 * time.Hour)
	accepted := f.acceptance(f.alice(), carolLaptop)
	accepted.leaf = f.issue(root, "alice")
	f.ok(f.AsyncEnrollmentAccept(t.Context(), f.alice(), accepted.request()))
}

// An acceptance whose certificates are not of what was submitted, or told, would be a
// dead account (enrollment.md §2.6, Improve).
func TestAcceptedAccountsLive(t *testing.T) {
	toldOf := func(change func(told *certificate.EnrollmentAccept)) func(s *accepting) {
		return func(s *accepting) { s.told = change }
	}
	for name, spoil := range map[string]func(s *accepting){
		"user":   toldOf(func(told *certificate.EnrollmentAccept) { told.UserID = bobID }),
		"device": toldOf(func(told *certificate.EnrollmentAccept) { told.DeviceID = bobLaptop }),
		"label": toldOf(func(told *certificate.EnrollmentAccept) {
			told.DeviceLabel = must(parsec3.ParseDeviceLabel("another label"))
		}),
		"human handle": toldOf(func(told *certificate.EnrollmentAccept) { told.HumanHandle = human(bobID) }),
		"profile":      toldOf(func(told *certificate.EnrollmentAccept) { told.Profile = parsec.ProfileAdmin }),
		"key of the user": func(s *accepting) {
			s.user.PublicKey[0]++
			s.redactedUser.PublicKey[0]++
		},
		"key of the device": func(s *accepting) {
			s.device.VerifyKey[0]++
			s.redactedDevice.VerifyKey[0]++
		},
	} {
		s := newAccepting(t)
		spoil(s)
		if got := status(nil, s.run()); got != protocol.StatusInvalidCertificate {
			t.Errorf("another %s: got %s", name, got)
		}
	}
}

// TestEnrollment goes from the submission to the first command of the new user, with the
// events of each step.
func TestEnrollment(t *testing.T) {
	mails := &mailer{outcome: protocol.EmailSuccess}
	f := newFixture(t, withOptions(func(o *rules.Options) { o.Mailer = mails }))
	root := f.rootAuthority("root")
	middle := f.issue(root, "middle", authority)
	lower := f.issue(middle, "lower", authority)
	s := f.submission(carolLaptop)
	s.leaf, s.intermediates = f.issue(lower, "carol"), ders(root, middle, lower) // in any order
	submitted := f.submit(s)
	on := f.clock.now()
	f.wantTold(notice.AsyncEnrollment{})
	f.clock.advance(time.Second)

	if got, want := f.listedEnrollments(), []protocol.SubmittedEnrollment{{
		EnrollmentID: s.id, SubmittedOn: on, SubmitPayload: submitted.SubmitPayload, SubmitPayloadSignature: submitted.SubmitPayloadSignature,
	}}; !reflect.DeepEqual(got, want) {
		t.Errorf("listed\n%+v, want\n%+v", got, want)
	}
	if got, want := f.info(s.id), (&protocol.AsyncEnrollmentInfoReply{Status: protocol.EnrollmentSubmitted, SubmittedOn: on}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	a := f.acceptance(f.alice(), carolLaptop)
	a.leaf, a.sendEmail = f.issue(root, "alice"), new(true)
	request := a.request()
	reply, err := f.AsyncEnrollmentAccept(t.Context(), f.alice(), request)
	f.ok(nil, err)
	if reply.EmailSent != protocol.EmailSuccess || !reflect.DeepEqual(mails.enrollments, []rules.EnrollmentMail{{To: "carol@example.com", Organization: acme}}) {
		t.Errorf("%s of %+v", reply.EmailSent, mails.enrollments)
	}
	f.wantTold(notice.CommonCertificate{Timestamp: a.user.Timestamp}, notice.AsyncEnrollment{})
	if got, want := f.info(s.id), (&protocol.AsyncEnrollmentInfoReply{
		Status: protocol.EnrollmentAccepted, SubmittedOn: on, AcceptedOn: new(f.clock.now()),
		AcceptPayload: request.AcceptPayload, AcceptPayloadSignature: &request.AcceptPayloadSignature,
	}); !reflect.DeepEqual(got.AcceptPayloadSignature.Leaf, want.AcceptPayloadSignature.Leaf) ||
		len(got.AcceptPayloadSignature.Intermediates) != 0 || got.Status != want.Status || *got.AcceptedOn != *want.AcceptedOn {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if waiting := f.listedEnrollments(); len(waiting) > 0 {
		t.Errorf("%d wait", len(waiting))
	}
	full := f.common(f.alice())
	if last := len(full) - 2; !reflect.DeepEqual(full[last:], [][]byte{request.UserCertificate, request.DeviceCertificate}) {
		t.Error("the certificates are not the last ones")
	}
	f.clock.advance(time.Second)
	carol := f.author(carolLaptop)
	f.ok(f.DeviceCreate(t.Context(), carol, f.deviceCreation(carol, deviceID("carol@phone")).request()))
}

// wantTold wants events, after the last look.
func (f *fixture) wantTold(want ...event.Body) {
	f.t.Helper()
	if got := f.events.bodies(); !reflect.DeepEqual(got, want) {
		f.t.Errorf("told %+v, want %+v", got, want)
	}
}

// An acceptance ends the invitations of its e-mail, in any case of the letters, and no
// others (invite.md §5, Improve): a refused one ends none.
func TestAcceptanceEndsInvitations(t *testing.T) {
	f := newFixture(t)
	first, second := f.inviteUser(f.alice(), "Carol@EXAMPLE.com"), f.inviteUser(f.alice(), zackEmail)
	device := f.inviteDevice(f.alice())
	started, err := f.InviteGreeterStartGreetingAttempt(t.Context(), f.alice(), &protocol.InviteGreeterStartGreetingAttemptRequest{Token: first})
	f.ok(nil, err)
	f.submit(f.submission(carolLaptop))
	a := f.acceptance(f.alice(), carolLaptop)
	a.told = func(told *certificate.EnrollmentAccept) { told.UserID = bobID }
	if got := status(f.AsyncEnrollmentAccept(t.Context(), f.alice(), a.request())); got != protocol.StatusInvalidCertificate {
		t.Fatalf("got %s", got)
	}
	admitted := func(token parsec3.AccessToken) error {
		_, err := f.AdmitInvited(t.Context(), acme, token, latest)
		return err
	}
	f.ok(nil, admitted(first))

	a.told = func(*certificate.EnrollmentAccept) {}
	f.events.take()
	f.ok(f.AsyncEnrollmentAccept(t.Context(), f.alice(), a.request()))
	f.wantTold(notice.CommonCertificate{Timestamp: a.user.Timestamp}, notice.AsyncEnrollment{},
		notice.Invitation{Token: first, Status: protocol.InvitationCancelled, Administrators: true},
		notice.GreetingAttemptCancelled{Token: first, Attempt: started.GreetingAttempt, Greeter: aliceID})
	if got := status(nil, admitted(first)); got != aborted(rules.InvitationOver) {
		t.Errorf("the invitation of the e-mail: %s", got)
	}
	f.ok(nil, admitted(second))
	f.ok(nil, admitted(device))
	for _, item := range f.listed(f.alice()) {
		if want := map[bool]protocol.InvitationStatus{true: protocol.InvitationCancelled, false: protocol.InvitationPending}[item.Token == first]; item.Status != want {
			t.Errorf("%s is %s, want %s", item.Token, item.Status, want)
		}
	}
}

// An acceptance stands whatever becomes of its e-mail.
func TestEnrollmentEmails(t *testing.T) {
	asked, notAsked := new(true), new(false)
	for _, test := range []struct {
		name   string
		mailer rules.Mailer
		asked  *bool
		want   protocol.EmailSent
	}{
		{"of a client before 5.5", &mailer{outcome: protocol.EmailRecipientRefused}, nil, protocol.EmailSuccess},
		{"not asked for", &mailer{outcome: protocol.EmailRecipientRefused}, notAsked, protocol.EmailSuccess},
		{"no e-mail server", nil, asked, protocol.EmailServerUnavailable},
		{"e-mail server out of reach", &mailer{outcome: protocol.EmailServerUnavailable}, asked, protocol.EmailServerUnavailable},
		{"refused recipient", &mailer{outcome: protocol.EmailRecipientRefused}, asked, protocol.EmailRecipientRefused},
	} {
		f := newFixture(t, withOptions(func(o *rules.Options) { o.Mailer = test.mailer }))
		f.submit(f.submission(carolLaptop))
		a := f.acceptance(f.alice(), carolLaptop)
		a.sendEmail = test.asked
		reply, err := f.AsyncEnrollmentAccept(t.Context(), f.alice(), a.request())
		if err != nil || reply.EmailSent != test.want {
			t.Errorf("%s: %+v, error %v", test.name, reply, err)
		}
		if got := f.info(a.id).Status; got != protocol.EnrollmentAccepted {
			t.Errorf("%s: %s", test.name, got)
		}
	}
}

// TestForcedSubmission cancels the earlier one of the e-mail, in any case of its letters.
func TestForcedSubmission(t *testing.T) {
	f := newFixture(t)
	first := f.submission(carolLaptop)
	f.submit(first)
	on := f.clock.now()
	f.clock.advance(time.Second)
	later := f.submission(deviceID("carol@phone"))
	later.setEmail("CAROL@Example.com")
	_, err := f.AsyncEnrollmentSubmit(t.Context(), stranger, later.request())
	if got := detailsOf[protocol.EmailAlreadySubmittedDetails](err).SubmittedOn; got != on {
		t.Errorf("submitted on %s, want %s: %v", got, on, err)
	}
	later.force = true
	f.events.take()
	f.submit(later)
	f.wantTold(notice.AsyncEnrollment{})
	if got, want := f.info(first.id), (&protocol.AsyncEnrollmentInfoReply{
		Status: protocol.EnrollmentCancelled, SubmittedOn: on, CancelledOn: new(f.clock.now()),
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if waiting := f.listedEnrollments(); len(waiting) != 1 || waiting[0].EnrollmentID != later.id {
		t.Errorf("%d wait", len(waiting))
	}
	enrolled := f.submission(deviceID("robert@laptop"))
	enrolled.setEmail("BOB@example.COM")
	if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, enrolled.request())); got != protocol.StatusEmailAlreadyEnrolled {
		t.Errorf("bob in other letters: got %s", got)
	}
}

// TestRejection is told to who asks.
func TestRejection(t *testing.T) {
	f := newFixture(t)
	s := f.submission(carolLaptop)
	f.submit(s)
	on := f.clock.now()
	f.clock.advance(time.Second)
	f.events.take()
	f.ok(f.AsyncEnrollmentReject(t.Context(), f.alice(), &protocol.AsyncEnrollmentRejectRequest{EnrollmentID: s.id}))
	f.wantTold(notice.AsyncEnrollment{})
	if got, want := f.info(s.id), (&protocol.AsyncEnrollmentInfoReply{
		Status: protocol.EnrollmentRejected, SubmittedOn: on, RejectedOn: new(f.clock.now()),
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	f.cancelEnrollment(f.submitted("dave"))
	f.submit(func() *submission { s := f.submission(carolLaptop); s.id = enrollmentID("again"); return s }())
}

// submitted submits for the laptop of somebody.
func (f *fixture) submitted(name string) parsec3.EnrollmentID {
	f.t.Helper()
	s := f.submission(deviceID(name + "@laptop"))
	f.submit(s)
	return s.id
}

// TestPendingEnrollmentsAreBounded: strangers cannot fill the organization.
func TestPendingEnrollmentsAreBounded(t *testing.T) {
	const most = 1000
	f := newFixture(t)
	f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme, Common: rules.Shared, Enrollment: rules.Exclusive}, func(tx rules.Tx) error {
		for i := range most - 1 {
			tx.SubmitEnrollment(rules.Enrollment{
				ID: enrollmentID(fmt.Sprint(i)), Status: protocol.EnrollmentSubmitted, SubmittedOn: f.clock.now(),
				Payload: []byte{}, Identity: rules.Identity{Signature: []byte{}},
			}, fmt.Sprintf("%d@example.com", i))
		}
		return nil
	}))
	last := f.submission(carolLaptop)
	f.submit(last)
	more := f.submission(deviceID("dave@laptop"))
	if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, more.request())); got != aborted(rules.TooMany) {
		t.Errorf("one more: got %s", got)
	}
	again := f.submission(deviceID("carol@phone"))
	again.force, again.payload.HumanHandle = true, last.payload.HumanHandle
	f.submit(again)
	f.cancelEnrollment(again.id)
	f.submit(more)
}

// TestPendingBytesAreBounded: ADMINs can list all of them.
func TestPendingBytesAreBounded(t *testing.T) {
	const most = 8 << 20
	f := newFixture(t)
	request := f.submission(carolLaptop).request()
	openBao := request.SubmitPayloadSignature
	size := len(request.SubmitPayload) + len(openBao.OpenBaoSignature) + len(openBao.EntityID)
	for _, spare := range []int{0, 1} {
		f := newFixture(t)
		f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme, Common: rules.Shared, Enrollment: rules.Exclusive}, func(tx rules.Tx) error {
			tx.SubmitEnrollment(rules.Enrollment{
				ID: enrollmentID("large"), Status: protocol.EnrollmentSubmitted, SubmittedOn: f.clock.now(),
				Payload: make([]byte, most-size+1-spare), Identity: rules.Identity{Signature: []byte{}},
			}, "large@example.com")
			return nil
		}))
		want := []protocol.Status{aborted(rules.TooMany), protocol.StatusOK}[spare]
		if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, request)); got != want {
			t.Errorf("with %d bytes more: got %s, want %s", spare, got, want)
		}
	}
}

// TestChainsOfCertificates is what the server looks at without knowing whom to trust
// (enrollment.md §1.2).
func TestChainsOfCertificates(t *testing.T) {
	f := newFixture(t)
	root := f.rootAuthority("root")
	middle := f.issue(root, "middle", authority)
	leaf := f.issue(middle, "carol")
	large := f.issue(root, "large", authority, func(template *x509.Certificate) {
		template.Subject.Organization = []string{strings.Repeat("a", 64<<10)}
	})
	const ok, badChain = protocol.StatusOK, protocol.StatusInvalidX509Trustchain
	for _, test := range []struct {
		name          string
		intermediates [][]byte
		want          protocol.Status
	}{
		{"none", nil, ok},
		{"one", ders(middle), ok},
		{"with the root", ders(middle, root), ok},
		{"in another order", ders(root, middle), ok},
		{"without the middle", ders(root), badChain},
		{"twice the same", ders(middle, middle), badChain},
		{"of another", ders(middle, f.rootAuthority("another")), badChain},
		{"above 64 KiB", ders(large), badChain},
		{"with one in odd letters", ders(middle, f.issueOdd(root, "root")), ok},
		{"no certificate", [][]byte{middle.Raw[1:]}, protocol.StatusInvalidDERX509Certificate},
		{"a certificate and more", [][]byte{append(slices.Clone(middle.Raw), 0)}, protocol.StatusInvalidDERX509Certificate},
		{"a part of a certificate", [][]byte{middle.RawTBSCertificate}, protocol.StatusInvalidDERX509Certificate},
	} {
		s := f.submission(carolLaptop)
		s.id, s.force, s.leaf, s.intermediates, s.spoilt = enrollmentID(test.name), true, leaf, test.intermediates, true
		if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, s.request())); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	small := f.smallAuthority("small")
	for most, want := range map[int]protocol.Status{100: ok, 101: badChain} {
		s := f.submission(carolLaptop)
		s.id, s.force, s.leaf = enrollmentID(fmt.Sprint(most)), true, f.issue(small, "carol")
		s.intermediates = slices.Repeat(ders(small), most) // each the issuer of the next one
		if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, s.request())); got != want {
			t.Errorf("%d intermediates: got %s, want %s", most, got, want)
		}
	}
	s := f.submission(carolLaptop)
	s.id, s.force, s.leaf = enrollmentID("odd"), true, f.issueOdd(root, "carol")
	if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, s.request())); got != ok {
		t.Errorf("a leaf in odd letters: got %s", got)
	}
	s = f.submission(carolLaptop)
	s.leaf, s.force = &card{Certificate: &x509.Certificate{Raw: []byte("none")}, key: leaf.key}, true
	if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, s.request())); got != protocol.StatusInvalidDERX509Certificate {
		t.Errorf("a leaf that is none: got %s", got)
	}
}

// TestTrustedRoots is what the server looks at if it knows whom to trust.
func TestTrustedRoots(t *testing.T) {
	trusted := x509.NewCertPool()
	f := newFixture(t, withOptions(func(o *rules.Options) { o.TrustedRoots = trusted }))
	root := f.rootAuthority("root")
	trusted.AddCert(root.Certificate)
	middle := f.issue(root, "middle", authority)
	early := func(template *x509.Certificate) { template.NotBefore = f.clock.now().Time().Add(time.Hour) }
	late := func(template *x509.Certificate) { template.NotAfter = f.clock.now().Time().Add(-time.Minute) }
	for _, test := range []struct {
		name          string
		leaf          *card
		intermediates [][]byte
		want          protocol.Status
	}{
		{"of the root", f.issue(root, "carol"), nil, protocol.StatusOK},
		{"through another one", f.issue(middle, "carol"), ders(middle), protocol.StatusOK},
		{"without that", f.issue(middle, "carol"), nil, protocol.StatusInvalidX509Trustchain},
		{"not valid yet", f.issue(root, "carol", early), nil, protocol.StatusInvalidX509Trustchain},
		{"valid no longer", f.issue(root, "carol", late), nil, protocol.StatusInvalidX509Trustchain},
		{"by one that may not issue", f.issue(f.issue(root, "user"), "carol"), ders(f.issue(root, "user")), protocol.StatusInvalidX509Trustchain},
		{"for servers", f.issue(root, "carol", func(template *x509.Certificate) {
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), nil, protocol.StatusInvalidX509Trustchain},
		{"in odd letters", f.issueOdd(root, "carol"), nil, protocol.StatusInvalidX509Trustchain},
		{"with a short key", f.issueFor(must(rsa.GenerateKey(rand.Reader, 1024)), root, "carol"), nil, protocol.StatusInvalidSubmitPayloadSignature},
		{"with a key that takes long to verify by", f.issueHuge(root, "carol"), nil, protocol.StatusInvalidX509Trustchain},
	} {
		s := f.submission(carolLaptop)
		s.id, s.force, s.leaf, s.intermediates = enrollmentID(test.name), true, test.leaf, test.intermediates
		if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, s.request())); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// What strangers send is bounded in each part.
func TestEnrollmentsAreSmall(t *testing.T) {
	f := newFixture(t)
	s := f.submission(carolLaptop)
	request := s.request()
	for name, entity := range map[string]string{"a long entity": strings.Repeat("a", 4<<10+1), "an entity that no database keeps": "a\x00"} {
		request.SubmitPayloadSignature.EntityID = entity
		if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, request)); got != protocol.StatusInvalidSubmitPayloadSignature {
			t.Errorf("%s: got %s", name, got)
		}
	}
	request = s.request()
	request.SubmitPayload = lengthened(request.SubmitPayload)
	if _, err := certificate.LoadEnrollmentSubmit(request.SubmitPayload); err != nil {
		t.Fatal(err)
	}
	if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, request)); got != protocol.StatusInvalidSubmitPayload {
		t.Errorf("a long payload: got %s", got)
	}
}

// lengthened adds a frame of zstd without content to a payload, which says the same.
func lengthened(payload []byte) []byte {
	return append(append(payload, 0x50, 0x2a, 0x4d, 0x18, 0, 0x40, 0, 0), make([]byte, 16<<10)...)
}

// Invariants of enrollment.md §2.7 in one process.
func TestEnrollmentInvariants(t *testing.T) {
	const n = 8
	f := newFixture(t)
	calls := make([]func() error, n)
	for i := range calls {
		s := f.submission(carolLaptop)
		s.id = enrollmentID(fmt.Sprint("one of many ", i))
		request := s.request()
		calls[i] = func() error {
			_, err := f.AsyncEnrollmentSubmit(t.Context(), stranger, request)
			return err
		}
	}
	if got, want := parallel(calls...), (map[protocol.Status]int{protocol.StatusOK: 1, protocol.StatusEmailAlreadySubmitted: n - 1}); !reflect.DeepEqual(got, want) {
		t.Errorf("submissions of one e-mail: %v, want %v", got, want)
	}
	id := f.listedEnrollments()[0].EnrollmentID
	accept := f.acceptance(f.alice(), carolLaptop)
	accept.id = id
	acceptRequest := accept.request()
	forced := f.submission(carolLaptop)
	forced.force = true
	forcedRequest := forced.request()
	f.clock.advance(time.Second)
	got := parallel(
		func() error {
			_, err := f.AsyncEnrollmentAccept(t.Context(), f.alice(), acceptRequest)
			return err
		},
		func() error {
			_, err := f.AsyncEnrollmentReject(t.Context(), f.alice(), &protocol.AsyncEnrollmentRejectRequest{EnrollmentID: id})
			return err
		},
		func() error {
			_, err := f.AsyncEnrollmentCancel(t.Context(), stranger, &protocol.AsyncEnrollmentCancelRequest{EnrollmentID: id})
			return err
		},
	)
	if want := (map[protocol.Status]int{protocol.StatusOK: 1, protocol.StatusEnrollmentNoLongerAvailable: 2}); !reflect.DeepEqual(got, want) {
		t.Errorf("ends of one enrollment: %v, want %v", got, want)
	}
	users, err := f.store.Users(t.Context(), acme)
	f.ok(nil, err)
	enrolled := slices.ContainsFunc(users, func(u rules.User) bool { return u.ID == userID("carol") })
	if accepted := f.info(id).Status == protocol.EnrollmentAccepted; accepted != enrolled {
		t.Errorf("accepted: %t, enrolled: %t", accepted, enrolled)
	}
	want := protocol.StatusOK
	if enrolled {
		want = protocol.StatusEmailAlreadyEnrolled
	}
	if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, forcedRequest)); got != want {
		t.Errorf("submitted once more: %s, want %s", got, want)
	}
}

// An organization of the other generation, or of none, has no enrollments.
func TestEnrollmentsOfParsec3Alone(t *testing.T) {
	f := newFixture(t)
	f.changeOrganization(acme, func(o *organization.Organization) { o.Generation = organization.Parsec2 })
	s := f.submission(carolLaptop)
	s.packed = []byte("no payload")
	if got := status(f.AsyncEnrollmentSubmit(t.Context(), stranger, s.request())); got != aborted(rules.WrongGeneration) {
		t.Errorf("got %s", got)
	}
}
