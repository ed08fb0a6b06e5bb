package imports

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec3"
)

// accountsSince is the step that adds accounts.
const accountsSince = 13

var (
	accountTable = &imports.Table{
		Name: "parsec3.account", Columns: []string{"account_id", "email", "label", "vault"}, Key: []string{"account_id"},
	}
	vaultTable = &imports.Table{
		Name: "parsec3.account_vault", Columns: []string{"account_id", "vault", "items", "methods", "size"}, Key: []string{"account_id", "vault"},
	}
	methodTable = &imports.Table{
		Name: "parsec3.account_method",
		Columns: []string{
			"method_id", "account_id", "vault", "created_on", "created_by_ip", "created_by_user_agent", "mac_key", "vault_key_access",
			"memlimit_kb", "opslimit", "parallelism", "disabled_on",
		},
		Key: []string{"method_id"},
	}
	itemTable = &imports.Table{
		Name: "parsec3.account_item", Columns: []string{"account_id", "vault", "fingerprint", "item"}, Key: []string{"account_id", "vault", "fingerprint"},
	}
)

// accountRow is an account of the source.
type accountRow struct {
	key     int64
	email   string
	label   []byte
	vaults  int64
	active  bool
	deleted bool
}

func (r *accountRow) targets() []any {
	return []any{&r.key, &r.email, &r.label, &r.vaults, &r.active, &r.deleted}
}

const selectAccounts = `
SELECT a._id::bigint, a.email::text, a.human_handle_label::text::bytea, (SELECT count(*) FROM vault v WHERE v.account = a._id),
    EXISTS (SELECT FROM vault_authentication_method m WHERE m.disabled_on IS NULL AND m.vault = (SELECT max(v._id) FROM vault v WHERE v.account = a._id)),
    a.deleted_on IS NOT NULL
FROM account a ORDER BY a._id`

// accountID is what an account of a source is called here, in each run.
func accountID(from *imports.Snapshot, key int64) [16]byte {
	sum := sha256.Sum256([]byte("account " + strconv.FormatInt(key, 10) + " of " + from.Identity))
	return [16]byte(sum[:16])
}

func eachAccount[T any](ctx context.Context, from *imports.Snapshot, sql string, targets func(*T) []any, visit func(*T) error) error {
	if from.Step < accountsSince {
		return nil
	}
	cursor, err := database.NewCursor(ctx, from.Inspection, sql, nil, targets)
	if err != nil {
		return err
	}
	return cursor.Each(ctx, nil, visit)
}

// selectOutdated counts the active methods of accounts that another one should have
// disabled.
const selectOutdated = `
SELECT a.email::text, count(*) FROM vault_authentication_method m JOIN vault v ON v._id = m.vault JOIN account a ON a._id = v.account
WHERE a.deleted_on IS NULL AND m.disabled_on IS NULL AND (` + outdated + `) GROUP BY a.email ORDER BY a.email`

// outdated is the condition that an active method m is of a vault that is not the current
// one, or a password before the active one.
const outdated = `m.vault <> (SELECT max(w._id) FROM vault w WHERE w.account = v.account) OR m.password_algorithm IS NOT NULL AND EXISTS (
    SELECT FROM vault_authentication_method n
    WHERE n.vault = m.vault AND n._id > m._id AND n.disabled_on IS NULL AND n.password_algorithm IS NOT NULL)`

// SurveyServer implements imports.ServerWing.
func (Wing) SurveyServer(ctx context.Context, from *imports.Snapshot, _ imports.Choices, report *imports.Report) error {
	type methods struct {
		email string
		count int64
	}
	err := eachAccount(ctx, from, selectOutdated, func(m *methods) []any { return []any{&m.email, &m.count} }, func(m *methods) error {
		report.FoundServer(imports.Repair, "account_methods", "account "+m.email, fmt.Sprintf("%d former ways to authenticate are active: they are disabled", m.count))
		return nil
	})
	if err != nil {
		return err
	}
	return eachAccount(ctx, from, selectAccounts, (*accountRow).targets, func(row *accountRow) error {
		subject := "account " + row.email
		if _, err := parsec3.ParseHumanHandle(row.email, string(row.label)); err != nil && !row.deleted {
			report.FoundServer(imports.Stop, "identifier", subject, err.Error())
		}
		switch {
		case row.deleted && row.active:
			report.FoundServer(imports.Repair, "account_methods", subject, "it is deleted, and has ways to authenticate: none comes")
		case row.deleted:
		case row.vaults == 0:
			report.FoundServer(imports.Stop, "missing_row", subject, "it has no vault")
		case !row.active:
			report.FoundServer(imports.Note, "account_methods", subject, "nobody can authenticate: its owner has to recover it by e-mail")
		}
		return nil
	})
}

