package rules_test

import (
	"fmt"
	"testing"
	"time"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// accountScenario is a command about an account.
type accountScenario struct {
	*accountFixture
	// zoe and yan have accounts; xeno has none.
	zoe, yan, xeno *holder
	// code is that of the request, and method the new one.
	code   parsec3.ValidationCode
	method parsec3.AuthMethodID
	send   func() error
}

func (s *accountScenario) base() *command { return &command{fixture: s.fixture} }

func (s *accountScenario) run() error { return s.send() }

// aboutAccounts begins with a command.
func aboutAccounts(changes ...func(*setup)) func(begin func(*accountScenario)) func(*testing.T) *accountScenario {
	return func(begin func(*accountScenario)) func(*testing.T) *accountScenario {
		return func(t *testing.T) *accountScenario {
			t.Helper()
			s := &accountScenario{accountFixture: newAccountFixture(t, changes...), xeno: newHolder("xeno"), method: parsec3.AuthMethodID{9}}
			s.zoe, s.yan = s.newAccount("zoe"), s.newAccount("yan")
			s.clock.advance(2 * time.Hour)
			begin(s)
			return s
		}
	}
}

// noCode are the ways to have none: none was sent, it has expired, it was guessed at too
// often.
func noCode(try func(s *accountScenario, code parsec3.ValidationCode) error) []row[*accountScenario] {
	return []row[*accountScenario]{
		{"1", "the code has expired", func(s *accountScenario) { s.clock.advance(time.Hour + time.Second) }, protocol.StatusSendValidationEmailRequired},
		{"1", "the code was tried too often", func(s *accountScenario) {
			for range 3 {
				wantStatus(s.t, "a try", try(s, wrongOf(s.code)), protocol.StatusInvalidValidationCode)
			}
		}, protocol.StatusSendValidationEmailRequired},
		{"2", "the code is wrong", func(s *accountScenario) { s.code = wrongOf(s.code) }, protocol.StatusInvalidValidationCode},
	}
}

// taken has the new method be one of somebody else.
func taken(s *accountScenario) { s.method = s.yan.method }

func TestAccountCreateProceedTable(t *testing.T) {
	create := func(s *accountScenario, code parsec3.ValidationCode) error {
		request := s.xeno.creation(code)
		request.AccountCreateStep.AuthMethodID = s.method
		return s.create(request)
	}
	begin := aboutAccounts()(func(s *accountScenario) {
		s.ok(nil, s.askCreation(s.xeno.email))
		s.code = s.accountFixture.code(rules.AccountCreation, s.xeno.email)
		s.send = func() error { return create(s, s.code) }
	})
	checkTable(t, "account_create_proceed", begin, append(append([]row[*accountScenario]{
		{"1", "no code was sent", func(s *accountScenario) { s.xeno = newHolder("nobody") }, protocol.StatusSendValidationEmailRequired},
		{"1", "there is an account", func(s *accountScenario) {
			s.ok(nil, s.create(s.xeno.creation(s.code)))
		}, protocol.StatusSendValidationEmailRequired},
		{"1", "an account came from elsewhere", func(s *accountScenario) {
			id := parsec3.AuthMethodID{8}
			scope := rules.AccountScope{Email: address(s.xeno.email), Methods: []parsec3.AuthMethodID{id}}
			s.ok(nil, s.store.UpdateAccount(s.t.Context(), scope, func(tx rules.AccountTx) error {
				tx.CreateAccount(rules.Account{ID: rules.AccountID{8}, HumanHandle: must(parsec3.ParseHumanHandle(s.xeno.email, "Xeno"))}, rules.AuthMethod{ID: id})
				return nil
			}))
		}, protocol.StatusSendValidationEmailRequired},
	}, noCode(create)...), row[*accountScenario]{"3", "the method exists", taken, protocol.StatusAuthMethodIDAlreadyExists}),
		[2]string{"no code was sent", "there is an account"}, [2]string{"there is an account", "an account came from elsewhere"},
		[2]string{"there is an account", "the code has expired"},
		[2]string{"there is an account", "the code was tried too often"}, [2]string{"there is an account", "the code is wrong"})
}

func TestAccountRecoverProceedTable(t *testing.T) {
	recovery := func(s *accountScenario, code parsec3.ValidationCode) error {
		return s.recover(s.zoe.email, code, s.method)
	}
	begin := aboutAccounts()(func(s *accountScenario) {
		s.ok(nil, s.askRecovery(s.zoe.email))
		s.code = s.accountFixture.code(rules.AccountRecovery, s.zoe.email)
		s.send = func() error { return recovery(s, s.code) }
	})
	checkTable(t, "account_recover_proceed", begin, append(append([]row[*accountScenario]{
		{"1", "no account", func(s *accountScenario) { s.zoe = s.xeno }, protocol.StatusSendValidationEmailRequired},
	}, noCode(recovery)...), row[*accountScenario]{"3", "the method exists", taken, protocol.StatusAuthMethodIDAlreadyExists}),
		[2]string{"no account", "the code was tried too often"})
}

// sends returns a command that sends a code to a stranger, with its rows.
func sends(ask func(*accountFixture, string) error) (func(*testing.T) *accountScenario, []row[*accountScenario]) {
	limited := withOptions(func(o *rules.Options) { o.MailLimit = rules.MailLimit{MaxPerHour: 3} })
	begin := aboutAccounts(limited)(func(s *accountScenario) {
		s.send = func() error { return ask(s.accountFixture, s.xeno.email) }
	})
	return begin, []row[*accountScenario]{
		{"1", "too many e-mails", func(s *accountScenario) {
			for i := range 3 {
				_ = ask(s.accountFixture, fmt.Sprint("somebody", i, "@example.com")) // It counts, sent or not.
			}
		}, protocol.StatusEmailSendingRateLimited},
		{"2", "no e-mail can be sent", func(s *accountScenario) { s.ok(nil, s.Close(s.t.Context())) }, protocol.StatusEmailServerUnavailable},
		{"3", "an account, or none", func(s *accountScenario) { s.xeno = s.zoe }, protocol.StatusOK},
	}
}

func TestAccountCreateSendValidationEmailTable(t *testing.T) {
	begin, rows := sends((*accountFixture).askCreation)
	checkTable(t, "account_create_send_validation_email", begin, rows)
}

func TestAccountRecoverSendValidationEmailTable(t *testing.T) {
	begin, rows := sends((*accountFixture).askRecovery)
	checkTable(t, "account_recover_send_validation_email", begin, rows)
}

func TestAccountDeleteProceedTable(t *testing.T) {
	deletion := func(s *accountScenario, code parsec3.ValidationCode) error { return s.delete(s.zoe, code) }
	begin := aboutAccounts()(func(s *accountScenario) {
		s.ok(nil, s.askDeletion(s.zoe))
		s.code = s.accountFixture.code(rules.AccountDeletion, s.zoe.email)
		s.send = func() error { return deletion(s, s.code) }
	})
	checkTable(t, "account_delete_proceed", begin, append([]row[*accountScenario]{
		{"1", "no code was sent", func(s *accountScenario) { s.zoe = s.yan }, protocol.StatusSendValidationEmailRequired},
	}, noCode(deletion)...), [2]string{"no code was sent", "the code was tried too often"})
}

func TestAuthMethodDisableTable(t *testing.T) {
	begin := aboutAccounts()(func(s *accountScenario) {
		by := s.owner(s.zoe)
		key, err := s.addMethod(by, "zoe's key", nil)
		s.ok(nil, err)
		s.method = key.method
		s.send = func() error { return s.disable(by, s.method) }
	})
	checkTable(t, "auth_method_disable", begin, []row[*accountScenario]{
		{"1", "its own", func(s *accountScenario) { s.method = s.zoe.method }, protocol.StatusSelfDisableNotAllowed},
		{"2", "unknown", func(s *accountScenario) { s.method = parsec3.AuthMethodID{1} }, protocol.StatusAuthMethodNotFound},
		{"2", "of another account", taken, protocol.StatusAuthMethodNotFound},
		{"3", "disabled", func(s *accountScenario) { s.ok(nil, s.disable(s.owner(s.zoe), s.method)) }, protocol.StatusAuthMethodAlreadyDisabled},
	}, [2]string{"its own", "unknown"}, [2]string{"its own", "of another account"}, [2]string{"its own", "disabled"},
		[2]string{"unknown", "of another account"}, [2]string{"unknown", "disabled"})
}

func TestVaultKeyRotationTable(t *testing.T) {
	begin := aboutAccounts()(func(s *accountScenario) {
		by := s.owner(s.zoe)
		s.send = func() error {
			_, err := s.VaultKeyRotation(s.t.Context(), by, &protocol.VaultKeyRotationRequest{NewAuthMethodID: s.method})
			return err
		}
	})
	checkTable(t, "vault_key_rotation", begin, []row[*accountScenario]{
		{"1", "other items", func(s *accountScenario) { s.ok(nil, s.upload(s.owner(s.zoe), 1, "one")) }, protocol.StatusItemsMismatch},
		{"2", "the method exists", taken, protocol.StatusNewAuthMethodIDAlreadyExists},
	})
}
