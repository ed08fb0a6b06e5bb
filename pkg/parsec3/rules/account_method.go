package rules

import (
	"context"
	"strings"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// maxUserAgentBytes bounds what is kept of the name of a client.
const maxUserAgentBytes = 1024

// methodFields are what a client says of a new authentication method.
type methodFields struct {
	id             parsec3.AuthMethodID
	macKey         protocol.MACKey
	password       *protocol.PasswordAlgorithm
	vaultKeyAccess []byte
}

// newAuthMethod returns a method that is created now.
func (r *Rules) newAuthMethod(peer Peer, fields methodFields) AuthMethod {
	agent := strings.ToValidUTF8(peer.UserAgent, "\uFFFD")
	if len(agent) > maxUserAgentBytes {
		agent = strings.ToValidUTF8(agent[:maxUserAgentBytes], "")
	}
	return AuthMethod{
		ID: fields.id, MACKey: fields.macKey, PasswordAlgorithm: fields.password, VaultKeyAccess: fields.vaultKeyAccess,
		CreatedOn: r.now(), CreatedByIP: peer.ip(), CreatedByUserAgent: agent,
	}
}

// AuthMethodPasswordGetAlgorithm returns how the password of an account is used, or
// what clients choose for one (docs/protocol/v5/account.md §4).
func (r *Rules) AuthMethodPasswordGetAlgorithm(ctx context.Context, _ Peer, request *protocol.AuthMethodPasswordGetAlgorithmRequest) (*protocol.AuthMethodPasswordGetAlgorithmReply, error) {
	found, err := r.store.PasswordAlgorithm(ctx, request.Email)
	if err != nil {
		return nil, err
	}
	if found == nil {
		found = &protocol.WeakestAlgorithm
	}
	return &protocol.AuthMethodPasswordGetAlgorithmReply{PasswordAlgorithm: *found}, nil
}

// AuthMethodList returns the active methods (docs/protocol/v5/account.md §5).
func (r *Rules) AuthMethodList(ctx context.Context, author *AccountAuthor, _ *protocol.AuthMethodListRequest) (*protocol.AuthMethodListReply, error) {
	standing, methods, err := r.store.AuthMethods(ctx, author.Method)
	if err != nil {
		return nil, err
	}
	if err := standing.check(); err != nil {
		return nil, err
	}
	reply := &protocol.AuthMethodListReply{Items: make([]protocol.AuthMethod, len(methods))}
	for i := range methods {
		reply.Items[i] = shownMethod(&methods[i])
	}
	return reply, nil
}

func shownMethod(method *AuthMethod) protocol.AuthMethod {
	return protocol.AuthMethod{
		AuthMethodID: method.ID, CreatedOn: method.CreatedOn,
		CreatedByIP: method.CreatedByIP, CreatedByUserAgent: method.CreatedByUserAgent,
		VaultKeyAccess: method.VaultKeyAccess, PasswordAlgorithm: method.PasswordAlgorithm,
	}
}

// AuthMethodCreate adds a method; one by password replaces the former one
// (docs/protocol/v5/account.md §5).
func (r *Rules) AuthMethodCreate(ctx context.Context, author *AccountAuthor, request *protocol.AuthMethodCreateRequest) (*protocol.AuthMethodCreateReply, error) {
	scope := AccountScope{Methods: []parsec3.AuthMethodID{request.AuthMethodID}}
	err := r.updateAccount(ctx, author, scope, func(tx AccountTx, account *Account) error {
		if tx.AuthMethod(request.AuthMethodID) != nil {
			return protocol.Refuse(protocol.StatusAuthMethodIDAlreadyExists)
		}
		if account.Vault.Methods >= maxVaultMethods {
			return VaultFull
		}
		if err := account.Vault.checkRoom(len(request.VaultKeyAccess)); err != nil {
			return err
		}
		tx.AddAuthMethod(r.newAuthMethod(author.Peer, methodFields{
			request.AuthMethodID, request.AuthMethodMACKey, request.AuthMethodPasswordAlgorithm, request.VaultKeyAccess,
		}))
		return nil
	})
	return &protocol.AuthMethodCreateReply{}, err
}

// AuthMethodDisable disables another method of the account
// (docs/protocol/v5/account.md §5).
func (r *Rules) AuthMethodDisable(ctx context.Context, author *AccountAuthor, request *protocol.AuthMethodDisableRequest) (*protocol.AuthMethodDisableReply, error) {
	scope := AccountScope{Methods: []parsec3.AuthMethodID{request.AuthMethodID}}
	err := r.updateAccount(ctx, author, scope, func(tx AccountTx, account *Account) error {
		method := tx.AuthMethod(request.AuthMethodID)
		switch {
		case request.AuthMethodID == author.Method:
			return protocol.Refuse(protocol.StatusSelfDisableNotAllowed)
		case method == nil || method.Account != account.ID:
			return protocol.Refuse(protocol.StatusAuthMethodNotFound)
		case method.DisabledOn != nil:
			return protocol.Refuse(protocol.StatusAuthMethodAlreadyDisabled)
		}
		tx.DisableAuthMethod(method.ID, r.now())
		return nil
	})
	return &protocol.AuthMethodDisableReply{}, err
}