// clash is an account of the target, which is not from this source, with the e-mail
// address or a method of one of the source.
type clash struct {
	account database.UUID
	why     string
}

// clashes returns those of each account of the source.
func clashes(ctx context.Context, from *imports.Snapshot, in *database.Inspection) (map[int64][]clash, error) {
	found := map[int64][]clash{}
	add := func(key int64, sql string, arg any, why string) error {
		var accounts []database.UUID
		err := in.Ask(ctx, database.List(&accounts, sql, []any{arg}, func(id *database.UUID) []any { return []any{id} }))
		for _, account := range accounts {
			if [16]byte(account) != accountID(from, key) {
				found[key] = append(found[key], clash{account, why})
			}
		}
		return err
	}
	err := eachAccount(ctx, from, selectAccounts, (*accountRow).targets, func(row *accountRow) error {
		if row.deleted {
			return nil
		}
		return add(row.key, "SELECT a.account_id FROM parsec3.account a WHERE a.email = $1", row.email, "the database to import into has an account "+row.email)
	})
	if err != nil {
		return nil, err
	}
	type method struct {
		key int64
		id  database.UUID
	}
	err = eachAccount(ctx, from, `
SELECT v.account::bigint, m.auth_method_id FROM vault_authentication_method m JOIN vault v ON v._id = m.vault JOIN account a ON a._id = v.account
WHERE a.deleted_on IS NULL ORDER BY m._id`, func(m *method) []any { return []any{&m.key, &m.id} }, func(m *method) error {
		return add(m.key, "SELECT m.account_id FROM parsec3.account_method m WHERE m.method_id = $1", database.Key(m.id),
			fmt.Sprintf("the database to import into has its authentication method %x", m.id))
	})
	return found, err
}

// MatchServer implements imports.ServerWing.
func (Wing) MatchServer(ctx context.Context, from *imports.Snapshot, choices imports.Choices, in *database.Inspection, report *imports.Report) error {
	found, err := clashes(ctx, from, in)
	if err != nil {
		return err
	}
	return eachAccount(ctx, from, selectAccounts, (*accountRow).targets, func(row *accountRow) error {
		if len(found[row.key]) == 0 {
			return nil
		}
		severity, detail := imports.Stop, found[row.key][0].why+": no account comes. Give --skip-accounts, or --accounts-from"
		switch choices.AccountsFrom {
		case "":
		case from.Identity:
			severity, detail = imports.Repair, found[row.key][0].why+", which is replaced"
		default:
			severity, detail = imports.Repair, found[row.key][0].why+", which stays: this one is left out"
		}
		report.FoundServer(severity, "account_taken", "account "+row.email, detail)
		return nil
	})
}

// accounts puts accounts.
type accounts struct {
	from    *imports.Snapshot
	choices imports.Choices
	into    *imports.Filling
	// ids are those of the accounts that come, by their keys in the source.
	ids map[int64][16]byte
}

// ConvertServer implements imports.ServerWing. What codes were sent is not imported:
// people ask for new ones.
func (Wing) ConvertServer(ctx context.Context, from *imports.Snapshot, choices imports.Choices, in *database.Inspection, settled bool, into *imports.Filling) error {
	if settled {
		if came, err := haveCome(ctx, from, in); came || err != nil {
			return err
		}
	}
	found, err := clashes(ctx, from, in)
	if err != nil {
		return err
	}
	a := &accounts{from: from, choices: choices, into: into, ids: map[int64][16]byte{}}
	err = eachAccount(ctx, from, selectAccounts, (*accountRow).targets, func(row *accountRow) error {
		return a.put(ctx, row, found[row.key])
	})
	if err != nil {
		return err
	}
	if err := a.vaults(ctx); err != nil {
		return err
	}
	if err := a.methods(ctx); err != nil {
		return err
	}
	return a.items(ctx)
}

// haveCome reports whether accounts of a source are in the target: they come together.
func haveCome(ctx context.Context, from *imports.Snapshot, in *database.Inspection) (came bool, err error) {
	var ids [][16]byte
	err = eachAccount(ctx, from, selectAccounts, (*accountRow).targets, func(row *accountRow) error {
		ids = append(ids, accountID(from, row.key))
		return nil
	})
	if err != nil {
		return false, err
	}
	err = in.Ask(ctx, database.Only("SELECT EXISTS (SELECT FROM parsec3.account a WHERE a.account_id = ANY ($1))", []any{ids}, &came))
	return came, err
}

