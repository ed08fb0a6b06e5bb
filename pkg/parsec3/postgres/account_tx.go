package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

var _ rules.AccountTx = (*accountTx)(nil)

// The names of the locks of accounts.
const (
	lockOfMail    = "mail"
	lockOfAccount = "account"
)

const (
	selectAccount = "SELECT " + accountColumns + accountTables + `
WHERE a.email = $1`

	selectCodes = "SELECT c.kind, c.hash, c.created_on, c.tries, c.wrong_tries FROM parsec3.account_code c WHERE c.email = $1"

	selectMethods = "SELECT " + methodColumns + `
FROM parsec3.account_method m
WHERE m.method_id = ANY($1)`

	// selectSends reads each e-mail once, by an index for each condition.
	selectSends = `
SELECT s.sent_on FROM (
    SELECT m.sent_on, m.mail_id FROM parsec3.account_mail m WHERE m.mailbox = $1 AND m.sent_on > $3
    UNION
    SELECT m.sent_on, m.mail_id FROM parsec3.account_mail m WHERE m.network = $2 AND m.sent_on > $3
) s ORDER BY s.sent_on`

	selectHasItem = `
SELECT EXISTS (SELECT 1 FROM parsec3.account a
    JOIN parsec3.account_item i ON i.account_id = a.account_id AND i.vault = a.vault
    WHERE a.email = $1 AND i.fingerprint = $2)`
)

// UpdateAccount implements rules.AccountStore.
func (s *Store) UpdateAccount(ctx context.Context, scope rules.AccountScope, rule func(rules.AccountTx) error) error {
	return s.Database.Update(ctx, func() database.Transaction {
		t := &accountTx{scope: scope, codes: map[rules.CodeKind]rules.Code{}, methods: map[parsec3.AuthMethodID]*rules.AuthMethod{}}
		return database.Transaction{
			Reads: append(t.locks(), t.facts()...),
			Decisions: []database.Decision{func(under *database.Tx) error {
				t.Tx = under
				return rule(t)
			}},
		}
	})[0]
}

// accountTx is one run of a rule on an account.
type accountTx struct {
	*database.Tx
	scope rules.AccountScope

	// What comes with the scope.
	account accountRow
	codes   map[rules.CodeKind]rules.Code
	sends   []parsec.DateTime
	methods map[parsec3.AuthMethodID]*rules.AuthMethod
	hasItem bool
}

func (t *accountTx) email() string { return t.scope.Email.String() }

// mailbox is whose codes they are: an e-mail address in other letters has no others.
func (t *accountTx) mailbox() string { return t.scope.Email.Mailbox() }

// locks returns what locks as the scope says. No row is locked: who asks for an e-mail
// address many times at once must wait alike, whether there is an account or not.
func (t *accountTx) locks() (locks []database.Statement) {
	if mail := t.scope.Mail; mail != nil && !isLeftOut(lockOfMail) {
		things := []string{"mail to " + mail.Mailbox}
		if mail.Network != "" {
			things = append(things, "mail from "+mail.Network)
		}
		locks = append(locks, database.LockThings(things...)...)
	}
	if !isLeftOut(lockOfAccount) {
		locks = append(locks, database.LockThings("accounts of "+t.mailbox())...)
	}
	return locks
}

// facts returns what reads those of the scope.
func (t *accountTx) facts() []database.Statement {
	facts := []database.Statement{
		database.Row(&t.account.found, selectAccount, []any{t.email()}, t.account.targets()...),
		{SQL: selectCodes, Args: []any{t.mailbox()}, Rows: t.readCodes},
	}
	if mail := t.scope.Mail; mail != nil {
		facts = append(facts, database.List(&t.sends, selectSends, []any{mail.Mailbox, database.Nullable(mail.Network), int64(mail.After)},
			func(on *parsec.DateTime) []any { return []any{(*database.Integer)(on)} }))
	}
	if len(t.scope.Methods) > 0 {
		facts = append(facts, database.Statement{SQL: selectMethods, Args: []any{database.Keys(t.scope.Methods)}, Rows: t.readMethods})
	}
	if t.scope.Item != nil {
		facts = append(facts, database.Only(selectHasItem, []any{t.email(), t.scope.Item[:]}, (*database.Flag)(&t.hasItem)))
	}
	return facts
}

