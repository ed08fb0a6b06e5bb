//go:build !without_postgresql

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// pair are two servers on one database.
type pair struct {
	t       *testing.T
	dsn     string
	servers [2]*rules.Rules
	office  letterBox
}

// letterBox keeps the last code by e-mail address.
type letterBox struct {
	postOffice
	mu    *sync.Mutex
	codes map[string]string
	sent  map[string]int
}

func (l letterBox) SendAccount(_ context.Context, mail rules.AccountMail) protocol.EmailSent {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mail.Code != "" {
		l.codes[mail.To] = mail.Code
	}
	l.sent[mail.To]++
	return protocol.EmailSuccess
}

func newPair(t *testing.T, limit rules.MailLimit) *pair {
	t.Helper()
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	p := &pair{t: t, dsn: dsn, office: letterBox{mu: &sync.Mutex{}, codes: map[string]string{}, sent: map[string]int{}}}
	for i := range p.servers {
		p.servers[i], _ = newRulesWith(t, open(t, dsn, 8, now), blockstore.NewMemory(), rules.Options{
			Accounts: protocol.AccountEnabledWithVault, Mailer: p.office, MailLimit: limit, Secret: []byte("secret"),
		})
	}
	return p
}

func addressOf(name string) parsec3.EmailAddress {
	return must(parsec3.ParseEmailAddress(name + "@example.com"))
}

// peerOf has an address for each name.
func peerOf(n int) rules.Peer {
	return rules.Peer{Address: netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), UserAgent: "Agent"}
}

// code asks for the code of a creation, and waits for it.
func (p *pair) code(n int, name string) parsec3.ValidationCode {
	p.t.Helper()
	email := addressOf(name)
	_, err := p.servers[n%2].AccountCreateSendValidationEmail(p.t.Context(), peerOf(n), &protocol.AccountCreateSendValidationEmailRequest{Email: email})
	if err != nil {
		p.t.Fatal(err)
	}
	return p.read(email)
}

func (p *pair) read(email parsec3.EmailAddress) (code parsec3.ValidationCode) {
	p.t.Helper()
	testkit.Await(p.t, "the e-mail", func() bool {
		p.office.mu.Lock()
		defer p.office.mu.Unlock()
		text, found := p.office.codes[email.String()]
		if found {
			code = must(parsec3.ParseValidationCode(text))
			delete(p.office.codes, email.String())
		}
		return found
	})
	return code
}

func creation(name string, method parsec3.AuthMethodID, code parsec3.ValidationCode) *protocol.AccountCreateProceedRequest {
	return &protocol.AccountCreateProceedRequest{AccountCreateStep: protocol.AccountCreateStep{
		Step: protocol.AccountCreate, ValidationCode: code, HumanHandle: must(parsec3.ParseHumanHandle(name+"@example.com", name)),
		AuthMethodPasswordAlgorithm: &protocol.WeakestAlgorithm, AuthMethodID: method, VaultKeyAccess: []byte("access"),
	}}
}

func (p *pair) create(n int, name string, method parsec3.AuthMethodID, code parsec3.ValidationCode) error {
	_, err := p.servers[n%2].AccountCreateProceed(p.t.Context(), peerOf(n), creation(name, method, code))
	return err
}

// atOnce runs a call so many times, by turns on the two servers, and counts the
// outcomes.
func (p *pair) atOnce(times int, call func(n int, on *rules.Rules) error) map[string]int {
	p.t.Helper()
	outcomes := make(chan string, times)
	start := make(chan struct{})
	for n := range times {
		go func() {
			<-start
			outcomes <- outcomeOf(call(n, p.servers[n%2]))
		}()
	}
	close(start)
	counts := map[string]int{}
	for range times {
		counts[<-outcomes]++
	}
	return counts
}

func outcomeOf(err error) string {
	refusal, refused := errors.AsType[*protocol.Refusal](err)
	abort, aborted := errors.AsType[rules.Abort](err)
	switch {
	case err == nil:
		return "ok"
	case refused:
		return string(refusal.Status)
	case aborted:
		return abort.Error()
	default:
		return "failure: " + err.Error()
	}
}

