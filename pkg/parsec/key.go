package parsec

import (
	"crypto/ed25519"
	"encoding/base32"
	"strings"
)

// VerifyKey is an Ed25519 public key (docs/protocol/types.md §4). Any 32 bytes
// are accepted: a weak key only harms its owner.
type VerifyKey [ed25519.PublicKeySize]byte

// PublicKey is an X25519 public key, opaque to the server.
type PublicKey [32]byte

// Verify reports whether signature signs message.
func (k VerifyKey) Verify(message, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(k[:], message, signature)
}

// String returns the text of the rvk parameter of addresses
// (docs/protocol/transport.md §11): base32 whose padding is "s" in place of "=",
// which URLs would have to escape.
func (k VerifyKey) String() string {
	return strings.ReplaceAll(base32.StdEncoding.EncodeToString(k[:]), "=", "s")
}
