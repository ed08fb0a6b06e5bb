package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	parsec3certificate "parsec-server/pkg/parsec3/certificate"
)

// serviceCertificateType is in the first and last lines of the file of a
// service certificate (docs/protocol/administration.md §7).
const serviceCertificateType = "PARSEC SEQUESTER SERVICE CERTIFICATE"

// certification is the options that certify a service.
type certification struct{ publicKey, authorityKey, label string }

func (c *certification) define(flags *pflag.FlagSet) {
	flags.StringVar(&c.publicKey, "service-public-key", "", "PEM file of the RSA key that the copies are encrypted with.")
	flags.StringVar(&c.authorityKey, "authority-private-key", "", "PEM file of the RSA key of the authority of the organization.")
	flags.StringVar(&c.label, "service-label", "", "Name of the service.")
}

// sign makes the certificate of a new service, in the form of a generation.
func (c *certification) sign(now parsec.DateTime, of organization.Generation) ([]byte, error) {
	for _, option := range []struct{ name, text string }{
		{"service-public-key", c.publicKey}, {"authority-private-key", c.authorityKey}, {"service-label", c.label},
	} {
		if option.text == "" {
			return nil, missingOption(option.name)
		}
	}
	encryption, err := readPublicKey(c.publicKey)
	if err != nil {
		return nil, invalidValue("--service-public-key", err)
	}
	authority, err := readPrivateKey(c.authorityKey)
	if err != nil {
		return nil, invalidValue("--authority-private-key", err)
	}
	service := certificate.SequesterService{
		Timestamp:        now,
		ServiceID:        parsec.SequesterServiceID(parsec.NewUUID()),
		ServiceLabel:     c.label,
		EncryptionKeyDER: encryption,
	}
	if of == organization.Parsec3 {
		return parsec3certificate.SequesterService(service).Sign(authority)
	}
	return service.Sign(authority)
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
	return der, err
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
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	return key, nil
}

func encodeServiceCertificate(signed []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: serviceCertificateType, Bytes: signed})
}

func readServiceCertificate(path string) ([]byte, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	if block.Type != serviceCertificateType {
		return nil, fmt.Errorf("%s: a %s, not a %s", path, block.Type, serviceCertificateType)
	}
	return block.Bytes, nil
}