func (p *pair) want(what string, got map[string]int, want map[string]int) {
	p.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestCodesGuessedInParallel on two servers: three tries, and no more.
func TestCodesGuessedInParallel(t *testing.T) {
	p := newPair(t, rules.MailLimit{})
	for round := range 3 {
		name := fmt.Sprint("zoe", round)
		code := p.code(round, name)
		wrong := must(parsec3.ParseValidationCode("AAAAAA"))
		got := p.atOnce(24, func(n int, on *rules.Rules) error {
			_, err := on.AccountCreateProceed(t.Context(), peerOf(n), creation(name, parsec3.AuthMethodID{byte(n)}, wrong))
			return err
		})
		p.want("guesses", got, map[string]int{"invalid_validation_code": 3, "send_validation_email_required": 21})
		if got := outcomeOf(p.create(0, name, parsec3.AuthMethodID{1}, code)); got != "send_validation_email_required" {
			t.Errorf("the right code: %s", got)
		}
	}
}

// TestAccountsCreatedAtOnce of different e-mails all come into being; of one e-mail, one
// does, and of one method.
func TestAccountsCreatedAtOnce(t *testing.T) {
	p := newPair(t, rules.MailLimit{})
	const people = 24
	codes := make([]parsec3.ValidationCode, people)
	for n := range codes {
		codes[n] = p.code(n, fmt.Sprint("person", n))
	}
	got := p.atOnce(people, func(n int, _ *rules.Rules) error {
		return p.create(n, fmt.Sprint("person", n), parsec3.AuthMethodID{1, byte(n)}, codes[n])
	})
	p.want("different e-mails", got, map[string]int{"ok": people})

	code := p.code(0, "zoe")
	got = p.atOnce(8, func(n int, _ *rules.Rules) error { return p.create(n, "zoe", parsec3.AuthMethodID{2, byte(n)}, code) })
	p.want("one e-mail", got, map[string]int{"ok": 1, "send_validation_email_required": 7})

	for n := range 8 {
		codes[n] = p.code(n, fmt.Sprint("other", n))
	}
	got = p.atOnce(8, func(n int, _ *rules.Rules) error {
		return p.create(n, fmt.Sprint("other", n), parsec3.AuthMethodID{3}, codes[n])
	})
	p.want("one method", got, map[string]int{"ok": 1, "auth_method_id_already_exists": 7})
}

// TestMailLimitOfTwoServers is one limit.
func TestMailLimitOfTwoServers(t *testing.T) {
	p := newPair(t, rules.MailLimit{MaxPerHour: 3})
	ask := func(name string, peer rules.Peer, on *rules.Rules) error {
		_, err := on.AccountCreateSendValidationEmail(t.Context(), peer, &protocol.AccountCreateSendValidationEmailRequest{Email: addressOf(name)})
		return err
	}
	p.want("to a mailbox", p.atOnce(16, func(n int, on *rules.Rules) error { return ask("zoe", peerOf(n), on) }),
		map[string]int{"ok": 3, "email_sending_rate_limited": 13})
	p.want("from a network", p.atOnce(16, func(n int, on *rules.Rules) error {
		return ask(fmt.Sprint("person", n), peerOf(1000), on)
	}), map[string]int{"ok": 3, "email_sending_rate_limited": 13})
	delayed := newPair(t, rules.MailLimit{MinDelay: time.Minute, MaxPerHour: 3})
	delayed.want("one a minute", delayed.atOnce(16, func(n int, on *rules.Rules) error { return ask("zoe", peerOf(n), on) }),
		map[string]int{"ok": 1, "email_sending_rate_limited": 15})
}

// TestUploadsWhileRotating: each is in the vault that it was answered for, or the
// rotation is refused.
func TestUploadsWhileRotating(t *testing.T) {
	p := newPair(t, rules.MailLimit{})
	for round := range 20 {
		name, method := fmt.Sprint("zoe", round), parsec3.AuthMethodID{4, byte(round)}
		if err := p.create(0, name, method, p.code(0, name)); err != nil {
			t.Fatal(err)
		}
		author := &rules.AccountAuthor{Email: addressOf(name), Method: method}
		var rotated error
		got := p.atOnce(6, func(n int, on *rules.Rules) error {
			if n == round%6 {
				_, rotated = on.VaultKeyRotation(t.Context(), author, &protocol.VaultKeyRotationRequest{NewAuthMethodID: parsec3.AuthMethodID{5, byte(round)}})
				return rotated
			}
			_, err := on.VaultItemUpload(t.Context(), author, &protocol.VaultItemUploadRequest{ItemFingerprint: protocol.Fingerprint{byte(n)}})
			return err
		})
		want := map[string]int{"items_mismatch": 1, "ok": 5}
		if rotated == nil {
			want = map[string]int{"ok": 1, rules.UnknownAuthMethod.Error(): 5}
		}
		p.want("uploads and a rotation", got, want)
	}
}

// TestAccountsDieWhole: deletions, recoveries and uploads of one account at once end, each
// with an answer of the specification.
func TestAccountsDieWhole(t *testing.T) {
	p := newPair(t, rules.MailLimit{})
	for round := range 10 {
		name, method := fmt.Sprint("zoe", round), parsec3.AuthMethodID{6, byte(round)}
		email := addressOf(name)
		if err := p.create(0, name, method, p.code(0, name)); err != nil {
			t.Fatal(err)
		}
		author := &rules.AccountAuthor{Email: email, Method: method}
		if _, err := p.servers[0].AccountDeleteSendValidationEmail(t.Context(), author, nil); err != nil {
			t.Fatal(err)
		}
		deletion := p.read(email)
		_, err := p.servers[1].AccountRecoverSendValidationEmail(t.Context(), peerOf(0), &protocol.AccountRecoverSendValidationEmailRequest{Email: email})
		if err != nil {
			t.Fatal(err)
		}
		recovery := p.read(email)
		got := p.atOnce(6, func(n int, on *rules.Rules) error {
			switch n % 3 {
			case 0:
				_, err := on.AccountDeleteProceed(t.Context(), author, &protocol.AccountDeleteProceedRequest{ValidationCode: deletion})
				return err
			case 1:
				_, err := on.AccountRecoverProceed(t.Context(), peerOf(n), &protocol.AccountRecoverProceedRequest{
					Email: email, ValidationCode: recovery, NewAuthMethodID: parsec3.AuthMethodID{7, byte(round), byte(n)},
				})
				return err
			default:
				_, err := on.VaultItemUpload(t.Context(), author, &protocol.VaultItemUploadRequest{ItemFingerprint: protocol.Fingerprint{byte(n)}})
				return err
			}
		})
		gone := rules.UnknownAuthMethod.Error()
		// Either the deletion was first, or one recovery.
		if got["ok"] < 1 || got["ok"] > 4 || got["ok"]+got[gone]+got["send_validation_email_required"] != 6 {
			t.Errorf("outcomes %v", got)
		}
	}
}

// TestRequestsAtOnceTellNothing: of two for one e-mail the second waits for the first,
// whether there is an account or a code or not. The time of many would tell.
func TestRequestsAtOnceTellNothing(t *testing.T) {
	p := newPair(t, rules.MailLimit{})
	connection := testkit.Connect(t, p.dsn)
	if err := p.create(0, "known", parsec3.AuthMethodID{8}, p.code(0, "known")); err != nil {
		t.Fatal(err)
	}
	testkit.Execute(t, connection, "DELETE FROM parsec3.account_code") // as a day later
	store := open(t, p.dsn, 2, now)
	for _, name := range []string{"known", "unknown", "KNOWN"} {
		scope := rules.AccountScope{Email: addressOf(name)}
		second := make(chan error, 1)
		err := store.UpdateAccount(t.Context(), scope, func(rules.AccountTx) error {
			entered := make(chan struct{})
			go func() {
				second <- store.UpdateAccount(context.WithoutCancel(t.Context()), scope, func(rules.AccountTx) error {
					close(entered)
					return nil
				})
			}()
			testkit.Await(t, "the second request", func() bool {
				select {
				case <-entered:
					t.Errorf("%s: the second request does not wait", name)
					return true
				default:
					return len(texts(t, connection, "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")) > 0
				}
			})
			return nil
		})
		if err := errors.Join(err, <-second); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAccountLocksAreNeeded has each test fail on servers that do without its lock.
func TestAccountLocksAreNeeded(t *testing.T) {
	if os.Getenv(testkit.LeftOutLock) != "" {
		return // This is one of them.
	}
	for test, lock := range map[string]string{
		"TestCodesGuessedInParallel": "account", "TestMailLimitOfTwoServers": "mail", "TestUploadsWhileRotating": "account",
	} {
		t.Run(test, func(t *testing.T) {
			const tries = 3
			for range tries {
				command := exec.CommandContext(t.Context(), "go", "test", "-tags", "leave_out_lock", "-count=1", "-run", "^"+test+"$", ".")
				command.Env = append(os.Environ(), testkit.LeftOutLock+"="+lock)
				output, err := command.CombinedOutput()
				switch {
				case err == nil:
				case strings.Contains(string(output), "--- FAIL: "+test) && !strings.Contains(string(output), "failure:"):
					return
				default:
					t.Fatalf("%v: %s", err, output)
				}
			}
			t.Errorf("%s does not fail without the lock %s", test, lock)
		})
	}
}
