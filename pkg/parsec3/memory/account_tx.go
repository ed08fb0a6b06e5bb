package memory

import (
	"bytes"
	"context"
	"slices"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

var _ rules.AccountTx = (*accountTx)(nil)

// accountTx is a transaction on the accounts, whose lock is held.
type accountTx struct {
	organizationstore.Effects
	accounts *accounts
	scope    rules.AccountScope
	// account is nil if there is none.
	account *account
}

// Account implements rules.AccountTx.
func (t *accountTx) Account() *rules.Account {
	if t.account == nil {
		return nil
	}
	return t.account.facts()
}

// Code implements rules.AccountTx.
func (t *accountTx) Code(kind rules.CodeKind) rules.Code {
	return copyCode(t.accounts.codes[pendingCode{t.scope.Email.Mailbox(), kind}])
}

func copyCode(code rules.Code) rules.Code {
	code.Hash, code.WrongTries = organizationstore.CopyOf(code.Hash), slices.Clone(code.WrongTries)
	return code
}

// Sends implements rules.AccountTx.
func (t *accountTx) Sends() []parsec.DateTime {
	if !t.Allow("Sends", t.scope.Mail != nil) {
		return nil
	}
	var sends []parsec.DateTime
	for _, sent := range t.accounts.mails {
		related := sent.mailbox == t.scope.Mail.Mailbox || sent.network != "" && sent.network == t.scope.Mail.Network
		if related && sent.on > t.scope.Mail.After {
			sends = append(sends, sent.on)
		}
	}
	return sends
}

// AuthMethod implements rules.AccountTx.
func (t *accountTx) AuthMethod(id parsec3.AuthMethodID) *rules.AuthMethod {
	method, found := t.accounts.methods[id]
	if !t.Allow("AuthMethod", slices.Contains(t.scope.Methods, id)) || !found {
		return nil
	}
	return new(copyMethod(method))
}

// HasItem implements rules.AccountTx.
func (t *accountTx) HasItem() bool {
	if !t.Allow("HasItem", t.scope.Item != nil) || t.account == nil {
		return false
	}
	_, found := t.account.current().items[*t.scope.Item]
	return found
}

// Fingerprints implements rules.AccountTx.
func (t *accountTx) Fingerprints(context.Context) ([]protocol.Fingerprint, error) {
	if t.account == nil {
		return nil, nil
	}
	var fingerprints []protocol.Fingerprint
	for fingerprint := range t.account.current().items {
		fingerprints = append(fingerprints, fingerprint)
	}
	return fingerprints, nil
}

// AllVaults implements rules.AccountTx.
func (t *accountTx) AllVaults(context.Context) ([]rules.Vault, error) {
	if t.account == nil {
		return nil, nil
	}
	vaults := make([]rules.Vault, len(t.account.vaults))
	for i, vault := range t.account.vaults {
		vaults[i] = vault.facts
	}
	return vaults, nil
}

// CountSend implements rules.AccountTx.
func (t *accountTx) CountSend(on parsec.DateTime) {
	t.Queue("CountSend", t.scope.Mail != nil, func() {
		t.accounts.mails = slices.DeleteFunc(t.accounts.mails, func(sent mail) bool { return sent.on <= t.scope.Mail.After })
		t.accounts.mails = append(t.accounts.mails, mail{t.scope.Mail.Mailbox, t.scope.Mail.Network, on})
	})
}

// PutCode implements rules.AccountTx.
func (t *accountTx) PutCode(kind rules.CodeKind, code rules.Code) {
	code = copyCode(code)
	t.Queue("PutCode", true, func() { t.accounts.codes[pendingCode{t.scope.Email.Mailbox(), kind}] = code })
}

// CreateAccount implements rules.AccountTx.
func (t *accountTx) CreateAccount(created rules.Account, method rules.AuthMethod) {
	possible := t.account == nil && created.HumanHandle.Email() == t.scope.Email.String() && t.isNew(method.ID)
	method = ownMethod(method)
	t.Queue("CreateAccount", possible, func() {
		t.account = &account{id: created.ID, handle: created.HumanHandle}
		t.accounts.byEmail[t.scope.Email], t.accounts.byID[created.ID] = t.account, t.account
		t.addVault(&method, nil)
	})
}

func (t *accountTx) isNew(id parsec3.AuthMethodID) bool {
	_, known := t.accounts.methods[id]
	return !known && slices.Contains(t.scope.Methods, id)
}

func ownMethod(method rules.AuthMethod) rules.AuthMethod {
	method = copyMethod(&method)
	method.VaultKeyAccess = bytes.Clone(method.VaultKeyAccess)
	return method
}

// addVault adds a vault with its method.
func (t *accountTx) addVault(method *rules.AuthMethod, items []rules.VaultItem) {
	added := &vault{facts: rules.Vault{Number: 1}, items: map[protocol.Fingerprint][]byte{}}
	if len(t.account.vaults) > 0 {
		added.facts.Number += t.account.current().facts.Number
	}
	t.account.vaults = append(t.account.vaults, added)
	t.addMethod(method)
	for _, item := range items {
		t.addItem(item)
	}
}

func (t *accountTx) addMethod(method *rules.AuthMethod) {
	to := t.account.current()
	method.Account, method.Vault = t.account.id, to.facts.Number
	to.methods = append(to.methods, method)
	to.facts.Methods++
	to.facts.Size += uint64(len(method.VaultKeyAccess))
	t.accounts.methods[method.ID] = method
}

func (t *accountTx) addItem(item rules.VaultItem) {
	to := t.account.current()
	to.items[item.Fingerprint] = item.Data
	to.facts.Items++
	to.facts.Size += uint64(len(item.Data))
}

// disable disables the active methods of the account that are to be.
func (t *accountTx) disable(on parsec.DateTime, is func(*rules.AuthMethod) bool) {
	for _, vault := range t.account.vaults {
		for _, method := range vault.methods {
			if method.DisabledOn == nil && is(method) {
				method.DisabledOn = &on
			}
		}
	}
}

// AddVault implements rules.AccountTx.
func (t *accountTx) AddVault(method rules.AuthMethod, items []rules.VaultItem) {
	method, items = ownMethod(method), slices.Clone(items)
	for i := range items {
		items[i].Data = bytes.Clone(items[i].Data)
	}
	t.Queue("AddVault", t.account != nil && t.isNew(method.ID), func() {
		t.disable(method.CreatedOn, func(*rules.AuthMethod) bool { return true })
		t.addVault(&method, items)
	})
}

// EraseVaults implements rules.AccountTx.
func (t *accountTx) EraseVaults(last uint64) {
	possible := t.account != nil && last < t.account.current().facts.Number
	t.Queue("EraseVaults", possible, func() { t.account.eraseVaults(t.accounts, last) })
}

// AddAuthMethod implements rules.AccountTx.
func (t *accountTx) AddAuthMethod(method rules.AuthMethod) {
	method = ownMethod(method)
	t.Queue("AddAuthMethod", t.account != nil && t.isNew(method.ID), func() {
		if method.PasswordAlgorithm != nil {
			t.disable(method.CreatedOn, func(former *rules.AuthMethod) bool { return former.PasswordAlgorithm != nil })
		}
		t.addMethod(&method)
	})
}

// DisableAuthMethod implements rules.AccountTx.
func (t *accountTx) DisableAuthMethod(id parsec3.AuthMethodID, on parsec.DateTime) {
	method, found := t.accounts.methods[id]
	possible := found && t.account != nil && method.Account == t.account.id && method.DisabledOn == nil
	t.Queue("DisableAuthMethod", possible, func() { method.DisabledOn = &on })
}

// AddItem implements rules.AccountTx.
func (t *accountTx) AddItem(item rules.VaultItem) {
	possible := t.account != nil && t.scope.Item != nil && *t.scope.Item == item.Fingerprint && !t.HasItem()
	item.Data = bytes.Clone(item.Data)
	t.Queue("AddItem", possible, func() { t.addItem(item) })
}

// EraseAccount implements rules.AccountTx.
func (t *accountTx) EraseAccount() {
	t.Queue("EraseAccount", t.account != nil, func() { t.accounts.erase(t.scope.Email) })
}
