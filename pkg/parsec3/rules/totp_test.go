package rules_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// passwordAt is the one-time password of steps from the one of now.
func (f *fixture) passwordAt(secret []byte, steps int64) string {
	return testclient3.OneTimePassword(secret, f.clock.now().Add(time.Duration(steps)*30*time.Second))
}

// wrongPassword is none of now.
func (f *fixture) wrongPassword(secret []byte) string {
	for i := 0; ; i++ {
		password := fmt.Sprintf("%06d", i)
		if password != f.passwordAt(secret, -1) && password != f.passwordAt(secret, 0) && password != f.passwordAt(secret, 1) {
			return password
		}
	}
}

func (f *fixture) totpSecret(by *rules.Author) []byte {
	f.t.Helper()
	reply, err := f.TOTPSetupGetSecret(f.t.Context(), by, &protocol.TOTPSetupGetSecretRequest{})
	f.ok(nil, err)
	return reply.TOTPSecret
}

func (f *fixture) confirmTOTP(by *rules.Author, password string) error {
	_, err := f.TOTPSetupConfirm(f.t.Context(), by, &protocol.TOTPSetupConfirmRequest{OneTimePassword: password})
	return err
}

// setTOTPUp completes the setup of a user, and returns its secret.
func (f *fixture) setTOTPUp(by *rules.Author) []byte {
	f.t.Helper()
	secret := f.totpSecret(by)
	f.ok(nil, f.confirmTOTP(by, f.passwordAt(secret, 0)))
	return secret
}

func (f *fixture) createKey(by *rules.Author) *protocol.TOTPCreateOpaqueKeyReply {
	f.t.Helper()
	reply, err := f.TOTPCreateOpaqueKey(f.t.Context(), by, &protocol.TOTPCreateOpaqueKeyRequest{})
	f.ok(nil, err)
	return reply
}

// resetTOTP is by an administrator, and returns the token.
func (f *fixture) resetTOTP(user parsec3.UserID) parsec3.AccessToken {
	f.t.Helper()
	reset, err := f.administration.ResetTOTP(f.t.Context(), organization.Administrator{}, acme, organization.UserChoice{ID: user.String()}, location(), false)
	f.ok(nil, err)
	return must(parsec3.ParseAddress(reset.Link.URL)).Target.(parsec3.TOTPResetTarget).Token
}

func location() parsec.Location {
	return must(parsec.Parsec3Scheme.ParseServerAddress("parsec3://parsec.example.com")).LocationOf(acme)
}

// totpSetup has bob set his one-time passwords up; user, token, and password are used as
// the command needs them.
type totpSetup struct {
	command
	user     parsec3.UserID
	token    parsec3.AccessToken
	secret   []byte
	password string
	do       func(s *totpSetup) error
}

func (s *totpSetup) run() error { return s.do(s) }

// newTOTPSetup begins with a secret, after a reset if that is asked for.
func newTOTPSetup(t *testing.T, reset bool, do func(s *totpSetup) error) *totpSetup {
	t.Helper()
	f := newFixture(t)
	s := &totpSetup{command: command{f, f.bob()}, user: bobID, do: do}
	if reset {
		s.token = f.resetTOTP(bobID)
	}
	s.secret = f.totpSecret(f.bob())
	s.password = f.passwordAt(s.secret, 0)
	return s
}

func getSecret(s *totpSetup) error {
	_, err := s.TOTPSetupGetSecret(s.t.Context(), s.author, &protocol.TOTPSetupGetSecretRequest{})
	return err
}

func confirm(s *totpSetup) error { return s.confirmTOTP(s.author, s.password) }

func getSecretAnonymous(s *totpSetup) error {
	_, err := s.TOTPSetupGetSecretAnonymous(s.t.Context(), s.stranger(), &protocol.TOTPSetupGetSecretAnonymousRequest{UserID: s.user, Token: s.token})
	return err
}

