package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec3/rules"
)

// Accounts implements rules.AccountReader.
func (s *Store) Accounts(ctx context.Context, after string, most int) ([]rules.Account, error) {
	return s.readAccounts(ctx, "SELECT "+accountColumns+accountTables+`
WHERE a.email > $1
ORDER BY a.email LIMIT $2`, after, most)
}

// AccountsOf implements rules.AccountReader. It scans the accounts.
func (s *Store) AccountsOf(ctx context.Context, mailbox string) ([]rules.Account, error) {
	return s.readAccounts(ctx, "SELECT "+accountColumns+accountTables+`
WHERE lower(btrim(a.email, ' ')) = $1
ORDER BY a.email`, mailbox)
}

func (s *Store) readAccounts(ctx context.Context, sql string, args ...any) ([]rules.Account, error) {
	var rows []accountRow
	err := s.One(ctx, database.List(&rows, sql, args, func(row *accountRow) []any { return row.targets() }))
	accounts := make([]rules.Account, len(rows))
	for i := range rows {
		accounts[i] = rows[i].account
	}
	return accounts, err
}
