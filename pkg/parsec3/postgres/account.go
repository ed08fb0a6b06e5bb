package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// accountColumns are of an account and of its current vault.
	accountColumns = "a.account_id, a.email, a.label, v.vault, v.items, v.methods, v.size"

	accountTables = `
FROM parsec3.account a
JOIN parsec3.account_vault v ON v.account_id = a.account_id AND v.vault = a.vault`

	methodColumns = `m.method_id, m.account_id, m.vault, m.created_on, m.created_by_ip, m.created_by_user_agent,
    m.mac_key, m.vault_key_access, m.memlimit_kb, m.opslimit, m.parallelism, m.disabled_on`

	// selectAccountOf reads the account of the method $1, with all its vaults.
	selectAccountOf = "SELECT " + accountColumns + ", " + methodColumns + `,
    (SELECT sum(s.size)::bigint FROM parsec3.account_vault s WHERE s.account_id = m.account_id)
FROM parsec3.account_method m
JOIN parsec3.account a ON a.account_id = m.account_id
JOIN parsec3.account_vault v ON v.account_id = a.account_id AND v.vault = a.vault
WHERE m.method_id = $1`

	// theAccount is that of the method $1.
	theAccount = "(SELECT o.account_id FROM parsec3.account_method o WHERE o.method_id = $1)"
	// theVault is its current vault.
	theVault = "(SELECT a.vault FROM parsec3.account a WHERE a.account_id = " + theAccount + ")"

	selectAlgorithm = `
SELECT m.memlimit_kb, m.opslimit, m.parallelism
FROM parsec3.account_method m
WHERE m.account_id = (SELECT a.account_id FROM parsec3.account a WHERE a.email = $1)
    AND m.disabled_on IS NULL AND m.memlimit_kb IS NOT NULL`

	inOrderOfCreation = " ORDER BY m.vault, m.created_on, m.method_id"

	selectActiveMethods = "SELECT " + methodColumns + `
FROM parsec3.account_method m
WHERE m.account_id = ` + theAccount + " AND m.vault = " + theVault + " AND m.disabled_on IS NULL" + inOrderOfCreation

	selectAllMethods = "SELECT " + methodColumns + `
FROM parsec3.account_method m
WHERE m.account_id = ` + theAccount + inOrderOfCreation

	selectItems = `
SELECT i.vault, i.fingerprint, i.item
FROM parsec3.account_item i
WHERE i.account_id = ` + theAccount

	selectCurrentItems = selectItems + " AND i.vault = " + theVault

	// theMailbox is its e-mail address, without case.
	theMailbox = "(SELECT lower(a.email) FROM parsec3.account a WHERE a.account_id = " + theAccount + ")"

	selectMemberships = "SELECT " + organizationstore.Columns + ", " + userColumns + `
FROM parsec3.user_ u
CROSS JOIN LATERAL (SELECT k.* FROM organization k WHERE k.organization_id = u.organization LIMIT 1) o
WHERE lower(u.human_email) = ` + theMailbox + `
ORDER BY u.organization, u.created_on, u.user_id`
)

// selectOwnInvitations reads the pending invitations for the owner of the method $1, in
// every organization. What is asked of revoked_on keeps the index of those who are
// active in one organization from being read.
var selectOwnInvitations = "SELECT " + organizationstore.Columns + ", " + invitationColumns + `
FROM (
    SELECT i.* FROM parsec3.invitation i
    WHERE lower(i.claimer_email) = ` + theMailbox + ` AND i.claimer_email IS NOT NULL AND i.ended_on IS NULL
    UNION ALL
    SELECT i.* FROM parsec3.user_ w
    CROSS JOIN LATERAL (
        SELECT i.* FROM parsec3.invitation i
        WHERE i.organization = w.organization AND i.claimer_user = w.user_id AND i.ended_on IS NULL
    ) i
    WHERE lower(w.human_email) = ` + theMailbox + ` AND coalesce(w.revoked_on, 0) = 0
) i
CROSS JOIN LATERAL (SELECT k.* FROM organization k WHERE k.organization_id = i.organization LIMIT 1) o` + strings.ReplaceAll(joinPeople, "$1", "i.organization") + `
ORDER BY i.organization, i.created_on, i.number`

// accountRow is an account, if found.
type accountRow struct {
	found   bool
	account rules.Account
}

