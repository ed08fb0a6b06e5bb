//go:build !without_postfix

package mail

import (
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// TestPostfix sends through a real Postfix with saslauthd, which offers a login
// that it cannot do and puts off its refusals until it knows the recipient.
func TestPostfix(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		server  string // a line of main.cf
		change  func(*config.Email)
		to      string
		want    Outcome
		explain string // in the log
	}{
		{"as it should be", "", nil, "bob@example.com", Sent, ""},
		{"wrong password", "", func(s *config.Email) { s.Password = config.NewSecret("other") }, "bob@example.com", Misconfigured, "log in by LOGIN"},
		{"unknown recipient", "", nil, "carol@example.com", BadRecipient, "User unknown"},
		{"sender that the login does not own", "smtpd_sender_login_maps = inline:{no-reply@example.com=somebody}\nsmtpd_sender_restrictions = reject_sender_login_mismatch",
			nil, "bob@example.com", Misconfigured, "Sender address rejected"},
		{"name that it does not take", "smtpd_helo_restrictions = check_helo_access inline:{parsec.example.com=REJECT}",
			nil, "bob@example.com", Misconfigured, "Helo command rejected"},
		{"client that it does not take", "smtpd_client_restrictions = check_client_access inline:{127.0.0.1=REJECT}",
			nil, "bob@example.com", Misconfigured, "Client host rejected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			next := testkit.StartSMTP(t, testkit.SMTPOptions{})
			postfix := testkit.StartPostfix(t, next, tt.server)
			settings := postfix.Settings()
			if tt.change != nil {
				tt.change(&settings)
			}
			mailer := newMailer(settings)
			mailer.carrier.(*smtpServer).roots = postfix.Roots()
			logger, log := logged()
			tells(mailer, logger)
			mail := invitation(parsec.InvitationUser)
			mail.To = tt.to
			wantSent(t, mailer, mail, tt.want)
			if !strings.Contains(log.String(), tt.explain) {
				t.Errorf("log %s, want %q", log, tt.explain)
			}
			if tt.want == Sent {
				if arrived := next.Next(within(t), t); arrived.To != tt.to {
					t.Errorf("arrived for %s", arrived.To)
				}
			}
		})
	}
}

// TestPostfixLabels has people of all names invite through a real Postfix, which none
// of them confuses.
func TestPostfixLabels(t *testing.T) {
	t.Parallel()
	next := testkit.StartSMTP(t, testkit.SMTPOptions{})
	postfix := testkit.StartPostfix(t, next)
	mailer := newMailer(postfix.Settings())
	mailer.carrier.(*smtpServer).roots = postfix.Roots()
	for _, label := range testkit.HumanLabels() {
		mail := invitation(parsec.InvitationUser)
		mail.ReplyTo = must(parsec.ParseHumanHandle("alice@example.com", label))
		mail.GreeterName = mail.ReplyTo.Label()
		wantSent(t, mailer, mail, Sent)
		arrived, want := next.Next(within(t), t), testkit.ShownLabel(mail.GreeterName)
		if subject := decoded(t, arrived.Header.Get("Subject")); subject != "[Parsec] "+want+" invited you to CoolOrg" {
			t.Errorf("%q: subject %q", label, subject)
		}
		if list, err := arrived.Header.AddressList("Reply-To"); err != nil || len(list) != 1 || list[0].Name != want {
			t.Errorf("%q: reply to %v, %v", label, list, err)
		}
		if !strings.HasPrefix(arrived.Text, want+" invites you to CoolOrg\n") || arrived.Header.Get("Bcc") != "" {
			t.Errorf("%q: %s", label, arrived.Text)
		}
	}
}
