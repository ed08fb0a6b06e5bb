package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	parsec3certificate "parsec-server/pkg/parsec3/certificate"
)

// The types of the files of certificates about services, which are in their first and
// last lines (docs/protocol/administration.md §7, docs/protocol/v5/administration.md §3).
const (
	serviceCertificateType    = "PARSEC SEQUESTER SERVICE CERTIFICATE"
	revocationCertificateType = "PARSEC SEQUESTER SERVICE REVOCATION CERTIFICATE"
)

// certification is the options that certify a service.
type certification struct{ publicKey, authorityKey, label string }

func (c *certification) define(flags *pflag.FlagSet) {
	flags.StringVar(&c.publicKey, "service-public-key", "", "PEM file of the RSA key that the copies are encrypted with.")
	flags.StringVar(&c.authorityKey, "authority-private-key", "", "PEM file of the RSA key of the authority of the organization.")
	flags.StringVar(&c.label, "service-label", "", "Name of the service.")
}

// given reports whether there is any of them.
func (c *certification) given() bool { return c.publicKey+c.authorityKey+c.label != "" }

// sign makes the certificate of a new service, in the form of a generation.
func (c *certification) sign(now parsec.DateTime, of organization.Generation) (service parsec.SequesterServiceID, signed []byte, err error) {
	for _, option := range []struct{ name, text string }{
		{"service-public-key", c.publicKey}, {"authority-private-key", c.authorityKey}, {"service-label", c.label},
	} {
		if option.text == "" {
			return service, nil, missingOption(option.name)
		}
	}
	encryption, err := readPublicKey(c.publicKey)
	if err != nil {
		return service, nil, invalidValue("--service-public-key", err)
	}
	authority, err := readPrivateKey(c.authorityKey)
	if err != nil {
		return service, nil, invalidValue("--authority-private-key", err)
	}
	certified := certificate.SequesterService{
		Timestamp:        now,
		ServiceID:        parsec.SequesterServiceID(parsec.NewUUID()),
		ServiceLabel:     c.label,
		EncryptionKeyDER: encryption,
	}
	if of == organization.Parsec3 {
		signed, err = parsec3certificate.SequesterService(certified).Sign(authority)
	} else {
		signed, err = certified.Sign(authority)
	}
	return certified.ServiceID, signed, err
}

// signRevocation makes the certificate by which a service of Parsec 3 is revoked.
func signRevocation(now parsec.DateTime, service parsec.SequesterServiceID, authorityKey string) ([]byte, error) {
	if authorityKey == "" {
		return nil, missingOption("authority-private-key")
	}
	authority, err := readPrivateKey(authorityKey)
	if err != nil {
		return nil, invalidValue("--authority-private-key", err)
	}
	return parsec3certificate.SequesterRevokedService{Timestamp: now, ServiceID: service}.Sign(authority)
}

// readPEM returns the only block of a file.
func readPEM(path string) (*pem.Block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s: not one block of PEM", path)
	}
	return block, nil
}

// readPublicKey returns the DER SubjectPublicKeyInfo.
func readPublicKey(path string) ([]byte, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	der := block.Bytes
	if block.Type == "RSA PUBLIC KEY" {
		key, err := x509.ParsePKCS1PublicKey(der)
		if err != nil {
			return nil, err
		}
		if der, err = x509.MarshalPKIXPublicKey(key); err != nil {
			return nil, err
		}
	}
	_, err = parsec.ParseRSAPublicKey(der)
	return der, wrongKind(path, block, "PUBLIC KEY", err)
}

// wrongKind is for an error of a block of PEM, which may be of another kind than wanted:
// a certificate, or the other half of a pair.
func wrongKind(path string, block *pem.Block, wanted string, err error) error {
	if err == nil || strings.HasSuffix(block.Type, wanted) {
		return err
	}
	return fmt.Errorf("%s: a %s, not a %s", path, block.Type, wanted)
}

func readPrivateKey(path string) (*rsa.PrivateKey, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	if block.Type == "RSA PRIVATE KEY" {
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, wrongKind(path, block, "PRIVATE KEY", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	return key, nil
}

// writeCertificate writes the file of a certificate, of a type.
func writeCertificate(path, kind string, signed []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: signed}), 0o600)
}

// certificateName returns how the file is called of what is certified of a service.
func certificateName(what string, service parsec.SequesterServiceID, now parsec.DateTime) string {
	return fmt.Sprintf("sequester_service_%s-%s-%s.pem", what, parsec.UUID(service).Hex(), now)
}

// readCertificate reads a file of writeCertificate, that an option names.
func readCertificate(option, path, kind string) ([]byte, error) {
	if path == "" {
		return nil, missingOption(option)
	}
	block, err := readPEM(path)
	if err == nil && block.Type != kind {
		err = fmt.Errorf("%s: a %s, not a %s", path, block.Type, kind)
	}
	if err != nil {
		return nil, invalidValue("--"+option, err)
	}
	return block.Bytes, nil
}
