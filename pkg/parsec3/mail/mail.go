// Package mail has the rules of API 5 send e-mails.
package mail

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"parsec-server/pkg/mail"
	organizations "parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// limit is how long an e-mail may take.
const limit = 30 * time.Second

var _ rules.Mailer = (*Mailer)(nil)

// Mailer implements rules.Mailer.
type Mailer struct {
	mailer  *mail.Mailer
	letters *letters
	address parsec.ServerAddress
	limit   time.Duration
	// joining are the pages for who is about to join an organization, pages those for
	// everybody else.
	pages, joining mail.Pages
}

// New returns a mailer whose links lead to address; without it no e-mail can be
// sent.
func New(options mail.Options, address parsec.ServerAddress, logger *slog.Logger) *Mailer {
	return &Mailer{
		mailer: mail.New(options, address, logger), letters: languages[options.Language], address: address, limit: limit,
		pages:   mail.PagesOf(options.Clients, parsec.Parsec3Scheme),
		joining: mail.JoiningPagesOf(options.Clients, parsec.Parsec3Scheme),
	}
}

// SendInvitation implements rules.Mailer.
func (m *Mailer) SendInvitation(ctx context.Context, invitation rules.InvitationMail) protocol.EmailSent {
	ctx, cancel := context.WithTimeout(ctx, m.limit)
	defer cancel()
	return sent(m.mailer.SendInvitation(ctx, mail.Invitation{
		Organization: invitation.Organization, Type: invitation.Type,
		Link: m.link(invitation.Organization, parsec3.InvitationTarget{Type: invitation.Type, Token: invitation.Token}),
		To:   invitation.To, GreeterName: invitation.Greeter.Label(), ReplyTo: invitation.Greeter,
		Pages: m.joining,
	}))
}

// SendEnrollmentAccepted implements rules.Mailer.
func (m *Mailer) SendEnrollmentAccepted(ctx context.Context, enrollment rules.EnrollmentMail) protocol.EmailSent {
	return m.send(ctx, mail.Message{
		Kind: enrollmentAccepted, Organization: enrollment.Organization, To: enrollment.To, Pages: m.joining,
		Values: map[string]string{
			"organization": enrollment.Organization.String(), "address": parsec.Parsec3Scheme.PrintServerAddress(m.address),
		},
	})
}

// SendTOTPReset implements rules.Mailer.
func (m *Mailer) SendTOTPReset(ctx context.Context, reset rules.TOTPMail) organizations.EmailOutcome {
	switch m.deliverTOTPReset(ctx, reset) {
	case mail.Sent:
		return organizations.EmailSent
	case mail.BadRecipient:
		return organizations.EmailRecipientRefused
	case mail.Misconfigured:
		return organizations.EmailBadConfig
	default:
		return organizations.EmailServerUnavailable
	}
}

func (m *Mailer) deliverTOTPReset(ctx context.Context, reset rules.TOTPMail) mail.Outcome {
	return m.deliver(ctx, mail.Message{
		Kind: totpReset, Organization: reset.Organization, To: reset.To, Pages: m.pages,
		Values: map[string]string{
			"organization": reset.Organization.String(),
			"link":         m.link(reset.Organization, parsec3.TOTPResetTarget{User: reset.User, Token: reset.Token}),
		},
	})
}

// SendAccount implements rules.Mailer.
func (m *Mailer) SendAccount(ctx context.Context, account rules.AccountMail) protocol.EmailSent {
	return m.send(ctx, mail.Message{
		Kind: accountKinds[account.Kind], To: account.To, Pages: m.pages,
		Values: map[string]string{
			"code": account.Code, "date": account.On.Time().Format("2006-01-02 15:04 UTC"), "from": m.letters.address(account.From),
		},
	})
}

func (m *Mailer) send(ctx context.Context, message mail.Message) protocol.EmailSent {
	return sent(m.deliver(ctx, message))
}

func (m *Mailer) deliver(ctx context.Context, message mail.Message) mail.Outcome {
	ctx, cancel := context.WithTimeout(ctx, m.limit)
	defer cancel()
	return m.mailer.Send(ctx, message)
}

func (m *Mailer) link(organization parsec.OrganizationID, target parsec3.Target) string {
	return parsec3.Address{Location: m.address.LocationOf(organization), Target: target}.HTTPRedirection()
}

func (l *letters) address(from netip.Addr) string {
	if !from.IsValid() {
		return l.unknown
	}
	return from.Unmap().String()
}

// sent returns the outcome in the words of replies: clients are not told why an e-mail was
// not sent.
func sent(outcome mail.Outcome) protocol.EmailSent {
	switch outcome {
	case mail.Sent:
		return protocol.EmailSuccess
	case mail.BadRecipient:
		return protocol.EmailRecipientRefused
	default:
		return protocol.EmailServerUnavailable
	}
}
