package mail

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testkit.StartSMTP(t, options)
			wantSent(t, trusting(server, server.Settings()), invitation(parsec.InvitationUser), protocol.EmailSuccess)
			mail := server.Next(within(t), t)
			if mail.From != "no-reply@example.com" || mail.To != "bob@example.com" {
				t.Errorf("from %s to %s", mail.From, mail.To)
			}
		})
	}
}

// TestNotAvailable has everything go wrong but the recipient.
func TestNotAvailable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options testkit.SMTPOptions
		change  func(settings *config.Email)
		want    string // in the log
	}{
		{"wrong password", testkit.SMTPOptions{Encryption: config.EmailTLS, User: "parsec", Password: "secret", Mechanisms: []string{"PLAIN"}},
			func(s *config.Email) { s.Password = config.NewSecret("other") }, "535"},
		{"login that is not offered", testkit.SMTPOptions{Encryption: config.EmailTLS},
			func(s *config.Email) { s.User, s.Password = "parsec", config.NewSecret("secret") }, "AUTH"},
		{"no known login", testkit.SMTPOptions{Encryption: config.EmailTLS, User: "parsec", Password: "secret", Mechanisms: []string{"GSSAPI"}},
			nil, "auth"},
		{"login wanted, none set", testkit.SMTPOptions{Encryption: config.EmailTLS, User: "parsec", Password: "secret", Mechanisms: []string{"PLAIN"}},
			func(s *config.Email) { s.User = "" }, "authenticate"},
		{"STARTTLS not offered", testkit.SMTPOptions{Encryption: config.EmailClear},
			func(s *config.Email) { s.UseTLS = true }, "STARTTLS"},
		{"TLS to a server in clear", testkit.SMTPOptions{Encryption: config.EmailClear},
			func(s *config.Email) { s.UseSSL = true }, "tls"},
		{"no server", testkit.SMTPOptions{}, func(s *config.Email) { s.Port = 1 }, "refused"},
		{"content refused", testkit.SMTPOptions{Content: func() error { return &smtp.SMTPError{Code: 554, Message: "spam"} }}, nil, "spam"},
		{"server that stops", testkit.SMTPOptions{Recipient: func(string) error { return &smtp.SMTPError{Code: 421, Message: "bye"} }}, nil, "bye"},
		{"login wanted at the recipient", testkit.SMTPOptions{Recipient: func(string) error { return &smtp.SMTPError{Code: 530, Message: "who"} }}, nil, "who"},
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
			mailer.logger = logger
			wantSent(t, mailer, invitation(parsec.InvitationUser), protocol.EmailNotAvailable)
			if !server.Empty() {
				t.Error("something was sent")
			}
			if !strings.Contains(log.String(), tt.want) || strings.Contains(log.String(), "secret") {
				t.Errorf("log %s, want %q", log, tt.want)
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
		mailer.logger = logger
		wantSent(t, mailer, invitation(parsec.InvitationUser), protocol.EmailNotAvailable)
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
		wantSent(t, newMailer(server.Settings()), invitation(parsec.InvitationUser), protocol.EmailBadRecipient)
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
			if sent := newMailer(settings).SendInvitation(ctx, invitation(parsec.InvitationUser)); sent != protocol.EmailNotAvailable {
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
	sent := make(chan protocol.EmailSent)
	for range maxDeliveries {
		go func() { sent <- mailer.SendInvitation(ctx, invitation(parsec.InvitationUser)) }()
	}
	for range maxDeliveries {
		<-reached
	}
	hurried, hurry := context.WithCancel(ctx)
	hurry()
	if got := mailer.SendInvitation(hurried, invitation(parsec.InvitationUser)); got != protocol.EmailNotAvailable {
		t.Errorf("one more: %s", got)
	}
	if len(reached) > 0 {
		t.Error("one more reached the server")
	}
	cancel()
	for range maxDeliveries {
		if got := <-sent; got != protocol.EmailNotAvailable {
			t.Errorf("sent: %s", got)
		}
	}
}

// TestStrangeServers end the connection, or speak another language.
func TestStrangeServers(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]string{
		"closes":        "",
		"speaks HTTP":   "HTTP/1.1 400 Bad Request\r\n\r\n",
		"refuses":       "554 go away\r\n",
		"closes later":  "220 hello\r\n250-hello\r\n",
		"endless reply": "220" + strings.Repeat("-x\r\n220", 100_000),
		"long line":     "220 " + strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := listen(t, func(connection net.Conn) { _, _ = connection.Write([]byte(said)) })
			wantSent(t, newMailer(settings), invitation(parsec.InvitationUser), protocol.EmailNotAvailable)
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
