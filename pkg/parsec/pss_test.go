package parsec_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
)

type pssVectors struct {
	Public  []byte `json:"public_der"`
	Vectors []struct {
		Name    string `json:"name"`
		Signed  []byte `json:"signed"`
		Message []byte `json:"message"`
	} `json:"vectors"`
}

func loadPSS(t *testing.T) pssVectors {
	t.Helper()
	loaded := vectors.Load[struct {
		RSAPSS pssVectors `json:"rsa_pss"`
	}](t, "v5/certificates.json").RSAPSS
	if len(loaded.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	return loaded
}

// TestOpenPSSVectors have several lengths of salt.
func TestOpenPSSVectors(t *testing.T) {
	loaded := loadPSS(t)
	key := must(parsec.ParseRSAPublicKey(loaded.Public))
	for _, item := range loaded.Vectors {
		if message, err := parsec.OpenPSS(item.Signed, key); err != nil || !bytes.Equal(message, item.Message) {
			t.Errorf("%s: got %q, %v, want %q", item.Name, message, err, item.Message)
		}
		item.Signed[len(item.Signed)-1]++
		if message, err := parsec.OpenPSS(item.Signed, key); err == nil {
			t.Errorf("%s, altered: got %q", item.Name, message)
		}
	}
}

func TestSignPSS(t *testing.T) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	for _, message := range [][]byte{nil, []byte("message")} {
		signed := must(parsec.SignPSS(message, key))
		if opened, err := parsec.OpenPSS(signed, &key.PublicKey); err != nil || !bytes.Equal(opened, message) {
			t.Errorf("got %q, %v, want %q", opened, err, message)
		}
		for size := range len(signed) - len(message) {
			if _, err := parsec.OpenPSS(signed[:size], &key.PublicKey); err == nil {
				t.Errorf("the first %d of %d bytes are accepted", size, len(signed))
			}
		}
	}
	for _, signed := range []string{"", "RSASSA-PSS-SHA256", "RSASSA-PSS-SHA512:", ":", "rsassa-pss-sha256:"} {
		if _, err := parsec.OpenPSS([]byte(signed), &key.PublicKey); !errors.Is(err, parsec.ErrPSSAlgorithm) {
			t.Errorf("%q: got %v", signed, err)
		}
	}
}

func TestParseRSAPublicKeyRefuses(t *testing.T) {
	encode := func(key any) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	modulus := func(bits int) []byte {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return encode(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537})
	}
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := loadPSS(t).Public
	for name, der := range map[string][]byte{
		"nothing":         nil,
		"trailing byte":   append(bytes.Clone(public), 0),
		"truncated":       public[:len(public)-1],
		"elliptic curve":  encode(&elliptic.PublicKey),
		"too short a key": modulus(1023),
		"too long a key":  modulus(16385),
	} {
		if _, err := parsec.ParseRSAPublicKey(der); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, bits := range []int{1024, 16384} {
		if _, err := parsec.ParseRSAPublicKey(modulus(bits)); err != nil {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

// must is for what does not depend on the code under test.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
