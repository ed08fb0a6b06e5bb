package config

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

func TestWeakTokens(t *testing.T) {
	for _, token := range []string{
		"", "s3cr3t", "t0k3n-of-15-byt", "aaaaaaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabcabc",
		"S3CR3T-but-a-long-one-0f-it", "ChangeMe-1234-abcdefgh", "my-very-own-password", "0123456789abcdef-12345678",
	} {
		_, err := Load(typed("db=MOCKED", "blockstore=MOCKED", "administration-token="+token), environmentOf(nil))
		if err == nil || !strings.Contains(err.Error(), "anybody could guess it, as it has ") || !strings.HasSuffix(err.Error(), "Make one with: openssl rand -base64 48") {
			t.Errorf("%q: %v", token, err)
		}
		if _, err := Load(typed("dev=true", "administration-token="+token), environmentOf(nil)); err != nil {
			t.Errorf("%q with --dev: %v", token, err)
		}
	}
	raw := make([]byte, 48)
	for range 100 {
		if _, err := rand.Read(raw); err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{base64.StdEncoding.EncodeToString(raw), hex.EncodeToString(raw[:16])} {
			if weakRule(token) != "" {
				t.Errorf("%s is weak", token)
			}
		}
	}
}

// TestTokensOfNoHeader has tokens that no client could send, however they are
// given, with --dev too.
func TestTokensOfNoHeader(t *testing.T) {
	for _, token := range []string{goodToken + "\n", "\ufeff" + goodToken, goodToken + "é", " " + goodToken, goodToken + "\x00", goodToken + "\t", "two\nlines of" + goodToken} {
		for _, arguments := range [][]string{{"db=MOCKED", "blockstore=MOCKED"}, {"dev=true"}} {
			_, err := Load(typed(append(arguments, "administration-token="+token)...), environmentOf(nil))
			if err == nil || !strings.Contains(err.Error(), "no HTTP header can carry it") {
				t.Errorf("%q: %v", token, err)
			}
		}
	}
}
