package config

import "strings"

const (
	// minTokenBytes is well below what the advised command prints, and beyond
	// what anybody types.
	minTokenBytes = 16
	// minTokenVariety is how many different bytes a token has at least.
	minTokenVariety = 8
)

// knownTokens are in tokens that were copied from an example.
var knownTokens = []string{"s3cr3t", "changeme", "change-me", "change_me", "change me", "password", "administration", "example", "12345678"}

// errWeakToken says how to make a good one.
var errWeakToken = &UsageError{"Invalid value for '--administration-token': anybody could guess it. Make one with: openssl rand -base64 48"}

// errTokenForm is of a token that clients cannot send.
var errTokenForm = &UsageError{"Invalid value for '--administration-token': no HTTP header can carry it. Letters, digits and punctuation of ASCII can; make one with: openssl rand -base64 48"}

// isCarried reports whether a header can carry a token as it is.
func isCarried(token string) bool {
	for i := range len(token) {
		if token[i] < ' ' || token[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(token) == token
}

// isWeakToken reports whether a token can be guessed.
func isWeakToken(token string) bool {
	variety := map[byte]struct{}{}
	for i := range len(token) {
		variety[token[i]] = struct{}{}
	}
	if len(token) < minTokenBytes || len(variety) < minTokenVariety {
		return true
	}
	lower := strings.ToLower(token)
	for _, known := range knownTokens {
		if strings.Contains(lower, known) {
			return true
		}
	}
	return false
}
