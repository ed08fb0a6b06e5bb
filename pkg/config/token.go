package config

import (
	"fmt"
	"strings"
)

const (
	// minTokenBytes is well below what the advised command prints, and beyond
	// what anybody types.
	minTokenBytes = 16
	// minTokenVariety is how many different bytes a token has at least.
	minTokenVariety = 8
)

// knownTokens are in tokens that were copied from an example.
var knownTokens = []string{"s3cr3t", "changeme", "change-me", "change_me", "change me", "password", "administration", "example", "12345678"}

// makeToken is the line that makes a good one.
const makeToken = `Make one with: openssl rand -base64 48` //nolint:gosec // It is no token.

// checkToken returns why a token may not be that of the administrator.
func checkToken(token string, development bool) error {
	if !isCarried(token) {
		return wrongValue(tokenOption, "no HTTP header can carry it. Letters, digits and punctuation of ASCII can. "+makeToken)
	}
	return weakness(token, development)
}

// weakness returns the rule that a token breaks which can be guessed. One to develop
// with may be.
func weakness(token string, development bool) error {
	if rule := weakRule(token); rule != "" && !development {
		return wrongValue(tokenOption, "anybody could guess it, "+rule+". "+makeToken)
	}
	return nil
}

// isCarried reports whether a header can carry a token as it is.
func isCarried(token string) bool {
	for i := range len(token) {
		if token[i] < ' ' || token[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(token) == token
}

// weakRule returns the rule that a token breaks which can be guessed, in words that do
// not show it; "" for none.
func weakRule(token string) string {
	variety := map[byte]struct{}{}
	for i := range len(token) {
		variety[token[i]] = struct{}{}
	}
	switch {
	case len(token) < minTokenBytes:
		return fmt.Sprintf("as it has %d characters; at least %d are needed", len(token), minTokenBytes)
	case len(variety) < minTokenVariety:
		return fmt.Sprintf("as it has only %d different characters; at least %d are needed", len(variety), minTokenVariety)
	}
	lower := strings.ToLower(token)
	for _, known := range knownTokens {
		if strings.Contains(lower, known) {
			return "as it has in it a word of examples, " + known
		}
	}
	return ""
}
