// Package mail has the rules of API 5 send e-mails.
package mail

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// limit is how long an e-mail may take.
const limit = 30 * time.Second

// Pages of the project about its application (docs/protocol/v5/invite.md §8).
const (
	downloadURL = "https://parsec.cloud/en/start-parsec"
	joiningURL  = "https://docs.parsec.cloud/en/stable/userguide/join_organization.html"
)

var _ rules.Mailer = (*Mailer)(nil)

// Mailer implements rules.Mailer.
type Mailer struct {
	mailer  *mail.Mailer
	letters *letters
	address parsec.ServerAddress
	limit   time.Duration
}

// New returns a mailer whose links lead to address; without it no e-mail can be
// sent.
func New(options mail.Options, address parsec.ServerAddress, logger *slog.Logger) *Mailer {
	return &Mailer{mail.New(options, address, logger), languages[options.Language], address, limit}
}

// SendInvitation implements rules.Mailer.
func (m *Mailer) SendInvitation(ctx context.Context, invitation rules.InvitationMail) protocol.EmailSent {
	ctx, cancel := context.WithTimeout(ctx, m.limit)
	defer cancel()
	return sent(m.mailer.SendInvitation(ctx, mail.Invitation{
		Organization: invitation.Organization, Type: invitation.Type,
		Link: m.link(invitation.Organization, parsec3.InvitationTarget{Type: invitation.Type, Token: invitation.Token}),
		To:   invitation.To, GreeterName: invitation.Greeter.Label(), ReplyTo: invitation.Greeter,
		DownloadURL: downloadURL, DocumentationURL: joiningURL,
	}))
}

// SendEnrollmentAccepted implements rules.Mailer.
func (m *Mailer) SendEnrollmentAccepted(ctx context.Context, enrollment rules.EnrollmentMail) protocol.EmailSent {
	letter := m.letters.enrollmentAccepted
	letter.Names = map[string]string{
		"organization": enrollment.Organization.String(),
		"address":      parsec.Parsec3Scheme.PrintServerAddress(m.address),
	}
	return m.send(ctx, mail.Message{
		Kind: "ENROLLMENT_ACCEPTED", Organization: enrollment.Organization, To: enrollment.To, Letter: letter,
	})
}

// SendTOTPReset implements rules.Mailer.
func (m *Mailer) SendTOTPReset(ctx context.Context, reset rules.TOTPMail) protocol.EmailSent {
	letter := m.letters.totpReset
	letter.Link = m.link(reset.Organization, parsec3.TOTPResetTarget{User: reset.User, Token: reset.Token})
	letter.Names = map[string]string{"organization": reset.Organization.String(), "recipient": reset.To}
	return m.send(ctx, mail.Message{
		Kind: "TOTP_RESET", Organization: reset.Organization, To: reset.To, Letter: letter,
	})
}

// accountKinds are what the log says.
var accountKinds = map[rules.AccountMailKind]string{
	rules.AccountCreation: "ACCOUNT_CREATION", rules.AccountDeletion: "ACCOUNT_DELETION",
	rules.AccountRecovery: "ACCOUNT_RECOVERY", rules.AccountExists: "ACCOUNT_EXISTS",
	rules.AccountRecovered: "ACCOUNT_RECOVERED",
}

// SendAccount implements rules.Mailer.
func (m *Mailer) SendAccount(ctx context.Context, account rules.AccountMail) protocol.EmailSent {
	letter := m.letters.account[account.Kind]
	letter.Code = account.Code
	letter.Names = map[string]string{
		"recipient": account.To,
		"date":      account.On.Time().Format("2006-01-02 15:04 UTC"),
		"from":      m.letters.address(account.From),
	}
	return m.send(ctx, mail.Message{Kind: accountKinds[account.Kind], To: account.To, Letter: letter})
}

func (m *Mailer) send(ctx context.Context, message mail.Message) protocol.EmailSent {
	ctx, cancel := context.WithTimeout(ctx, m.limit)
	defer cancel()
	return sent(m.mailer.Send(ctx, message))
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