func confirmAnonymous(s *totpSetup) error {
	_, err := s.TOTPSetupConfirmAnonymous(s.t.Context(), s.stranger(), &protocol.TOTPSetupConfirmAnonymousRequest{
		UserID: s.user, Token: s.token, OneTimePassword: s.password,
	})
	return err
}

var (
	alreadySetUp = row[*totpSetup]{"1", "completed", func(s *totpSetup) {
		s.ok(nil, s.confirmTOTP(s.bob(), s.passwordAt(s.secret, 0)))
	}, protocol.StatusAlreadySetup}
	wrongPassword = row[*totpSetup]{"2", "wrong password", func(s *totpSetup) { s.password = s.wrongPassword(s.secret) }, protocol.StatusInvalidOneTimePassword}
	otherTokenOf  = row[*totpSetup]{"1", "another token", func(s *totpSetup) { s.token = otherToken }, protocol.StatusBadToken}
)

func TestTOTPSetupGetSecretTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *totpSetup { return newTOTPSetup(t, false, getSecret) },
		append(standingRows[*totpSetup](), alreadySetUp), standingApart...)
}

func TestTOTPSetupConfirmTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *totpSetup { return newTOTPSetup(t, false, confirm) },
		append(standingRows[*totpSetup](), alreadySetUp, wrongPassword), standingApart...)
	// No secret yet.
	f := newFixture(t)
	if got := status(nil, f.confirmTOTP(f.bob(), f.passwordAt(nil, 0))); got != protocol.StatusInvalidOneTimePassword {
		t.Errorf("without secret: got %s", got)
	}
}

func TestTOTPSetupGetSecretAnonymousTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *totpSetup { return newTOTPSetup(t, true, getSecretAnonymous) },
		append(strangerRows[*totpSetup](), otherTokenOf), strangerApart...)
}

func TestTOTPSetupConfirmAnonymousTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *totpSetup { return newTOTPSetup(t, true, confirmAnonymous) },
		append(strangerRows[*totpSetup](), otherTokenOf, wrongPassword), strangerApart...)
	s := newTOTPSetup(t, true, confirmAnonymous)
	s.token = s.resetTOTP(bobID) // there is no secret again
	s.password = s.passwordAt(nil, 0)
	if got := status(nil, s.run()); got != protocol.StatusInvalidOneTimePassword {
		t.Errorf("without secret: got %s", got)
	}
}

// TestTOTPResetTokens lets nobody in who may not, and says no more.
func TestTOTPResetTokens(t *testing.T) {
	for name, spoil := range map[string]func(s *totpSetup){
		"unknown user":   func(s *totpSetup) { s.user = userID("nobody") },
		"another user":   func(s *totpSetup) { s.user = aliceID },
		"revoked user":   func(s *totpSetup) { s.revoke(bobID) },
		"frozen user":    func(s *totpSetup) { s.freeze(bobID) },
		"former token":   func(s *totpSetup) { s.resetTOTP(bobID) },
		"setup complete": func(s *totpSetup) { s.ok(nil, s.confirmTOTP(s.bob(), s.password)) },
	} {
		for _, do := range []func(*totpSetup) error{getSecretAnonymous, confirmAnonymous} {
			s := newTOTPSetup(t, true, do)
			spoil(s)
			if got := status(nil, s.run()); got != protocol.StatusBadToken {
				t.Errorf("%s: got %s", name, got)
			}
		}
	}
	s := newTOTPSetup(t, true, confirmAnonymous)
	s.freeze(bobID)
	_, err := s.administration.FreezeUser(t.Context(), organization.Administrator{}, acme, organization.UserChoice{ID: bobID.String()}, false)
	s.ok(nil, err)
	s.ok(nil, s.run()) // the same link works again
	if got := status(nil, s.run()); got != protocol.StatusBadToken {
		t.Errorf("twice: got %s", got)
	}
}

