package mail

import (
	"bytes"
	"html"
	"mime"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// arrived returns an e-mail as its recipient's program reads it.
func arrived(t *testing.T, language string, of parsec.InvitationType) testkit.Mail {
	t.Helper()
	server := testkit.StartSMTP(t, testkit.SMTPOptions{})
	settings := server.Settings()
	settings.Language = language
	wantSent(t, newMailer(settings), invitation(of), Sent)
	return server.Next(within(t), t)
}

func decoded(t *testing.T, header string) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(header)
	if err != nil {
		t.Errorf("header %q: %v", header, err)
	}
	return text
}

var messageID = regexp.MustCompile(`^<[0-9a-f]{32}@example\.com>$`)

func TestInvitations(t *testing.T) {
	t.Parallel()
	const link = "https://parsec.example.com/redirect/CoolOrg?action="
	for _, tt := range []struct {
		language string
		of       parsec.InvitationType
		subject  string
		replyTo  string
		action   string
		says     []string
		hides    string
	}{
		{"en", parsec.InvitationUser, "[Parsec] Alice Martin invited you to CoolOrg", "alice@example.com", "claim_user",
			[]string{"Alice Martin invites you to CoolOrg", "Invited by: Alice Martin (alice@example.com)", "Invited: bob@example.com", "If you do not know Alice Martin"}, ""},
		{"en", parsec.InvitationDevice, "[Parsec] New device invitation to CoolOrg", "", "claim_device",
			[]string{"Add a device to CoolOrg", "Organization: CoolOrg", "tell an administrator of CoolOrg"}, "Alice"},
		{"en", parsec.InvitationShamirRecovery, "[Parsec] Recovery invitation to CoolOrg", "alice@example.com", "claim_shamir_recovery",
			[]string{"Alice Martin helps you recover your account", "ask Alice Martin another way"}, ""},
		{"fr", parsec.InvitationUser, "[Parsec] Alice Martin vous invite à rejoindre CoolOrg", "alice@example.com", "claim_user",
			[]string{"Invitation de\u00a0: Alice Martin (alice@example.com)", "Si vous ne connaissez pas Alice Martin"}, "you"},
		{"fr", parsec.InvitationDevice, "[Parsec] Invitation d’un nouvel appareil dans CoolOrg", "", "claim_device",
			[]string{"Ajouter un appareil à CoolOrg", "prévenez un administrateur de CoolOrg"}, "Alice"},
		{"fr", parsec.InvitationShamirRecovery, "[Parsec] Invitation à récupérer votre compte dans CoolOrg", "alice@example.com", "claim_shamir_recovery",
			[]string{"Alice Martin vous aide à récupérer votre compte"}, "you"},
	} {
		t.Run(tt.language+" "+string(tt.of), func(t *testing.T) {
			t.Parallel()
			mail := arrived(t, tt.language, tt.of)
			if subject := decoded(t, mail.Header.Get("Subject")); subject != tt.subject {
				t.Errorf("subject %q, want %q", subject, tt.subject)
			}
			for name, want := range map[string]string{
				"From": `"Parsec" <no-reply@example.com>`, "To": "<bob@example.com>", "Mime-Version": "1.0",
				"Auto-Submitted": "auto-generated", "Content-Language": tt.language,
			} {
				if got := mail.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if date, err := mail.Header.Date(); err != nil || time.Since(date) > time.Hour || time.Until(date) > time.Hour {
				t.Errorf("date %v, %v", date, err)
			}
			if id := mail.Header.Get("Message-Id"); !messageID.MatchString(id) {
				t.Errorf("message id %s", id)
			}
			if reply := mail.Header.Get("Reply-To"); tt.replyTo == "" && reply != "" || tt.replyTo != "" && reply != `"Alice Martin" <`+tt.replyTo+">" {
				t.Errorf("reply to %q", reply)
			}
			address := link + tt.action + "&token=" + token
			for part, text := range map[string]string{"text": mail.Text, "HTML": readable(mail.HTML)} {
				for _, want := range append(tt.says, address, "Parsec 2", "https://github.com/Scille/parsec-cloud/releases/tag/v2.17.0", "https://docs.parsec.cloud/en/v2.17.0/", "parsec.example.com") {
					if part == "HTML" {
						want = strings.NewReplacer("\u00a0: ", " ", ": ", " ").Replace(want)
					}
					if !strings.Contains(text, want) {
						t.Errorf("%s does not say %q:\n%s", part, want, text)
					}
				}
				if tt.hides != "" && regexp.MustCompile(`\b`+tt.hides+`\b`).MatchString(text) {
					t.Errorf("%s says %q:\n%s", part, tt.hides, text)
				}
				if strings.ContainsAny(text, "{}") {
					t.Errorf("%s has an unfilled place:\n%s", part, text)
				}
			}
			if count := strings.Count(mail.HTML, `href="`+html.EscapeString(address)+`"`); count != 2 {
				t.Errorf("%d links, want the button and the link in clear", count)
			}
			wantNothingExternal(t, mail.HTML)
			for line := range strings.Lines(mail.Raw) {
				if len(line) > 78 || strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
					t.Errorf("line %q is long, or not ASCII", line)
				}
			}
		})
	}
}

