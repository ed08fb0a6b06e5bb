package certificate

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"parsec-server/pkg/parsec"
)

// SequesterAuthority is a sequester_authority_certificate, which the root key
// signs.
type SequesterAuthority struct {
	Timestamp parsec.DateTime `wire:"timestamp"`
	// VerifyKeyDER is what ParseRSAPublicKey reads.
	VerifyKeyDER []byte `wire:"verify_key_der"`
}

// SequesterService is a sequester_service_certificate, which the sequester
// authority signs.
type SequesterService struct {
	Timestamp    parsec.DateTime           `wire:"timestamp"`
	ServiceID    parsec.SequesterServiceID `wire:"service_id"`
	ServiceLabel string                    `wire:"service_label"`
	// EncryptionKeyDER is what ParseRSAPublicKey reads.
	EncryptionKeyDER []byte `wire:"encryption_key_der"`
}

// Bounds of the modulus of RSA keys, in bits. Keys in use have 2048 or 4096;
// a longer one costs whoever verifies with it.
const (
	minRSABits = 1024
	maxRSABits = 16384
)

// pssPrefix names the only algorithm of sequester authorities.
const pssPrefix = "RSASSA-PSS-SHA256:"

// ParseRSAPublicKey reads a DER SubjectPublicKeyInfo of an rsaEncryption key
// of 1024 to 16384 bits.
func ParseRSAPublicKey(der []byte) (*rsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("parse RSA public key: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("parse RSA public key: another algorithm")
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("parse RSA public key: %d bits", bits)
	}
	return key, nil
}

// LoadSequesterAuthority reads a certificate signed with the root key. Errors
// wrap a Failure.
func LoadSequesterAuthority(signed []byte, root parsec.VerifyKey) (SequesterAuthority, error) {
	return load[SequesterAuthority](signed, root, parsec.DeviceID{})
}

// Sign makes the certificate with the root key. It fails on fields that are
// not valid.
func (s SequesterAuthority) Sign(root ed25519.PrivateKey) ([]byte, error) { return sign(&s, root) }

// LoadSequesterService reads a certificate signed with the authority's key.
// Errors wrap a Failure.
func LoadSequesterService(signed []byte, authority *rsa.PublicKey) (SequesterService, error) {
	var service SequesterService
	if err := openSequesterService(signed, authority, &service); err != nil {
		return SequesterService{}, fmt.Errorf("load %s: %w", service.name(), err)
	}
	return service, nil
}

func openSequesterService(signed []byte, authority *rsa.PublicKey, target *SequesterService) error {
	rest, found := bytes.CutPrefix(signed, []byte(pssPrefix))
	if !found {
		return FailureAlgorithm
	}
	if len(rest) < authority.Size() {
		return FailureSignature.because(errors.New("too short"))
	}
	signature, compressed := rest[:authority.Size()], rest[authority.Size():]
	digest := sha256.Sum256(compressed)
	if err := rsa.VerifyPSS(authority, crypto.SHA256, digest[:], signature, &pssOptions); err != nil {
		return FailureSignature.because(err)
	}
	return unpack(compressed, target)
}

// Sign makes the certificate with the authority's key. It fails on fields that
// are not valid and on a key under 1024 bits.
func (s SequesterService) Sign(authority *rsa.PrivateKey) ([]byte, error) {
	compressed, err := pack(&s)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", s.name(), err)
	}
	digest := sha256.Sum256(compressed)
	signature, err := rsa.SignPSS(rand.Reader, authority, crypto.SHA256, digest[:], &pssOptions)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", s.name(), err)
	}
	return slices.Concat([]byte(pssPrefix), signature, compressed), nil
}

// pssOptions take any length of salt when verifying, and the longest when
// signing, as official tools do.
var pssOptions = rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}

// sequesterAuthorityFields is a SequesterAuthority on the wire, where it has
// an author, nil.
type sequesterAuthorityFields struct {
	Author parsec.DeviceID `wire:"author,nullable"`
	SequesterAuthority
}

func (*SequesterAuthority) name() string            { return "sequester_authority_certificate" }
func (*SequesterAuthority) author() parsec.DeviceID { return parsec.DeviceID{} }

func (s *SequesterAuthority) fields() any {
	return &sequesterAuthorityFields{SequesterAuthority: *s}
}

func (s *SequesterAuthority) decode(encoded []byte) error {
	var fields sequesterAuthorityFields
	if err := unmarshal(encoded, &fields); err != nil {
		return err
	}
	if _, err := ParseRSAPublicKey(fields.VerifyKeyDER); err != nil {
		return FailureSchema.because(err)
	}
	if fields.Author != (parsec.DeviceID{}) {
		return FailureAuthor
	}
	*s = fields.SequesterAuthority
	return nil
}

func (*SequesterService) name() string  { return "sequester_service_certificate" }
func (s *SequesterService) fields() any { return s }

func (s *SequesterService) decode(encoded []byte) error {
	if err := unmarshal(encoded, s); err != nil {
		return err
	}
	if _, err := ParseRSAPublicKey(s.EncryptionKeyDER); err != nil {
		return FailureSchema.because(err)
	}
	return nil
}