func (t *accountTx) readCodes(rows pgx.Rows) error {
	for rows.Next() {
		var kind string
		var code rules.Code
		var tries int64
		var wrong []int64
		err := rows.Scan(&kind, database.Fixed("hash", &code.Hash), (*database.Integer)(&code.CreatedOn), &tries, &wrong)
		if err != nil {
			return err
		}
		code.Tries = int(tries)
		code.WrongTries = datesOf(wrong)
		t.codes[rules.CodeKind(kind)] = code
	}
	return rows.Err()
}

func (t *accountTx) readMethods(rows pgx.Rows) error {
	for rows.Next() {
		method := &rules.AuthMethod{}
		if err := rows.Scan(methodTargets(method)...); err != nil {
			return err
		}
		t.methods[method.ID] = method
	}
	return rows.Err()
}

// Account implements rules.AccountTx.
func (t *accountTx) Account() *rules.Account {
	if !t.account.found {
		return nil
	}
	return &t.account.account
}

// Code implements rules.AccountTx.
func (t *accountTx) Code(kind rules.CodeKind) rules.Code { return t.codes[kind] }

// Sends implements rules.AccountTx.
func (t *accountTx) Sends() []parsec.DateTime { return t.sends }

// AuthMethod implements rules.AccountTx.
func (t *accountTx) AuthMethod(id parsec3.AuthMethodID) *rules.AuthMethod { return t.methods[id] }

// HasItem implements rules.AccountTx.
func (t *accountTx) HasItem() bool { return t.hasItem }

// Fingerprints implements rules.AccountTx.
func (t *accountTx) Fingerprints(context.Context) ([]protocol.Fingerprint, error) {
	var fingerprints []protocol.Fingerprint
	return fingerprints, t.Ask(database.List(&fingerprints, `
SELECT i.fingerprint FROM parsec3.account_item i WHERE i.account_id = $1 AND i.vault = $2`, t.inVault(),
		func(fingerprint *protocol.Fingerprint) []any { return []any{digest[protocol.Fingerprint]{fingerprint}} }))
}

// AllVaults implements rules.AccountTx.
func (t *accountTx) AllVaults(context.Context) ([]rules.Vault, error) {
	var vaults []rules.Vault
	return vaults, t.Ask(database.List(&vaults, `
SELECT v.vault, v.items, v.methods, v.size FROM parsec3.account_vault v WHERE v.account_id = $1 ORDER BY v.vault`,
		[]any{t.ofAccount()}, func(v *rules.Vault) []any {
			return []any{
				(*database.Unsigned)(&v.Number), (*database.Unsigned)(&v.Items), (*database.Unsigned)(&v.Methods), (*database.Unsigned)(&v.Size),
			}
		}))
}

func (t *accountTx) ofAccount() pgtype.UUID { return database.Key(t.account.account.ID) }

// inVault returns the arguments $1 and $2 of what is done in the current vault.
func (t *accountTx) inVault() []any {
	return []any{t.ofAccount(), int64(t.account.account.Vault.Number)}
}

// CountSend implements rules.AccountTx.
func (t *accountTx) CountSend(on parsec.DateTime) {
	t.QueueOne("INSERT INTO parsec3.account_mail (sent_on, mail_id, mailbox, network) VALUES ($1, $2, $3, $4)",
		int64(on), database.Key(parsec.NewUUID()), t.scope.Mail.Mailbox, database.Nullable(t.scope.Mail.Network))
}

// PutCode implements rules.AccountTx.
func (t *accountTx) PutCode(kind rules.CodeKind, code rules.Code) {
	t.QueueOne(`
INSERT INTO parsec3.account_code (email, kind, hash, created_on, tries, wrong_tries) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (email, kind) DO UPDATE SET hash = excluded.hash, created_on = excluded.created_on, tries = excluded.tries, wrong_tries = excluded.wrong_tries`,
		t.mailbox(), string(kind), database.Bytes(code.Hash), int64(code.CreatedOn), int64(code.Tries), fromDates(code.WrongTries))
}

// CreateAccount implements rules.AccountTx.
func (t *accountTx) CreateAccount(account rules.Account, method rules.AuthMethod) {
	const first = 1
	t.QueueOne("INSERT INTO parsec3.account (account_id, email, label, vault) VALUES ($1, $2, $3, $4)",
		database.Key(account.ID), t.email(), []byte(account.HumanHandle.Label()), int64(first))
	t.account.account.ID = account.ID
	t.insertVault(first, method, nil)
}

// AddVault implements rules.AccountTx.
func (t *accountTx) AddVault(method rules.AuthMethod, items []rules.VaultItem) {
	t.Queue("UPDATE parsec3.account_method m SET disabled_on = $2 WHERE m.account_id = $1 AND m.disabled_on IS NULL",
		t.ofAccount(), int64(method.CreatedOn))
	next := t.account.account.Vault.Number + 1
	t.QueueOne("UPDATE parsec3.account a SET vault = $2 WHERE a.account_id = $1", t.ofAccount(), int64(next))
	t.insertVault(next, method, items)
}

