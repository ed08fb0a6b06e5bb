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
	"time"

	"parsec-server/pkg/parsec3/protocol"
)

// PKI is a certificate authority, with an intermediate one that signs for people.
type PKI struct {
	root, intermediate *x509.Certificate
	key                *rsa.PrivateKey
}

const (
	pkiKeyBits  = 2048
	pkiLifetime = 24 * time.Hour
	// Clients take no other keys (docs/protocol/v5/enrollment.md §1.2).
	leastKeyBits, mostKeyBits = 2048, 8192
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

// badge is the smart card of a person, who trusts the root of the same PKI.
type badge struct {
	pki  *PKI
	key  *rsa.PrivateKey
	leaf *x509.Certificate
}

// Badge returns the smart card of the owner of an e-mail address.
func (p *PKI) Badge(email string) (Identity, error) {
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
	return badge{p, key, leaf}, err
}

func (b badge) sign(payload []byte) (protocol.SubmitSignature, error) {
	hash := sha256.Sum256(payload)
	signature, err := rsa.SignPSS(rand.Reader, b.key, crypto.SHA256, hash[:], nil)
	return protocol.SubmitSignature{
		Kind: protocol.SignedByPKI, Signature: signature, Leaf: b.leaf.Raw, Intermediates: [][]byte{b.pki.intermediate.Raw},
	}, err
}

func (b badge) verify(payload []byte, by protocol.SubmitSignature, now time.Time) (emails []string, err error) {
	if by.Kind != protocol.SignedByPKI {
		return nil, errSystem
	}
	leaf, err := x509.ParseCertificate(by.Leaf)
	if err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	options.Roots.AddCert(b.pki.root)
	for _, der := range by.Intermediates {
		intermediate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		options.Intermediates.AddCert(intermediate)
	}
	if _, err := leaf.Verify(options); err != nil {
		return nil, err
	}
	key, is := leaf.PublicKey.(*rsa.PublicKey)
	if !is || key.N.BitLen() < leastKeyBits || key.N.BitLen() > mostKeyBits {
		return nil, errors.New("not an RSA key of the sizes that clients take")
	}
	hash := sha256.Sum256(payload)
	if err := rsa.VerifyPSS(key, crypto.SHA256, hash[:], by.Signature, nil); err != nil {
		return nil, errSignature
	}
	return leaf.EmailAddresses, nil
}
