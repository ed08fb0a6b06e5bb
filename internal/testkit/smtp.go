package testkit

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"parsec-server/pkg/config"
)

// SMTPOptions are how an SMTP server differs from one that takes everything in
// clear.
type SMTPOptions struct {
	// Encryption is TLS from the first byte, or an offer of STARTTLS, before
	// which no login is offered.
	Encryption config.EmailEncryption
	// User and Password: nobody needs to log in without.
	User, Password string
	// Mechanisms are the ways to log in that are offered. PLAIN and LOGIN
	// work.
	Mechanisms []string
	// Recipient refuses recipients by its error, or blocks.
	Recipient func(to string) error
	// Content does so once the whole e-mail is read.
	Content func() error
	// UTF8 takes addresses that are not ASCII.
	UTF8 bool
}

// SMTP is a real SMTP server on the loopback, which keeps what it gets.
type SMTP struct {
	options SMTPOptions
	host    string
	port    int
	roots   *x509.CertPool
	mails   chan Mail
	failed  atomic.Int64
}

// Mail is an e-mail as it arrived.
type Mail struct {
	// From and To are of the envelope.
	From, To string
	Header   mail.Header
	// Raw is all of it.
	Raw        string
	Text, HTML string
}

// StartSMTP runs a server until the test ends.
func StartSMTP(t testing.TB, options SMTPOptions) *SMTP {
	t.Helper()
	s := &SMTP{options: options, roots: x509.NewCertPool(), mails: make(chan Mail, 100)}
	certificate := loopbackCertificate(t)
	s.roots.AddCert(certificate.Leaf)
	encryption := &tls.Config{Certificates: []tls.Certificate{certificate}}
	server := smtp.NewServer(smtp.BackendFunc(s.session))
	server.Domain = "mail.example.com"
	server.EnableSMTPUTF8 = options.UTF8
	server.AllowInsecureAuth = options.Encryption == config.EmailClear
	server.ErrorLog = log.New(io.Discard, "", 0)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	address := listener.Addr().(*net.TCPAddr)
	s.host, s.port = address.IP.String(), address.Port
	switch options.Encryption {
	case config.EmailTLS:
		listener = tls.NewListener(listener, encryption)
	case config.EmailSTARTTLS:
		server.TLSConfig = encryption
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		err := server.Close()
		listener.Close() // Serve may not have begun: Close does not know of it then.
		if err := errors.Join(err, <-served); err != nil {
			t.Errorf("SMTP server: %v", err)
		}
	})
	return s
}

// Settings returns the settings to send e-mails to the server with.
func (s *SMTP) Settings() config.Email {
	return config.Email{
		Host: s.host, Port: s.port, User: s.options.User, Password: config.NewSecret(s.options.Password),
		UseSSL: s.options.Encryption == config.EmailTLS, UseTLS: s.options.Encryption == config.EmailSTARTTLS,
		Sender: mail.Address{Name: "Parsec", Address: "no-reply@example.com"}, Language: "en",
	}
}

// Roots verify the certificate of the server.
func (s *SMTP) Roots() *x509.CertPool { return s.roots }

// Next waits for an e-mail.
func (s *SMTP) Next(ctx context.Context, t testing.TB) Mail {
	t.Helper()
	select {
	case mail := <-s.mails:
		return mail
	case <-ctx.Done():
		t.Fatal("no e-mail arrives")
		return Mail{}
	}
}

// Empty reports whether every e-mail was taken.
func (s *SMTP) Empty() bool { return len(s.mails) == 0 }

// FailedLogins returns how often somebody did not get in.
func (s *SMTP) FailedLogins() int { return int(s.failed.Load()) }

// loopbackCertificate is one for 127.0.0.1, signed by itself.
func loopbackCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	certificate := web.TLS.Certificates[0]
	certificate.Leaf = web.Certificate()
	return certificate
}

func (s *SMTP) session(connection *smtp.Conn) (smtp.Session, error) {
	session := &smtpSession{server: s}
	if _, encrypted := connection.TLSConnectionState(); s.options.Encryption != config.EmailClear && !encrypted {
		return session, nil // no login yet
	}
	if s.options.User != "" {
		return &smtpLogin{smtpSession: session}, nil
	}
	return session, nil
}

// smtpSession takes e-mails.
type smtpSession struct {
	server   *SMTP
	from, to string
}

func (s *smtpSession) Reset()        { s.from, s.to = "", "" }
func (s *smtpSession) Logout() error { return nil }

func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.to != "" {
		return errors.New("two recipients")
	}
	if refuse := s.server.options.Recipient; refuse != nil {
		if err := refuse(to); err != nil {
			return err
		}
	}
	s.to = to
	return nil
}

func (s *smtpSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if refuse := s.server.options.Content; refuse != nil {
		if err := refuse(); err != nil {
			return err
		}
	}
	mail, err := ParseMail(raw)
	if err != nil {
		return err
	}
	mail.From, mail.To = s.from, s.to
	s.server.mails <- mail
	return nil
}

// smtpLogin is a session that wants a login.
type smtpLogin struct {
	*smtpSession
	known bool
}

func (s *smtpLogin) AuthMechanisms() []string { return s.server.options.Mechanisms }

func (s *smtpLogin) Auth(mechanism string) (sasl.Server, error) {
	if strings.EqualFold(mechanism, sasl.Plain) {
		return sasl.NewPlainServer(func(_, user, password string) error { return s.login(user, password) }), nil
	}
	return &loginServer{login: s.login}, nil
}

// loginServer asks for the name, then for the password.
type loginServer struct {
	login func(user, password string) error
	user  *string
}

func (s *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	text := string(response)
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case s.user == nil:
		s.user = &text
		return []byte("Password:"), false, nil
	default:
		return nil, true, s.login(*s.user, text)
	}
}

func (s *smtpLogin) login(user, password string) error {
	if user != s.server.options.User || password != s.server.options.Password {
		s.server.failed.Add(1)
		return smtp.ErrAuthFailed
	}
	s.known = true
	return nil
}

func (s *smtpLogin) Mail(from string, options *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	return s.smtpSession.Mail(from, options)
}

// ParseMail reads an e-mail of a text part and an HTML part, in this order.
func ParseMail(raw []byte) (Mail, error) {
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Mail{}, err
	}
	kind, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return Mail{}, errors.Join(errors.New("content type "+kind), err)
	}
	parts := multipart.NewReader(message.Body, parameters["boundary"])
	parsed := Mail{Header: message.Header, Raw: string(raw)}
	for _, part := range []struct {
		kind string
		text *string
	}{{"text/plain", &parsed.Text}, {"text/html", &parsed.HTML}} {
		if *part.text, err = nextPart(parts, part.kind); err != nil {
			return Mail{}, err
		}
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		return Mail{}, errors.New("more than two parts")
	}
	return parsed, nil
}

func nextPart(parts *multipart.Reader, want string) (string, error) {
	part, err := parts.NextPart()
	if err != nil {
		return "", err
	}
	kind, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	if err != nil || kind != want || !strings.EqualFold(parameters["charset"], "UTF-8") {
		return "", errors.Join(errors.New("part of type "+part.Header.Get("Content-Type")), err)
	}
	text, err := io.ReadAll(part)
	return strings.ReplaceAll(string(text), "\r\n", "\n"), err
}
