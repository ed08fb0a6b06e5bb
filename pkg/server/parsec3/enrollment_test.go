package parsec3_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"parsec-server/internal/testkit/testclient3"
	clientparsec3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// TestEnrollment has somebody join over HTTP, and work.
func TestEnrollment(t *testing.T) {
	f := newFixture(t)
	stranger, alice := f.client.Anonymous(coolOrg), f.client.Authenticated(f.alice)
	enrollment, submit, err := testclient3.NewEnrollment(coolOrg, testclient3.Entity("carol@example.com"), person("carol"))
	f.ok(err)
	call(f, stranger, protocol.AsyncEnrollmentSubmit, submit)
	listed := call(f, alice, protocol.AsyncEnrollmentList, &protocol.AsyncEnrollmentListRequest{}).Enrollments
	if len(listed) != 1 {
		t.Fatalf("%d are listed", len(listed))
	}
	accept, err := testclient3.AcceptEnrollment(f.alice, &listed[0], parsec.ProfileStandard, testclient3.Entity("alice@example.com"), f.clock.Now())
	f.ok(err)
	call(f, alice, protocol.AsyncEnrollmentAccept, accept)
	carol, err := enrollment.Finish(call(f, stranger, protocol.AsyncEnrollmentInfo, &protocol.AsyncEnrollmentInfoRequest{EnrollmentID: enrollment.ID}), f.clock.Now())
	f.ok(err)
	known := call(f, f.client.Authenticated(carol), protocol.CertificateGet, &protocol.CertificateGetRequest{})
	learnt, err := testclient3.NewKnowledge(carol).Learn(known)
	f.ok(err)
	if user := learnt.User(carol.User); user == nil || user.RevokedOn != nil {
		t.Errorf("carol is %+v", user)
	}
}

// Strangers who submit, or guess, too often are told to try later.
func TestStrangersAreLimited(t *testing.T) {
	f := newFixture(t)
	_, submit, err := testclient3.NewEnrollment(coolOrg, testclient3.Entity("carol@example.com"), person("carol"))
	f.ok(err)
	confirm := &protocol.TOTPSetupConfirmAnonymousRequest{UserID: f.bob.User, Token: parsec3.NewAccessToken(), OneTimePassword: "000000"}
	messages := [][]byte{message("async_enrollment_submit", submit), message("totp_setup_confirm", confirm)}
	answered := 0
	for ; answered < 200; answered++ {
		r := f.newRequest(http.MethodPost, "/anonymous/CoolOrg", nil)
		r.body = messages[answered%2]
		if got := f.send(r); got.status != http.StatusOK {
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Errorf("status %d, %v", got.status, got.header)
			}
			break
		}
	}
	if answered < 50 || answered == 200 {
		t.Errorf("%d requests of one address are answered", answered)
	}
	info := f.newRequest(http.MethodPost, "/anonymous/CoolOrg", nil)
	info.body = message("async_enrollment_info", &protocol.AsyncEnrollmentInfoRequest{EnrollmentID: submit.EnrollmentID})
	if got := f.send(info).status; got != http.StatusOK {
		t.Errorf("who asks: status %d", got)
	}
}

// TestGuessersAreLimited: each command by which somebody could guess, or have e-mails sent
// or messages signed, is for a network to send so often.
func TestGuessersAreLimited(t *testing.T) {
	f := newFixture(t, withAccounts)
	requests := aboutNobody()
	requests["scws_service_mutual_challenges"] = &protocol.SCWSServiceMutualChallengesRequest{}
	requests["totp_setup_confirm"] = &protocol.TOTPSetupConfirmRequest{OneTimePassword: "000000"}
	for name, fields := range requests {
		r := f.newRequest(http.MethodPost, "/anonymous_server", nil)
		if name == "totp_setup_confirm" {
			r = f.newRequest(http.MethodPost, "/authenticated/CoolOrg", f.bob)
		}
		r.body = message(name, fields)
		statuses := map[int]int{}
		for range 101 {
			statuses[f.send(r).status]++
		}
		if statuses[http.StatusOK] != 100 || statuses[http.StatusServiceUnavailable] != 1 {
			t.Errorf("%s: answers by status %v", name, statuses)
		}
		f.clock.Advance(time.Hour)
	}
}

// TestTOTP has a user set one-time passwords up, by both routes, and fetch a key.
func TestTOTP(t *testing.T) {
	f := newFixture(t)
	stranger, bob := f.client.Anonymous(coolOrg), f.client.Authenticated(f.bob)
	key := call(f, bob, protocol.TOTPCreateOpaqueKey, &protocol.TOTPCreateOpaqueKeyRequest{})
	secret := call(f, bob, protocol.TOTPSetupGetSecret, &protocol.TOTPSetupGetSecretRequest{}).TOTPSecret
	password := func() string { return testclient3.OneTimePassword(secret, f.clock.Now()) }
	call(f, bob, protocol.TOTPSetupConfirm, &protocol.TOTPSetupConfirmRequest{OneTimePassword: password()})
	fetch := func() error {
		reply, err := clientparsec3.Call(f.ctx, stranger, protocol.TOTPFetchOpaqueKey, &protocol.TOTPFetchOpaqueKeyRequest{
			UserID: f.bob.User, OpaqueKeyID: key.OpaqueKeyID, OneTimePassword: password(),
		})
		if err == nil && reply.OpaqueKey != key.OpaqueKey {
			t.Error("another key")
		}
		return err
	}
	f.ok(fetch())
	if got := refusalOf(fetch()); got != protocol.StatusInvalidOneTimePassword {
		t.Errorf("a password twice: %s", got)
	}
	if got := refusalOf(fetch()); got != protocol.StatusThrottled {
		t.Errorf("too early: %s", got)
	}
	token := f.resetTOTP(f.bob.User)
	secret = call(f, stranger, protocol.TOTPSetupGetSecretAnonymous, &protocol.TOTPSetupGetSecretAnonymousRequest{UserID: f.bob.User, Token: token}).TOTPSecret
	call(f, stranger, protocol.TOTPSetupConfirmAnonymous, &protocol.TOTPSetupConfirmAnonymousRequest{UserID: f.bob.User, Token: token, OneTimePassword: password()})
	f.ok(fetch())
}

// refusalOf returns the status of a refusal, "" for another outcome.
func refusalOf(err error) protocol.Status {
	refusal, refused := errors.AsType[*protocol.Refusal](err)
	if !refused {
		return ""
	}
	return refusal.Status
}

// resetTOTP has an administrator reset the setup of a user, and returns the token of the
// link.
func (f *fixture) resetTOTP(user parsec3.UserID) parsec3.AccessToken {
	f.t.Helper()
	location := f.Address.LocationOf(coolOrg)
	reset, err := f.Organizations.ResetTOTP(f.ctx, organization.Administrator{}, coolOrg, organization.UserChoice{ID: user.String()}, location, false)
	f.ok(err)
	address, err := parsec3.ParseAddress(reset.Link.URL)
	f.ok(err)
	return address.Target.(parsec3.TOTPResetTarget).Token
}
