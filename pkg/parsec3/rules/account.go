package rules

import (
	"context"
	"crypto/subtle"
	"net/netip"

	"golang.org/x/crypto/blake2b"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// What answers the commands of accounts instead of a reply
// (docs/protocol/v5/account.md §1).
const (
	UnknownAuthMethod Abort = 403 // also a disabled one, and one of a deleted account
	BadMAC            Abort = UnknownAuthMethod
	VaultFull         Abort = 413
)

// AccountID identifies an account, for the store alone.
type AccountID parsec.UUID

// Account is a person of the server, across its organizations.
type Account struct {
	ID          AccountID
	HumanHandle parsec.HumanHandle
	// Vault is the current one.
	Vault Vault
}

func (a *Account) email() parsec3.EmailAddress {
	email, _ := parsec3.ParseEmailAddress(a.HumanHandle.Email()) // it was one
	return email
}

// Vault is what there is of a vault, but for its content.
type Vault struct {
	// Number is 1 for the first vault of an account, and more for later ones.
	Number uint64
	// Items and Methods are how many it has, disabled methods included.
	Items, Methods uint64
	// Size is that of its items and of the accesses to its key, in bytes.
	Size uint64
}

// AuthMethod is a way to authenticate as the owner of an account.
type AuthMethod struct {
	ID      parsec3.AuthMethodID
	Account AccountID
	// Vault is the number of that which the method opens.
	Vault     uint64
	CreatedOn parsec.DateTime
	// CreatedByIP is "" if it is unknown.
	CreatedByIP, CreatedByUserAgent string
	MACKey                          protocol.MACKey
	VaultKeyAccess                  []byte
	// PasswordAlgorithm is nil for a method that is no password.
	PasswordAlgorithm *protocol.PasswordAlgorithm
	// DisabledOn is nil for a method that is active.
	DisabledOn *parsec.DateTime
}

// VaultItem is opaque.
type VaultItem struct {
	Fingerprint protocol.Fingerprint
	Data        []byte
}

// VaultContent is a whole vault.
type VaultContent struct {
	// Methods are in order of date.
	Methods []AuthMethod
	Items   []VaultItem
}

// Membership is a user with the e-mail address of an account.
type Membership struct {
	Organization organization.Organization
	User         User
}

// OwnInvitation is an invitation for the owner of an account.
type OwnInvitation struct {
	Organization organization.Organization
	Invitation   Invitation
}

// Peer is where a request comes from.
type Peer struct {
	// Address is the client's, invalid if it is unknown.
	Address   netip.Addr
	UserAgent string
}

func (p *Peer) ip() string {
	if !p.Address.IsValid() {
		return ""
	}
	return p.Address.String()
}

// MACToken is what the owner of an account sends to be let in
// (docs/protocol/v5/transport.md §4.3).
type MACToken struct {
	Method parsec3.AuthMethodID
	// Date is the client's, in whole seconds.
	Date parsec.DateTime
	// MAC is that of Text, by the key of the method.
	Text, MAC []byte
}

// AccountAuthor is the authenticated owner of an account.
type AccountAuthor struct {
	Account AccountID
	Email   parsec3.EmailAddress
	Method  parsec3.AuthMethodID
	// VaultSize is that of the current vault, and Stored that of all of them, in bytes.
	VaultSize, Stored uint64
	Peer              Peer
}

// AccountStanding is who asks, as found in the snapshot of what is asked. It is nil for
// what does not exist.
type AccountStanding struct {
	Account *Account
	Method  *AuthMethod
	// Stored is the size of all vaults, in bytes.
	Stored uint64
}

// check refuses who may not ask any more.
func (s *AccountStanding) check() error {
	if s.Account == nil || s.Method == nil || s.Method.DisabledOn != nil {
		return UnknownAuthMethod
	}
	return nil
}

// AccountConfig returns whether there are accounts.
func (r *Rules) AccountConfig() protocol.AccountConfig {
	if r.options.Accounts == "" {
		return protocol.AccountDisabled
	}
	return r.options.Accounts
}

// AdmitAccount returns who sent a token, or the Abort that keeps them out, in the order
// of docs/protocol/v5/account.md §1. It takes as long whether the method exists or not.
func (r *Rules) AdmitAccount(ctx context.Context, token *MACToken, peer Peer) (*AccountAuthor, error) {
	now := r.now()
	standing, err := r.store.AccountStanding(ctx, token.Method)
	if err != nil {
		return nil, err
	}
	unknown := standing.check()
	var key protocol.MACKey // of nobody
	if unknown == nil {
		key = standing.Method.MACKey
	}
	right := subtle.ConstantTimeCompare(macOf(key, token.Text), token.MAC) == 1
	switch {
	case unknown != nil:
		return nil, unknown
	case !right:
		return nil, BadMAC
	case !parsec.InBallpark(now, token.Date):
		return nil, TokenExpired
	}
	account := standing.Account
	return &AccountAuthor{
		Account: account.ID, Email: account.email(), Method: token.Method,
		VaultSize: account.Vault.Size, Stored: standing.Stored, Peer: peer,
	}, nil
}

func macOf(key protocol.MACKey, text []byte) []byte {
	hash, err := blake2b.New512(key[:])
	if err != nil {
		panic(err) // no key is that long
	}
	hash.Write(text)
	return hash.Sum(nil)
}

// AccountInfo says whose account it is (docs/protocol/v5/account.md §5).
func (r *Rules) AccountInfo(ctx context.Context, author *AccountAuthor, _ *protocol.AccountInfoRequest) (*protocol.AccountInfoReply, error) {
	standing, err := r.store.AccountStanding(ctx, author.Method)
	if err != nil {
		return nil, err
	}
	if err := standing.check(); err != nil {
		return nil, err
	}
	return &protocol.AccountInfoReply{HumanHandle: standing.Account.HumanHandle}, nil
}

// PingAccount answers with the text of the request: nobody hears of it.
func (*Rules) PingAccount(_ context.Context, _ *AccountAuthor, request *protocol.PingRequest) (*protocol.PingReply, error) {
	return &protocol.PingReply{Pong: request.Ping}, nil
}

// updateAccount runs rule in a transaction on the account of the author, once the author
// is checked under its lock.
func (r *Rules) updateAccount(ctx context.Context, author *AccountAuthor, scope AccountScope, rule func(tx AccountTx, account *Account) error) error {
	scope.Email = author.Email
	scope.Methods = append(scope.Methods, author.Method)
	return r.store.UpdateAccount(ctx, scope, func(tx AccountTx) error {
		standing := AccountStanding{Account: tx.Account(), Method: tx.AuthMethod(author.Method)}
		if err := standing.check(); err != nil {
			return err
		}
		if standing.Method.Account != standing.Account.ID {
			return UnknownAuthMethod
		}
		return rule(tx, standing.Account)
	})
}
