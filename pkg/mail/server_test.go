package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// TestEncryptionAndLogin sends an e-mail in every way that a server may want.
func TestEncryptionAndLogin(t *testing.T) {
	t.Parallel()
	login := func(encryption config.EmailEncryption, mechanisms ...string) testkit.SMTPOptions {
		return testkit.SMTPOptions{Encryption: encryption, User: "parsec", Password: "secret", Mechanisms: mechanisms}
	}
	for name, options := range map[string]testkit.SMTPOptions{
		"clear":              {Encryption: config.EmailClear},
		"TLS":                {Encryption: config.EmailTLS},
		"STARTTLS":           {Encryption: config.EmailSTARTTLS},
		"clear, PLAIN":       login(config.EmailClear, "PLAIN"),
		"clear, LOGIN":       login(config.EmailClear, "LOGIN"),
		"TLS, PLAIN":         login(config.EmailTLS, "PLAIN", "LOGIN"),
		"TLS, LOGIN":         login(config.EmailTLS, "LOGIN"),
		"STARTTLS, PLAIN":    login(config.EmailSTARTTLS, "PLAIN", "LOGIN"),
		"STARTTLS, LOGIN":    login(config.EmailSTARTTLS, "LOGIN"),
		"STARTTLS, XOAUTH2…": login(config.EmailSTARTTLS, "XOAUTH2", "LOGIN"),
		// The server of these tests offers what it cannot do, as some do.
		"TLS, CRAM-MD5…":        login(config.EmailTLS, "CRAM-MD5", "PLAIN"),
		"STARTTLS, SCRAM…":      login(config.EmailSTARTTLS, "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "LOGIN"),
		"TLS, in another case…": login(config.EmailTLS, "cram-md5", "plain"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testkit.StartSMTP(t, options)
			wantSent(t, trusting(server, server.Settings()), invitation(parsec.InvitationUser), Sent)
			mail := server.Next(within(t), t)
			if mail.From != "no-reply@example.com" || mail.To != "bob@example.com" {
				t.Errorf("from %s to %s", mail.From, mail.To)
			}
		})
	}
}

// TestNotAvailable has everything go wrong but the recipient: what would be the same
// later is told from what may not.
func TestNotAvailable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options testkit.SMTPOptions
		change  func(settings *config.Email)
		outcome Outcome
		explain string // in the log
	}{
		{"wrong password", testkit.SMTPOptions{Encryption: config.EmailTLS, User: "parsec", Password: "secret", Mechanisms: []string{"PLAIN"}},
			func(s *config.Email) { s.Password = config.NewSecret("other") }, Misconfigured, "535"},
		{"login that is not offered", testkit.SMTPOptions{Encryption: config.EmailTLS},
			func(s *config.Email) { s.User, s.Password = "parsec", config.NewSecret("secret") }, Misconfigured, "AUTH"},
		{"no known login", testkit.SMTPOptions{Encryption: config.EmailTLS, User: "parsec", Password: "secret", Mechanisms: []string{"GSSAPI"}},
			nil, Misconfigured, "auth"},
		{"login wanted, none set", testkit.SMTPOptions{Encryption: config.EmailTLS, User: "parsec", Password: "secret", Mechanisms: []string{"PLAIN"}},
			func(s *config.Email) { s.User = "" }, Misconfigured, "authenticate"},
		{"wrong password everywhere", testkit.SMTPOptions{Encryption: config.EmailTLS, User: "parsec", Password: "secret", Mechanisms: []string{"PLAIN", "CRAM-MD5"}},
			func(s *config.Email) { s.Password = config.NewSecret("other") }, Misconfigured, "log in by CRAM-MD5"},
		{"better login refused in clear", testkit.SMTPOptions{Encryption: config.EmailClear, User: "parsec", Password: "secret", Mechanisms: []string{"PLAIN", "CRAM-MD5"}},
			nil, Misconfigured, "log in by CRAM-MD5"},
		{"STARTTLS not offered", testkit.SMTPOptions{Encryption: config.EmailClear},
			func(s *config.Email) { s.UseTLS = true }, Misconfigured, "STARTTLS"},
		{"TLS to a server in clear", testkit.SMTPOptions{Encryption: config.EmailClear},
			func(s *config.Email) { s.UseSSL = true }, Misconfigured, "tls"},
		{"no server", testkit.SMTPOptions{}, func(s *config.Email) { s.Port = 1 }, NotAvailable, "refused"},
		{"content refused", testkit.SMTPOptions{Content: func() error { return &smtp.SMTPError{Code: 554, Message: "spam"} }}, nil, Misconfigured, "spam"},
		{"server that stops", testkit.SMTPOptions{Recipient: func(string) error { return &smtp.SMTPError{Code: 421, Message: "bye"} }}, nil, NotAvailable, "bye"},
		{"login wanted at the recipient", testkit.SMTPOptions{Recipient: func(string) error { return &smtp.SMTPError{Code: 530, Message: "who"} }}, nil, Misconfigured, "who"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := testkit.StartSMTP(t, tt.options)
			settings := server.Settings()
			if tt.change != nil {
				tt.change(&settings)
			}
			mailer := trusting(server, settings)
			logger, log := logged()
			tells(mailer, logger)
			wantSent(t, mailer, invitation(parsec.InvitationUser), tt.outcome)
			if !server.Empty() {
				t.Error("something was sent")
			}
			if !strings.Contains(log.String(), tt.explain) || strings.Contains(log.String(), "secret") {
				t.Errorf("log %s, want %q", log, tt.explain)
			}
		})
	}
}