var (
	markup   = regexp.MustCompile(`(?s)<(style|title)>.*?</(style|title)>|<[^>]*>`)
	external = regexp.MustCompile(`(?i)<(img|script|link|iframe|object|video|audio)|url\(|@import|src=`)
)

// readable returns what a person reads of a page.
func readable(page string) string {
	return strings.Join(strings.FieldsFunc(html.UnescapeString(markup.ReplaceAllString(page, " ")), func(r rune) bool {
		return r == ' ' || r == '\n'
	}), " ")
}

func wantNothingExternal(t *testing.T, page string) {
	t.Helper()
	if found := external.FindString(page); found != "" {
		t.Errorf("the page loads something: %s", found)
	}
}

// TestAddress sends nothing from a server that has none.
func TestAddress(t *testing.T) {
	t.Parallel()
	server := testkit.StartSMTP(t, testkit.SMTPOptions{})
	logger, log := logged()
	wantSent(t, New(optionsOf(server.Settings()), parsec.ServerAddress{}, logger), invitation(parsec.InvitationUser), NotAvailable)
	if !server.Empty() || !strings.Contains(log.String(), "--backend-addr") {
		t.Errorf("log %s", log)
	}
}

// TestNames that people may have, and some that they should not.
func TestNames(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"Zoë Łukasz 李":           "Zoë Łukasz 李",
		"<b>Alice</b>":           "<b>Alice</b>",
		"Alice\r\nBcc: x@y.z":    "Alice Bcc: x@y.z",
		"\u202eecilA":            "ecilA",
		"=?utf-8?q?=0D=0A?=":     "= ?utf-8?q?=0D=0A?=",
		strings.Repeat("é", 127): strings.Repeat("é", 127),
		"$&{{organization}}":     "$&{{organization}}",
	} {
		server := testkit.StartSMTP(t, testkit.SMTPOptions{})
		mail := invitation(parsec.InvitationUser)
		mail.GreeterName = label
		wantSent(t, newMailer(server.Settings()), mail, Sent)
		got := server.Next(within(t), t)
		if subject := decoded(t, got.Header.Get("Subject")); subject != "[Parsec] "+want+" invited you to CoolOrg" {
			t.Errorf("%q: subject %q", label, subject)
		}
		if !strings.HasPrefix(got.Text, want+" invites you") || !strings.Contains(got.HTML, ">"+htmlEscaped(want)+" invites you") {
			t.Errorf("%q: %s\n%s", label, got.Text, got.HTML)
		}
		if got.Header.Get("Bcc") != "" {
			t.Errorf("%q: Bcc %s", label, got.Header.Get("Bcc"))
		}
	}
}

func htmlEscaped(text string) string { return html.EscapeString(text) }

// TestReplyTo is one address, whatever the label.
func TestReplyTo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ email, label, want string }{
		{"zoe@example.com", "Zoë", `"Zoë" <zoe@example.com>`},
		{"zoe@example.com", "Zoe\nBcc: x", `"Zoe Bcc x" <zoe@example.com>`},
		{"zoe@bücher.example", "Zoe", `"Zoe" <zoe@xn--bcher-kva.example>`},
		{"zoe@example.com", "=?utf-8?q?x=40y.z=2C?=", `"= ?utf-8?q?x=40y.z=2C?=" <zoe@example.com>`},
		{`"a, b"@example.com`, "Zoe", ""},
	} {
		server := testkit.StartSMTP(t, testkit.SMTPOptions{})
		mail := invitation(parsec.InvitationUser)
		mail.ReplyTo = must(parsec.ParseHumanHandle(tt.email, strings.ReplaceAll(tt.label, ":", "")))
		wantSent(t, newMailer(server.Settings()), mail, Sent)
		header := server.Next(within(t), t).Header
		if tt.want == "" {
			if header.Get("Reply-To") != "" {
				t.Errorf("%q: reply to %s", tt.email, header.Get("Reply-To"))
			}
			continue
		}
		want := must(netmail.ParseAddress(tt.want))
		if list, err := header.AddressList("Reply-To"); err != nil || len(list) != 1 || *list[0] != *want {
			t.Errorf("%q: reply to %v, %v, want %v", tt.label, list, err, want)
		}
	}
}

