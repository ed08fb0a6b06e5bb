package mail

import (
	"context"
	"html"
	"log/slog"
	"mime"
	netmail "net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/mail"
	organizations "parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// patience bounds a test: whatever it waits for comes in milliseconds.
const patience = time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

var (
	address      = must(parsec.Parsec3Scheme.ParseServerAddress("parsec3://parsec.example.com"))
	organization = must(parsec.ParseOrganizationID("CoolOrg"))
	token        = must(parsec3.ParseAccessToken("d6f7b1c02a5e4f80a1b2c3d4e5f60718"))
	user         = must(parsec3.ParseUserID("109b68ba5cdf428ea0017fc6bcc04d4a"))
	alice        = must(parsec3.ParseHumanHandle("alice@example.com", "Alice Martin & Co"))
)

const bob = "bob@example.com"

func newMailer(settings config.Email, address parsec.ServerAddress) *Mailer {
	return New(mail.Options{
		Host: settings.Host, Port: settings.Port, User: settings.User, Password: settings.CurrentPassword,
		Encryption: mail.Encryption(settings.Encryption()), Sender: settings.Sender, Language: settings.Language,
	}, address, slog.New(slog.DiscardHandler))
}

// cases are one e-mail of each kind.
var cases = []struct {
	name             string
	send             func(ctx context.Context, m rules.Mailer) protocol.EmailSent
	subject, subjet  string // in English, in French
	replyTo          string
	holds            []string
	link             string
	withoutRecipient bool
}{
	{"invitation_user", invite(parsec.InvitationUser, alice),
		"[Parsec] Alice Martin & Co invited you to CoolOrg", "[Parsec] Alice Martin & Co vous invite à rejoindre CoolOrg",
		`"Alice Martin & Co" <alice@example.com>`, nil, "a=claim_user&p=xBDW97HAKl5PgKGyw9Tl9gcY", false},
	{"invitation_device", invite(parsec.InvitationDevice, parsec.HumanHandle{}),
		"[Parsec] New device invitation to CoolOrg", "[Parsec] Invitation d’un nouvel appareil dans CoolOrg",
		"", nil, "a=claim_device&p=xBDW97HAKl5PgKGyw9Tl9gcY", false},
	{"invitation_shamir_recovery", invite(parsec.InvitationShamirRecovery, alice),
		"[Parsec] Recovery invitation to CoolOrg", "[Parsec] Invitation à récupérer votre compte dans CoolOrg",
		`"Alice Martin & Co" <alice@example.com>`, nil, "a=claim_shamir_recovery&p=xBDW97HAKl5PgKGyw9Tl9gcY", false},
	{"enrollment_accepted", func(ctx context.Context, m rules.Mailer) protocol.EmailSent {
		return m.SendEnrollmentAccepted(ctx, rules.EnrollmentMail{To: bob, Organization: organization})
	}, "[Parsec] Request accepted to join CoolOrg", "[Parsec] Demande acceptée pour rejoindre CoolOrg",
		"", []string{"parsec3://parsec.example.com"}, "", true},
	{"totp_reset", func(ctx context.Context, m rules.Mailer) protocol.EmailSent {
		return folded[m.SendTOTPReset(ctx, rules.TOTPMail{To: bob, Organization: organization, User: user, Token: token})]
	}, "[Parsec] Your MFA has been reset for CoolOrg", "[Parsec] Votre double authentification pour CoolOrg a été réinitialisée",
		"", nil, "a=totp_reset&p=ktgCEJtoulzfQo6gAX_GvMBNSsQQ1vexwCpeT4ChssPU5fYHGA", false},
	{"account_creation", account(rules.AccountCreation, "AB23CD"),
		"Parsec Account: Confirm your email address", "Compte Parsec\u00a0: confirmez votre adresse e-mail", "", []string{"AB23CD"}, "", false},
	{"account_deletion", account(rules.AccountDeletion, "AB23CD"),
		"Parsec Account: Confirm account deletion", "Compte Parsec\u00a0: confirmez la suppression", "", []string{"AB23CD"}, "", false},
	{"account_recovery", account(rules.AccountRecovery, "AB23CD"),
		"Parsec Account: Confirm account recovery", "Compte Parsec\u00a0: confirmez la récupération", "", []string{"AB23CD"}, "", false},
	{"account_exists", account(rules.AccountExists, ""),
		"Parsec Account: You have an account already", "Compte Parsec\u00a0: vous avez déjà un compte", "", nil, "", false},
	{"account_recovered", account(rules.AccountRecovered, ""),
		"Parsec Account: Your account was recovered", "Compte Parsec\u00a0: votre compte a été récupéré", "",
		[]string{"2026-03-04 05:06 UTC", "192.0.2.7"}, "", false},
}

// folded are the outcomes that administrators are told in the words of replies.
var folded = map[organizations.EmailOutcome]protocol.EmailSent{
	organizations.EmailSent: protocol.EmailSuccess, organizations.EmailRecipientRefused: protocol.EmailRecipientRefused,
	organizations.EmailServerUnavailable: protocol.EmailServerUnavailable, organizations.EmailBadConfig: protocol.EmailServerUnavailable,
}

func invite(of parsec.InvitationType, greeter parsec.HumanHandle) func(context.Context, rules.Mailer) protocol.EmailSent {
	return func(ctx context.Context, m rules.Mailer) protocol.EmailSent {
		return m.SendInvitation(ctx, rules.InvitationMail{
			To: bob, Organization: organization, Type: of, Token: token, Greeter: greeter,
		})
	}
}

func account(kind rules.AccountMailKind, code string) func(context.Context, rules.Mailer) protocol.EmailSent {
	return func(ctx context.Context, m rules.Mailer) protocol.EmailSent {
		return m.SendAccount(ctx, rules.AccountMail{
			To: bob, Kind: kind, Code: code,
			On: must(parsec.ParseDateTime("2026-03-04T05:06:07Z")), From: netip.MustParseAddr("::ffff:192.0.2.7"),
		})
	}
}

func decoded(t *testing.T, header string) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(header)
	if err != nil {
		t.Errorf("header %q: %v", header, err)
	}
	return text
}