// TestUnknownAuthority meets a certificate that nobody vouches for.
func TestUnknownAuthority(t *testing.T) {
	t.Parallel()
	for _, encryption := range []config.EmailEncryption{config.EmailTLS, config.EmailSTARTTLS} {
		server := testkit.StartSMTP(t, testkit.SMTPOptions{Encryption: encryption})
		mailer := newMailer(server.Settings())
		logger, log := logged()
		tells(mailer, logger)
		wantSent(t, mailer, invitation(parsec.InvitationUser), Misconfigured)
		if !strings.Contains(log.String(), "certificate signed by unknown authority") {
			t.Errorf("log %s", log)
		}
	}
}

// TestRefusedRecipient is told from other failures.
func TestRefusedRecipient(t *testing.T) {
	t.Parallel()
	for _, code := range []int{550, 553, 450} {
		server := testkit.StartSMTP(t, testkit.SMTPOptions{
			Recipient: func(string) error { return &smtp.SMTPError{Code: code, Message: "no such mailbox"} },
		})
		wantSent(t, newMailer(server.Settings()), invitation(parsec.InvitationUser), BadRecipient)
	}
}

// TestLoginIsRemembered begins with the mechanism that worked: the failed ones
// make some servers shut their clients out.
func TestLoginIsRemembered(t *testing.T) {
	t.Parallel()
	server := testkit.StartSMTP(t, testkit.SMTPOptions{
		Encryption: config.EmailTLS, User: "parsec", Password: "secret", Mechanisms: []string{"CRAM-MD5", "PLAIN", "LOGIN"},
	})
	mailer := trusting(server, server.Settings())
	for range 3 {
		wantSent(t, mailer, invitation(parsec.InvitationUser), Sent)
	}
	if failed := server.FailedLogins(); failed != 1 {
		t.Errorf("%d failed logins for three e-mails, want the first one", failed)
	}
}

