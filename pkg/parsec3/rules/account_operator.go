package rules

import (
	"context"
	"errors"
	"iter"

	"parsec-server/pkg/parsec3"
)

// What follows is what operators do with accounts, whose owners they are not.

// ErrAccountNotFound is returned for an account that does not exist, in this spelling of
// its e-mail address.
var ErrAccountNotFound = errors.New("no such account")

// accountsAtOnce bounds the accounts that are listed at once.
const accountsAtOnce = 1000

// Accounts yields all accounts, in byte order of their e-mail addresses.
func (r *Rules) Accounts(ctx context.Context) iter.Seq2[Account, error] {
	return func(yield func(Account, error) bool) {
		for after := ""; ; {
			page, err := r.store.Accounts(ctx, after, accountsAtOnce)
			if err != nil {
				yield(Account{}, err)
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
				after = page[i].HumanHandle.Email()
			}
			if len(page) < accountsAtOnce {
				return
			}
		}
	}
}

// AccountsOf returns the accounts of a mailbox: whoever has it may have one for each
// spelling of its e-mail address (docs/protocol/v5/account.md §2).
func (r *Rules) AccountsOf(ctx context.Context, email parsec3.EmailAddress) ([]Account, error) {
	return r.store.AccountsOf(ctx, email.Mailbox())
}

// DeleteAccount erases an account as its owner would: what it has, what is pending for
// it, and who used it from where (docs/protocol/v5/account.md §5). It returns
// ErrAccountNotFound.
func (r *Rules) DeleteAccount(ctx context.Context, email parsec3.EmailAddress) error {
	return r.store.UpdateAccount(ctx, AccountScope{Email: email}, func(tx AccountTx) error {
		if tx.Account() == nil {
			return ErrAccountNotFound
		}
		tx.EraseAccount()
		return nil
	})
}
