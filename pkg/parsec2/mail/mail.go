// Package mail has the rules of API 1 to 3 send e-mails.
package mail

import (
	"context"
	"log/slog"

	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Mailer = (*Mailer)(nil)

// Mailer implements rules.Mailer.
type Mailer struct {
	mailer  *mail.Mailer
	address parsec.ServerAddress
	pages   mail.Pages
}

// New returns a mailer whose links lead to address; without it no e-mail can be
// sent.
func New(options mail.Options, address parsec.ServerAddress, logger *slog.Logger) *Mailer {
	return &Mailer{mail.New(options, address, logger), address, mail.JoiningPagesOf(options.Clients, parsec.Parsec2Scheme)}
}

// Kinds returns the e-mails that API 1 to 3 send.
func Kinds() []*mail.Kind { return mail.Invitations() }

func (m *Mailer) link(to rules.InvitationMail) string {
	return m.address.InvitationAddress(to.Organization, to.Type, to.Token).HTTPRedirection()
}

// SendInvitation implements rules.Mailer.
func (m *Mailer) SendInvitation(ctx context.Context, invitation rules.InvitationMail) protocol.EmailSent {
	outcome := m.mailer.SendInvitation(ctx, mail.Invitation{
		Organization: invitation.Organization, Type: invitation.Type,
		Link: m.link(invitation), To: invitation.To, GreeterName: invitation.GreeterName, ReplyTo: invitation.ReplyTo,
		Pages: m.pages,
	})
	switch outcome {
	case mail.Sent:
		return protocol.EmailSuccess
	case mail.BadRecipient:
		return protocol.EmailBadRecipient
	default:
		return protocol.EmailNotAvailable
	}
}
