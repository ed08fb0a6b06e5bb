package rules_test

import (
	"bytes"
	"context"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// postOffice keeps the e-mails about accounts.
type postOffice struct {
	rules.Mailer

	mu   sync.Mutex
	sent []rules.AccountMail
	// answers is what becomes of each, EmailSuccess if it is "".
	answers protocol.EmailSent
	// hold has each e-mail wait until it is closed, nil for not at all.
	hold chan struct{}
}

func (p *postOffice) SendInvitation(context.Context, rules.InvitationMail) protocol.EmailSent {
	return protocol.EmailSuccess
}

func (p *postOffice) SendAccount(ctx context.Context, mail rules.AccountMail) protocol.EmailSent {
	if p.hold != nil {
		select {
		case <-p.hold:
		case <-ctx.Done():
			return protocol.EmailServerUnavailable
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, mail)
	if p.answers != "" {
		return p.answers
	}
	return protocol.EmailSuccess
}

// accountFixture is a fixture with accounts, whose e-mails can be read.
type accountFixture struct {
	*fixture
	office *postOffice
}

// newAccountFixture bounds no e-mails unless the test says so.
func newAccountFixture(t testing.TB, changes ...func(*setup)) *accountFixture {
	t.Helper()
	office := &postOffice{}
	enabled := withOptions(func(o *rules.Options) {
		o.Accounts, o.Mailer, o.Secret = protocol.AccountEnabledWithVault, office, []byte("secret")
	})
	return &accountFixture{newFixture(t, append([]func(*setup){enabled}, changes...)...), office}
}

// mails returns the e-mails sent since the last call, once those under way are.
func (f *accountFixture) mails() []rules.AccountMail {
	f.Settle()
	f.office.mu.Lock()
	defer f.office.mu.Unlock()
	sent := f.office.sent
	f.office.sent = nil
	return sent
}

// code returns that of the only e-mail sent.
func (f *accountFixture) code(kind rules.AccountMailKind, email string) parsec3.ValidationCode {
	f.t.Helper()
	sent := f.mails()
	if len(sent) != 1 || sent[0].Kind != kind || sent[0].To != email {
		f.t.Fatalf("e-mails %+v", sent)
	}
	return must(parsec3.ParseValidationCode(sent[0].Code))
}

// holder owns an account.
type holder struct {
	email  string
	method parsec3.AuthMethodID
	key    protocol.MACKey
}

var peer = rules.Peer{Address: netip.MustParseAddr("192.0.2.1"), UserAgent: "Agent/1"}

func newHolder(name string) *holder {
	return &holder{
		email: name + "@example.com", method: parsec3.AuthMethodID(namedID("method", name)), key: blake2b.Sum256([]byte(name)),
	}
}

func address(text string) parsec3.EmailAddress { return must(parsec3.ParseEmailAddress(text)) }

var strong = protocol.WeakestAlgorithm

// creation is the request that creates the account, by password.
func (p *holder) creation(code parsec3.ValidationCode) *protocol.AccountCreateProceedRequest {
	return &protocol.AccountCreateProceedRequest{AccountCreateStep: protocol.AccountCreateStep{
		Step: protocol.AccountCreate, ValidationCode: code, HumanHandle: must(parsec3.ParseHumanHandle(p.email, "Some One")),
		AuthMethodPasswordAlgorithm: &strong, AuthMethodMACKey: p.key, AuthMethodID: p.method, VaultKeyAccess: []byte("access"),
	}}
}

func checkOf(email string, code parsec3.ValidationCode) *protocol.AccountCreateProceedRequest {
	return &protocol.AccountCreateProceedRequest{AccountCreateStep: protocol.AccountCreateStep{
		Step: protocol.AccountCheckCode, ValidationCode: code, Email: address(email),
	}}
}

// askCreation has the code of a creation sent.
func (f *accountFixture) askCreation(email string) error {
	_, err := f.AccountCreateSendValidationEmail(f.t.Context(), peer, &protocol.AccountCreateSendValidationEmailRequest{Email: address(email)})
	return err
}

func (f *accountFixture) askRecovery(email string) error {
	_, err := f.AccountRecoverSendValidationEmail(f.t.Context(), peer, &protocol.AccountRecoverSendValidationEmailRequest{Email: address(email)})
	return err
}

func (f *accountFixture) create(request *protocol.AccountCreateProceedRequest) error {
	_, err := f.AccountCreateProceed(f.t.Context(), peer, request)
	return err
}

// newAccount creates an account.
func (f *accountFixture) newAccount(name string) *holder {
	f.t.Helper()
	p := newHolder(name)
	f.ok(nil, f.askCreation(p.email))
	f.ok(nil, f.create(p.creation(f.code(rules.AccountCreation, p.email))))
	return p
}

// token is a good one of now.
func (f *accountFixture) token(p *holder) *rules.MACToken {
	text := []byte("PARSEC-MAC-BLAKE2B." + p.method.String() + ".0")
	hash := must(blake2b.New512(p.key[:]))
	hash.Write(text)
	return &rules.MACToken{Method: p.method, Date: f.clock.now(), Text: text, MAC: hash.Sum(nil)}
}

func (f *accountFixture) admit(p *holder) (*rules.AccountAuthor, error) {
	return f.AdmitAccount(f.t.Context(), f.token(p), peer)
}

// owner returns who has an account, as authenticated.
func (f *accountFixture) owner(p *holder) *rules.AccountAuthor {
	f.t.Helper()
	author, err := f.admit(p)
	f.ok(nil, err)
	return author
}

func (f *accountFixture) handle(p *holder) string {
	f.t.Helper()
	reply, err := f.AccountInfo(f.t.Context(), f.owner(p), nil)
	f.ok(nil, err)
	return reply.HumanHandle.String()
}

// wrongOf is another code.
func wrongOf(code parsec3.ValidationCode) parsec3.ValidationCode {
	wrong := must(parsec3.ParseValidationCode("AAAAAA"))
	if wrong == code {
		wrong = must(parsec3.ParseValidationCode("BBBBBB"))
	}
	return wrong
}

// wantStatus compares the outcome of a command.
func wantStatus(t testing.TB, what string, err error, want protocol.Status) {
	t.Helper()
	if got := status(nil, err); got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// TestAccountIsCreated by mail, check and creation.
func TestAccountIsCreated(t *testing.T) {
	f := newAccountFixture(t)
	p := newHolder("zoe")
	f.ok(nil, f.askCreation(p.email))
	code := f.code(rules.AccountCreation, p.email)
	f.ok(nil, f.create(checkOf(p.email, code)))
	f.ok(nil, f.create(checkOf(p.email, code)))
	f.ok(nil, f.create(p.creation(code)))
	if got := f.handle(p); got != "Some One <zoe@example.com>" {
		t.Errorf("the account is of %s", got)
	}
	wantStatus(t, "the code is used up", f.create(checkOf(p.email, code)), protocol.StatusSendValidationEmailRequired)
	wantStatus(t, "the code is used up", f.create(p.creation(code)), protocol.StatusSendValidationEmailRequired)
	methods, err := f.AuthMethodList(t.Context(), f.owner(p), nil)
	f.ok(nil, err)
	want := []protocol.AuthMethod{{
		AuthMethodID: p.method, CreatedOn: f.clock.now(), CreatedByIP: "192.0.2.1", CreatedByUserAgent: "Agent/1",
		VaultKeyAccess: []byte("access"), PasswordAlgorithm: &strong,
	}}
	if !reflect.DeepEqual(methods.Items, want) {
		t.Errorf("methods %+v", methods.Items)
	}
	pong, err := f.PingAccount(t.Context(), f.owner(p), &protocol.PingRequest{Ping: "hello"})
	f.ok(nil, err)
	if pong.Pong != "hello" {
		t.Errorf("pong %q", pong.Pong)
	}
}

// TestAdmissionOfAccounts: every fault is 403 but a date, in order.
func TestAdmissionOfAccounts(t *testing.T) {
	f := newAccountFixture(t)
	zoe, yan := f.newAccount("zoe"), f.newAccount("yan")
	for name, test := range map[string]struct {
		spoil func(*rules.MACToken)
		want  protocol.Status
	}{
		"good":                       {func(*rules.MACToken) {}, protocol.StatusOK},
		"oldest":                     {func(k *rules.MACToken) { k.Date = k.Date.Add(-320*time.Second + time.Microsecond) }, protocol.StatusOK},
		"newest":                     {func(k *rules.MACToken) { k.Date = k.Date.Add(300*time.Second - time.Microsecond) }, protocol.StatusOK},
		"too old":                    {func(k *rules.MACToken) { k.Date = k.Date.Add(-320 * time.Second) }, aborted(rules.TokenExpired)},
		"too early":                  {func(k *rules.MACToken) { k.Date = k.Date.Add(300 * time.Second) }, aborted(rules.TokenExpired)},
		"unknown method":             {func(k *rules.MACToken) { k.Method = parsec3.AuthMethodID{1} }, aborted(rules.UnknownAuthMethod)},
		"MAC of another method":      {func(k *rules.MACToken) { k.MAC = f.token(yan).MAC }, aborted(rules.BadMAC)},
		"another text":               {func(k *rules.MACToken) { k.Text = append(k.Text, '1') }, aborted(rules.BadMAC)},
		"no MAC":                     {func(k *rules.MACToken) { k.MAC = nil }, aborted(rules.BadMAC)},
		"wrong MAC before date":      {func(k *rules.MACToken) { k.MAC, k.Date = make([]byte, 64), 0 }, aborted(rules.BadMAC)},
		"unknown method before date": {func(k *rules.MACToken) { k.Method, k.Date = parsec3.AuthMethodID{1}, 0 }, aborted(rules.UnknownAuthMethod)},
		"MAC by the key of nobody": {func(k *rules.MACToken) {
			k.Method = parsec3.AuthMethodID{1}
			k.MAC = f.token(&holder{method: zoe.method}).MAC
		}, aborted(rules.UnknownAuthMethod)},
	} {
		token := f.token(zoe)
		test.spoil(token)
		_, err := f.AdmitAccount(t.Context(), token, peer)
		wantStatus(t, name, err, test.want)
	}
}

// TestAccountConfig is DISABLED unless the settings say otherwise.
func TestAccountConfig(t *testing.T) {
	if got := newFixture(t).AccountConfig(); got != protocol.AccountDisabled {
		t.Errorf("by default %s", got)
	}
	if got := newAccountFixture(t).AccountConfig(); got != protocol.AccountEnabledWithVault {
		t.Errorf("set to %s", got)
	}
}

// TestCodesAreGuessed: three tries for each code, whatever the fourth holds.
func TestCodesAreGuessed(t *testing.T) {
	f := newAccountFixture(t)
	zoe := f.newAccount("zoe")
	for name, begin := range map[string]func() (parsec3.ValidationCode, func(parsec3.ValidationCode) error){
		"creation": func() (parsec3.ValidationCode, func(parsec3.ValidationCode) error) {
			f.ok(nil, f.askCreation("new@example.com"))
			return f.code(rules.AccountCreation, "new@example.com"), func(code parsec3.ValidationCode) error {
				return f.create(checkOf("new@example.com", code))
			}
		},
		"recovery": func() (parsec3.ValidationCode, func(parsec3.ValidationCode) error) {
			f.ok(nil, f.askRecovery(zoe.email))
			return f.code(rules.AccountRecovery, zoe.email), func(code parsec3.ValidationCode) error {
				return f.recover(zoe.email, code, parsec3.AuthMethodID{9})
			}
		},
		"deletion": func() (parsec3.ValidationCode, func(parsec3.ValidationCode) error) {
			f.ok(nil, f.askDeletion(zoe))
			return f.code(rules.AccountDeletion, zoe.email), func(code parsec3.ValidationCode) error { return f.delete(zoe, code) }
		},
	} {
		right, try := begin()
		for range 3 {
			wantStatus(t, name+": wrong", try(wrongOf(right)), protocol.StatusInvalidValidationCode)
		}
		wantStatus(t, name+": right after three wrong ones", try(right), protocol.StatusSendValidationEmailRequired)
		wantStatus(t, name+": wrong after three wrong ones", try(wrongOf(right)), protocol.StatusSendValidationEmailRequired)
		next, try := begin()
		wantStatus(t, name+": the code of before", try(wrongOf(next)), protocol.StatusInvalidValidationCode)
	}
	f.handle(zoe)
}

// TestCodesEnd an hour after they were sent.
func TestCodesEnd(t *testing.T) {
	f := newAccountFixture(t)
	for _, test := range []struct {
		name string
		age  time.Duration
		want protocol.Status
	}{
		{"zoe", time.Hour, protocol.StatusOK},
		{"yan", time.Hour + time.Microsecond, protocol.StatusSendValidationEmailRequired},
	} {
		p := newHolder(test.name)
		f.ok(nil, f.askCreation(p.email))
		code := f.code(rules.AccountCreation, p.email)
		f.clock.advance(test.age)
		wantStatus(t, test.age.String(), f.create(p.creation(code)), test.want)
	}
}

// TestCodesAreOfTheirKind and e-mail alone.
func TestCodesAreOfTheirKind(t *testing.T) {
	f := newAccountFixture(t)
	zoe := f.newAccount("zoe")
	f.ok(nil, f.askRecovery(zoe.email))
	recovery := f.code(rules.AccountRecovery, zoe.email)
	wantStatus(t, "deletion by the code of a recovery", f.delete(zoe, recovery), protocol.StatusSendValidationEmailRequired)
	f.ok(nil, f.askCreation("a@example.com"))
	first := f.code(rules.AccountCreation, "a@example.com")
	f.ok(nil, f.askCreation("b@example.com"))
	f.code(rules.AccountCreation, "b@example.com")
	wantStatus(t, "the code of another", f.create(checkOf("b@example.com", first)), protocol.StatusInvalidValidationCode)
	f.ok(nil, f.askCreation("a@example.com"))
	f.code(rules.AccountCreation, "a@example.com")
	wantStatus(t, "the code of before", f.create(checkOf("a@example.com", first)), protocol.StatusInvalidValidationCode)
}

// TestWrongTriesOfADay end the guessing, and the e-mails of that kind.
func TestWrongTriesOfADay(t *testing.T) {
	f := newAccountFixture(t)
	const email, most = "new@example.com", 20
	begin := f.clock.now()
	for tries := 0; tries < most; {
		email := []string{email, "NEW@example.com", " new@example.com "}[tries/3%3] // one mailbox
		f.ok(nil, f.askCreation(email))
		right := f.code(rules.AccountCreation, email)
		for range min(3, most-tries) {
			wantStatus(t, "wrong", f.create(checkOf(email, wrongOf(right))), protocol.StatusInvalidValidationCode)
			tries++
		}
		if tries == most {
			wantStatus(t, "right after too many wrong ones", f.create(checkOf(email, right)), protocol.StatusSendValidationEmailRequired)
		}
		f.clock.advance(time.Minute)
	}
	err := f.askCreation(email)
	wantStatus(t, "one more e-mail", err, protocol.StatusEmailSendingRateLimited)
	if until := detailsOf[protocol.RateLimitedDetails](err).WaitUntil; until != begin.Add(24*time.Hour) {
		t.Errorf("wait until %v", until)
	}
	f.ok(nil, f.askRecovery(email)) // of another kind
	f.ok(nil, f.askCreation("other@example.com"))
	f.mails()
	f.clock.advance(begin.Add(24 * time.Hour).Sub(f.clock.now()))
	f.ok(nil, f.askCreation(email))
	right := f.code(rules.AccountCreation, email)
	f.ok(nil, f.create(checkOf(email, right)))
	wantStatus(t, "the twentieth of a day again", f.create(checkOf(email, wrongOf(right))), protocol.StatusInvalidValidationCode)
}

// TestNobodyLearnsWhoHasAnAccount: every answer about an unknown e-mail is that about a
// known one.
func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	answers := func(known bool) (answers []any) {
		f := newAccountFixture(t, withOptions(func(o *rules.Options) { o.MailLimit = rules.MailLimit{MinDelay: time.Minute, MaxPerHour: 3} }))
		if known {
			f.newAccount("zoe")
		}
		f.clock.advance(2 * time.Hour)
		const email = "zoe@example.com"
		say := func(err error) {
			answers = append(answers, status(nil, err), detailsOf[protocol.RateLimitedDetails](err).WaitUntil)
		}
		algorithm, err := f.AuthMethodPasswordGetAlgorithm(t.Context(), peer, &protocol.AuthMethodPasswordGetAlgorithmRequest{Email: address(email)})
		f.ok(nil, err)
		answers = append(answers, algorithm.PasswordAlgorithm)
		guess := must(parsec3.ParseValidationCode("AAAAAA")) // nobody draws it, most likely
		say(f.create(checkOf(email, guess)))
		say(f.recover(email, guess, parsec3.AuthMethodID{9}))
		for range 2 {
			say(f.askCreation(email))
			say(f.askCreation(email))
			for range 4 {
				say(f.create(checkOf(email, guess)))
				say(f.create(newHolder("zoe").creation(guess)))
			}
			f.clock.advance(time.Minute)
			say(f.askRecovery(email))
			say(f.askRecovery(email))
			for range 4 {
				say(f.recover(email, guess, parsec3.AuthMethodID{9}))
			}
			f.clock.advance(time.Minute)
		}
		return answers
	}
	if known, unknown := answers(true), answers(false); !reflect.DeepEqual(known, unknown) {
		t.Errorf("known:\n%v\nunknown:\n%v", known, unknown)
	}
}

// TestWhoHasAnAccountIsTold so by e-mail, without code; a stranger is not.
func TestWhoHasAnAccountIsTold(t *testing.T) {
	f := newAccountFixture(t)
	zoe := f.newAccount("zoe")
	f.ok(nil, f.askCreation(zoe.email))
	if got, want := f.mails(), []rules.AccountMail{{To: zoe.email, Kind: rules.AccountExists}}; !reflect.DeepEqual(got, want) {
		t.Errorf("e-mails %+v", got)
	}
	f.ok(nil, f.askRecovery("nobody@example.com"))
	if got := f.mails(); len(got) > 0 {
		t.Errorf("e-mails %+v", got)
	}
}

// TestMailsGoInTheBackground: a server of e-mails that hangs, or refuses, is not seen.
func TestMailsGoInTheBackground(t *testing.T) {
	f := newAccountFixture(t)
	f.office.answers = protocol.EmailRecipientRefused
	f.office.hold = make(chan struct{})
	for i := range 64 {
		if err := f.askCreation(string(rune('a'+i/8)) + string(rune('a'+i%8)) + "@example.com"); err != nil {
			t.Fatalf("e-mail %d: %v", i, err)
		}
	}
	// Who has an account and who has not are refused alike.
	wantStatus(t, "one more", f.askCreation("more@example.com"), protocol.StatusEmailServerUnavailable)
	wantStatus(t, "one of nobody", f.askRecovery("more@example.com"), protocol.StatusEmailServerUnavailable)
	close(f.office.hold)
	if got := f.mails(); len(got) != 64 {
		t.Errorf("%d e-mails", len(got))
	}
	f.ok(nil, f.askCreation("last@example.com"))
	f.ok(nil, f.Close(t.Context()))
	wantStatus(t, "after the end", f.askCreation("late@example.com"), protocol.StatusEmailServerUnavailable)
}

// TestEndCutsMails that hang.
func TestEndCutsMails(t *testing.T) {
	f := newAccountFixture(t)
	f.office.hold = make(chan struct{})
	f.ok(nil, f.askCreation("zoe@example.com"))
	ended, end := context.WithCancel(t.Context())
	end()
	if err := f.Close(ended); err == nil {
		t.Error("everything is sent")
	}
	f.Settle()
}

// TestWithoutMailer says so at once, to everybody.
func TestWithoutMailer(t *testing.T) {
	f := newAccountFixture(t)
	zoe := f.newAccount("zoe")
	without := rules.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, rules.Options{Accounts: protocol.AccountEnabledWithVault})
	for _, email := range []string{zoe.email, "nobody@example.com"} {
		_, err := without.AccountCreateSendValidationEmail(t.Context(), peer, &protocol.AccountCreateSendValidationEmailRequest{Email: address(email)})
		wantStatus(t, "creation", err, protocol.StatusEmailServerUnavailable)
		_, err = without.AccountRecoverSendValidationEmail(t.Context(), peer, &protocol.AccountRecoverSendValidationEmailRequest{Email: address(email)})
		wantStatus(t, "recovery", err, protocol.StatusEmailServerUnavailable)
	}
	_, err := without.AccountDeleteSendValidationEmail(t.Context(), f.owner(zoe), nil)
	wantStatus(t, "deletion", err, protocol.StatusEmailServerUnavailable)
}

// TestCodesAreHashed has nothing of a code in the store, and no use for who has another
// secret.
func TestCodesAreHashed(t *testing.T) {
	f := newAccountFixture(t)
	f.ok(nil, f.askCreation("zoe@example.com"))
	code := f.code(rules.AccountCreation, "zoe@example.com")
	f.ok(nil, f.store.UpdateAccount(t.Context(), rules.AccountScope{Email: address("zoe@example.com")}, func(tx rules.AccountTx) error {
		pending := tx.Code(rules.CodeOfCreation)
		if pending.Hash == nil || bytes.Contains(pending.Hash[:], []byte(code.String())) {
			t.Errorf("%v", pending)
		}
		return nil
	}))
	other := rules.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, rules.Options{Secret: []byte("another")})
	_, err := other.AccountCreateProceed(t.Context(), peer, checkOf("zoe@example.com", code))
	wantStatus(t, "by another secret", err, protocol.StatusInvalidValidationCode)
}

func (f *accountFixture) recover(email string, code parsec3.ValidationCode, method parsec3.AuthMethodID) error {
	_, err := f.AccountRecoverProceed(f.t.Context(), peer, &protocol.AccountRecoverProceedRequest{
		Email: address(email), ValidationCode: code, NewVaultKeyAccess: []byte("recovered"), NewAuthMethodID: method, NewAuthMethodMACKey: protocol.MACKey{7},
	})
	return err
}

func (f *accountFixture) askDeletion(p *holder) error {
	_, err := f.AccountDeleteSendValidationEmail(f.t.Context(), f.owner(p), nil)
	return err
}

func (f *accountFixture) delete(p *holder, code parsec3.ValidationCode) error {
	_, err := f.AccountDeleteProceed(f.t.Context(), f.owner(p), &protocol.AccountDeleteProceedRequest{ValidationCode: code})
	return err
}
