package rules

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
)

// FuzzReadLink has every certificate that can be read whole be taken for one, with the
// same names.
func FuzzReadLink(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bob"}, EmailAddresses: []string{"bob@example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{Subject: pkix.Name{CommonName: "root"}}, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{der, der[:len(der)-1], append(bytes.Clone(der), 0), {0x30, 0x80}, {}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		read, valid := readLink(der)
		whole, err := x509.ParseCertificate(der)
		if err == nil && (!valid || !bytes.Equal(read.subject, whole.RawSubject) || !bytes.Equal(read.issuer, whole.RawIssuer)) {
			t.Errorf("%t: from %x to %x, want %x to %x", valid, read.issuer, read.subject, whole.RawIssuer, whole.RawSubject)
		}
	})
}
