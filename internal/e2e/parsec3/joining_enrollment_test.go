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

// enroll has zoe ask to join by her smart card, and alice accept her by her own one.
// Somebody else asks in her name.
func (s *joining) enroll() {
	s.t.Helper()
	s.pki = must(testclient3.NewPKI(time.Now()))
	identities := map[string]*testclient3.Badge{}
	for _, name := range []string{"mallory", "zoe"} {
		identities[name] = must(s.pki.Badge(email(name)))
	}
	submit := func(identity string, force bool) (*testclient3.Submitter, error) {
		submitter, err := testclient3.NewSubmitter(s.connect(), s.organization, person("zoe"), s.pki, identities[identity])
		s.do("prepare", err)
		return submitter, submitter.Submit(s.ctx, force)
	}
	mallory, err := submit("mallory", false)
	s.do("submit as mallory", err)
	nextOf[*protocol.AsyncEnrollmentEvent](s.dora)
	_, err = submit("zoe", false)
	wantRefusal(s.world, protocol.StatusEmailAlreadySubmitted, err)
	card := must(s.pki.Badge(email("alice")))
	s.accept(mallory, card, "")
	s.wantEnrollment(mallory, protocol.EnrollmentRejected)
	early, err := submit("zoe", false)
	s.do("submit", err)
	zoe, err := submit("zoe", true)
	s.do("submit again", err)
	s.wantEnrollment(early, protocol.EnrollmentCancelled)
	if _, err := zoe.Finish(s.ctx); err == nil {
		s.t.Error("zoe is in before she is accepted")
	}
	user := s.accept(zoe, card, protocol.EmailSuccess)
	mail := s.mails.Next(s.ctx, s.t)
	if mail.To != email("zoe") || !strings.Contains(mail.Text, "You may join CoolOrg") || !slices.ContainsFunc(s.addresses, func(a parsec.ServerAddress) bool {
		return strings.Contains(mail.Text, parsec.Parsec3Scheme.PrintServerAddress(a)+"\n")
	}) {
		s.t.Errorf("an e-mail to %s: %s", mail.To, mail.Text)
	}
	device, err := zoe.Finish(s.ctx)
	if s.do("finish", err); device.User != user || device.HumanHandle != person("zoe").HumanHandle {
		s.t.Errorf("zoe is %+v, and alice knows her as %s", device, user)
	}
	s.zoe = s.login("zoe", device)
	s.do("poll", s.zoe.Poll(s.ctx))
	if known := s.zoe.Knowledge().User(user); known == nil || known.PublicKey != device.PublicKey() {
		s.t.Errorf("zoe knows of herself %+v", known)
	}
	_, err = submit("zoe", true)
	wantRefusal(s.world, protocol.StatusEmailAlreadyEnrolled, err)
}

// accept has alice look for an enrollment and accept it, or, where she finds that it is
// of somebody else, reject it.
func (s *joining) accept(submitter *testclient3.Submitter, card *testclient3.Badge, want protocol.EmailSent) parsec3.UserID {
	s.t.Helper()
	enrollments, err := s.alice.Enrollments(s.ctx)
	if s.do("list", err); len(enrollments) != 1 || enrollments[0].EnrollmentID != submitter.ID {
		s.t.Fatalf("alice sees %+v", enrollments)
	}
	user, sent, err := s.alice.AcceptEnrollment(s.ctx, &enrollments[0], parsec.ProfileStandard, s.pki, card)
	if want == "" {
		if err == nil {
			s.t.Error("alice accepts somebody else")
		}
		s.do("reject", s.alice.RejectEnrollment(s.ctx, submitter.ID))
		return user
	}
	if s.do("accept", err); sent != want {
		s.t.Errorf("the e-mail: %s", sent)
	}
	return user
}

func (s *joining) wantEnrollment(submitter *testclient3.Submitter, want protocol.EnrollmentStatus) {
	s.t.Helper()
	if info, err := submitter.Info(s.ctx); err != nil || info.Status != want {
		s.t.Errorf("the enrollment is %+v, %v, want %s", info, err, want)
	}
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