// fetching has a stranger fetch a key of bob.
type fetching struct {
	command
	key      *protocol.TOTPCreateOpaqueKeyReply
	user     parsec3.UserID
	id       parsec3.OpaqueKeyID
	secret   []byte
	password string
}

func newFetching(t *testing.T) *fetching {
	t.Helper()
	f := newFixture(t)
	s := &fetching{command: command{f, f.bob()}, key: f.createKey(f.bob()), user: bobID, secret: f.setTOTPUp(f.bob())}
	s.id, s.password = s.key.OpaqueKeyID, f.passwordAt(s.secret, 0)
	return s
}

func (s *fetching) run() error {
	_, err := s.fetch()
	return err
}

func (s *fetching) fetch() (*protocol.TOTPFetchOpaqueKeyReply, error) {
	return s.TOTPFetchOpaqueKey(s.t.Context(), s.stranger(), &protocol.TOTPFetchOpaqueKeyRequest{
		UserID: s.user, OpaqueKeyID: s.id, OneTimePassword: s.password,
	})
}

// fail guesses wrong.
func (s *fetching) fail() {
	s.t.Helper()
	right := s.password
	s.password = s.wrongPassword(s.secret)
	if got := status(nil, s.run()); got != protocol.StatusInvalidOneTimePassword {
		s.t.Fatalf("a wrong guess: %s", got)
	}
	s.password = right
}

func TestTOTPFetchOpaqueKeyTable(t *testing.T) {
	checkTable(t, "totp_fetch_opaque_key", newFetching, append(strangerRows[*fetching](),
		row[*fetching]{"1", "unknown key", func(s *fetching) { s.id = parsec3.OpaqueKeyID{1} }, protocol.StatusInvalidOneTimePassword},
		row[*fetching]{"2", "throttled", func(s *fetching) { s.fail() }, protocol.StatusThrottled},
		row[*fetching]{"3", "wrong password", func(s *fetching) { s.password = s.wrongPassword(s.secret) }, protocol.StatusInvalidOneTimePassword},
	), strangerApart...)
}

// TestTOTPFetchTellsNothing refuses all who may not alike, whether they know the
// password or not, and a guess that was wrong does not count against them.
func TestTOTPFetchTellsNothing(t *testing.T) {
	for name, spoil := range map[string]func(s *fetching){
		"unknown user":       func(s *fetching) { s.user = userID("nobody") },
		"another user":       func(s *fetching) { s.user = aliceID },
		"revoked user":       func(s *fetching) { s.revoke(bobID) },
		"frozen user":        func(s *fetching) { s.freeze(bobID) },
		"setup not complete": func(s *fetching) { s.resetTOTP(bobID) },
		"unknown key":        func(s *fetching) { s.id = parsec3.OpaqueKeyID{1} },
	} {
		s := newFetching(t)
		spoil(s)
		for range 2 {
			if got := status(nil, s.run()); got != protocol.StatusInvalidOneTimePassword {
				t.Errorf("%s: got %s", name, got)
			}
		}
	}
}

// TestTOTP goes from the setup to the key, over a reset.
func TestTOTP(t *testing.T) {
	s := newFetching(t)
	if len(s.secret) != 20 {
		t.Errorf("a secret of %d bytes", len(s.secret))
	}
	s.wantKey()
	s.clock.advance(time.Minute)
	token := s.resetTOTP(bobID)
	s.password = s.passwordAt(s.secret, 0)
	if got := status(nil, s.run()); got != protocol.StatusInvalidOneTimePassword {
		t.Errorf("after a reset: %s", got)
	}
	reply, err := s.TOTPSetupGetSecretAnonymous(t.Context(), s.stranger(), &protocol.TOTPSetupGetSecretAnonymousRequest{UserID: bobID, Token: token})
	s.ok(nil, err)
	if reflect.DeepEqual(reply.TOTPSecret, s.secret) {
		t.Error("the secret is the former one")
	}
	s.secret = reply.TOTPSecret
	if again := s.totpSecret(s.bob()); !reflect.DeepEqual(again, s.secret) {
		t.Error("the device is told another secret")
	}
	s.password = s.passwordAt(s.secret, 0)
	s.ok(s.TOTPSetupConfirmAnonymous(t.Context(), s.stranger(), &protocol.TOTPSetupConfirmAnonymousRequest{UserID: bobID, Token: token, OneTimePassword: s.password}))
	s.wantKey()
}

