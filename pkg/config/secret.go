package config

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// mask stands for every secret that is shown.
const mask = "********"

// Secret is a text that is never shown by accident: every formatting verb, log
// and marshaller writes a mask. The zero value is no secret.
type Secret struct{ text string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text, for whoever presents it to another system.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.text == "" }

// String returns a mask, or nothing when there is nothing to hide.
func (s Secret) String() string { return maskAll(s.text) }

// Format writes String for every verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, s.String()) }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func maskAll(text string) string {
	if text == "" {
		return ""
	}
	return mask
}

var (
	queryPassword   = regexp.MustCompile(`(?i)([?&][^=&?]*password=)[^&]*`)
	keywordPassword = regexp.MustCompile(`(?i)(\w*password\s*=\s*)(?:'(?:[^'\\]|\\.)*'?|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)`)
)

// maskDSN hides the passwords of a PostgreSQL DSN, URL or key=value. It works
// on text that need not be a valid DSN, and rather hides too much.
func maskDSN(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return keywordPassword.ReplaceAllString(text, "${1}"+mask)
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, hasPassword := strings.Cut(rest[:at], ":")
		if hasPassword {
			user += ":" + mask
		}
		rest = user + rest[at:]
	}
	return scheme + "://" + queryPassword.ReplaceAllString(rest, "${1}"+mask)
}

// maskUserInformation hides what comes before the host of a URL.
func maskUserInformation(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return maskAll(text)
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = mask + rest[at:]
	}
	return scheme + "://" + rest
}

// maskWebhook also hides the query, which often holds a token.
func maskWebhook(text string) string {
	address, query, found := strings.Cut(maskUserInformation(text), "?")
	if !found {
		return address
	}
	return address + "?" + maskAll(query)
}
