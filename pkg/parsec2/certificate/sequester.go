package certificate

import (
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
)

// SequesterAuthority is a sequester_authority_certificate, which the root key
// signs.
type SequesterAuthority struct {
	Timestamp parsec.DateTime `wire:"timestamp"`
	// VerifyKeyDER is what parsec.ParseRSAPublicKey reads.
	VerifyKeyDER []byte `wire:"verify_key_der"`
}

// SequesterService is a sequester_service_certificate, which the sequester
// authority signs.
type SequesterService struct {
	Timestamp    parsec.DateTime           `wire:"timestamp"`
	ServiceID    parsec.SequesterServiceID `wire:"service_id"`
	ServiceLabel string                    `wire:"service_label"`
	// EncryptionKeyDER is what parsec.ParseRSAPublicKey reads.
	EncryptionKeyDER []byte `wire:"encryption_key_der"`
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
	compressed, err := parsec.OpenPSS(signed, authority)
	switch {
	case errors.Is(err, parsec.ErrPSSAlgorithm):
		return FailureAlgorithm
	case err != nil:
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
	signed, err := parsec.SignPSS(compressed, authority)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", s.name(), err)
	}
	return signed, nil
}

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
	if _, err := parsec.ParseRSAPublicKey(fields.VerifyKeyDER); err != nil {
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
	if _, err := parsec.ParseRSAPublicKey(s.EncryptionKeyDER); err != nil {
		return FailureSchema.because(err)
	}
	return nil
}
