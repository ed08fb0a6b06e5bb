package memory

import (
	"cmp"
	"context"
	"slices"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// Accounts implements rules.AccountReader.
func (s *Store) Accounts(ctx context.Context, after string, most int) ([]rules.Account, error) {
	accounts, err := s.listAccounts(ctx, func(email parsec3.EmailAddress) bool { return email.String() > after })
	return head(accounts, most), err
}

// AccountsOf implements rules.AccountReader.
func (s *Store) AccountsOf(ctx context.Context, mailbox string) ([]rules.Account, error) {
	return s.listAccounts(ctx, func(email parsec3.EmailAddress) bool { return email.Mailbox() == mailbox })
}

// listAccounts lists those whose e-mail address is wanted, in order.
func (s *Store) listAccounts(ctx context.Context, wanted func(email parsec3.EmailAddress) bool) (accounts []rules.Account, err error) {
	s.accounts.mu.RLock()
	defer s.accounts.mu.RUnlock()
	for email, account := range s.accounts.byEmail {
		if wanted(email) {
			accounts = append(accounts, *account.facts())
		}
	}
	slices.SortFunc(accounts, func(a, b rules.Account) int { return cmp.Compare(a.HumanHandle.Email(), b.HumanHandle.Email()) })
	return accounts, ctx.Err()
}
