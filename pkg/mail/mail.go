package mail

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"html"
	"log/slog"
	"maps"
	netmail "net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"parsec-server/pkg/outage"
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
	// Clients are the pages about the applications, those of the project if zero.
	Clients parsec.Clients
	// Templates replace built-in texts, nil for none.
	Templates *Templates
	// Outage is told whether e-mails can be handed over; nil makes one for this mailer
	// alone.
	Outage *outage.Dependency
	// Observe is told what became of each e-mail, nil for nobody. It must not block.
	Observe func(kind *Kind, outcome Outcome)
	// Take gets e-mails in place of any server, nil for nobody. Its methods are those
	// of a Mailer: it may be called by many at once.
	Take func(Copy) error
}

// Copy is an e-mail as it would be sent.
type Copy struct {
	Kind                *Kind
	Language            string
	Subject, Text, HTML string
	// Raw is all of it, as SMTP servers get it.
	Raw []byte
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
	// NotAvailable is of an e-mail that could not be handed over in time, and may be later.
	NotAvailable Outcome = "not available"
	// Misconfigured is of an e-mail that the server does not take as this one sends it: by
	// this login, from this sender, over this TLS.
	Misconfigured Outcome = "misconfigured"
	// BadRecipient is of an e-mail whose recipient cannot be, or was refused.
	BadRecipient Outcome = "bad recipient"
)

// Outcomes returns all outcomes.
func Outcomes() []Outcome { return []Outcome{Sent, NotAvailable, Misconfigured, BadRecipient} }

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
	Pages   Pages
}

// Pages are what an e-mail says about the application that it is for.
type Pages struct {
	// Client is the name of the application.
	Client                  string
	Download, Documentation string
}

// PagesOf returns what e-mails say about the application of a generation.
func PagesOf(clients parsec.Clients, generation parsec.Scheme) Pages {
	of := cmp.Or(clients, parsec.DefaultClients()).Of(generation)
	return Pages{Client: generation.Product(), Download: of.Download, Documentation: of.Documentation}
}

// JoiningPagesOf is PagesOf, for whoever is about to join an organization.
func JoiningPagesOf(clients parsec.Clients, generation parsec.Scheme) Pages {
	pages := PagesOf(clients, generation)
	pages.Documentation = parsec.ClientPages{Documentation: pages.Documentation}.Joining()
	return pages
}

// Message is what an e-mail says, and its envelope.
type Message struct {
	Kind *Kind
	// Organization is the one that it is about, zero for none.
	Organization parsec.OrganizationID
	// To is the address of the recipient. It may hold anything.
	To string
	// ReplyTo is zero for an e-mail without Reply-To.
	ReplyTo parsec.HumanHandle
	// Values are those of the names of its kind. They may hold anything, and show as
	// text of one line.
	Values map[string]string
	Pages  Pages
}

// Mailer sends e-mails. Its methods are safe for concurrent use.
type Mailer struct {
	address   parsec.ServerAddress
	sender    netmail.Address
	language  string
	templates *Templates
	carrier   carrier
	observe   func(kind *Kind, outcome Outcome)
	outage    *outage.Dependency
	now       func() time.Time
	logger    *slog.Logger
	// places has a token for each delivery under way.
	places chan struct{}
}

// letter is an e-mail that goes out.
type letter struct {
	Copy    // without Raw
	message *gomail.Msg
}

// carrier hands one e-mail over, and logs that it has.
type carrier interface {
	deliver(ctx context.Context, letter letter, logger *slog.Logger) error
}

// New returns a mailer of the server at address, without which no e-mail can be
// sent.
func New(options Options, address parsec.ServerAddress, logger *slog.Logger) *Mailer {
	m := &Mailer{
		address: address, sender: options.Sender, language: options.Language, templates: options.Templates,
		observe: options.Observe, outage: outageOf(options, logger), now: time.Now, logger: logger, places: make(chan struct{}, maxDeliveries),
	}
	if m.observe == nil {
		m.observe = func(*Kind, Outcome) {}
	}
	// What is no domain is for the SMTP server to refuse.
	if address, err := withASCIIDomain(options.Sender.Address); err == nil {
		m.sender.Address = address
	}
	switch {
	case options.Take != nil:
		m.carrier = taker(options.Take)
	case options.Host == "":
		m.carrier = &folder{}
	default:
		m.carrier = &smtpServer{options: options, hello: helloName(address)}
	}
	return m
}

