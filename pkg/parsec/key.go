package parsec

import (
	"crypto/ed25519"
	"encoding/base32"
	"slices"
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

// smallOrderKeys are the encodings of the points whose order divides 8, without
// the sign bit: with such a key one signature is right for many messages. The last
// two are other encodings of the first two.
var smallOrderKeys = [...]VerifyKey{
	{},
	{0x01},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
	fieldElement(0xec), fieldElement(0xed), fieldElement(0xee),
}

// fieldElement returns the encoding of a number just below or above 2^255-19, the
// order of the field of curve25519, by its first byte.
func fieldElement(first byte) (encoded VerifyKey) {
	for i := range encoded {
		encoded[i] = 0xff
	}
	encoded[0], encoded[len(encoded)-1] = first, 0x7f
	return encoded
}

// VerifyStrict is Verify for API 5, where a key of small order verifies nothing
// (docs/protocol/v5/types.md §5).
func (k VerifyKey) VerifyStrict(message, signature []byte) bool {
	unsigned := k
	unsigned[len(unsigned)-1] &= 0x7f
	return !slices.Contains(smallOrderKeys[:], unsigned) && k.Verify(message, signature)
}

// String returns the text of the rvk parameter of addresses
// (docs/protocol/transport.md §11): base32 whose padding is "s" in place of "=",
// which URLs would have to escape.
func (k VerifyKey) String() string {
	return strings.ReplaceAll(base32.StdEncoding.EncodeToString(k[:]), "=", "s")
}
