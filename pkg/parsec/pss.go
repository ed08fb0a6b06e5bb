package parsec

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// Bounds of the modulus of RSA keys, in bits. Keys in use have 2048 or 4096; a
// longer one costs whoever verifies with it.
const (
	minRSABits = 1024
	maxRSABits = 16384
)

// pssPrefix names the only algorithm of sequester authorities.
const pssPrefix = "RSASSA-PSS-SHA256:"

// ErrPSSAlgorithm is the error of what names no algorithm, or another one.
var ErrPSSAlgorithm = errors.New("signed with another algorithm")

// pssOptions take any length of salt when verifying, and the longest when signing,
// as official tools do.
var pssOptions = rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}

// ParseRSAPublicKey reads a DER SubjectPublicKeyInfo of an rsaEncryption key of
// 1024 to 16384 bits.
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

// OpenPSS returns the message of what a sequester authority signed: the name of the
// algorithm and a colon, the signature, as long as the modulus of the key, and the
// message (docs/protocol/v5/certificates.md §2). It aliases signed.
func OpenPSS(signed []byte, key *rsa.PublicKey) ([]byte, error) {
	rest, found := bytes.CutPrefix(signed, []byte(pssPrefix))
	if !found {
		return nil, ErrPSSAlgorithm
	}
	if len(rest) < key.Size() {
		return nil, errors.New("too short")
	}
	signature, message := rest[:key.Size()], rest[key.Size():]
	digest := sha256.Sum256(message)
	if err := rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, &pssOptions); err != nil {
		return nil, err
	}
	return message, nil
}

// SignPSS signs a message as OpenPSS reads it. It fails on a key under 1024 bits.
func SignPSS(message []byte, key *rsa.PrivateKey) ([]byte, error) {
	digest := sha256.Sum256(message)
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &pssOptions)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]byte(pssPrefix), signature, message), nil
}
