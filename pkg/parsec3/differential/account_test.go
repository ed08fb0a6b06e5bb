package differential

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/blake2b"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// The things of accounts, which are of the server: those of each play have names of their
// own.
const (
	playAccounts = 2
	playMethods  = 8
	playItems    = 3
)

// postOffice has the e-mails of a side about accounts; nobody reads others.
type postOffice chan rules.AccountMail

func (postOffice) SendInvitation(context.Context, rules.InvitationMail) protocol.EmailSent {
	return protocol.EmailSuccess
}

func (postOffice) SendEnrollmentAccepted(context.Context, rules.EnrollmentMail) protocol.EmailSent {
	return protocol.EmailSuccess
}

func (postOffice) SendTOTPReset(context.Context, rules.TOTPMail) (outcome organization.EmailOutcome) {
	return outcome
}

func (p postOffice) SendAccount(_ context.Context, mail rules.AccountMail) protocol.EmailSent {
	p <- mail
	return protocol.EmailSuccess
}

var errNoMail = errors.New("no e-mail is sent")

// read takes the code of the e-mail that is on its way, if it has one.
func (w *twins) read(side *twin, email parsec3.EmailAddress) error {
	const patience = time.Minute
	select {
	case mail := <-side.office:
		if mail.Code != "" {
			w.codes[w.side(side)][email] = must(parsec3.ParseValidationCode(mail.Code))
		}
		return nil
	case <-time.After(patience):
		return errNoMail
	}
}

// mailbox draws whose account it is.
func (w *twins) mailbox() parsec3.EmailAddress { return w.mailboxOf(w.number(0, playAccounts-1)) }

func (w *twins) mailboxOf(i int) parsec3.EmailAddress {
	return must(parsec3.ParseEmailAddress(fmt.Sprintf("%s.%d@example.com", strings.ToLower(w.organization.String()), i)))
}

// code is the last one that came, most often. Those of the sides differ.
func (w *twins) code(email parsec3.EmailAddress) func(side *twin) parsec3.ValidationCode {
	wrong := w.chance(6)
	return func(side *twin) parsec3.ValidationCode {
		if code, found := w.codes[w.side(side)][email]; found && !wrong {
			return code
		}
		return must(parsec3.ParseValidationCode("222222"))
	}
}

// peer is somewhere else in each play, as e-mails are limited.
func (w *twins) peer() rules.Peer {
	sum := sha256.Sum256([]byte(w.organization.String()))
	return rules.Peer{Address: netip.AddrFrom4([4]byte{10, sum[0], sum[1], sum[2]}), UserAgent: "Agent"}
}

// method is one of the ids of the play, and the key of that.
func (w *twins) method() (parsec3.AuthMethodID, protocol.MACKey) {
	sum := sha256.Sum256(fmt.Append(nil, w.organization, w.number(0, playMethods-1)))
	id := parsec3.AuthMethodID(sum[:16])
	return id, keyOf(id)
}

func keyOf(id parsec3.AuthMethodID) protocol.MACKey { return sha256.Sum256(id[:]) }

func (w *twins) algorithm() *protocol.PasswordAlgorithm {
	return pick(w, nil, &protocol.WeakestAlgorithm)
}

// byAccount has whoever has a method ask, once it is let in.
func (w *twins) byAccount(ask func(side *twin, author *rules.AccountAuthor) (any, error)) question {
	method, key := w.method()
	if len(w.methods) > 0 && !w.chance(5) {
		method = w.methods[len(w.methods)-1]
		key = keyOf(method)
	}
	mac := must(blake2b.New512(key[:]))
	text := []byte("text")
	mac.Write(text)
	token := &rules.MACToken{Method: method, Date: *w.now, Text: text, MAC: mac.Sum(nil)}
	return func(side *twin) (any, error) {
		author, err := side.AdmitAccount(w.ctx, token, w.peer())
		if err != nil {
			return nil, err
		}
		return ask(side, author)
	}
}

// made takes note of a method that the first side has.
func (w *twins) made(side *twin, method parsec3.AuthMethodID, err error) {
	if w.side(side) == 0 && err == nil {
		w.methods = append(w.methods, method)
	}
}

func (w *twins) accountCreateSendValidationEmail() question { return w.creationMail(w.mailbox()) }

func (w *twins) creationMail(email parsec3.EmailAddress) question {
	return func(side *twin) (any, error) {
		reply, err := side.AccountCreateSendValidationEmail(w.ctx, w.peer(), &protocol.AccountCreateSendValidationEmailRequest{Email: email})
		if err == nil {
			err = w.read(side, email)
		}
		return reply, err
	}
}

// accountCreateProceed asks for a code before, more often than not.
func (w *twins) accountCreateProceed() question {
	email := w.mailbox()
	if !w.chance(3) {
		w.ask("account_create_send_validation_email", w.creationMail(email))
	}
	code := w.code(email)
	method, key := w.method()
	step := protocol.AccountCreateStep{Step: protocol.AccountCheckCode, Email: email}
	if !w.chance(4) {
		step = protocol.AccountCreateStep{
			Step: protocol.AccountCreate, HumanHandle: must(parsec3.ParseHumanHandle(email.String(), "Account")),
			AuthMethodPasswordAlgorithm: w.algorithm(), AuthMethodMACKey: key, AuthMethodID: method, VaultKeyAccess: []byte("access"),
		}
	}
	return func(side *twin) (any, error) {
		request := &protocol.AccountCreateProceedRequest{AccountCreateStep: step}
		request.AccountCreateStep.ValidationCode = code(side)
		reply, err := side.AccountCreateProceed(w.ctx, w.peer(), request)
		if step.Step == protocol.AccountCreate {
			w.made(side, method, err)
			if w.side(side) == 0 && err == nil {
				w.accounts = append(w.accounts, email)
			}
		}
		return reply, err
	}
}