func (t *accountTx) insertVault(number uint64, method rules.AuthMethod, items []rules.VaultItem) {
	var fingerprints, data [][]byte
	size := len(method.VaultKeyAccess)
	for i := range items {
		fingerprints, data = append(fingerprints, items[i].Fingerprint[:]), append(data, database.NotNull(items[i].Data))
		size += len(items[i].Data)
	}
	t.account.account.Vault.Number = number
	t.QueueOne("INSERT INTO parsec3.account_vault (account_id, vault, items, methods, size) VALUES ($1, $2, $3, 1, $4)",
		t.ofAccount(), int64(number), int64(len(items)), int64(size))
	t.insertMethod(method)
	if len(items) > 0 {
		t.QueueAll(len(items), `
INSERT INTO parsec3.account_item (account_id, vault, fingerprint, item)
SELECT $1, $2, q.fingerprint, q.item FROM unnest($3::bytea[], $4::bytea[]) q (fingerprint, item)`, append(t.inVault(), fingerprints, data)...)
	}
}

func (t *accountTx) insertMethod(method rules.AuthMethod) {
	var memory, operations, parallelism *int64
	if password := method.PasswordAlgorithm; password != nil {
		memory, operations, parallelism = new(int64(password.MemlimitKB)), new(int64(password.Opslimit)), new(int64(password.Parallelism))
	}
	t.QueueOne(`
INSERT INTO parsec3.account_method (account_id, vault, method_id, created_on, created_by_ip, created_by_user_agent,
    mac_key, vault_key_access, memlimit_kb, opslimit, parallelism)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, append(t.inVault(),
		database.Key(method.ID), int64(method.CreatedOn), method.CreatedByIP, method.CreatedByUserAgent,
		method.MACKey[:], database.NotNull(method.VaultKeyAccess), memory, operations, parallelism)...)
}

// EraseVaults implements rules.AccountTx.
func (t *accountTx) EraseVaults(last uint64) {
	for _, table := range []string{"account_item", "account_method", "account_vault"} {
		t.Queue("DELETE FROM parsec3."+table+" e WHERE e.account_id = $1 AND e.vault <= $2", t.ofAccount(), int64(last))
	}
}

// AddAuthMethod implements rules.AccountTx.
func (t *accountTx) AddAuthMethod(method rules.AuthMethod) {
	if method.PasswordAlgorithm != nil {
		t.Queue(`
UPDATE parsec3.account_method m SET disabled_on = $2
WHERE m.account_id = $1 AND m.disabled_on IS NULL AND m.memlimit_kb IS NOT NULL`, t.ofAccount(), int64(method.CreatedOn))
	}
	t.insertMethod(method)
	t.grow(0, 1, len(method.VaultKeyAccess))
}

// grow counts what is added to the current vault.
func (t *accountTx) grow(items, methods, size int) {
	t.QueueOne(`
UPDATE parsec3.account_vault v SET items = v.items + $3, methods = v.methods + $4, size = v.size + $5
WHERE v.account_id = $1 AND v.vault = $2`, append(t.inVault(), int64(items), int64(methods), int64(size))...)
}

// DisableAuthMethod implements rules.AccountTx.
func (t *accountTx) DisableAuthMethod(id parsec3.AuthMethodID, on parsec.DateTime) {
	t.QueueOne(`
UPDATE parsec3.account_method m SET disabled_on = $3
WHERE m.account_id = $1 AND m.method_id = $2 AND m.disabled_on IS NULL`, t.ofAccount(), database.Key(id), int64(on))
}

// AddItem implements rules.AccountTx.
func (t *accountTx) AddItem(item rules.VaultItem) {
	t.QueueOne("INSERT INTO parsec3.account_item (account_id, vault, fingerprint, item) VALUES ($1, $2, $3, $4)",
		append(t.inVault(), item.Fingerprint[:], database.NotNull(item.Data))...)
	t.grow(1, 0, len(item.Data))
}

// EraseAccount implements rules.AccountTx.
func (t *accountTx) EraseAccount() {
	t.EraseVaults(t.account.account.Vault.Number)
	t.QueueOne("DELETE FROM parsec3.account a WHERE a.account_id = $1", t.ofAccount())
	t.Queue("DELETE FROM parsec3.account_code c WHERE c.email = $1", t.mailbox())
}
