package parsec3_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// enroll has zoe ask to join by her smart card, and yan by OpenBao, and alice accept
// them by her own card and entity. Somebody else asks in zoe's name.
func (s *joining) enroll() {
	s.t.Helper()
	pki := must(testclient3.NewPKI(time.Now()))
	card := must(pki.Badge(email("alice")))
	impostor, own := must(pki.Badge(email("mallory"))), must(pki.Badge(email("zoe")))
	mallory, err := s.submit("zoe", impostor, false)
	s.do("submit as mallory", err)
	nextOf[*protocol.AsyncEnrollmentEvent](s.dora)
	_, err = s.submit("zoe", own, false)
	wantRefusal(s.world, protocol.StatusEmailAlreadySubmitted, err)
	if _, err := s.accept(mallory, card); err == nil {
		s.t.Error("alice accepts somebody else")
	}
	_, err = client3.Call(s.ctx, s.alice.RPC(), protocol.AsyncEnrollmentReject, &protocol.AsyncEnrollmentRejectRequest{EnrollmentID: mallory.ID})
	s.do("reject", err)
	s.wantEnrollment(mallory, protocol.EnrollmentRejected)
	early, err := s.submit("zoe", own, false)
	s.do("submit", err)
	zoe, err := s.submit("zoe", own, true)
	s.do("submit again", err)
	s.wantEnrollment(early, protocol.EnrollmentCancelled)
	if _, err := zoe.Finish(s.wantEnrollment(zoe, protocol.EnrollmentSubmitted), now()); err == nil {
		s.t.Error("zoe is in before she is accepted")
	}
	s.zoe = s.enter("zoe", zoe, card)
	_, err = s.submit("zoe", own, true)
	wantRefusal(s.world, protocol.StatusEmailAlreadyEnrolled, err)

	yan, err := s.submit("yan", testclient3.Entity(email("yan")), false)
	s.do("submit as yan", err)
	s.enter("yan", yan, testclient3.Entity(email("alice")))
}

// submit has a stranger ask to join as somebody. force cancels what was submitted for
// the same e-mail address.
func (s *joining) submit(as string, identity testclient3.Identity, force bool) (*testclient3.Enrollment, error) {
	s.t.Helper()
	enrollment, request, err := testclient3.NewEnrollment(s.organization, identity, person(as))
	s.do("prepare", err)
	request.Force = force
	_, err = client3.Call(s.ctx, s.connect().Anonymous(s.organization), protocol.AsyncEnrollmentSubmit, request)
	return enrollment, err
}

// accept has alice look for an enrollment and accept it, unless she finds that it is of
// somebody else.
func (s *joining) accept(enrollment *testclient3.Enrollment, by testclient3.Identity) (protocol.EmailSent, error) {
	s.t.Helper()
	reply, err := client3.Call(s.ctx, s.alice.RPC(), protocol.AsyncEnrollmentList, &protocol.AsyncEnrollmentListRequest{})
	if s.do("list", err); len(reply.Enrollments) != 1 || reply.Enrollments[0].EnrollmentID != enrollment.ID {
		s.t.Fatalf("alice sees %+v", reply.Enrollments)
	}
	return s.alice.AcceptEnrollment(s.ctx, &reply.Enrollments[0], parsec.ProfileStandard, by)
}

// enter has alice accept somebody, who learns of it by an e-mail and logs in.
func (s *joining) enter(name string, enrollment *testclient3.Enrollment, by testclient3.Identity) *peer {
	s.t.Helper()
	sent, err := s.accept(enrollment, by)
	if s.do("accept", err); sent != protocol.EmailSuccess {
		s.t.Errorf("the e-mail: %s", sent)
	}
	mail := s.mails.Next(s.ctx, s.t)
	if mail.To != email(name) || !strings.Contains(mail.Text, "You may join CoolOrg") || !slices.ContainsFunc(s.addresses, func(a parsec.ServerAddress) bool {
		return strings.Contains(mail.Text, parsec.Parsec3Scheme.PrintServerAddress(a)+"\n")
	}) {
		s.t.Errorf("an e-mail to %s: %s", mail.To, mail.Text)
	}
	device, err := enrollment.Finish(s.wantEnrollment(enrollment, protocol.EnrollmentAccepted), now())
	if s.do("finish", err); device.HumanHandle != person(name).HumanHandle {
		s.t.Errorf("%s is %+v", name, device)
	}
	p := s.login(name, device)
	s.do("poll", p.Poll(s.ctx))
	for _, by := range []*peer{s.alice, p} {
		if known := by.Knowledge().User(device.User); known == nil || known.PublicKey != device.PublicKey() {
			s.t.Errorf("%s knows of %s %+v", by.name, name, known)
		}
	}
	return p
}

