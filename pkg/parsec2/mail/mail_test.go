package mail

import (
	"log/slog"
	netmail "net/mail"
	"os"
	"path/filepath"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// TestSent has each outcome be told as the protocol says.
func TestSent(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	address, err := parsec.ParseServerAddress("parsec://parsec.example.com")
	if err != nil {
		t.Fatal(err)
	}
	options := mail.Options{Sender: netmail.Address{Address: "no-reply@example.com"}, Language: "en"}
	invitation := rules.InvitationMail{To: "bob@example.com", Type: parsec.InvitationUser}
	wantSent := func(address parsec.ServerAddress, want protocol.EmailSent) {
		t.Helper()
		if got := New(options, address, slog.New(slog.DiscardHandler)).SendInvitation(t.Context(), invitation); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	wantSent(address, protocol.EmailSuccess)
	wantSent(parsec.ServerAddress{}, protocol.EmailNotAvailable)
	invitation.To = "bob"
	wantSent(address, protocol.EmailBadRecipient)
	invitation.To = "bob@example.com"
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	wantSent(address, protocol.EmailNotAvailable)
}

// TestLetters compares each e-mail with the files of testdata, which people have read.
func TestLetters(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	address, err := parsec.ParseServerAddress("parsec://parsec.example.com")
	must(err)
	organization, err := parsec.ParseOrganizationID("CoolOrg")
	must(err)
	token, err := parsec.ParseUUID("d6f7b1c02a5e4f80a1b2c3d4e5f60718")
	must(err)
	alice, err := parsec.ParseHumanHandle("alice@example.com", "Alice Martin & Co")
	must(err)
	for _, tt := range []struct {
		name            string
		of              parsec.InvitationType
		replyTo         parsec.HumanHandle
		subject, subjet string // in English, in French
	}{
		{"invitation_user", parsec.InvitationUser, alice, "[Parsec] Alice Martin & Co invited you to CoolOrg", "[Parsec] Alice Martin & Co vous invite à rejoindre CoolOrg"},
		{"invitation_device", parsec.InvitationDevice, parsec.HumanHandle{}, "[Parsec] New device invitation to CoolOrg", "[Parsec] Invitation d’un nouvel appareil dans CoolOrg"},
		{"invitation_shamir_recovery", parsec.InvitationShamirRecovery, alice, "[Parsec] Recovery invitation to CoolOrg", "[Parsec] Invitation à récupérer votre compte dans CoolOrg"},
	} {
		for language, subject := range map[string]string{"en": tt.subject, "fr": tt.subjet} {
			var taken mail.Copy
			mailer := New(mail.Options{
				Sender: netmail.Address{Address: "no-reply@example.com"}, Language: language,
				Take: func(copied mail.Copy) error { taken = copied; return nil },
			}, address, slog.New(slog.DiscardHandler))
			if got := mailer.SendInvitation(t.Context(), rules.InvitationMail{
				Organization: organization, Type: tt.of, Token: parsec.InvitationToken(token),
				To: "bob@example.com", GreeterName: alice.Label(), ReplyTo: tt.replyTo,
			}); got != protocol.EmailSuccess {
				t.Fatalf("%s: %s", tt.name, got)
			}
			if taken.Subject != subject || taken.Kind.String() != tt.name {
				t.Errorf("%s: subject %q of %s, want %q", tt.name, taken.Subject, taken.Kind, subject)
			}
			testkit.WantFile(t, filepath.Join(language, tt.name+".txt"), taken.Text)
			testkit.WantFile(t, filepath.Join(language, tt.name+".html"), taken.HTML)
		}
	}
}

// taking returns a mailer that gives what it is asked to send to take.
func taking(t *testing.T, take func(mail.Copy) error) *Mailer {
	t.Helper()
	address, err := parsec.ParseServerAddress("parsec://parsec.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return New(mail.Options{
		Sender: netmail.Address{Address: "no-reply@example.com"}, Language: "fr", Take: take,
	}, address, slog.New(slog.DiscardHandler))
}

// TestEveryLabel has people of all names: none writes a header or HTML.
func TestEveryLabel(t *testing.T) {
	var taken mail.Copy
	mailer := taking(t, func(copied mail.Copy) error { taken = copied; return nil })
	example := mail.NewExample()
	for _, label := range append(testkit.EveryHumanLabel(), testkit.HumanLabels()...) {
		handle, err := parsec.ParseHumanHandle("alice@example.com", label)
		if err != nil {
			t.Errorf("%q: %v", label, err)
			continue
		}
		if got := mailer.SendInvitation(t.Context(), rules.InvitationMail{
			Organization: example.Organization, Type: parsec.InvitationUser, To: example.To, GreeterName: handle.Label(), ReplyTo: handle,
		}); got != protocol.EmailSuccess {
			t.Fatalf("%q: %s", label, got)
		}
		testkit.WantInviter(t, taken.Raw, handle.Label())
	}
}

// TestEveryEmail is about organizations and of people of all names.
func TestEveryEmail(t *testing.T) {
	sent := 0
	mailer := taking(t, func(copied mail.Copy) error {
		sent++
		testkit.WantOnlyItsHeaders(t, copied.Raw)
		return nil
	})
	example := mail.NewExample()
	labels, organizations := testkit.HumanLabels(), testkit.SomeOrganizations()
	rounds := max(len(labels), len(organizations))
	for i := range rounds {
		var wrongID, wrongHandle error
		example.Organization, wrongID = parsec.ParseOrganizationID(organizations[i%len(organizations)])
		example.Greeter, wrongHandle = parsec.ParseHumanHandle("alice@example.com", labels[i%len(labels)])
		if wrongID != nil || wrongHandle != nil {
			t.Fatal(wrongID, wrongHandle)
		}
		if got := mailer.SendExamples(t.Context(), example); got != protocol.EmailSuccess {
			t.Fatalf("%q: %s", example.Organization, got)
		}
	}
	if want := rounds * len(Kinds()); sent != want {
		t.Errorf("%d e-mails are sent, want %d", sent, want)
	}
}

// TestLinks are for browsers, at the address that people know the server by.
func TestLinks(t *testing.T) {
	organization, err := parsec.ParseOrganizationID("CoolOrg")
	if err != nil {
		t.Fatal(err)
	}
	token, err := parsec.ParseUUID("d6f7b1c02a5e4f80a1b2c3d4e5f60718")
	if err != nil {
		t.Fatal(err)
	}
	invitation := rules.InvitationMail{Organization: organization, Type: parsec.InvitationUser, Token: parsec.InvitationToken(token)}
	for address, want := range map[string]string{
		"parsec://example.com:4433":                  "https://example.com:4433/redirect/CoolOrg?action=claim_user&token=d6f7b1c02a5e4f80a1b2c3d4e5f60718",
		"parsec://localhost?no_ssl=true":             "http://localhost/redirect/CoolOrg?action=claim_user&token=d6f7b1c02a5e4f80a1b2c3d4e5f60718",
		"parsec://localhost:6777?no_ssl=true":        "http://localhost:6777/redirect/CoolOrg?action=claim_user&token=d6f7b1c02a5e4f80a1b2c3d4e5f60718",
		"parsec://parsec.example.com?no_ssl=false":   "https://parsec.example.com/redirect/CoolOrg?action=claim_user&token=d6f7b1c02a5e4f80a1b2c3d4e5f60718",
		"parsec://parsec.example.com:443":            "https://parsec.example.com/redirect/CoolOrg?action=claim_user&token=d6f7b1c02a5e4f80a1b2c3d4e5f60718",
		"parsec://parsec.example.com:80?no_ssl=true": "http://parsec.example.com/redirect/CoolOrg?action=claim_user&token=d6f7b1c02a5e4f80a1b2c3d4e5f60718",
	} {
		parsed, err := parsec.ParseServerAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := New(mail.Options{}, parsed, nil).link(invitation); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