func (s *fetching) wantKey() {
	s.t.Helper()
	fetched, err := s.fetch()
	if err != nil || fetched.OpaqueKey != s.key.OpaqueKey {
		s.t.Errorf("got %+v, error %v", fetched, err)
	}
}

// TestTOTPStepsAreUsedOnce takes the passwords around now, none twice, and none from
// before one that was used.
func TestTOTPStepsAreUsedOnce(t *testing.T) {
	for steps, want := range map[int64]protocol.Status{
		-2: protocol.StatusInvalidOneTimePassword, -1: protocol.StatusOK, 0: protocol.StatusOK, 1: protocol.StatusOK, 2: protocol.StatusInvalidOneTimePassword,
	} {
		s := newFetching(t)
		s.password = s.passwordAt(s.secret, steps)
		if got := status(nil, s.run()); got != want {
			t.Errorf("%d steps from now: got %s, want %s", steps, got, want)
		}
		if want == protocol.StatusOK {
			if got := status(nil, s.run()); got != protocol.StatusInvalidOneTimePassword {
				t.Errorf("%d steps from now, twice: got %s", steps, got)
			}
		}
	}
	s := newFetching(t)
	s.wantKey()
	s.password = s.passwordAt(s.secret, -1)
	if got := status(nil, s.run()); got != protocol.StatusInvalidOneTimePassword {
		t.Errorf("the one before: got %s", got)
	}
	s.clock.advance(30 * time.Second)
	s.password = s.passwordAt(s.secret, 0)
	s.wantKey()
	for _, password := range []string{"", "12345", "1234567", s.passwordAt(s.secret, 1) + " "} {
		s := newFetching(t)
		s.password = password
		if got := status(nil, s.run()); got != protocol.StatusInvalidOneTimePassword {
			t.Errorf("%q: got %s", password, got)
		}
	}
}

// TestTOTPThrottling doubles the wait with each wrong guess, of this key alone. What
// comes too early counts for nothing, and the right password ends it.
func TestTOTPThrottling(t *testing.T) {
	s := newFetching(t)
	other := s.createKey(s.bob())
	wait := time.Second
	for range 6 {
		s.fail()
		until := s.clock.now().Add(wait)
		s.clock.advance(wait) // the last instant at which it is too early
		s.password = s.passwordAt(s.secret, 0)
		for range 2 {
			_, err := s.fetch()
			if got := detailsOf[protocol.ThrottledDetails](err).WaitUntil; got != until {
				t.Fatalf("until %s, want %s: %v", got, until, err)
			}
		}
		s.clock.advance(time.Microsecond)
		wait *= 2
	}
	s.password = s.passwordAt(s.secret, 0)
	s.wantKey()
	s.clock.advance(time.Minute)
	s.fail()
	s.clock.advance(time.Second + time.Microsecond)
	s.password = s.passwordAt(s.secret, 0)
	s.wantKey() // it begins with a second again

	s.fail2(other.OpaqueKeyID)
	s.resetTOTP(bobID)
	s.secret = s.setTOTPUp(s.bob())
	s.password = s.passwordAt(s.secret, 0)
	s.id = other.OpaqueKeyID
	if got := status(nil, s.run()); got != protocol.StatusOK {
		t.Errorf("after a reset: %s", got)
	}
}

// fail2 guesses wrong at another key.
func (s *fetching) fail2(id parsec3.OpaqueKeyID) {
	s.t.Helper()
	former := s.id
	s.id = id
	s.fail()
	s.id = former
}

