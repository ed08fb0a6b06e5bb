package rules

import (
	"context"
	"net/netip"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// Mailer sends e-mails. No transaction is open meanwhile. Each method waits until the
// e-mail is handed over, is refused, or half a minute has passed, and returns what
// became of it.
type Mailer interface {
	// SendInvitation sends the link of an invitation (docs/protocol/v5/invite.md §8).
	SendInvitation(ctx context.Context, mail InvitationMail) protocol.EmailSent
	// SendEnrollmentAccepted tells who asked to be enrolled that this was done
	// (docs/protocol/v5/enrollment.md §2.6).
	SendEnrollmentAccepted(ctx context.Context, mail EnrollmentMail) protocol.EmailSent
	// SendTOTPReset sends the link for a new second factor
	// (docs/protocol/v5/enrollment.md §4.5). It is for an administrator, who is told more.
	SendTOTPReset(ctx context.Context, mail TOTPMail) organization.EmailOutcome
	// SendAccount sends an e-mail about an account (docs/protocol/v5/account.md §6).
	SendAccount(ctx context.Context, mail AccountMail) protocol.EmailSent
}

// InvitationMail is what an e-mail about an invitation says.
type InvitationMail struct {
	To           string
	Organization parsec.OrganizationID
	Type         parsec.InvitationType
	Token        parsec3.AccessToken
	// Greeter is who invites; zero for an invitation of a device.
	Greeter parsec.HumanHandle
}

// EnrollmentMail is what an e-mail about an accepted enrollment says.
type EnrollmentMail struct {
	To           string
	Organization parsec.OrganizationID
}

// TOTPMail is what an e-mail about a second factor that was reset says.
type TOTPMail struct {
	To           string
	Organization parsec.OrganizationID
	User         parsec3.UserID
	Token        parsec3.AccessToken
}

// AccountMailKind is what an e-mail about an account is for.
type AccountMailKind uint8

// The first three bring a code.
const (
	AccountCreation AccountMailKind = iota
	AccountDeletion
	AccountRecovery
	// AccountExists is for who asks for an account and has one.
	AccountExists
	// AccountRecovered is for the owner, who may not have asked.
	AccountRecovered
)

// AccountMail is what an e-mail about an account says.
type AccountMail struct {
	To   string
	Kind AccountMailKind
	// Code is of the kinds that bring one.
	Code string
	// On and From are of AccountRecovered: when, and from which address, which may be
	// unknown.
	On   parsec.DateTime
	From netip.Addr
}