// SendInvitation does what Send does with the e-mail of an invitation.
func (m *Mailer) SendInvitation(ctx context.Context, mail Invitation) Outcome {
	inviter := mail.GreeterName
	if mail.ReplyTo != (parsec.HumanHandle{}) {
		inviter = fmt.Sprintf("%s (%s)", mail.GreeterName, mail.ReplyTo.Email())
	}
	return m.Send(ctx, Message{
		Kind: invitations[mail.Type], Organization: mail.Organization, To: mail.To, ReplyTo: mail.ReplyTo, Pages: mail.Pages,
		Values: map[string]string{
			"greeter": mail.GreeterName, "inviter": inviter, "organization": mail.Organization.String(), linkName: mail.Link,
		},
	})
}

// Send sends one e-mail, NotAvailable when ctx ends first. It writes one line in the
// log: what was sent, or what went wrong.
func (m *Mailer) Send(ctx context.Context, mail Message) Outcome {
	outcome := m.send(ctx, mail)
	m.observe(mail.Kind, outcome)
	return outcome
}

func (m *Mailer) send(ctx context.Context, mail Message) Outcome {
	about := []slog.Attr{slog.String("type", mail.Kind.String())}
	if mail.Organization != (parsec.OrganizationID{}) {
		about = append([]slog.Attr{slog.String("organization_id", mail.Organization.String())}, about...)
	}
	logger := slog.New(m.logger.Handler().WithAttrs(about))
	if m.address == (parsec.ServerAddress{}) {
		logger.WarnContext(ctx, "e-mail not sent: this server has no public address (--server-addr or --backend-addr)")
		return NotAvailable
	}
	to, err := parseRecipient(mail.To)
	if err != nil {
		logger.InfoContext(ctx, "e-mail not sent: no such recipient can be", slog.Any("error", err))
		return BadRecipient
	}
	letter := m.letter(mail, to)
	select {
	case m.places <- struct{}{}:
		defer func() { <-m.places }()
	case <-ctx.Done():
		m.outage.Failed(ctx, logger, "e-mail not sent: too many wait already")
		return NotAvailable
	}
	end := span.Begin(ctx, "e-mail")
	err = m.carrier.deliver(ctx, letter, logger)
	end(err)
	if err != nil {
		if isRecipientRefused(err) {
			m.outage.Back(ctx)
			logger.WarnContext(ctx, "e-mail not sent: recipient refused", slog.Any("error", err))
			return BadRecipient
		}
		m.outage.Lost(ctx, err, about...)
		logger.DebugContext(ctx, "e-mail not sent", slog.Any("error", err))
		if ctx.Err() == nil && isMisconfigured(err) {
			return Misconfigured
		}
		return NotAvailable
	}
	m.outage.Back(ctx)
	return Sent
}

// letter writes an e-mail.
func (m *Mailer) letter(mail Message, to *netmail.Address) letter {
	values := map[string]string{
		recipientName: mail.To, serverName: m.address.Hostname(),
		clientName: mail.Pages.Client, downloadName: mail.Pages.Download, documentationName: mail.Pages.Documentation,
	}
	maps.Copy(values, mail.Values)
	for name, value := range values {
		values[name] = oneLine(value)
	}
	filled := func(part part, escape func(string) string) string {
		return m.templates.text(mail.Kind, m.language, part).fill(values, escape)
	}
	written := letter{Copy: Copy{
		Kind: mail.Kind, Language: m.language, Subject: noEncodedWord(filled(subjectPart, asIs)),
		Text: filled(textPart, asIs), HTML: filled(htmlPart, html.EscapeString),
	}}
	written.message = m.envelope(mail, to, written.Copy)
	return written
}

// envelope puts what was written in its envelope.
func (m *Mailer) envelope(mail Message, to *netmail.Address, written Copy) *gomail.Msg {
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
	message.Subject(written.Subject)
	message.SetDateWithValue(m.now())
	message.SetMessageIDWithValue(parsec.NewUUID().Hex() + "@" + domainOf(m.sender.Address))
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader(gomail.HeaderContentLang, m.language)
	message.SetBodyString(gomail.TypeTextPlain, written.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, written.HTML)
	return message
}

// taker gives e-mails to a function.
type taker func(Copy) error

// deliver implements carrier. It logs nothing: nothing is sent.
func (t taker) deliver(_ context.Context, letter letter, _ *slog.Logger) error {
	var raw bytes.Buffer
	if _, err := letter.message.WriteTo(&raw); err != nil {
		return err
	}
	letter.Raw = raw.Bytes()
	return t(letter.Copy)
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
