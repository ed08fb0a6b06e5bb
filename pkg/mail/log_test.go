package mail

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
)

// TestToldOnce has each e-mail be a line of the log, which does not say to whom, and be
// counted.
func TestToldOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options testkit.SMTPOptions
		to      string
		want    Outcome
		line    string
	}{
		{"sent", testkit.SMTPOptions{}, "bob@example.com", Sent,
			`level=INFO msg="e-mail sent" organization_id=CoolOrg type=invitation_user message_id="?<[0-9a-f]{32}@example.com>"?`},
		{"refused", testkit.SMTPOptions{Recipient: func(string) error { return &smtp.SMTPError{Code: 550, Message: "no such user"} }},
			"bob@example.com", BadRecipient, `level=WARN msg="e-mail not sent: recipient refused" organization_id=CoolOrg type=invitation_user error=`},
		{"no address", testkit.SMTPOptions{}, "bob", BadRecipient, `level=INFO msg="e-mail not sent: no such recipient can be" organization_id=CoolOrg type=invitation_user error=`},
		{"failed", testkit.SMTPOptions{Content: func() error { return &smtp.SMTPError{Code: 451, Message: "no"} }},
			"bob@example.com", NotAvailable, `level=ERROR msg="e-mail not available" error=.* organization_id=CoolOrg type=invitation_user`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			logger, log := logged()
			options := optionsOf(testkit.StartSMTP(t, tt.options).Settings())
			var observed []string
			options.Observe = func(kind *Kind, outcome Outcome) { observed = append(observed, fmt.Sprint(kind, " ", outcome)) }
			mail := invitation(parsec.InvitationUser)
			mail.To = tt.to
			wantSent(t, New(options, address, logger), mail, tt.want)
			if want := "invitation_user " + string(tt.want); len(observed) != 1 || observed[0] != want {
				t.Errorf("observed %q, want %s", observed, want)
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !regexp.MustCompile(tt.line).MatchString(text) ||
				tt.want == Sent && strings.Contains(text, "bob") {
				t.Errorf("log %s", text)
			}
		})
	}
}