func (a *accountRow) targets() []any {
	h := &handle{into: &a.account.HumanHandle}
	vault := &a.account.Vault
	return []any{
		(*database.UUID)(&a.account.ID), (*database.Text)(&h.email), h,
		(*database.Unsigned)(&vault.Number), (*database.Unsigned)(&vault.Items), (*database.Unsigned)(&vault.Methods), (*database.Unsigned)(&vault.Size),
	}
}

func methodTargets(m *rules.AuthMethod) []any {
	return append([]any{
		(*database.UUID)(&m.ID), (*database.UUID)(&m.Account), (*database.Unsigned)(&m.Vault), (*database.Integer)(&m.CreatedOn),
		&m.CreatedByIP, &m.CreatedByUserAgent, digest[protocol.MACKey]{&m.MACKey}, &m.VaultKeyAccess,
	}, append(passwordTargets(&m.PasswordAlgorithm), database.OptionalDate(&m.DisabledOn))...)
}

// digest scans 32 bytes.
type digest[T ~[32]byte] struct{ into *T }

// ScanBytes implements pgtype.BytesScanner.
func (d digest[T]) ScanBytes(value []byte) error {
	if len(value) != len(T{}) {
		return fmt.Errorf("%d bytes in a column of %d", len(value), len(T{}))
	}
	*d.into = T(value)
	return nil
}

// passwordTargets leaves nil for a method that is no password.
func passwordTargets(into **protocol.PasswordAlgorithm) []any {
	column := func(set func(*protocol.PasswordAlgorithm, uint32)) pgtype.Int64Scanner {
		return passwordColumn{into, set}
	}
	return []any{
		column(func(p *protocol.PasswordAlgorithm, value uint32) { p.MemlimitKB = value }),
		column(func(p *protocol.PasswordAlgorithm, value uint32) { p.Opslimit = value }),
		column(func(p *protocol.PasswordAlgorithm, value uint32) { p.Parallelism = value }),
	}
}

type passwordColumn struct {
	into **protocol.PasswordAlgorithm
	set  func(*protocol.PasswordAlgorithm, uint32)
}

// ScanInt64 implements pgtype.Int64Scanner.
func (c passwordColumn) ScanInt64(value pgtype.Int8) error {
	if !value.Valid {
		return nil
	}
	if *c.into == nil {
		*c.into = &protocol.PasswordAlgorithm{Type: protocol.Argon2ID}
	}
	c.set(*c.into, uint32(value.Int64))
	return nil
}

// accountStandingRow is who asks, if found.
type accountStandingRow struct {
	accountRow
	method rules.AuthMethod
	stored uint64
}

func (s *accountStandingRow) facts() (standing rules.AccountStanding) {
	if s.found {
		standing = rules.AccountStanding{Account: &s.account, Method: &s.method, Stored: s.stored}
	}
	return standing
}

func readAccountStanding(into *accountStandingRow, method parsec3.AuthMethodID) database.Statement {
	targets := append(append(into.targets(), methodTargets(&into.method)...), (*database.Unsigned)(&into.stored))
	return database.Row(&into.found, selectAccountOf, []any{database.Key(method)}, targets...)
}

// AccountStanding implements rules.AccountReader.
func (s *Store) AccountStanding(ctx context.Context, method parsec3.AuthMethodID) (rules.AccountStanding, error) {
	var standing accountStandingRow
	err := s.One(ctx, readAccountStanding(&standing, method))
	return standing.facts(), err
}

// PasswordAlgorithm implements rules.AccountReader.
func (s *Store) PasswordAlgorithm(ctx context.Context, email parsec3.EmailAddress) (*protocol.PasswordAlgorithm, error) {
	var found *protocol.PasswordAlgorithm
	err := s.One(ctx, database.Only(selectAlgorithm, []any{email.String()}, passwordTargets(&found)...))
	return found, err
}

// AuthMethods implements rules.AccountReader.
func (s *Store) AuthMethods(ctx context.Context, method parsec3.AuthMethodID) (rules.AccountStanding, []rules.AuthMethod, error) {
	var standing accountStandingRow
	var methods []rules.AuthMethod
	err := s.Snapshot(ctx, readAccountStanding(&standing, method),
		database.List(&methods, selectActiveMethods, []any{database.Key(method)}, methodTargets))
	return standing.facts(), methods, err
}

// vaultItem is an item with the number of its vault.
type vaultItem struct {
	vault uint64
	item  rules.VaultItem
}

