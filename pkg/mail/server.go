package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// stepLimit bounds each step of a delivery, whatever its context allows.
const stepLimit = 30 * time.Second

// smtpServer is an SMTP server. Each e-mail has a connection of its own.
type smtpServer struct {
	options Options
	// hello is the name to present; "" for that of the machine.
	hello string
	// roots verify the server's certificate, nil for the system's.
	roots *x509.CertPool
	// mechanism logged in last: a string. Failed logins make some servers shut
	// their clients out, so the next e-mail begins with it.
	mechanism atomic.Value
}

// deliver talks to the server until the e-mail is accepted. Encryption that
// is wanted and not to be had is an error: nothing goes in clear instead.
func (s *smtpServer) deliver(ctx context.Context, letter letter, logger *slog.Logger) error {
	err := s.loggedIn(ctx, func(login *login) error { return s.attempt(ctx, letter.message, login) })
	if err == nil {
		// By its id the log of the SMTP server tells the rest.
		logger.InfoContext(ctx, "e-mail sent", slog.String("message_id", letter.message.GetMessageID()))
	}
	return err
}

// loggedIn has attempt connect and log in, by one mechanism after the other while the
// server takes none.
func (s *smtpServer) loggedIn(ctx context.Context, attempt func(login *login) error) error {
	login := s.login()
	for {
		err := attempt(login)
		if login != nil && err != nil {
			if login.again(err) && ctx.Err() == nil {
				continue
			}
			err = login.explain(err)
		}
		if login != nil && login.worked() != "" {
			s.mechanism.Store(login.worked())
		}
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("the SMTP server took too long: %w", err)
		}
		return err
	}
}

// login is nil if the options ask for none.
func (s *smtpServer) login() *login {
	if s.options.User == "" {
		return nil
	}
	password := s.options.Password()
	if password == "" {
		return nil
	}
	first, _ := s.mechanism.Load().(string)
	return &login{user: s.options.User, password: password, host: s.options.Host, first: first}
}

// attempt is one connection of deliver.
func (s *smtpServer) attempt(ctx context.Context, message *gomail.Msg, login *login) error {
	connection, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to the SMTP server: %w", err)
	}
	defer connection.Close()
	// The library has time limits for each step only.
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	sender, _ := message.GetSender(false)
	recipients, err := message.GetRecipients()
	client, failed := s.client(connection, err == nil && isASCII(sender+strings.Join(recipients, "")), login)
	if failed != nil {
		return failed
	}
	err = client.DialAndSendWithContext(ctx, message)
	if message.IsDelivered() {
		return nil // what fails after it, such as QUIT, does not count
	}
	if err == nil {
		err = errors.New("the e-mail was not accepted")
	}
	return err
}

func (s *smtpServer) connect(ctx context.Context) (net.Conn, error) {
	address := net.JoinHostPort(s.options.Host, strconv.Itoa(s.options.Port))
	if s.options.Encryption == TLS {
		return (&tls.Dialer{Config: s.tlsConfig()}).DialContext(ctx, "tcp", address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

func (s *smtpServer) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.options.Host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
}

// client is for one e-mail over a connection, or none. ascii reports that no address in
// it is in other characters.
func (s *smtpServer) client(connection net.Conn, ascii bool, login *login) (*gomail.Client, error) {
	settings := []gomail.Option{
		gomail.WithPort(s.options.Port), gomail.WithTimeout(stepLimit), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return connection, nil }),
		gomail.WithTLSConfig(s.tlsConfig()), gomail.WithTLSPolicy(gomail.NoTLS),
	}
	if s.options.Encryption == STARTTLS {
		settings = append(settings, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.hello != "" {
		settings = append(settings, gomail.WithHELO(s.hello))
	}
	if ascii {
		settings = append(settings, gomail.WithoutSMTPUTF8())
	}
	if login != nil {
		settings = append(settings, gomail.WithSMTPAuthCustom(login))
	}
	return gomail.NewClient(s.options.Host, settings...)
}