// accountRecoverSendValidationEmail has an e-mail come to whoever has an account.
func (w *twins) accountRecoverSendValidationEmail() question { return w.recoveryMail(w.mailbox()) }

func (w *twins) recoveryMail(email parsec3.EmailAddress) question {
	return func(side *twin) (any, error) {
		accounts, err := side.AccountsOf(w.ctx, email)
		if err != nil {
			return nil, err
		}
		reply, err := side.AccountRecoverSendValidationEmail(w.ctx, w.peer(), &protocol.AccountRecoverSendValidationEmailRequest{Email: email})
		if err == nil && len(accounts) > 0 {
			err = w.read(side, email)
		}
		return reply, err
	}
}

// accountRecoverProceed is for an account, and asks for a code before, more often than not.
func (w *twins) accountRecoverProceed() question {
	email, algorithm := w.mailbox(), w.algorithm()
	if len(w.accounts) > 0 && !w.chance(5) {
		email = pick(w, w.accounts...)
	}
	if !w.chance(3) {
		w.ask("account_recover_send_validation_email", w.recoveryMail(email))
	}
	code := w.code(email)
	method, key := w.method()
	return func(side *twin) (any, error) {
		reply, err := side.AccountRecoverProceed(w.ctx, w.peer(), &protocol.AccountRecoverProceedRequest{
			Email: email, ValidationCode: code(side), NewVaultKeyAccess: []byte("recovered"),
			NewAuthMethodPasswordAlgorithm: algorithm, NewAuthMethodMACKey: key, NewAuthMethodID: method,
		})
		w.made(side, method, err)
		if err == nil {
			err = w.read(side, email)
		}
		return reply, err
	}
}

// accountDelete asks for a code, and gives it.
func (w *twins) accountDelete() question {
	var of parsec3.EmailAddress
	w.ask("account_delete_send_validation_email", w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		of = author.Email
		reply, err := side.AccountDeleteSendValidationEmail(w.ctx, author, nil)
		if err == nil {
			err = w.read(side, of)
		}
		return reply, err
	}))
	code := w.code(of)
	return w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		return side.AccountDeleteProceed(w.ctx, author, &protocol.AccountDeleteProceedRequest{ValidationCode: code(side)})
	})
}

func (w *twins) authMethodPasswordGetAlgorithm() question {
	request := &protocol.AuthMethodPasswordGetAlgorithmRequest{Email: w.mailbox()}
	return func(side *twin) (any, error) { return side.AuthMethodPasswordGetAlgorithm(w.ctx, w.peer(), request) }
}

func (w *twins) accountInfo() question {
	return w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		return side.AccountInfo(w.ctx, author, nil)
	})
}

func (w *twins) authMethodList() question {
	return w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		return side.AuthMethodList(w.ctx, author, nil)
	})
}

func (w *twins) authMethodCreate() question {
	method, key := w.method()
	request := &protocol.AuthMethodCreateRequest{
		AuthMethodID: method, AuthMethodMACKey: key, AuthMethodPasswordAlgorithm: w.algorithm(), VaultKeyAccess: []byte("access"),
	}
	return w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		reply, err := side.AuthMethodCreate(w.ctx, author, request)
		w.made(side, method, err)
		return reply, err
	})
}

// authMethodDisable is by a new method, most often of the one before.
func (w *twins) authMethodDisable() question {
	method, _ := w.method()
	if len(w.methods) > 0 && !w.chance(4) {
		method = w.methods[len(w.methods)-1]
	}
	w.ask("auth_method_create", w.authMethodCreate())
	return w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		return side.AuthMethodDisable(w.ctx, author, &protocol.AuthMethodDisableRequest{AuthMethodID: method})
	})
}

func (w *twins) vaultItemUpload() question {
	request := &protocol.VaultItemUploadRequest{ItemFingerprint: protocol.Fingerprint{byte(w.number(1, playItems))}, Item: []byte("item")}
	return w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		return side.VaultItemUpload(w.ctx, author, request)
	})
}

func (w *twins) vaultItemList() question {
	return w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		return side.VaultItemList(w.ctx, author, nil)
	})
}

// vaultKeyRotation is of all items, most often.
func (w *twins) vaultKeyRotation() question {
	method, key := w.method()
	algorithm, wrong := w.algorithm(), w.chance(4)
	return w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		kept, err := side.VaultItemList(w.ctx, author, nil)
		if err != nil {
			return nil, err
		}
		request := &protocol.VaultKeyRotationRequest{
			NewAuthMethodID: method, NewAuthMethodMACKey: key, NewAuthMethodPasswordAlgorithm: algorithm,
			NewVaultKeyAccess: []byte("rotated"), Items: protocol.VaultItems{},
		}
		for fingerprint := range kept.Items {
			request.Items[fingerprint] = []byte("rotated")
		}
		if wrong {
			request.Items[protocol.Fingerprint{playItems + 1}] = []byte("more")
		}
		reply, err := side.VaultKeyRotation(w.ctx, author, request)
		w.made(side, method, err)
		return reply, err
	})
}

func (w *twins) vaultItemRecoveryList() question {
	return w.byAccount(func(side *twin, author *rules.AccountAuthor) (any, error) {
		return side.VaultItemRecoveryList(w.ctx, author, nil)
	})
}