// TestLetters compares each e-mail, as it arrives, with the files of testdata, which
// people have read.
func TestLetters(t *testing.T) {
	t.Parallel()
	for _, language := range []string{"en", "fr"} {
		for _, tt := range cases {
			t.Run(language+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				server := testkit.StartSMTP(t, testkit.SMTPOptions{})
				settings := server.Settings()
				settings.Language = language
				if got := tt.send(t.Context(), newMailer(settings, address)); got != protocol.EmailSuccess {
					t.Fatalf("sent: %s", got)
				}
				arrived := server.Next(within(t), t)
				subject := map[string]string{"en": tt.subject, "fr": tt.subjet}[language]
				if got := decoded(t, arrived.Header.Get("Subject")); got != subject {
					t.Errorf("subject %q, want %q", got, subject)
				}
				if got := decoded(t, arrived.Header.Get("Reply-To")); got != tt.replyTo {
					t.Errorf("reply to %q, want %q", got, tt.replyTo)
				}
				if arrived.To != bob {
					t.Errorf("to %s", arrived.To)
				}
				if unfilled := regexp.MustCompile(`\{\w+\}`).FindString(arrived.Text); unfilled != "" {
					t.Errorf("%s is not filled in", unfilled)
				}
				testkit.WantFile(t, filepath.Join(language, tt.name+".txt"), arrived.Text)
				testkit.WantFile(t, filepath.Join(language, tt.name+".html"), arrived.HTML)
				holds := append([]string{"parsec.example.com", "https://parsec.cloud/en/start-parsec"}, tt.holds...)
				if !tt.withoutRecipient {
					holds = append(holds, bob)
				}
				if tt.link != "" {
					holds = append(holds, "https://parsec.example.com/redirect/CoolOrg?"+tt.link)
				}
				for _, want := range holds {
					if !strings.Contains(arrived.Text, want) || !strings.Contains(html.UnescapeString(arrived.HTML), want) {
						t.Errorf("does not hold %q", want)
					}
				}
			})
		}
	}
}

