package rules

import (
	"context"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// AccountRecoverSendValidationEmail sends the code by which an account is recovered, if
// there is one (docs/protocol/v5/account.md §4).
func (r *Rules) AccountRecoverSendValidationEmail(ctx context.Context, peer Peer, request *protocol.AccountRecoverSendValidationEmailRequest) (*protocol.AccountRecoverSendValidationEmailReply, error) {
	err := r.sendToStranger(ctx, codeMail{kind: CodeOfRecovery, email: request.Email, peer: &peer},
		func(account *Account) bool { return account != nil }, nil)
	return &protocol.AccountRecoverSendValidationEmailReply{}, err
}

// AccountRecoverProceed begins a new vault and disables every method, for who has lost
// theirs (docs/protocol/v5/account.md §4). The owner is told.
func (r *Rules) AccountRecoverProceed(ctx context.Context, peer Peer, request *protocol.AccountRecoverProceedRequest) (*protocol.AccountRecoverProceedReply, error) {
	var wrong bool
	var method AuthMethod
	scope := AccountScope{Email: request.Email, Methods: []parsec3.AuthMethodID{request.NewAuthMethodID}}
	err := r.store.UpdateAccount(ctx, scope, func(tx AccountTx) error {
		return r.tryCode(tx, CodeOfRecovery, request.Email, request.ValidationCode, &wrong, func(code Code) error {
			switch {
			case tx.Account() == nil: // whose code is no code
				return protocol.Refuse(protocol.StatusSendValidationEmailRequired)
			case tx.AuthMethod(request.NewAuthMethodID) != nil:
				return protocol.Refuse(protocol.StatusAuthMethodIDAlreadyExists)
			}
			method = r.newAuthMethod(peer, methodFields{
				request.NewAuthMethodID, request.NewAuthMethodMACKey, request.NewAuthMethodPasswordAlgorithm, request.NewVaultKeyAccess,
			})
			tx.PutCode(CodeOfRecovery, code.replaced(nil, method.CreatedOn))
			return addVault(ctx, tx, method, nil)
		})
	})
	if err == nil && !wrong {
		if place, found := r.mails.reserve(); found {
			place.send(AccountMail{To: request.Email.String(), Kind: AccountRecovered, On: method.CreatedOn, From: peer.Address})
		}
	}
	return &protocol.AccountRecoverProceedReply{}, judged(wrong, err)
}
