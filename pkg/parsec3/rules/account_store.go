package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// AccountStore keeps the accounts of the server, which are of no organization.
type AccountStore interface {
	AccountReader

	// UpdateAccount is Store.Update for accounts. Its transaction has no events.
	UpdateAccount(ctx context.Context, scope AccountScope, rule func(AccountTx) error) error
}

// AccountReader returns the facts of one command of an account, in one consistent
// snapshot a call, together with who asks by which method; a disabled method is found
// too. The last two are for operators.
type AccountReader interface {
	// AccountStanding reads a method and its account.
	AccountStanding(ctx context.Context, method parsec3.AuthMethodID) (AccountStanding, error)
	// PasswordAlgorithm reads that of the active method by password of an account, nil
	// if there is none.
	PasswordAlgorithm(ctx context.Context, email parsec3.EmailAddress) (*protocol.PasswordAlgorithm, error)
	// AuthMethods reads the active methods of the current vault, in order of date.
	AuthMethods(ctx context.Context, method parsec3.AuthMethodID) (AccountStanding, []AuthMethod, error)
	// VaultItems reads the current vault, in any order.
	VaultItems(ctx context.Context, method parsec3.AuthMethodID) (AccountStanding, []VaultItem, error)
	// Vaults reads every vault, oldest first: the last one is the current one.
	Vaults(ctx context.Context, method parsec3.AuthMethodID) (AccountStanding, []VaultContent, error)
	// Memberships reads the users whose e-mail address is that of the account, in
	// whatever letters, in order of organization and date.
	Memberships(ctx context.Context, method parsec3.AuthMethodID) (AccountStanding, []Membership, error)
	// OwnInvitations reads the invitations that have not ended and are for the e-mail
	// address of the account, in whatever letters, or for a user with it who is not
	// revoked, in order of organization and creation.
	OwnInvitations(ctx context.Context, method parsec3.AuthMethodID) (AccountStanding, []OwnInvitation, error)

	// Accounts lists the accounts whose e-mail addresses come after one in byte order, at
	// most so many.
	Accounts(ctx context.Context, after string, most int) ([]Account, error)
	// AccountsOf lists those of a mailbox, in byte order.
	AccountsOf(ctx context.Context, mailbox string) ([]Account, error)
}

// AccountScope names what a transaction on an account works on. Locks are taken in the
// order of its fields, each by a statement of its own, and every fact is read after the
// last of them.
type AccountScope struct {
	// Mail is for AccountTx.Sends; nil for none. It excludes other e-mails to the same
	// mailbox, and of the same network.
	Mail *MailScope
	// Email has its mailbox locked: the codes, which are those of the address in whatever
	// letters, and the accounts, alike whether there are any or not.
	Email parsec3.EmailAddress

	// Methods are for AccountTx.AuthMethod.
	Methods []parsec3.AuthMethodID
	// Item is for AccountTx.HasItem; nil for none.
	Item *protocol.Fingerprint
}

// MailScope is who gets an e-mail, and who asks for it.
type MailScope struct {
	// Mailbox has no capital letter, and no tag.
	Mailbox string
	// Network is "" if it is unknown.
	Network string
	// After is the date from which on e-mails count.
	After parsec.DateTime
}

// AccountTx is a transaction on an account: facts under lock, then effects that are
// queued until the rule returns. It is not safe for concurrent use. The methods with a
// context ask the store, and do not see the effects queued.
type AccountTx interface {
	// Account returns the account of the e-mail of the scope, nil if there is none.
	Account() *Account
	// Code returns what is pending for the e-mail of the scope.
	Code(kind CodeKind) Code
	// Sends returns the dates of the e-mails that went to the mailbox or were asked for
	// by the network of the scope, in order.
	Sends() []parsec.DateTime
	// AuthMethod returns a method of the scope, of any account, nil if it does not
	// exist.
	AuthMethod(id parsec3.AuthMethodID) *AuthMethod
	// HasItem reports whether the current vault has the item of the scope.
	HasItem() bool
	// Fingerprints returns those of the current vault, in any order.
	Fingerprints(ctx context.Context) ([]protocol.Fingerprint, error)
	// AllVaults returns the vaults of the account, oldest first.
	AllVaults(ctx context.Context) ([]Vault, error)

	// CountSend counts an e-mail for the mailbox and the network of the scope.
	CountSend(on parsec.DateTime)
	// PutCode replaces what is pending for the e-mail of the scope.
	PutCode(kind CodeKind, code Code)
	// CreateAccount creates that of the e-mail of the scope, with its first vault, which
	// the method opens.
	CreateAccount(account Account, method AuthMethod)
	// AddVault adds a vault to the account, which becomes the current one. Every method
	// but the one that opens it is disabled at its date.
	AddVault(method AuthMethod, items []VaultItem)
	// EraseVaults erases the vaults of the account up to a number, with their methods.
	EraseVaults(last uint64)
	// AddAuthMethod adds a method to the current vault. If it is by password, the active
	// one by password is disabled at its date.
	AddAuthMethod(method AuthMethod)
	// DisableAuthMethod disables an active method of the account.
	DisableAuthMethod(id parsec3.AuthMethodID, on parsec.DateTime)
	// AddItem adds an item to the current vault, which has none with its fingerprint.
	AddItem(item VaultItem)
	// EraseAccount erases the account with all that it has, and what is pending for its
	// e-mail.
	EraseAccount()
}
