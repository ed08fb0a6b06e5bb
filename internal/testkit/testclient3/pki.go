package testclient3

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"time"
)

// PKI is a certificate authority, with an intermediate one that signs for people.
type PKI struct {
	root, intermediate *x509.Certificate
	key                *rsa.PrivateKey
}

const (
	pkiKeyBits  = 2048
	pkiLifetime = 24 * time.Hour
)

// NewPKI returns one whose certificates are valid at a date.
func NewPKI(now time.Time) (*PKI, error) {
	rootKey, err := rsa.GenerateKey(rand.Reader, pkiKeyBits)
	if err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, pkiKeyBits)
	if err != nil {
		return nil, err
	}
	authority := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-pkiLifetime), NotAfter: now.Add(pkiLifetime),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	root := authority(1, "Root of tests")
	if root, err = issue(root, root, &rootKey.PublicKey, rootKey); err != nil {
		return nil, err
	}
	intermediate, err := issue(authority(2, "Intermediate of tests"), root, &key.PublicKey, rootKey)
	return &PKI{root, intermediate, key}, err
}

func issue(template, parent *x509.Certificate, key *rsa.PublicKey, by *rsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Badge is the smart card of a person.
type Badge struct {
	key  *rsa.PrivateKey
	leaf *x509.Certificate
	// intermediates are in DER.
	intermediates [][]byte
}

// Badge returns that of the owner of an e-mail address.
func (p *PKI) Badge(email string) (*Badge, error) {
	key, err := rsa.GenerateKey(rand.Reader, pkiKeyBits)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	leaf, err := issue(&x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: email}, EmailAddresses: []string{email},
		NotBefore: p.root.NotBefore, NotAfter: p.root.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, p.intermediate, &key.PublicKey, p.key)
	return &Badge{key, leaf, [][]byte{p.intermediate.Raw}}, err
}

// sign has the form RSASSA-PSS-SHA256 (docs/protocol/v5/enrollment.md §1.2).
func (i *Badge) sign(payload []byte) ([]byte, error) {
	hash := sha256.Sum256(payload)
	return rsa.SignPSS(rand.Reader, i.key, crypto.SHA256, hash[:], nil)
}

// verify judges a signature as clients do: by the roots that they trust themselves. It
// returns the e-mail addresses of who has signed.
func (p *PKI) verify(payload, signature, leaf []byte, intermediates [][]byte, now time.Time) (emails []string, err error) {
	certificate, err := x509.ParseCertificate(leaf)
	if err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	options.Roots.AddCert(p.root)
	for _, der := range intermediates {
		intermediate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		options.Intermediates.AddCert(intermediate)
	}
	if _, err := certificate.Verify(options); err != nil {
		return nil, err
	}
	key, is := certificate.PublicKey.(*rsa.PublicKey)
	if !is {
		return nil, errors.New("not an RSA key")
	}
	hash := sha256.Sum256(payload)
	return certificate.EmailAddresses, rsa.VerifyPSS(key, crypto.SHA256, hash[:], signature, nil)
}

// isOf reports whether one of the addresses is email.
func isOf(emails []string, email string) bool { return slices.Contains(emails, email) }
