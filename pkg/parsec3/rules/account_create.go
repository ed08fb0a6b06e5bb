package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// AccountCreateSendValidationEmail sends the code by which an account is created, or
// tells whoever has one so (docs/protocol/v5/account.md §4).
func (r *Rules) AccountCreateSendValidationEmail(ctx context.Context, peer Peer, request *protocol.AccountCreateSendValidationEmailRequest) (*protocol.AccountCreateSendValidationEmailReply, error) {
	err := r.sendToStranger(ctx, codeMail{kind: CodeOfCreation, email: request.Email, peer: &peer},
		func(account *Account) bool { return account == nil }, new(AccountExists))
	return &protocol.AccountCreateSendValidationEmailReply{}, err
}

// AccountCreateProceed checks a code, or creates an account by it
// (docs/protocol/v5/account.md §4).
func (r *Rules) AccountCreateProceed(ctx context.Context, peer Peer, request *protocol.AccountCreateProceedRequest) (*protocol.AccountCreateProceedReply, error) {
	step := &request.AccountCreateStep
	email := step.Email
	if step.Step == protocol.AccountCreate {
		var err error
		if email, err = parsec3.ParseEmailAddress(step.HumanHandle.Email()); err != nil {
			return nil, err // the request was validated
		}
	}
	account := AccountID(parsec.NewUUID())
	var wrong bool
	err := r.store.UpdateAccount(ctx, AccountScope{Email: email, Methods: []parsec3.AuthMethodID{step.AuthMethodID}}, func(tx AccountTx) error {
		return r.tryCode(tx, CodeOfCreation, email, step.ValidationCode, &wrong, func(code Code) error {
			switch {
			case tx.Account() != nil: // whose code is no code
				return protocol.Refuse(protocol.StatusSendValidationEmailRequired)
			case step.Step == protocol.AccountCheckCode:
				return nil
			case tx.AuthMethod(step.AuthMethodID) != nil:
				return protocol.Refuse(protocol.StatusAuthMethodIDAlreadyExists)
			}
			method := r.newAuthMethod(peer, methodFields{
				step.AuthMethodID, step.AuthMethodMACKey, step.AuthMethodPasswordAlgorithm, step.VaultKeyAccess,
			})
			tx.CreateAccount(Account{ID: account, HumanHandle: step.HumanHandle}, method)
			tx.PutCode(CodeOfCreation, code.replaced(nil, method.CreatedOn))
			return nil
		})
	})
	return &protocol.AccountCreateProceedReply{}, judged(wrong, err)
}