// TestReplacedPassword is in a file that gets another content.
func TestReplacedPassword(t *testing.T) {
	t.Parallel()
	server := testkit.StartSMTP(t, testkit.SMTPOptions{Encryption: config.EmailTLS, User: "parsec", Password: "second", Mechanisms: []string{"PLAIN"}})
	settings := server.Settings()
	settings.Password, settings.PasswordFile = config.NewSecret("first"), filepath.Join(t.TempDir(), "password")
	mailer := trusting(server, settings)
	for _, row := range []struct {
		password string
		want     Outcome
	}{{"first", Misconfigured}, {"second", Sent}} {
		if err := os.WriteFile(settings.PasswordFile, []byte(row.password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantSent(t, mailer, invitation(parsec.InvitationUser), row.want)
	}
}

// TestWhomARefusalIsAbout has the words of real servers.
func TestWhomARefusalIsAbout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code     int
		enhanced string
		text     string
		want     Outcome
	}{
		{550, "5.1.1", "<bob@example.com>: Recipient address rejected: User unknown in virtual mailbox table", BadRecipient},
		{550, "5.1.1", "The email account that you tried to reach does not exist", BadRecipient},
		{450, "4.1.1", "<bob@example.com>: Recipient address rejected: unverified address", BadRecipient},
		{550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", BadRecipient},
		{550, "5.4.1", "Recipient address rejected: Access denied. AS(201806281)", BadRecipient},
		{552, "5.2.2", "Mailbox full", BadRecipient},
		{550, "5.2.1", "The email account that you tried to reach is disabled", BadRecipient},
		{550, "5.1.2", "<bob@example.com>: Recipient address rejected: Domain not found", BadRecipient},
		{554, "5.7.1", "<bob@example.com>: Relay access denied", BadRecipient},
		{550, "5.7.1", "Unable to relay", BadRecipient},
		{550, "", "unknown user", BadRecipient},
		{553, "", "sorry, no mailbox here by that name", BadRecipient},
		{550, "5.1.1", "<sender@example.com>: no such user here", BadRecipient},

		{550, "5.7.1", "<parsec>: Helo command rejected: need fully-qualified hostname", Misconfigured},
		{504, "5.5.2", "<parsec>: Helo command rejected: need fully-qualified hostname", Misconfigured},
		{450, "4.7.1", "<parsec.example.com>: Helo command rejected: Host not found", NotAvailable},
		{450, "4.7.25", "Client host rejected: cannot find your hostname, [192.0.2.1]", NotAvailable},
		{554, "5.7.1", "<unknown[192.0.2.1]>: Client host rejected: Access denied", Misconfigured},
		{554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.example", Misconfigured},
		{553, "5.7.1", "<no-reply@example.com>: Sender address rejected: not owned by user parsec", Misconfigured},
		{553, "5.7.1", "<no-reply@example.com>: Sender address rejected: not logged in", Misconfigured},
		{550, "5.1.8", "<no-reply@example.com>: Sender address rejected: Domain not found", Misconfigured},
		{550, "5.1.0", "<no-reply@example.com>: Sender address rejected: User unknown", Misconfigured},
		{450, "4.1.7", "<no-reply@example.com>: Sender address rejected: unverified address", NotAvailable},
		{550, "5.1.1", "<no-reply@example.com>: Sender address rejected: undeliverable address", Misconfigured},
		{450, "4.7.1", "Error: too much mail from 192.0.2.1", NotAvailable},
		{450, "4.2.1", "The user you are trying to contact is receiving mail at a rate that prevents additional messages", NotAvailable},
		{450, "4.2.0", "<bob@example.com>: Recipient address rejected: Greylisted, see http://postgrey.example", NotAvailable},
		{451, "4.7.1", "Greylisting in action, please come back later", NotAvailable},
		{451, "4.3.0", "Temporary lookup failure", NotAvailable},
		{452, "4.5.3", "Too many recipients", NotAvailable},
		{550, "5.7.26", "Unauthenticated email from example.com is not accepted due to DMARC policy", Misconfigured},
		{550, "", "SPF check failed", Misconfigured},
		{550, "", "authentication required", Misconfigured},
		{503, "", "valid RCPT command must precede DATA", Misconfigured},
	} {
		t.Run(fmt.Sprint(tt.code, " ", tt.enhanced, " ", tt.text), func(t *testing.T) {
			t.Parallel()
			refusal := &smtp.SMTPError{Code: tt.code, EnhancedCode: smtp.NoEnhancedCode, Message: tt.text}
			if tt.enhanced != "" {
				refusal.Message = tt.enhanced + " " + tt.text
			}
			server := testkit.StartSMTP(t, testkit.SMTPOptions{Recipient: func(string) error { return refusal }})
			wantSent(t, newMailer(server.Settings()), invitation(parsec.InvitationUser), tt.want)
		})
	}
}

// TestHangingServer is left when the context ends, at every step.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"greeting", "TLS", "recipient", "content"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(within(t))
			hang := func() error {
				cancel()
				<-t.Context().Done()
				return errors.New("too late")
			}
			var settings config.Email
			switch step {
			case "recipient":
				settings = testkit.StartSMTP(t, testkit.SMTPOptions{Recipient: func(string) error { return hang() }}).Settings()
			case "content":
				settings = testkit.StartSMTP(t, testkit.SMTPOptions{Content: hang}).Settings()
			default:
				settings = listen(t, func(net.Conn) { _ = hang() })
				settings.UseSSL = step == "TLS"
			}
			if sent := newMailer(settings).SendInvitation(ctx, invitation(parsec.InvitationUser)); sent != NotAvailable {
				t.Errorf("sent: %s", sent)
			}
			if ctx.Err() == nil {
				t.Error("the server was not reached")
			}
		})
	}
}

// TestTooMany wait while all places are taken by a server that hangs.
func TestTooMany(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, maxDeliveries)
	mailer := newMailer(listen(t, func(net.Conn) {
		reached <- struct{}{}
		<-t.Context().Done()
	}))
	ctx, cancel := context.WithCancel(within(t))
	sent := make(chan Outcome)
	for range maxDeliveries {
		go func() { sent <- mailer.SendInvitation(ctx, invitation(parsec.InvitationUser)) }()
	}
	for range maxDeliveries {
		<-reached
	}
	hurried, hurry := context.WithCancel(ctx)
	hurry()
	if got := mailer.SendInvitation(hurried, invitation(parsec.InvitationUser)); got != NotAvailable {
		t.Errorf("one more: %s", got)
	}
	if len(reached) > 0 {
		t.Error("one more reached the server")
	}
	cancel()
	for range maxDeliveries {
		if got := <-sent; got != NotAvailable {
			t.Errorf("sent: %s", got)
		}
	}
}

// TestStrangeServers end the connection, or speak another language.
func TestStrangeServers(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]struct {
		said string
		want Outcome
	}{
		"closes":        {"", NotAvailable},
		"speaks HTTP":   {"HTTP/1.1 400 Bad Request\r\n\r\n", Misconfigured},
		"ends":          {"421 later\r\n", NotAvailable},
		"refuses":       {"554 go away\r\n", Misconfigured},
		"closes later":  {"220 hello\r\n250-hello\r\n", NotAvailable},
		"endless reply": {"220" + strings.Repeat("-x\r\n220", 100_000), NotAvailable},
		"long line":     {"220 " + strings.Repeat("x", 1<<20), NotAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := listen(t, func(connection net.Conn) { _, _ = connection.Write([]byte(server.said)) })
			wantSent(t, newMailer(settings), invitation(parsec.InvitationUser), server.want)
		})
	}
}

// listen has serve answer each connection.
func listen(t *testing.T, serve func(net.Conn)) config.Email {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				serve(connection)
			}()
		}
	}()
	settings := config.Email{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, Language: "en"}
	settings.Sender.Address = "no-reply@example.com"
	return settings
}