// TestSender may have a domain of any language.
func TestSender(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"parsec@example.com":    "parsec@example.com",
		"parsec@bücher.example": "parsec@xn--bcher-kva.example",
		"zoë@bücher.example":    "zoë@xn--bcher-kva.example",
		"parsec@-ü.example":     "parsec@-ü.example",
	} {
		server := testkit.StartSMTP(t, testkit.SMTPOptions{UTF8: true})
		settings := server.Settings()
		settings.Sender = netmail.Address{Name: "Équipe, Parsec", Address: address}
		wantSent(t, newMailer(settings), invitation(parsec.InvitationUser), Sent)
		got := server.Next(within(t), t)
		list, err := got.Header.AddressList("From")
		if err != nil || got.From != want || len(list) != 1 || *list[0] != (netmail.Address{Name: settings.Sender.Name, Address: want}) {
			t.Errorf("%s: from %s, %v, %v", address, got.From, list, err)
		}
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"bob@example.com":                         "bob@example.com",
		" bob@example.com ":                       "bob@example.com",
		"bob+parsec.o'neil@example.com":           "bob+parsec.o'neil@example.com",
		"bob@bücher.example":                      "bob@xn--bcher-kva.example",
		"bøb@example.com":                         "bøb@example.com",
		"bob@[192.0.2.1]":                         "bob@[192.0.2.1]",
		"":                                        "",
		"bob":                                     "",
		"@example.com":                            "",
		"bob@":                                    "",
		"bob@example.com, eve@example.com":        "",
		"bob@example.com> <eve@example.com":       "",
		"Bob <bob@example.com>":                   "",
		"bob@example.com\r\nBcc: x@y.z":           "",
		"bob@example.com(x)":                      "",
		`"b> NOTIFY=NEVER <"@example.com`:         "",
		"bob\u202e@example.com":                   "",
		"bob@exa mple.com":                        "",
		"bob@-ü.example":                          "",
		strings.Repeat("b", 243) + "@example.com": "",
	} {
		server := testkit.StartSMTP(t, testkit.SMTPOptions{UTF8: true})
		mail := invitation(parsec.InvitationUser)
		mail.To = text
		if want == "" {
			wantSent(t, newMailer(server.Settings()), mail, BadRecipient)
			continue
		}
		wantSent(t, newMailer(server.Settings()), mail, Sent)
		if got := server.Next(within(t), t); got.To != want {
			t.Errorf("%q: to %q, want %q", text, got.To, want)
		}
	}
}

// TestMocked writes e-mails in files, and says where.
func TestMocked(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	logger, log := logged()
	mailer := newMailer(config.Email{Host: config.Mocked, Port: 25, Sender: netmail.Address{Address: "no-reply@parsec.com"}, Language: "en"})
	tells(mailer, logger)
	var folders []string
	for range 2 {
		wantSent(t, mailer, invitation(parsec.InvitationUser), Sent)
		found := regexp.MustCompile(`(?m)to=\[<?bob@example\.com>?\].* path=((.*/parsec-emails-\w+)/tmp-email-\w+\.html)$`).FindStringSubmatch(log.String())
		if found == nil {
			t.Fatalf("log %s", log)
		}
		log.Reset()
		page, err := os.ReadFile(found[1])
		if err != nil || !bytes.Contains(page, []byte("Alice Martin invites you to CoolOrg")) {
			t.Errorf("%v, %s", err, page)
		}
		folders = append(folders, found[2])
	}
	if folders[0] != folders[1] {
		t.Errorf("folders %v", folders)
	}
	if err := os.RemoveAll(folders[0]); err != nil { // what cleans temporary folders does
		t.Fatal(err)
	}
	wantSent(t, mailer, invitation(parsec.InvitationUser), Sent)
	if err := os.RemoveAll(filepath.Dir(folders[0])); err != nil {
		t.Fatal(err)
	}
	wantSent(t, mailer, invitation(parsec.InvitationUser), NotAvailable)
}