// TestTOTPWaitsEnd at no date that cannot be told.
func TestTOTPWaitsEnd(t *testing.T) {
	s := newFetching(t)
	scope := rules.Scope{Organization: acme, OpaqueKey: &rules.OpaqueKeyName{User: bobID, Key: s.id}}
	for _, failures := range []uint64{36, 37, 38, 64, 1 << 40} {
		s.ok(nil, s.store.Update(t.Context(), scope, func(tx rules.Tx) error {
			tx.CountOpaqueKey(rules.OpaqueKey{Exists: true, Key: s.key.OpaqueKey, Failures: failures, FailedOn: s.clock.now()})
			return nil
		}))
		_, err := s.fetch()
		until := detailsOf[protocol.ThrottledDetails](err).WaitUntil
		if until < s.clock.now().Add(200*365*24*time.Hour) || until.Time().Year() > 9999 {
			t.Errorf("%d failures: until %s, error %v", failures, until, err)
		}
	}
}

// Guesses that are sent at once are one guess.
func TestTOTPGuessesInParallel(t *testing.T) {
	const n = 12
	s := newFetching(t)
	s.password = s.wrongPassword(s.secret)
	calls := make([]func() error, n)
	for i := range calls {
		calls[i] = s.run
	}
	if got, want := parallel(calls...), (map[protocol.Status]int{protocol.StatusInvalidOneTimePassword: 1, protocol.StatusThrottled: n - 1}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestTOTPSecretIsOne for all who ask first (enrollment.md §4.6).
func TestTOTPSecretIsOne(t *testing.T) {
	const n = 8
	f := newFixture(t)
	secrets := make(chan string, n)
	calls := make([]func() error, n)
	for i := range calls {
		calls[i] = func() error {
			reply, err := f.TOTPSetupGetSecret(t.Context(), f.bob(), &protocol.TOTPSetupGetSecretRequest{})
			if err == nil {
				secrets <- string(reply.TOTPSecret)
			}
			return err
		}
	}
	if got := parallel(calls...); got[protocol.StatusOK] != n {
		t.Fatalf("got %v", got)
	}
	first := <-secrets
	for range n - 1 {
		if another := <-secrets; another != first {
			t.Error("two secrets")
		}
	}
	if other := string(f.totpSecret(f.alice())); other == first {
		t.Error("two users have one secret")
	}
}

// TestOpaqueKeysAreBounded for each user.
func TestOpaqueKeysAreBounded(t *testing.T) {
	const most = 1000
	f := newFixture(t)
	bob := bobID
	f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme, TOTP: &bob}, func(tx rules.Tx) error {
		for range most - 1 {
			tx.CreateOpaqueKey(parsec3.OpaqueKeyID(parsec.NewUUID()), parsec3.OpaqueKey{})
		}
		return nil
	}))
	one := f.createKey(f.bob())
	if got := status(f.TOTPCreateOpaqueKey(t.Context(), f.bob(), &protocol.TOTPCreateOpaqueKeyRequest{})); got != aborted(rules.TooMany) {
		t.Errorf("one more: got %s", got)
	}
	if another := f.createKey(f.alice()); another.OpaqueKey == one.OpaqueKey || another.OpaqueKeyID == one.OpaqueKeyID {
		t.Error("two keys are alike")
	}
}

func TestTOTPCreateOpaqueKeyTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *totpSetup {
		return newTOTPSetup(t, false, func(s *totpSetup) error {
			_, err := s.TOTPCreateOpaqueKey(s.t.Context(), s.author, &protocol.TOTPCreateOpaqueKeyRequest{})
			return err
		})
	}, standingRows[*totpSetup](), standingApart...)
}

