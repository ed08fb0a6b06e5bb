package main

import (
	"bytes"
	"context"
	"log/slog"
	"mime"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	parsec3client "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/config"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// folderOf writes files in a folder.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// official is a folder of templates of an official server.
var official = map[string]string{"index.html": "{% block %}", "404.html": "", "base.html": "", "email/invitation.html.j2": "{{ link }}"}

const officialWarning = "--template-dir has no effect, e-mails and pages are the built-in ones: "

// TestTemplatesAtStart refuses wrong texts by file and line, before anything is opened.
func TestTemplatesAtStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ file, text, want string }{
		{"totp_reset.fr.html", "<p>{{recipient}}</p>\n<p>{{organisation}} {{link}}</p>", ":2: {{organisation}} is not known here; known are {{organization}}, {{link}}, {{recipient}}, {{server}}, {{client}}, {{download}}, {{documentation}}\n"},
		{"account_creation.en.txt", "Hello,\n\nyour code is {{link}}", ":3: {{link}} is not known here"},
		{"account_recovery.en.txt", "Hello,\nyour code is\n", ":3: {{code}} is missing in this text\n"},
		{"invitation_user.en.subject", "{{greeter", ":1: {{ without }} on the same line\n"},
		{"invitation.en.html", "{{link}}", ": no e-mail has a text of this name\n"},
	} {
		folder := folderOf(t, map[string]string{"account_exists.en.subject": "Hello", tt.file: tt.text})
		got := executeServing(t.Context(), "backend", "run", "--dev", "--port=0", "--template-dir="+folder)
		if want := "Error: --template-dir: " + filepath.Join(folder, tt.file) + tt.want; got.code != exitUsage || !strings.HasPrefix(strings.TrimPrefix(got.stderr, usageOfRun), want) {
			t.Errorf("%s: %+v, want %s", tt.file, got, want)
		}
	}
	missing := filepath.Join(t.TempDir(), "none")
	if got := executeServing(t.Context(), "backend", "run", "--dev", "--port=0", "--template-dir="+missing); got.code != exitUsage || !strings.Contains(got.stderr, missing) {
		t.Errorf("no folder: %+v", got)
	}
}

// TestOfficialTemplates do not keep a server from starting, which says so once.
func TestOfficialTemplates(t *testing.T) {
	t.Parallel()
	folder := folderOf(t, official)
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	p := program{
		commandLine: []string{"backend", "run", "--dev", "--port=0", "--template-dir=" + folder}, environment: environmentOf(nil),
		stdout: &announced{&stdout, cancel}, stderr: &stderr, serve: serve,
	}
	_ = p.run(ctx)
	if text := stderr.String(); strings.Count(text, officialWarning+folder) != 1 || !strings.HasPrefix(stdout.String(), "Starting Parsec") {
		t.Errorf("stdout %s stderr %s", &stdout, text)
	}
}

// announced ends a server once it has said that it starts.
type announced struct {
	text *bytes.Buffer
	end  func()
}

func (a *announced) Write(text []byte) (int, error) {
	a.end()
	return a.text.Write(text)
}

// TestNoMailWithoutAddress of the server: who waits for a code is told at once that none
// can come.
func TestNoMailWithoutAddress(t *testing.T) {
	t.Parallel()
	address, err := parsec.ParseServerAddress("parsec://localhost:6777")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		host    string
		address parsec.ServerAddress
		sends   bool
	}{{"localhost", address, true}, {"localhost", parsec.ServerAddress{}, false}, {"", address, false}} {
		_, mailer := mailers(config.Email{Host: test.host}, mail.Options{Host: test.host}, test.address, slog.New(slog.DiscardHandler))
		if (mailer != nil) != test.sends {
			t.Errorf("with host %q and address %s: %v", test.host, test.address.Hostname(), mailer)
		}
	}
}

// TestReplacedTextIsSent by a whole server, of which the other texts are built in.
func TestReplacedTextIsSent(t *testing.T) {
	t.Parallel()
	folder := folderOf(t, map[string]string{
		"account_creation.fr.subject": "{{server}}\u00a0: le code de {{recipient}}\n", "account_creation.fr.txt": "{{code}}\n",
	})
	smtp := testkit.StartSMTP(t, testkit.SMTPOptions{})
	settings := smtp.Settings()
	server := startServing(t,
		config.Argument{Name: "email-host", Text: settings.Host}, config.Argument{Name: "email-port", Text: strconv.Itoa(settings.Port)},
		config.Argument{Name: "email-sender", Text: settings.Sender.Address}, config.Argument{Name: "email-language", Text: "fr"},
		config.Argument{Name: "template-dir", Text: folder}, config.Argument{Name: "account-config", Text: "ENABLED_WITH_VAULT"},
	)
	address, err := parsec.ParseServerAddress("parsec://" + server.address + "?no_ssl=true")
	if err != nil {
		t.Fatal(err)
	}
	to, err := parsec3.ParseEmailAddress("bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	reached := parsec3client.New(address, parsec3client.LatestVersion, client.Options{})
	t.Cleanup(reached.Close)
	if _, err := parsec3client.Call(t.Context(), reached.Server(), protocol.AccountCreateSendValidationEmail,
		&protocol.AccountCreateSendValidationEmailRequest{Email: to}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it comes in milliseconds
	defer cancel()
	got := smtp.Next(ctx, t)
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != "localhost\u00a0: le code de bob@example.com" {
		t.Errorf("subject %q, %v", subject, err)
	}
	if code := strings.TrimSuffix(got.Text, "\n"); len(code) != 6 || !strings.Contains(got.HTML, code) || !strings.Contains(got.HTML, "Confirmez votre adresse e-mail") {
		t.Errorf("text %q, HTML %s", got.Text, got.HTML)
	}
}

// TestEmailDocument compares the tables of docs/email.md with what texts may hold, as the
// error of a wrong one tells.
func TestEmailDocument(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/email.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\{\{(\w+)\}\}`)
	documented, explained := map[string][]string{}, map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|[^|]*\\|(.*)\\|$").FindAllStringSubmatch(string(content), -1) {
		documented[row[1]] = nil
		for _, name := range names.FindAllStringSubmatch(row[2], -1) {
			documented[row[1]] = append(documented[row[1]], name[1])
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `\\{\\{(\\w+)\\}\\}` \\|").FindAllStringSubmatch(string(content), -1) {
		explained[row[1]] = true
	}
	common := []string{"recipient", "server", "client", "download", "documentation"}
	for _, kind := range emailKinds() {
		_, err := mail.ReadTemplates(folderOf(t, map[string]string{kind.String() + ".en.txt": "{{?}}"}), emailKinds())
		if err == nil {
			t.Fatalf("%s: a wrong name is taken", kind)
		}
		_, known, _ := strings.Cut(err.Error(), "known are ")
		var want []string
		for _, name := range names.FindAllStringSubmatch(known, -1) {
			want = append(want, name[1])
			if !explained[name[1]] {
				t.Errorf("{{%s}} of %s is not explained", name[1], kind)
			}
		}
		if got, found := documented[kind.String()]; !found || !slices.Equal(append(got, common...), want) {
			t.Errorf("%s has %v, documented are %v", kind, want, got)
		}
	}
}
