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
	accounts, err := s.listAccounts(ctx, func(email string) bool { return email > after })
	return head(accounts, most), err
}

// AccountsOf implements rules.AccountReader.
func (s *Store) AccountsOf(ctx context.Context, mailbox string) ([]rules.Account, error) {
	return s.listAccounts(ctx, func(email string) bool { return parsec3.Mailbox(email) == mailbox })
}

// listAccounts lists those whose e-mail address is wanted, in order.
func (s *Store) listAccounts(ctx context.Context, wanted func(email string) bool) (accounts []rules.Account, err error) {
	s.accounts.mu.RLock()
	defer s.accounts.mu.RUnlock()
	for email, account := range s.accounts.byEmail {
		if wanted(email.String()) {
			accounts = append(accounts, *account.facts())
		}
	}
	slices.SortFunc(accounts, func(a, b rules.Account) int { return cmp.Compare(a.HumanHandle.Email(), b.HumanHandle.Email()) })
	return accounts, ctx.Err()
}