// wantEnrollment returns what a stranger is told of an enrollment.
func (s *joining) wantEnrollment(enrollment *testclient3.Enrollment, want protocol.EnrollmentStatus) *protocol.AsyncEnrollmentInfoReply {
	s.t.Helper()
	info, err := client3.Call(s.ctx, s.connect().Anonymous(s.organization), protocol.AsyncEnrollmentInfo,
		&protocol.AsyncEnrollmentInfoRequest{EnrollmentID: enrollment.ID})
	if s.do("ask for the enrollment", err); info.Status != want {
		s.t.Errorf("the enrollment is %+v, want %s", info, want)
	}
	return info
}

// useTOTP has zoe protect a device by one-time passwords, lose her telephone, and have
// an administrator reset them.
func (s *joining) useTOTP() {
	s.t.Helper()
	anonymous := s.connect().Anonymous(s.organization)
	secret, err := client3.Call(s.ctx, s.zoe.RPC(), protocol.TOTPSetupGetSecret, &protocol.TOTPSetupGetSecretRequest{})
	s.do("get the secret", err)
	_, err = client3.Call(s.ctx, s.zoe.RPC(), protocol.TOTPSetupConfirm, &protocol.TOTPSetupConfirmRequest{
		OneTimePassword: testclient3.OneTimePassword(secret.TOTPSecret, now()),
	})
	s.do("confirm", err)
	wantRefused(s.zoe, protocol.StatusAlreadySetup, protocol.TOTPSetupGetSecret, &protocol.TOTPSetupGetSecretRequest{})
	key, err := client3.Call(s.ctx, s.zoe.RPC(), protocol.TOTPCreateOpaqueKey, &protocol.TOTPCreateOpaqueKeyRequest{})
	s.do("create a key", err)
	fetch := func(password string) (*protocol.TOTPFetchOpaqueKeyReply, error) {
		return client3.Call(s.ctx, anonymous, protocol.TOTPFetchOpaqueKey, &protocol.TOTPFetchOpaqueKeyRequest{
			UserID: s.zoe.Device.User, OpaqueKeyID: key.OpaqueKeyID, OneTimePassword: password,
		})
	}
	if fetched, err := fetch(testclient3.OneTimePassword(secret.TOTPSecret, now())); err != nil || fetched.OpaqueKey != key.OpaqueKey {
		s.t.Errorf("fetched %v, %v", fetched, err)
	}
	// Each wrong one doubles the wait: on a slow machine, too, one comes too early.
	for _, err = fetch("wrong"); !isThrottled(err); _, err = fetch("wrong") {
		wantRefusal(s.world, protocol.StatusInvalidOneTimePassword, err)
	}

	var reset struct {
		Sent string `json:"email_sent_status"`
	}
	s.rest(http.MethodPost, "organizations/"+s.organization.String()+"/users/reset_totp", map[string]any{"user_email": email("zoe"), "send_email": true}, &reset)
	address, mail := s.mailed("zoe")
	target, is := address.Target.(parsec3.TOTPResetTarget)
	if !is || target.User != s.zoe.Device.User || reset.Sent != "SENT_AS_REQUESTED" || !strings.Contains(mail.Header.Get("Subject"), "MFA") {
		s.t.Fatalf("%s, and an e-mail with a link to %s", reset.Sent, address)
	}
	_, err = fetch(testclient3.OneTimePassword(secret.TOTPSecret, now()))
	wantRefusal(s.world, protocol.StatusInvalidOneTimePassword, err)
	again, err := client3.Call(s.ctx, anonymous, protocol.TOTPSetupGetSecretAnonymous, &protocol.TOTPSetupGetSecretAnonymousRequest{UserID: target.User, Token: target.Token})
	s.do("get another secret", err)
	_, err = client3.Call(s.ctx, anonymous, protocol.TOTPSetupConfirmAnonymous, &protocol.TOTPSetupConfirmAnonymousRequest{
		UserID: target.User, Token: target.Token, OneTimePassword: testclient3.OneTimePassword(again.TOTPSecret, now()),
	})
	s.do("confirm again", err)
	const step = 30 * time.Second // none is good twice
	if fetched, err := fetch(testclient3.OneTimePassword(again.TOTPSecret, now().Add(step))); err != nil || fetched.OpaqueKey != key.OpaqueKey {
		s.t.Errorf("after the reset fetched %v, %v", fetched, err)
	}
	_, err = client3.Call(s.ctx, anonymous, protocol.TOTPSetupGetSecretAnonymous, &protocol.TOTPSetupGetSecretAnonymousRequest{UserID: target.User, Token: target.Token})
	wantRefusal(s.world, protocol.StatusBadToken, err)
	if _, err := s.administration().Freeze(s.ctx, s.organization, client.UserChoice{Email: email("zoe")}, true); err != nil {
		s.t.Errorf("freeze: %v", err)
	}
	s.zoe.wantStop(client.StatusUserFrozen)
	_, err = fetch(testclient3.OneTimePassword(again.TOTPSecret, now()))
	wantRefusal(s.world, protocol.StatusInvalidOneTimePassword, err)
}

func isThrottled(err error) bool {
	refusal, refused := errors.AsType[*protocol.Refusal](err)
	return refused && refusal.Status == protocol.StatusThrottled
}