// TestCodeIsAlone on its line, for people who copy it.
func TestCodeIsAlone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"account_creation", "account_deletion", "account_recovery"} {
		for _, language := range []string{"en", "fr"} {
			text, err := os.ReadFile(filepath.Join("testdata", language, name+".txt"))
			if err != nil || !strings.Contains(string(text), "\n    AB23CD\n") {
				t.Errorf("%v, %s", err, text)
			}
		}
	}
}

// TestLinks lead back to what they were made of, at the address that people know the
// server by.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, target := range []parsec3.Target{
		parsec3.InvitationTarget{Type: parsec.InvitationUser, Token: token},
		parsec3.InvitationTarget{Type: parsec.InvitationDevice, Token: token},
		parsec3.InvitationTarget{Type: parsec.InvitationShamirRecovery, Token: token},
		parsec3.TOTPResetTarget{User: user, Token: token},
	} {
		for server, origin := range map[string]string{
			"parsec3://parsec.example.com":           "https://parsec.example.com/",
			"parsec3://localhost:6777?no_ssl=true":   "http://localhost:6777/",
			"parsec://parsec.example.com:443":        "https://parsec.example.com/",
			"parsec3://[::1]:80?no_ssl=true":         "http://[::1]/",
			"parsec3://parsec.example.com:4433":      "https://parsec.example.com:4433/",
			"parsec3://bücher.example?no_ssl=false#": "https://xn--bcher-kva.example/",
		} {
			parsed := must(parsec.ParseAnyServerAddress(server))
			link := New(mail.Options{}, parsed, nil).link(organization, target)
			if !strings.HasPrefix(link, origin+"redirect/CoolOrg?a=") {
				t.Errorf("%s: %s", server, link)
			}
			read, err := parsec3.ParseAddress(link)
			if err != nil || read.Target != target || read.Server() != parsed || read.Organization() != organization {
				t.Errorf("%s is read as %v, %v", link, read, err)
			}
		}
	}
}

// TestOutcomes are told as the protocol says.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	refusing := func(code int) testkit.SMTPOptions {
		return testkit.SMTPOptions{Recipient: func(string) error { return &smtp.SMTPError{Code: code, Message: "no such user"} }}
	}
	for _, tt := range []struct {
		name    string
		options testkit.SMTPOptions
		address parsec.ServerAddress
		change  func(*config.Email)
		want    protocol.EmailSent
	}{
		{"taken", testkit.SMTPOptions{}, address, nil, protocol.EmailSuccess},
		{"unknown recipient", refusing(550), address, nil, protocol.EmailRecipientRefused},
		{"mailbox that is full for now", refusing(450), address, nil, protocol.EmailRecipientRefused},
		{"server that ends", refusing(421), address, nil, protocol.EmailServerUnavailable},
		{"no server", testkit.SMTPOptions{}, address, func(s *config.Email) { s.Port = 1 }, protocol.EmailServerUnavailable},
		{"no TLS", testkit.SMTPOptions{}, address, func(s *config.Email) { s.UseTLS = true }, protocol.EmailServerUnavailable},
		{"no public address", testkit.SMTPOptions{}, parsec.ServerAddress{}, nil, protocol.EmailServerUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			settings := testkit.StartSMTP(t, tt.options).Settings()
			if tt.change != nil {
				tt.change(&settings)
			}
			mailer := newMailer(settings, tt.address)
			for _, of := range cases {
				if got := of.send(t.Context(), mailer); got != tt.want {
					t.Errorf("%s: %s, want %s", of.name, got, tt.want)
				}
			}
		})
	}
}

