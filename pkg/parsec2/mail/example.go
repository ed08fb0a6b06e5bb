package mail

import (
	"context"

	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// SendExamples sends an e-mail of each kind with data that was made up, for people to
// look at, until one is not sent. It returns what became of the last one.
func (m *Mailer) SendExamples(ctx context.Context, example mail.Example) protocol.EmailSent {
	invitation := rules.InvitationMail{
		Organization: example.Organization, Token: parsec.InvitationToken(parsec.NewUUID()),
		To: example.To, GreeterName: example.Greeter.Label(),
	}
	for _, of := range []parsec.InvitationType{parsec.InvitationUser, parsec.InvitationDevice, parsec.InvitationShamirRecovery} {
		invitation.Type, invitation.ReplyTo = of, example.Greeter
		if of == parsec.InvitationDevice {
			invitation.ReplyTo = parsec.HumanHandle{}
		}
		if sent := m.SendInvitation(ctx, invitation); sent != protocol.EmailSuccess {
			return sent
		}
	}
	return protocol.EmailSuccess
}
