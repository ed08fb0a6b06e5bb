package rules

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// MailLimit bounds the e-mails with codes that go to a mailbox, and those that a network
// asks for (docs/protocol/v5/account.md §6).
type MailLimit struct {
	// MinDelay is the time between two, 0 for none.
	MinDelay time.Duration
	// MaxPerHour is how many may be sent in an hour, 0 for any number.
	MaxPerHour int
}

// mailPeriod is the time in which e-mails count.
const mailPeriod = time.Hour

// until returns when the next e-mail may be sent after others, false if that is now.
func (l MailLimit) until(sends []parsec.DateTime, now parsec.DateTime) (parsec.DateTime, bool) {
	if len(sends) == 0 {
		return 0, false
	}
	if until := sends[len(sends)-1].Add(l.MinDelay); now < until {
		return until, true
	}
	if l.MaxPerHour == 0 || len(sends) < l.MaxPerHour {
		return 0, false
	}
	until := sends[len(sends)-l.MaxPerHour].Add(mailPeriod)
	return until, now < until
}

// mailScope returns what an e-mail counts for.
func (r *Rules) mailScope(mail *codeMail) *MailScope {
	return &MailScope{Mailbox: mailboxOf(mail.email.String()), Network: networkOf(mail.peer.Address), After: r.now().Add(-max(mailPeriod, r.options.MailLimit.MinDelay))}
}

// mailboxOf returns the mailbox that e-mails to an address count for: whatever its
// letters, the spaces at its ends, and its tag, which people share with themselves alone.
func mailboxOf(email string) string {
	text := parsec3.Mailbox(strings.Trim(email, " "))
	if strings.HasPrefix(text, `"`) {
		return text
	}
	local, domain, _ := strings.Cut(text, "@")
	if tag := strings.IndexByte(local, '+'); tag > 0 {
		local = local[:tag]
	}
	return local + "@" + domain
}

// networkOf returns what an address counts as: itself, or the /64 of an IPv6 address.
func networkOf(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	switch {
	case !address.IsValid():
		return ""
	case address.Is4():
		return address.String()
	}
	const half = 64
	network, _ := address.Prefix(half)
	return network.String()
}

// maxMails bounds the e-mails that are sent in the background at the same time.
const maxMails = 64

// postbox sends e-mails in the background. Its methods are safe for concurrent use.
type postbox struct {
	mailer Mailer // nil where no e-mail is sent; it logs what becomes of each
	logger *slog.Logger
	// places are taken by the e-mails on their way.
	places chan struct{}

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
	// ctx ends with the patience of close.
	ctx context.Context
	cut context.CancelFunc
}

func newPostbox(mailer Mailer, logger *slog.Logger) *postbox {
	ctx, cut := context.WithCancel(context.Background())
	return &postbox{mailer: mailer, logger: logger, places: make(chan struct{}, maxMails), ctx: ctx, cut: cut}
}

// place is for one e-mail.
type place struct{ of *postbox }

// reserve takes the place of an e-mail, which is released. It is false, at once, where
// no e-mail can be sent.
func (p *postbox) reserve() (*place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mailer == nil || p.closed {
		return &place{}, false
	}
	select {
	case p.places <- struct{}{}:
		p.work.Add(1)
		return &place{p}, true
	default:
		p.logger.Warn("too many e-mails are on their way")
		return &place{}, false
	}
}

// send sends the e-mail in the background, which releases the place.
func (p *place) send(mail AccountMail) {
	of := p.of
	p.of = nil
	go func() {
		defer (&place{of}).release()
		of.mailer.SendAccount(of.ctx, mail)
	}()
}

// release does nothing for a place that was used.
func (p *place) release() {
	if p.of != nil {
		<-p.of.places
		p.of.work.Done()
		p.of = nil
	}
}

// close waits until the e-mails on their way are sent, or ctx ends: then they are given
// up. No other is sent.
func (p *postbox) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.work.Wait()
		close(done)
	}()
	defer p.cut()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends what goes on in the background, in the time of ctx.
func (r *Rules) Close(ctx context.Context) error {
	r.presence.close()
	return r.mails.close(ctx)
}

// refusalOf returns how a command is refused whose e-mail was not sent, nil if it was.
func refusalOf(sent protocol.EmailSent) error {
	switch sent {
	case protocol.EmailSuccess:
		return nil
	case protocol.EmailRecipientRefused:
		return protocol.Refuse(protocol.StatusEmailRecipientRefused)
	default:
		return protocol.Refuse(protocol.StatusEmailServerUnavailable)
	}
}
