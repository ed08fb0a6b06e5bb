package mail

import (
	"context"
	"net/netip"

	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// SendExamples sends an e-mail of each kind with data that was made up, for people to
// look at, until one is not sent. It returns what became of the last one.
func (m *Mailer) SendExamples(ctx context.Context, example mail.Example) protocol.EmailSent {
	token := parsec3.NewAccessToken()
	invitation := func(of parsec.InvitationType, greeter parsec.HumanHandle) func() protocol.EmailSent {
		return func() protocol.EmailSent {
			return m.SendInvitation(ctx, rules.InvitationMail{To: example.To, Organization: example.Organization, Type: of, Token: token, Greeter: greeter})
		}
	}
	account := func(kind rules.AccountMailKind, code string) func() protocol.EmailSent {
		return func() protocol.EmailSent {
			return m.SendAccount(ctx, rules.AccountMail{To: example.To, Kind: kind, Code: code, On: example.On, From: netip.MustParseAddr("192.0.2.7")})
		}
	}
	const code = "AB23CD"
	for _, send := range []func() protocol.EmailSent{
		invitation(parsec.InvitationUser, example.Greeter), invitation(parsec.InvitationDevice, parsec.HumanHandle{}),
		invitation(parsec.InvitationShamirRecovery, example.Greeter),
		func() protocol.EmailSent {
			return m.SendEnrollmentAccepted(ctx, rules.EnrollmentMail{To: example.To, Organization: example.Organization})
		},
		func() protocol.EmailSent {
			return sent(m.deliverTOTPReset(ctx, rules.TOTPMail{To: example.To, Organization: example.Organization, User: parsec3.UserID(parsec.NewUUID()), Token: token}))
		},
		account(rules.AccountCreation, code), account(rules.AccountDeletion, code), account(rules.AccountRecovery, code),
		account(rules.AccountExists, ""), account(rules.AccountRecovered, ""),
	} {
		if outcome := send(); outcome != protocol.EmailSuccess {
			return outcome
		}
	}
	return protocol.EmailSuccess
}
