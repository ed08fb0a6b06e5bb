package rules

import (
	"context"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// AccountDeleteSendValidationEmail sends the code by which the account is deleted, and
// waits until it is sent (docs/protocol/v5/account.md §5).
func (r *Rules) AccountDeleteSendValidationEmail(ctx context.Context, author *AccountAuthor, _ *protocol.AccountDeleteSendValidationEmailRequest) (*protocol.AccountDeleteSendValidationEmailReply, error) {
	place, found := r.mails.reserve()
	defer place.release()
	mail := codeMail{kind: CodeOfDeletion, email: author.Email, peer: &author.Peer, code: parsec3.NewValidationCode()}
	err := r.updateAccount(ctx, author, AccountScope{Mail: r.mailScope(&mail)}, func(tx AccountTx, _ *Account) error {
		return r.putCode(tx, &mail, true)
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, protocol.Refuse(protocol.StatusEmailServerUnavailable)
	}
	return &protocol.AccountDeleteSendValidationEmailReply{}, refusalOf(r.mails.mailer.SendAccount(ctx, mail.accountMail()))
}

// AccountDeleteProceed erases the account: what it has, what is pending for it, and who
// used it from where (docs/protocol/v5/account.md §5). The users of its owner stay.
func (r *Rules) AccountDeleteProceed(ctx context.Context, author *AccountAuthor, request *protocol.AccountDeleteProceedRequest) (*protocol.AccountDeleteProceedReply, error) {
	var wrong bool
	err := r.updateAccount(ctx, author, AccountScope{}, func(tx AccountTx, _ *Account) error {
		return r.tryCode(tx, CodeOfDeletion, author.Email, request.ValidationCode, &wrong, func(Code) error {
			tx.EraseAccount()
			return nil
		})
	})
	return &protocol.AccountDeleteProceedReply{}, judged(wrong, err)
}
