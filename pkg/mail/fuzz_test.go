package mail

import (
	netmail "net/mail"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
)

// FuzzHeaders puts any names and addresses into an e-mail, which then still
// has its own headers only, one recipient and one address to reply to.
func FuzzHeaders(f *testing.F) {
	f.Add("bob@example.com", "Alice", "alice@example.com")
	f.Add("bob@example.com, eve@example.com", "Alice\r\nBcc: eve@example.com", `"a\" b"@example.com`)
	f.Add("bøb@bücher.example", "=?utf-8?q?=0D=0A?=", "ålice@example.com")
	f.Add("b@[::1]", "\u202e\u2028\x00", "a@[x]")
	var taken Copy
	mailer := New(Options{
		Sender: netmail.Address{Address: "no-reply@example.com"}, Language: "fr",
		Take: func(copied Copy) error { taken = copied; return nil },
	}, address, discard)
	known := map[string]bool{
		"From": true, "To": true, "Reply-To": true, "Subject": true, "Date": true, "Message-Id": true, "Mime-Version": true,
		"Content-Type": true, "Content-Language": true, "Auto-Submitted": true,
	}
	f.Fuzz(func(t *testing.T, to, label, email string) {
		recipient, err := parseRecipient(to)
		if err != nil {
			return
		}
		mail := invitation(parsec.InvitationUser)
		mail.To, mail.GreeterName = to, label
		mail.ReplyTo, _ = parsec.ParseHumanHandle(email, label) // zero if it is none
		wantSent(t, mailer, mail, Sent)
		parsed, err := testkit.ParseMail(taken.Raw)
		if err != nil {
			t.Fatalf("%v in %q", err, taken.Raw)
		}
		for name, values := range parsed.Header {
			if !known[name] || len(values) != 1 {
				t.Errorf("header %s: %q", name, values)
			}
		}
		if list, err := parsed.Header.AddressList("To"); err != nil || len(list) != 1 || list[0].Address != recipient.Address || list[0].Name != "" {
			t.Errorf("to %q, %v", parsed.Header.Get("To"), err)
		}
		if reply := parsed.Header.Get("Reply-To"); reply != "" {
			if list, err := parsed.Header.AddressList("Reply-To"); err != nil || len(list) != 1 {
				t.Errorf("reply to %q, %v", reply, err)
			}
		}
	})
}
