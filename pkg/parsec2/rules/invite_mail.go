package rules

import (
	"context"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// mailLimit bounds how long a command waits for an e-mail to be sent
// (docs/protocol/invite.md §2).
const mailLimit = 30 * time.Second

// Mailer sends e-mails. No transaction is open meanwhile.
type Mailer interface {
	// SendInvitation sends one e-mail (docs/protocol/invite.md §6), and returns
	// what became of it: protocol.EmailNotAvailable when ctx ends first. It
	// logs what went wrong. A server without public address sends nothing, and
	// is not available.
	SendInvitation(ctx context.Context, mail InvitationMail) protocol.EmailSent
}

// InvitationMail is what an e-mail about an invitation says.
type InvitationMail struct {
	Organization parsec.OrganizationID
	Type         parsec.InvitationType
	Token        parsec.InvitationToken
	// To is the address of the recipient, as a client gave it: it may hold
	// anything but control characters.
	To string
	// GreeterName is the author's label, else its user id. It may hold
	// anything.
	GreeterName string
	// ReplyTo is the author's handle, zero for an e-mail without Reply-To.
	ReplyTo parsec.HumanHandle
}

// mail sends an e-mail within mailLimit. Without mailer none is sent.
func (r *Rules) mail(ctx context.Context, mail InvitationMail) protocol.EmailSent {
	if r.options.Mailer == nil {
		return protocol.EmailNotAvailable
	}
	if mail.To == "" {
		return protocol.EmailBadRecipient
	}
	ctx, cancel := context.WithTimeout(ctx, mailLimit)
	defer cancel()
	return r.options.Mailer.SendInvitation(ctx, mail)
}
