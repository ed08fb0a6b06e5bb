package rules

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"time"

	"golang.org/x/crypto/blake2b"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// CodeKind is what a code lets its reader do. It is stored.
type CodeKind string

// The kinds.
const (
	CodeOfCreation CodeKind = "creation"
	CodeOfDeletion CodeKind = "deletion"
	CodeOfRecovery CodeKind = "recovery"
)

// What bounds the guessing of codes (docs/protocol/v5/account.md §2).
const (
	codeValidity = time.Hour
	// maxTries of one code may be wrong.
	maxTries = 3
	// maxWrongTries of all codes of a kind for an e-mail may be wrong in wrongTriesPeriod.
	maxWrongTries    = 20
	wrongTriesPeriod = 24 * time.Hour
)

// CodeHash stands for a code: who has it and not the key learns nothing.
type CodeHash [blake2b.Size256]byte

// Code is what is pending for an e-mail, and what was guessed.
type Code struct {
	// Hash is nil when there is no code.
	Hash      *CodeHash
	CreatedOn parsec.DateTime
	// Tries counts the wrong ones for this code.
	Tries int
	// WrongTries are the dates of the last ones, for this code and those before, in
	// order.
	WrongTries []parsec.DateTime
}

// isOpen reports whether a code may be tried.
func (c *Code) isOpen(now parsec.DateTime) bool {
	_, exhausted := c.exhaustedUntil(now)
	return c.Hash != nil && now.Sub(c.CreatedOn) <= codeValidity && c.Tries < maxTries && !exhausted
}

// exhaustedUntil returns when a code may be asked for again, false if that is now.
func (c *Code) exhaustedUntil(now parsec.DateTime) (parsec.DateTime, bool) {
	if len(c.WrongTries) < maxWrongTries {
		return 0, false
	}
	until := c.WrongTries[len(c.WrongTries)-maxWrongTries].Add(wrongTriesPeriod)
	return until, now < until
}

// missed returns the code once it was tried in vain.
func (c *Code) missed(now parsec.DateTime) Code {
	after := *c
	after.Tries++
	after.WrongTries = append(after.WrongTries[max(0, len(after.WrongTries)-maxWrongTries+1):len(after.WrongTries):len(after.WrongTries)], now)
	return after
}

// replaced returns the code with another one in its place, nil for none.
func (c *Code) replaced(hash *CodeHash, now parsec.DateTime) Code {
	return Code{Hash: hash, CreatedOn: now, WrongTries: c.WrongTries}
}

// hashOf returns what is stored of a code: one is good for its kind and e-mail alone.
func (r *Rules) hashOf(kind CodeKind, email parsec3.EmailAddress, code parsec3.ValidationCode) CodeHash {
	hash, err := blake2b.New256(r.codeKey[:])
	if err != nil {
		panic(err) // no key is that long
	}
	hash.Write([]byte(string(kind) + "\x00" + email.String() + "\x00" + code.String()))
	return CodeHash(hash.Sum(nil))
}

// decoy returns a hash of no code.
func decoy() (hash CodeHash) {
	rand.Read(hash[:]) // never fails
	return hash
}

// codeKeyOf derives the key of the hashes of codes from a secret of the server.
func codeKeyOf(secret []byte) [blake2b.Size256]byte {
	return blake2b.Sum256(append([]byte("validation codes of accounts\x00"), secret...))
}

// tryCode runs rule if a code is right, and counts it if it is not
// (docs/protocol/v5/account.md §2). What was counted stands although the command is
// refused.
func (r *Rules) tryCode(tx AccountTx, kind CodeKind, email parsec3.EmailAddress, given parsec3.ValidationCode, wrong *bool, rule func(Code) error) error {
	now := r.now()
	*wrong = false
	code := tx.Code(kind)
	if !code.isOpen(now) {
		return protocol.Refuse(protocol.StatusSendValidationEmailRequired)
	}
	hash := r.hashOf(kind, email, given)
	if subtle.ConstantTimeCompare(hash[:], code.Hash[:]) != 1 {
		*wrong = true
		tx.PutCode(kind, code.missed(now))
		return nil
	}
	return rule(code)
}

// judged returns the outcome of a transaction in which a code was tried.
func judged(wrong bool, err error) error {
	if err == nil && wrong {
		return protocol.Refuse(protocol.StatusInvalidValidationCode)
	}
	return err
}

// codeMail is an e-mail with a code that is asked for.
type codeMail struct {
	kind  CodeKind
	email parsec3.EmailAddress
	peer  *Peer
	code  parsec3.ValidationCode
}

// putCode replaces the code of an e-mail, unless too many e-mails were sent, or codes
// guessed. What nobody gets is replaced too, by a hash of no code: who tries it learns
// no more than who tries a real one.
func (r *Rules) putCode(tx AccountTx, mail *codeMail, arrives bool) error {
	now := r.now()
	if until, limited := r.options.MailLimit.until(tx.Sends(), now); limited {
		return protocol.RefuseRateLimited(until)
	}
	code := tx.Code(mail.kind)
	if until, limited := code.exhaustedUntil(now); limited {
		return protocol.RefuseRateLimited(until)
	}
	tx.CountSend(now)
	hash := decoy()
	if arrives {
		hash = r.hashOf(mail.kind, mail.email, mail.code)
	}
	tx.PutCode(mail.kind, code.replaced(&hash, now))
	return nil
}

// sendToStranger has a code sent to who is not known, if isReal says so of the account of
// the e-mail, and else what instead names, if anything. Nobody learns which: not by the
// answer, nor by its time.
func (r *Rules) sendToStranger(ctx context.Context, mail codeMail, isReal func(*Account) bool, instead *AccountMailKind) error {
	place, found := r.mails.reserve()
	defer place.release()
	mail.code = parsec3.NewValidationCode()
	var sent bool
	err := r.store.UpdateAccount(ctx, AccountScope{Mail: r.mailScope(&mail), Email: mail.email}, func(tx AccountTx) error {
		sent = isReal(tx.Account())
		return r.putCode(tx, &mail, sent)
	})
	switch {
	case err != nil:
		return err
	case !found:
		return protocol.Refuse(protocol.StatusEmailServerUnavailable)
	case sent:
		place.send(mail.accountMail())
	case instead != nil:
		place.send(AccountMail{To: mail.email.String(), Kind: *instead})
	}
	return nil
}

func (m *codeMail) accountMail() AccountMail {
	kinds := map[CodeKind]AccountMailKind{CodeOfCreation: AccountCreation, CodeOfDeletion: AccountDeletion, CodeOfRecovery: AccountRecovery}
	return AccountMail{To: m.email.String(), Kind: kinds[m.kind], Code: m.code.String()}
}
