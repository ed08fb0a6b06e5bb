package mail

import (
	"context"
	"html"
	"log/slog"
	"strings"

	"parsec-server/pkg/parsec"
)

// trials are the words of an e-mail to try the settings with, by language.
var trials = map[string]struct{ subject, text string }{
	"en": {"An e-mail of SERVER to try its settings", "The Parsec server SERVER can send e-mails to this address."},
	"fr": {"Un e-mail de SERVER pour vérifier ses réglages", "Le serveur Parsec SERVER peut envoyer des e-mails à cette adresse."},
}

// SendTrial hands over an e-mail that says no more than that e-mails can be sent, and
// returns what was in the way. It waits until ctx ends.
func SendTrial(ctx context.Context, options Options, address parsec.ServerAddress, to string) error {
	recipient, err := parseRecipient(to)
	if err != nil {
		return err
	}
	m := New(options, address, slog.New(slog.DiscardHandler))
	words := trials[options.Language]
	fill := func(text string) string { return strings.ReplaceAll(text, "SERVER", address.Hostname()) }
	written := Copy{Language: options.Language, Subject: fill(words.subject), Text: fill(words.text) + "\n"}
	written.HTML = "<p>" + html.EscapeString(fill(words.text)) + "</p>"
	return m.carrier.deliver(ctx, letter{Copy: written, message: m.envelope(Message{}, recipient, written)}, m.logger)
}

// IsRefusedRecipient reports whether an error of SendTrial is about whom the e-mail was
// for, and not about how it was sent.
func IsRefusedRecipient(err error) bool { return isRecipientRefused(err) }