// Administrators are told that the other server will not take an e-mail later either.
func TestOutcomesOfResets(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*config.Email)
		want   organizations.EmailOutcome
	}{
		"no server": {func(s *config.Email) { s.Port = 1 }, organizations.EmailServerUnavailable},
		"no TLS":    {func(s *config.Email) { s.UseTLS = true }, organizations.EmailBadConfig},
		"no login":  {func(s *config.Email) { s.User, s.Password = "parsec", config.NewSecret("secret") }, organizations.EmailBadConfig},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := testkit.StartSMTP(t, testkit.SMTPOptions{}).Settings()
			tt.change(&settings)
			got := newMailer(settings, address).SendTOTPReset(t.Context(), rules.TOTPMail{To: bob, Organization: organization, User: user, Token: token})
			if got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// TestHangingServer is left alone after a while, with each kind of e-mail.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := testkit.StartSMTP(t, testkit.SMTPOptions{Recipient: func(string) error {
		<-release
		return nil
	}})
	t.Cleanup(func() { close(release) }) // before the server ends
	mailer := newMailer(server.Settings(), address)
	if mailer.limit != 30*time.Second {
		t.Errorf("the limit is %s", mailer.limit)
	}
	mailer.limit = 20 * time.Millisecond
	for _, tt := range cases {
		if got := tt.send(t.Context(), mailer); got != protocol.EmailServerUnavailable {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}

// TestUnknownAddress is of a client whose address nobody knows.
func TestUnknownAddress(t *testing.T) {
	t.Parallel()
	server := testkit.StartSMTP(t, testkit.SMTPOptions{})
	newMailer(server.Settings(), address).SendAccount(t.Context(), rules.AccountMail{To: bob, Kind: rules.AccountRecovered})
	if text := server.Next(within(t), t).Text; !strings.Contains(text, "From: unknown") {
		t.Errorf("%s", text)
	}
}

// taking returns a mailer that gives what it is asked to send to take.
func taking(take func(mail.Copy) error) *Mailer {
	return New(mail.Options{
		Sender: netmail.Address{Name: "Parsec", Address: "no-reply@example.com"}, Language: "en", Take: take,
	}, address, slog.New(slog.DiscardHandler))
}

// TestEveryLabel has people of all names: none writes a header or HTML.
func TestEveryLabel(t *testing.T) {
	t.Parallel()
	var taken mail.Copy
	mailer := taking(func(copied mail.Copy) error { taken = copied; return nil })
	for _, label := range append(testkit.EveryHumanLabel(), testkit.HumanLabels()...) {
		greeter, err := parsec3.ParseHumanHandle("alice@example.com", label)
		if err != nil {
			t.Errorf("%q: %v", label, err)
			continue
		}
		if got := invite(parsec.InvitationUser, greeter)(t.Context(), mailer); got != protocol.EmailSuccess {
			t.Fatalf("%q: %s", label, got)
		}
		testkit.WantInviter(t, taken.Raw, greeter.Label())
	}
}

// TestEveryEmail is about organizations and of people of all names, to a recipient of
// all that an address may hold.
func TestEveryEmail(t *testing.T) {
	t.Parallel()
	example := mail.NewExample()
	example.To = "bob+parsec!#$%&'*/=?^_`{|}~-@example.com"
	sent := 0
	mailer := taking(func(copied mail.Copy) error {
		sent++
		parsed := testkit.WantOnlyItsHeaders(t, copied.Raw)
		if list, err := parsed.Header.AddressList("To"); err != nil || len(list) != 1 || list[0].Address != example.To {
			t.Errorf("%s to %v, %v", copied.Kind, list, err)
		}
		return nil
	})
	labels, organizations := testkit.HumanLabels(), testkit.SomeOrganizations()
	rounds := max(len(labels), len(organizations))
	for i := range rounds {
		example.Organization = must(parsec.ParseOrganizationID(organizations[i%len(organizations)]))
		example.Greeter = must(parsec3.ParseHumanHandle("alice@example.com", labels[i%len(labels)]))
		if got := mailer.SendExamples(t.Context(), example); got != protocol.EmailSuccess {
			t.Fatalf("%q: %s", example.Organization, got)
		}
	}
	if want := rounds * len(cases); sent != want {
		t.Errorf("%d e-mails are sent, want %d", sent, want)
	}
}

// TestExamples are one of each kind.
func TestExamples(t *testing.T) {
	t.Parallel()
	var sent []*mail.Kind
	mailer := taking(func(copied mail.Copy) error {
		sent = append(sent, copied.Kind)
		return nil
	})
	if got := mailer.SendExamples(t.Context(), mail.NewExample()); got != protocol.EmailSuccess || !slices.Equal(sent, Kinds()) || len(sent) != len(cases) {
		t.Errorf("%s: sent %v, want %v", got, sent, Kinds())
	}
}
