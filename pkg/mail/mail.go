package mail

import (
	"context"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/span"
)

// maxDeliveries bounds the connections to the SMTP server. Who comes later
// waits.
const maxDeliveries = 8

// Options say who sends e-mails, and how.
type Options struct {
	// Host is the SMTP server; "" writes e-mails in temporary files.
	Host string
	Port int
	// User, and the Password of the moment: no login unless both are there.
	User       string
	Password   func() string
	Encryption Encryption
	Sender     netmail.Address
	// Language is en or fr.
	Language string
}

// Encryption is how the connection to an SMTP server is protected.
type Encryption string

// The ways to protect a connection to an SMTP server.
const (
	Clear    Encryption = "none"
	TLS      Encryption = "TLS"
	STARTTLS Encryption = "STARTTLS"
)

// Outcome is what became of an e-mail.
type Outcome string

// The outcomes.
const (
	// Sent e-mails were handed over.
	Sent Outcome = "sent"
	// NotAvailable is of an e-mail that could not be handed over in time.
	NotAvailable Outcome = "not available"
	// BadRecipient is of an e-mail whose recipient cannot be, or was refused.
	BadRecipient Outcome = "bad recipient"
)

// Invitation is what an e-mail about an invitation says.
type Invitation struct {
	Organization parsec.OrganizationID
	Type         parsec.InvitationType
	Link         string
	// To is the address of the recipient. Like GreeterName, the name of who
	// invites, it may hold anything.
	To, GreeterName string
	// ReplyTo is the handle of who invites, zero for an e-mail without Reply-To.
	ReplyTo parsec.HumanHandle
	// DownloadURL and DocumentationURL are pages about the application.
	DownloadURL, DocumentationURL string
}

// Message is a letter and its envelope.
type Message struct {
	// Kind says in the log what the e-mail is about.
	Kind string
	// Organization is the one that it is about, zero for none.
	Organization parsec.OrganizationID
	// To is the address of the recipient. It may hold anything.
	To string
	// ReplyTo is zero for an e-mail without Reply-To.
	ReplyTo parsec.HumanHandle
	Letter  Letter
}

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

// New returns a mailer of the server at address, without which no e-mail can be
// sent.
func New(options Options, address parsec.ServerAddress, logger *slog.Logger) *Mailer {
	m := &Mailer{
		address: address, sender: options.Sender, words: languages[options.Language],
		now: time.Now, logger: logger, places: make(chan struct{}, maxDeliveries),
	}
	// What is no domain is for the SMTP server to refuse.
	if address, err := withASCIIDomain(options.Sender.Address); err == nil {
		m.sender.Address = address
	}
	if options.Host == "" {
		m.carrier = &folder{logger: logger}
	} else {
		m.carrier = &smtpServer{options: options, hello: helloName(address)}
	}
	return m
}

// SendInvitation does what Send does with the letter of an invitation.
func (m *Mailer) SendInvitation(ctx context.Context, mail Invitation) Outcome {
	return m.Send(ctx, Message{
		Kind: string(mail.Type), Organization: mail.Organization, To: mail.To, ReplyTo: mail.ReplyTo,
		Letter: m.words.invitation(mail),
	})
}

// Send sends one e-mail, NotAvailable when ctx ends first. It logs what went wrong.
func (m *Mailer) Send(ctx context.Context, mail Message) Outcome {
	logger := m.logger.With(slog.String("type", mail.Kind))
	if mail.Organization != (parsec.OrganizationID{}) {
		logger = m.logger.With(slog.String("organization_id", mail.Organization.String()), slog.String("type", mail.Kind))
	}
	if m.address == (parsec.ServerAddress{}) {
		logger.WarnContext(ctx, "e-mail not sent: this server has no public address (--server-addr or --backend-addr)")
		return NotAvailable
	}
	to, err := parseRecipient(mail.To)
	if err != nil {
		logger.InfoContext(ctx, "e-mail not sent: no such recipient can be", slog.Any("error", err))
		return BadRecipient
	}
	message := m.message(mail, to)
	select {
	case m.places <- struct{}{}:
		defer func() { <-m.places }()
	case <-ctx.Done():
		logger.ErrorContext(ctx, "e-mail not sent: too many wait already")
		return NotAvailable
	}
	end := span.Begin(ctx, "e-mail")
	err = m.carrier.deliver(ctx, message)
	end(err)
	if err != nil {
		if isRecipientRefused(err) {
			logger.WarnContext(ctx, "e-mail not sent: recipient refused", slog.Any("error", err))
			return BadRecipient
		}
		logger.ErrorContext(ctx, "e-mail not sent", slog.Any("error", err))
		return NotAvailable
	}
	return Sent
}

// message puts a letter in its envelope.
func (m *Mailer) message(mail Message, to *netmail.Address) *gomail.Msg {
	letter := m.words.frame(mail.Letter, m.address)
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
