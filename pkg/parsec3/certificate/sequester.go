package certificate

import (
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
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

// SequesterRevokedService is a sequester_revoked_service_certificate, which the
// sequester authority signs.
type SequesterRevokedService struct {
	Timestamp parsec.DateTime           `wire:"timestamp"`
	ServiceID parsec.SequesterServiceID `wire:"service_id"`
}

// LoadSequesterAuthority reads a certificate signed with the root key. Errors wrap
// a Failure.
func LoadSequesterAuthority(signed []byte, root parsec.VerifyKey) (SequesterAuthority, error) {
	return load[SequesterAuthority](signed, root, parsec3.DeviceID{})
}

// Sign makes the certificate with the root key. It fails on fields that are not
// valid.
func (s SequesterAuthority) Sign(root ed25519.PrivateKey) ([]byte, error) { return sign(&s, root) }

// LoadSequesterService reads a certificate signed with the authority's key. Errors
// wrap a Failure.
func LoadSequesterService(signed []byte, authority *rsa.PublicKey) (SequesterService, error) {
	return loadSequester[SequesterService](signed, authority)
}

// LoadSequesterRevokedService reads a certificate signed with the authority's key.
// Errors wrap a Failure.
func LoadSequesterRevokedService(signed []byte, authority *rsa.PublicKey) (SequesterRevokedService, error) {
	return loadSequester[SequesterRevokedService](signed, authority)
}

// Sign makes the certificate with the authority's key. It fails on fields that are
// not valid and on a key under 1024 bits.
func (s SequesterService) Sign(authority *rsa.PrivateKey) ([]byte, error) {
	return signSequester(&s, authority)
}

// Sign makes the certificate with the authority's key. It fails on a key under
// 1024 bits.
func (s SequesterRevokedService) Sign(authority *rsa.PrivateKey) ([]byte, error) {
	return signSequester(&s, authority)
}

func loadSequester[T any, P interface {
	*T
	payload
}](signed []byte, authority *rsa.PublicKey) (T, error) {
	var value, none T
	target := P(&value)
	packed, err := parsec.OpenPSS(signed, authority)
	switch {
	case errors.Is(err, parsec.ErrPSSAlgorithm):
		return none, fmt.Errorf("load %s: %w", target.name(), FailureFormat.because(err))
	case err != nil:
		return none, fmt.Errorf("load %s: %w", target.name(), FailureSignature.because(err))
	}
	if err := unpack(packed, target); err != nil {
		return none, fmt.Errorf("load %s: %w", target.name(), err)
	}
	return value, nil
}

func signSequester(source payload, authority *rsa.PrivateKey) ([]byte, error) {
	packed, err := pack(source)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", source.name(), err)
	}
	signed, err := parsec.SignPSS(packed, authority)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", source.name(), err)
	}
	return signed, nil
}

func (*SequesterAuthority) name() string             { return "sequester_authority_certificate" }
func (*SequesterAuthority) author() parsec3.DeviceID { return parsec3.DeviceID{} }
func (s *SequesterAuthority) fields() any            { return s }

func (s *SequesterAuthority) decode(encoded []byte) error {
	if err := unmarshal(encoded, s); err != nil {
		return err
	}
	if _, err := parsec.ParseRSAPublicKey(s.VerifyKeyDER); err != nil {
		return FailureSchema.because(err)
	}
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

func (*SequesterRevokedService) name() string                  { return "sequester_revoked_service_certificate" }
func (s *SequesterRevokedService) fields() any                 { return s }
func (s *SequesterRevokedService) decode(encoded []byte) error { return unmarshal(encoded, s) }
