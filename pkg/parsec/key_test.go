package parsec_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"parsec-server/internal/testkit/addresses"
	"parsec-server/pkg/parsec"
)

func TestVerifyKeyText(t *testing.T) {
	for _, item := range loadURLs(t).RootVerifyKeyText {
		key := parsec.VerifyKey(item.Key)
		if key.String() != item.Encoded {
			t.Errorf("printed %s, want %s", key, item.Encoded)
		}
		for _, text := range []string{item.Encoded, strings.ReplaceAll(item.Encoded, "s", "=")} {
			if parsed, err := addresses.ParseVerifyKey(text); err != nil || parsed != key {
				t.Errorf("%s gives %v with error %v", text, parsed, err)
			}
		}
	}
}

func TestVerifyKeyTextRefused(t *testing.T) {
	body := strings.Repeat("A", 52)
	for _, text := range []string{
		"",
		"ssss",
		body,
		body + "sss",
		body + "sssss",
		body + "SSSS",
		body + "ssss\n",
		body[1:] + "\nAssss",
		strings.ToLower(body) + "ssss",
		body[1:] + "Bssss",       // Bits after the last byte.
		body[:50] + "ssssss",     // 31 bytes.
		body + "AAAsAAAAAAAAs",   // Padding in the middle.
		body + "AAAA",            // 35 bytes.
		body[1:] + "1ssss",       // Outside of the alphabet.
		strings.Repeat("A", 104), // 65 bytes.
	} {
		if key, err := addresses.ParseVerifyKey(text); err == nil || key != (parsec.VerifyKey{}) {
			t.Errorf("%q gives %v with error %v", text, key, err)
		}
	}
}

func TestVerify(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	key := parsec.VerifyKey(private.Public().(ed25519.PublicKey))
	message := []byte("message")
	signature := ed25519.Sign(private, message)
	altered := bytes.Clone(signature)
	altered[0] ^= 1
	for name, item := range map[string]struct {
		key                parsec.VerifyKey
		message, signature []byte
		want               bool
	}{
		"good":              {key, message, signature, true},
		"other key":         {parsec.VerifyKey{}, message, signature, false},
		"other message":     {key, nil, signature, false},
		"altered signature": {key, message, altered, false},
		"short signature":   {key, message, signature[:63], false},
		"long signature":    {key, message, append(altered, 0), false},
		"no signature":      {key, message, nil, false},
	} {
		if got := item.key.Verify(item.message, item.signature); got != item.want {
			t.Errorf("%s: %t, want %t", name, got, item.want)
		}
	}
}
