package mail

import (
	"context"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/span"
)

// maxDeliveries bounds the connections to the SMTP server. Who comes later
// waits.
const maxDeliveries = 8

var _ rules.Mailer = (*Mailer)(nil)

// Mailer sends e-mails. Its methods are safe for concurrent use.
type Mailer struct {
	address parsec.ServerAddress
	sender  netmail.Address
	words   *language
	carrier carrier
	now     func() time.Time
	logger  *slog.Logger
	// places has a token for each delivery under way.
	places chan struct{}
}

// carrier hands one e-mail over.
type carrier interface {
	deliver(ctx context.Context, message *gomail.Msg) error
}

// New returns a mailer of the settings, whose host is not empty. Links lead to
// address; without it no e-mail can be sent.
func New(settings config.Email, address parsec.ServerAddress, logger *slog.Logger) *Mailer {
	m := &Mailer{
		address: address, sender: settings.Sender, words: languages[settings.Language],
		now: time.Now, logger: logger, places: make(chan struct{}, maxDeliveries),
	}
	// What is no domain is for the SMTP server to refuse.
	if address, err := withASCIIDomain(settings.Sender.Address); err == nil {
		m.sender.Address = address
	}
	if settings.Host == config.Mocked {
		m.carrier = &folder{logger: logger}
	} else {
		m.carrier = &smtpServer{settings: settings, hello: helloName(address)}
	}
	return m
}

// SendInvitation is for the rules: see rules.Mailer.
func (m *Mailer) SendInvitation(ctx context.Context, mail rules.InvitationMail) protocol.EmailSent {
	logger := m.logger.With(slog.String("organization_id", mail.Organization.String()), slog.String("type", string(mail.Type)))
	if m.address == (parsec.ServerAddress{}) {
		logger.WarnContext(ctx, "e-mail not sent: this server has no public address (--backend-addr)")
		return protocol.EmailNotAvailable
	}
	to, err := parseRecipient(mail.To)
	if err != nil {
		logger.InfoContext(ctx, "e-mail not sent: no such recipient can be", slog.Any("error", err))
		return protocol.EmailBadRecipient
	}
	message := m.message(mail, to)
	select {
	case m.places <- struct{}{}:
		defer func() { <-m.places }()
	case <-ctx.Done():
		logger.ErrorContext(ctx, "e-mail not sent: too many wait already")
		return protocol.EmailNotAvailable
	}
	end := span.Begin(ctx, "e-mail")
	err = m.carrier.deliver(ctx, message)
	end(err)
	if err != nil {
		if isRecipientRefused(err) {
			logger.WarnContext(ctx, "e-mail not sent: recipient refused", slog.Any("error", err))
			return protocol.EmailBadRecipient
		}
		logger.ErrorContext(ctx, "e-mail not sent", slog.Any("error", err))
		return protocol.EmailNotAvailable
	}
	return protocol.EmailSuccess
}

// message writes the letter of an invitation and puts it in its envelope.
func (m *Mailer) message(mail rules.InvitationMail, to *netmail.Address) *gomail.Msg {
	letter := m.words.compose(mail, m.address)
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(&m.sender)
	message.ToMailAddress(to)
	if mail.ReplyTo != (parsec.HumanHandle{}) {
		// A handle may hold an address that is none for RFC 5322: better no
		// Reply-To than a wrong one.
		if reply, err := parseRecipient(mail.ReplyTo.Email()); err == nil {
			reply.Name = oneLine(mail.ReplyTo.Label())
			message.ReplyToMailAddress(reply)
		}
	}
	message.Subject(letter.Subject)
	message.SetDateWithValue(m.now())
	message.SetMessageIDWithValue(parsec.NewUUID().Hex() + "@" + domainOf(m.sender.Address))
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader(gomail.HeaderContentLang, m.words.tag)
	message.SetBodyString(gomail.TypeTextPlain, letter.text())
	message.AddAlternativeString(gomail.TypeTextHTML, letter.html())
	return message
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