func (a *accounts) put(ctx context.Context, row *accountRow, clashing []clash) error {
	id := accountID(a.from, row.key)
	if row.deleted {
		return a.erase(ctx, id)
	}
	for _, one := range clashing {
		if a.choices.AccountsFrom != a.from.Identity {
			return nil
		}
		if err := a.erase(ctx, one.account); err != nil {
			return err
		}
	}
	a.ids[row.key] = id
	return a.into.Put(ctx, accountTable, id, row.email, row.label, row.vaults)
}

// erase erases an account of the target.
func (a *accounts) erase(ctx context.Context, id [16]byte) error {
	for _, table := range []string{"account_item", "account_method", "account_vault", "account"} {
		if err := a.into.Run(ctx, "DELETE FROM parsec3."+table+" e WHERE e.account_id = $1", database.Key(id)); err != nil {
			return err
		}
	}
	return nil
}

// vaultNumber is the expression of the number here of the vault v, from 1 on.
const vaultNumber = "(SELECT count(*) FROM vault w WHERE w.account = v.account AND w._id <= v._id)"

type vaultRow struct {
	account, number, items, methods, size int64
}

func (r *vaultRow) targets() []any {
	return []any{&r.account, &r.number, &r.items, &r.methods, &r.size}
}

func (a *accounts) vaults(ctx context.Context) error {
	return eachAccount(ctx, a.from, `
SELECT v.account::bigint, `+vaultNumber+`, i.items, m.methods, (i.bytes + m.bytes)::bigint
FROM vault v
CROSS JOIN LATERAL (SELECT count(*) AS items, coalesce(sum(length(i.data)), 0) AS bytes FROM vault_item i WHERE i.vault = v._id) i
CROSS JOIN LATERAL (SELECT count(*) AS methods, coalesce(sum(length(m.vault_key_access)), 0) AS bytes FROM vault_authentication_method m WHERE m.vault = v._id) m
ORDER BY v._id`, (*vaultRow).targets, func(row *vaultRow) error {
		id, comes := a.ids[row.account]
		if !comes {
			return nil
		}
		return a.into.Put(ctx, vaultTable, id, row.number, row.items, row.methods, row.size)
	})
}

type methodRow struct {
	id                         database.UUID
	account, number, createdOn int64
	ip, agent                  string
	macKey, access             []byte
	memory, operations         *int64
	parallelism                *int64
	disabledOn                 *int64
	// outdated is one that should be disabled.
	outdated bool
}

func (r *methodRow) targets() []any {
	return []any{
		&r.id, &r.account, &r.number, &r.createdOn, &r.ip, &r.agent, &r.macKey, &r.access, &r.memory, &r.operations, &r.parallelism, &r.disabledOn, &r.outdated,
	}
}

func (a *accounts) methods(ctx context.Context) error {
	return eachAccount(ctx, a.from, `
SELECT m.auth_method_id, v.account::bigint, `+vaultNumber+`, `+micro("m.created_on")+`, coalesce(m.created_by_ip, '')::text, coalesce(m.created_by_user_agent, '')::text,
    m.mac_key, m.vault_key_access, m.password_algorithm_argon2id_memlimit_kb::bigint, m.password_algorithm_argon2id_opslimit::bigint,
    m.password_algorithm_argon2id_parallelism::bigint, `+micro("m.disabled_on")+`,
    `+outdated+`
FROM vault_authentication_method m JOIN vault v ON v._id = m.vault ORDER BY m._id`, (*methodRow).targets, func(row *methodRow) error {
		id, comes := a.ids[row.account]
		if !comes {
			return nil
		}
		if row.disabledOn == nil && row.outdated {
			row.disabledOn = new(int64(a.choices.At))
		}
		return a.into.Put(ctx, methodTable, [16]byte(row.id), id, row.number, row.createdOn, row.ip, row.agent, row.macKey, row.access,
			row.memory, row.operations, row.parallelism, row.disabledOn)
	})
}

type itemRow struct {
	account, number   int64
	fingerprint, item []byte
}

func (r *itemRow) targets() []any { return []any{&r.account, &r.number, &r.fingerprint, &r.item} }

func (a *accounts) items(ctx context.Context) error {
	return eachAccount(ctx, a.from, `
SELECT v.account::bigint, `+vaultNumber+`, i.fingerprint, i.data FROM vault_item i JOIN vault v ON v._id = i.vault ORDER BY i._id`,
		(*itemRow).targets, func(row *itemRow) error {
			id, comes := a.ids[row.account]
			if !comes {
				return nil
			}
			return a.into.Put(ctx, itemTable, id, row.number, row.fingerprint, row.item)
		})
}
