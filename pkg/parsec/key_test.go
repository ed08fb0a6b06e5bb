package parsec_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
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

// TestVerifyStrict refuses keys of small order, for which a signature of nothing is
// right for one message in eight at least; ordinary verification accepts it.
func TestVerifyStrict(t *testing.T) {
	keys := smallOrderKeys(t)
	for _, key := range keys {
		for _, sign := range []byte{0, 0x80} {
			key[31] ^= sign
			accepted := 0
			for i := range 64 {
				message := []byte{byte(i)}
				for _, point := range keys {
					signature := append(bytes.Clone(point[:]), make([]byte, 32)...) // S is 0
					if key.Verify(message, signature) {
						accepted++
					}
					if key.VerifyStrict(message, signature) {
						t.Fatalf("%x accepts %x of %x", key, signature, message)
					}
				}
			}
			// With the other sign some are no point at all.
			if accepted == 0 && sign == 0 {
				t.Errorf("%x is of no small order", key)
			}
		}
	}
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	key := parsec.VerifyKey(private.Public().(ed25519.PublicKey))
	message := []byte("message")
	signature := ed25519.Sign(private, message)
	if !key.VerifyStrict(message, signature) || key.VerifyStrict(nil, signature) || key.VerifyStrict(message, signature[1:]) {
		t.Error("an ordinary key does not verify as usual")
	}
	// The same S plus the order of the group.
	order := must(hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"))
	carry := 0
	for i := range order {
		sum := int(signature[32+i]) + int(order[i]) + carry
		signature[32+i], carry = byte(sum), sum>>8
	}
	if key.VerifyStrict(message, signature) {
		t.Error("an S that is not canonical verifies")
	}
}

// smallOrderKeys are the encodings of y for the points of small order.
func smallOrderKeys(t *testing.T) []parsec.VerifyKey {
	t.Helper()
	var keys []parsec.VerifyKey
	for _, text := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		keys = append(keys, parsec.VerifyKey(must(hex.DecodeString(text))))
	}
	return keys
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
