package parsec_test

import (
	"testing"

	"parsec-server/pkg/parsec"
)

func TestParseOrigin(t *testing.T) {
	for text, want := range map[string]parsec.Origin{
		"*":                       parsec.AnyOrigin,
		"https://b.example":       "https://b.example",
		"https://b.example/":      "https://b.example",
		"HTTPS://B.Example:443":   "https://b.example",
		"http://b.example:80/":    "http://b.example",
		"http://b.example:443":    "http://b.example:443",
		"https://b.example:8443/": "https://b.example:8443",
		"http://[::1]:8080":       "http://[::1]:8080",
		"tauri://localhost":       "tauri://localhost",
	} {
		if got, err := parsec.ParseOrigin(text); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "null", "b.example", "//b.example", "https://", "https://b.example/path", "https://b.example//", "https://b.example?x",
		"https://u@b.example", "https://b.example:0", "https://b.example:99999", "https://b.example:x", "https://b example", "https://:443",
	} {
		if got, err := parsec.ParseOrigin(text); err == nil {
			t.Errorf("%s: %s", text, got)
		}
	}
}
