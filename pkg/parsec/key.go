package parsec

import (
	"crypto/ed25519"
	"encoding/base32"
	"errors"
	"strings"
)

// VerifyKey is an Ed25519 public key (docs/protocol/types.md §4). Any 32 bytes
// are accepted: a weak key only harms its owner.
type VerifyKey [ed25519.PublicKeySize]byte

// PublicKey is an X25519 public key, opaque to the server.
type PublicKey [32]byte

// Verify tells whether signature signs message.
func (k VerifyKey) Verify(message, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(k[:], message, signature)
}

// String is the text of the rvk parameter of addresses
// (docs/protocol/transport.md §11): base32 whose padding is "s".
func (k VerifyKey) String() string { return encodeBase32(k[:]) }

// ParseVerifyKey reads the text of an rvk parameter; "=" padding is also read.
func ParseVerifyKey(text string) (VerifyKey, error) {
	raw, err := decodeBase32(text)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return VerifyKey{}, errors.New("invalid verify key")
	}
	return VerifyKey(raw), nil
}

// base32Padding replaces the "=" of base32, which URLs would have to escape.
const base32Padding = "s"

func encodeBase32(raw []byte) string {
	return strings.ReplaceAll(base32.StdEncoding.EncodeToString(raw), "=", base32Padding)
}

// decodeBase32 reads what encodeBase32 prints, or the same with real padding.
func decodeBase32(text string) ([]byte, error) {
	standard := strings.ReplaceAll(text, base32Padding, "=")
	raw, err := base32.StdEncoding.DecodeString(standard)
	if err != nil {
		return nil, err
	}
	// The decoder skips line ends and ignores trailing bits: one value has one
	// text.
	if base32.StdEncoding.EncodeToString(raw) != standard {
		return nil, errors.New("base32 is not canonical")
	}
	return raw, nil
}
