package mail

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/textproto"
	"os"
	"regexp"
	"strings"

	gomail "github.com/wneessen/go-mail"
)

// replyClosing ends a connection whatever was asked (RFC 5321 §3.8).
const replyClosing = 421

// isRecipientRefused reports whether the server answered that it does not take
// e-mails for this recipient. Servers put off many refusals until they know the
// recipient: those that speak of who sends say nothing of it.
func isRecipientRefused(err error) bool {
	failure, found := errors.AsType[*gomail.SendError](err)
	if !found || failure.Reason != gomail.ErrSMTPRcptTo {
		return false
	}
	text, _, _ := strings.Cut(failure.Error(), ", affected recipient")
	return speaksOfRecipient(failure.ErrorCode(), failure.EnhancedStatusCode(), text)
}

// isMisconfigured reports whether a failure that is not of the recipient would be the same
// later: a refusal that is not temporary, or what this server and the other one do not agree
// on. That is not so of a connection that there is not, or that is lost.
func isMisconfigured(err error) bool {
	const permanent = 500
	if failure, found := errors.AsType[*gomail.SendError](err); found {
		return failure.ErrorCode() >= permanent
	}
	if reply, found := errors.AsType[*textproto.Error](err); found {
		return reply.Code >= permanent
	}
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded} {
		if errors.Is(err, lost) {
			return false
		}
	}
	if _, ofFile := errors.AsType[*fs.PathError](err); ofFile { // there is no server
		return false
	}
	// TLS tells of alerts as of other operations.
	failure, found := errors.AsType[*net.OpError](err)
	return !found || failure.Op != "dial" && failure.Op != "read" && failure.Op != "write"
}

var (
	// quotedAddress is what servers repeat of the dialogue: it proves nothing.
	quotedAddress = regexp.MustCompile(`<[^>]*>|\S+@\S+`)
	ofRecipient   = regexp.MustCompile(`recipient address rejected|user unknown|unknown user|no such (user|mailbox|recipient)|mailbox (unavailable|not found|full)|relay`)
	ofSender      = regexp.MustCompile(`\b(helo|ehlo|sender|client|greylist\w*|grey-listed|rate|too (many|much|fast)|try again|blocked|blacklist\w*|blocklist\w*|listed|reputation|spf|dmarc|dkim|ptr|reverse|authenticat\w*|log ?in|quota exceeded for)\b`)
)

// speaksOfRecipient judges by a refusal of RCPT whom it is about: its enhanced
// status code (RFC 3463) first, the words where that leaves it open, then the
// code.
func speaksOfRecipient(code int, enhanced, text string) bool {
	switch code {
	case 450, 550, 551, 552, 553, 554, 556:
	default: // such as 421, 451, 452, 503, 530: of the dialogue, or of the server
		return strings.Contains(enhanced, ".1.1") // some say so with another code
	}
	text = strings.ToLower(quotedAddress.ReplaceAllString(text, ""))
	words := func(otherwise bool) bool {
		switch {
		case ofSender.MatchString(text):
			return false
		case ofRecipient.MatchString(text):
			return true
		default:
			return otherwise
		}
	}
	_, detail, found := strings.Cut(enhanced, ".")
	if !found {
		return words(true)
	}
	switch detail {
	case "1.7", "1.8", "1.9": // the sender's address
		return false
	case "1.1", "1.2", "1.3", "1.6", "1.10":
		// Postfix says 5.1.1 of senders too, when it verifies them.
		return !strings.Contains(text, "sender")
	}
	switch subject, _, _ := strings.Cut(detail, "."); subject {
	case "1", "2", "4": // address, mailbox, routing
		return words(true)
	default: // protocol, content, policy: of who sends, unless it says otherwise
		return words(false)
	}
}
