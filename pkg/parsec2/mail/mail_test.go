package mail

import (
	"log/slog"
	netmail "net/mail"
	"os"
	"testing"

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