// TestTOTPReset is by id or by e-mail, of users that are not revoked, in organizations
// that may be expired (administration.md §1.4).
func TestTOTPReset(t *testing.T) {
	mails := &mailer{reset: organization.EmailSent}
	f := newFixture(t, withOptions(func(o *rules.Options) { o.Mailer = mails }))
	f.freeze(bobID)
	f.expire()
	email := "bob@example.com"
	for _, choice := range []organization.UserChoice{{ID: bobID.String()}, {Email: &email}} {
		mails.resets = nil
		reset, err := f.administration.ResetTOTP(t.Context(), organization.Administrator{}, acme, choice, location(), true)
		f.ok(nil, err)
		target := must(parsec3.ParseAddress(reset.Link.URL)).Target.(parsec3.TOTPResetTarget)
		redirected := must(parsec3.ParseAddress(reset.Link.HTTPRedirection)).Target
		if reset.User.ID != bobID.String() || target.User != bobID || redirected != parsec3.Target(target) || reset.Email != organization.EmailSent {
			t.Errorf("got %+v of %+v and %+v", reset, target, redirected)
		}
		if want := []rules.TOTPMail{{To: email, Organization: acme, User: bobID, Token: target.Token}}; !reflect.DeepEqual(mails.resets, want) {
			t.Errorf("sent %+v, want %+v", mails.resets, want)
		}
	}
	for _, outcome := range []organization.EmailOutcome{organization.EmailServerUnavailable, organization.EmailRecipientRefused, organization.EmailBadConfig} {
		mails.reset = outcome
		reset, err := f.administration.ResetTOTP(t.Context(), organization.Administrator{}, acme, organization.UserChoice{Email: &email}, location(), true)
		if err != nil || reset.Email != outcome {
			t.Errorf("got %d, want %d, error %v", reset.Email, outcome, err)
		}
	}
}

// The log has a reset that is committed, whatever becomes of the e-mail.
func TestTOTPResetIsLoggedBeforeItsEmail(t *testing.T) {
	mails := &mailer{}
	f := newFixture(t, withOptions(func(o *rules.Options) { o.Mailer = mails }))
	log := &bytes.Buffer{}
	administration := organization.New(f.store, organization.Wings{organization.Parsec3: f.Rules}, f.clock.now, slog.New(slog.NewTextHandler(log, nil)), organization.Options{})
	sending := false
	mails.resetting = func() {
		sending = true
		if !strings.Contains(log.String(), "reset_totp") {
			t.Error("nothing is logged before the e-mail")
		}
	}
	_, err := administration.ResetTOTP(t.Context(), organization.Administrator{}, acme, organization.UserChoice{ID: bobID.String()}, location(), true)
	if err != nil || !sending {
		t.Errorf("sent: %t, %v", sending, err)
	}
}

func TestTOTPResetRefused(t *testing.T) {
	f := newFixture(t)
	f.revoke(bobID)
	f.createOrganization(other)
	email := "bob@example.com"
	for _, test := range []struct {
		name   string
		in     parsec.OrganizationID
		choice organization.UserChoice
		want   error
	}{
		{"revoked, by id", acme, organization.UserChoice{ID: bobID.String()}, organization.ErrUserRevoked},
		{"revoked, by e-mail", acme, organization.UserChoice{Email: &email}, organization.ErrUserNotFound},
		{"unknown", acme, organization.UserChoice{ID: userID("nobody").String()}, organization.ErrUserNotFound},
		{"no id", acme, organization.UserChoice{ID: "x"}, organization.ErrUserNotFound},
		{"not bootstrapped", other, organization.UserChoice{Email: &email}, organization.ErrNotFound},
	} {
		_, err := f.administration.ResetTOTP(t.Context(), organization.Administrator{}, test.in, test.choice, location(), false)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	f2 := newFixture(t)
	reset, err := f2.administration.ResetTOTP(t.Context(), organization.Administrator{}, acme, organization.UserChoice{ID: bobID.String()}, location(), true)
	if err != nil || reset.Email != organization.EmailServerUnavailable {
		t.Errorf("without an e-mail server: %d, error %v", reset.Email, err)
	}
}