func readItems(into *[]vaultItem, sql string, method parsec3.AuthMethodID) database.Statement {
	return database.Statement{SQL: sql, Args: []any{database.Key(method)}, Rows: func(rows pgx.Rows) error {
		*into = nil
		for rows.Next() {
			var read vaultItem
			err := rows.Scan((*database.Unsigned)(&read.vault), digest[protocol.Fingerprint]{&read.item.Fingerprint}, &read.item.Data)
			if err != nil {
				return err
			}
			*into = append(*into, read)
		}
		return rows.Err()
	}}
}

// VaultItems implements rules.AccountReader.
func (s *Store) VaultItems(ctx context.Context, method parsec3.AuthMethodID) (rules.AccountStanding, []rules.VaultItem, error) {
	var standing accountStandingRow
	var read []vaultItem
	err := s.Snapshot(ctx, readAccountStanding(&standing, method), readItems(&read, selectCurrentItems, method))
	items := make([]rules.VaultItem, len(read))
	for i := range read {
		items[i] = read[i].item
	}
	return standing.facts(), items, err
}

// Vaults implements rules.AccountReader.
func (s *Store) Vaults(ctx context.Context, method parsec3.AuthMethodID) (rules.AccountStanding, []rules.VaultContent, error) {
	var standing accountStandingRow
	var methods []rules.AuthMethod
	var items []vaultItem
	err := s.Snapshot(ctx, readAccountStanding(&standing, method),
		database.List(&methods, selectAllMethods, []any{database.Key(method)}, methodTargets), readItems(&items, selectItems, method))
	if err != nil {
		return rules.AccountStanding{}, nil, err
	}
	var vaults []rules.VaultContent
	places := map[uint64]int{}
	for i := range methods { // every vault has one
		number := methods[i].Vault
		if _, known := places[number]; !known {
			places[number] = len(vaults)
			vaults = append(vaults, rules.VaultContent{})
		}
		vault := &vaults[places[number]]
		vault.Methods = append(vault.Methods, methods[i])
	}
	for i := range items {
		vault := &vaults[places[items[i].vault]]
		vault.Items = append(vault.Items, items[i].item)
	}
	return standing.facts(), vaults, nil
}

// Memberships implements rules.AccountReader.
func (s *Store) Memberships(ctx context.Context, method parsec3.AuthMethodID) (rules.AccountStanding, []rules.Membership, error) {
	var standing accountStandingRow
	var memberships []rules.Membership
	err := s.Snapshot(ctx, readAccountStanding(&standing, method),
		database.List(&memberships, selectMemberships, []any{database.Key(method)}, func(m *rules.Membership) []any {
			return append(organizationstore.Targets(&m.Organization), userTargets(&m.User)...)
		}))
	return standing.facts(), memberships, err
}

// ownInvitationRow is an invitation with its organization.
type ownInvitationRow struct {
	organization organization.Organization
	row          invitationRow
}

// OwnInvitations implements rules.AccountReader.
func (s *Store) OwnInvitations(ctx context.Context, method parsec3.AuthMethodID) (rules.AccountStanding, []rules.OwnInvitation, error) {
	var standing accountStandingRow
	var rows []ownInvitationRow
	err := s.Snapshot(ctx, readAccountStanding(&standing, method),
		database.List(&rows, selectOwnInvitations, []any{database.Key(method)}, func(r *ownInvitationRow) []any {
			return append(organizationstore.Targets(&r.organization), r.row.targets()...)
		}))
	own := make([]rules.OwnInvitation, len(rows))
	for i := range rows {
		own[i] = rules.OwnInvitation{Organization: rows[i].organization, Invitation: *rows[i].row.facts()}
	}
	return standing.facts(), own, err
}

// pruneAccounts erases what counts no more: e-mails that were sent long ago, and codes
// that nobody may use or has guessed at for long.
func (s *Store) pruneAccounts(ctx context.Context) error {
	const mailsKept, codesKept = 24 * 3600 * 1_000_000, 26 * 3600 * 1_000_000 // microseconds
	now := int64(s.now())
	err := s.Repeat(ctx, `
DELETE FROM parsec3.account_mail m WHERE m.ctid = ANY(ARRAY(
    SELECT o.ctid FROM parsec3.account_mail o WHERE o.sent_on < $2 ORDER BY o.sent_on LIMIT $1 FOR UPDATE SKIP LOCKED
))`, now-mailsKept)
	if err != nil {
		return err
	}
	return s.Repeat(ctx, `
DELETE FROM parsec3.account_code c WHERE c.ctid = ANY(ARRAY(
    SELECT o.ctid FROM parsec3.account_code o WHERE o.created_on < $2 ORDER BY o.created_on LIMIT $1 FOR UPDATE SKIP LOCKED
))`, now-codesKept)
}
