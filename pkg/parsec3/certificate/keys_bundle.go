package certificate

import (
	"crypto/ed25519"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/wire"
)

// KeysBundle is what a client encrypts as a keys bundle: all keys of a realm. No
// server reads it (docs/protocol/v5/certificates.md §9).
type KeysBundle struct {
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	RealmID   parsec.RealmID   `wire:"realm_id"`
	// Keys are those of the indexes from 1 on.
	Keys [][32]byte `wire:"keys"`
}

// KeysBundleAccess is what a client seals as an access to a keys bundle.
type KeysBundleAccess struct {
	// Key is what the bundle is encrypted with.
	Key [32]byte `wire:"keys_bundle_key"`
}

// LoadKeysBundle reads a bundle, once decrypted, that author signed with key.
// Errors wrap a Failure.
func LoadKeysBundle(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (KeysBundle, error) {
	return load[KeysBundle](signed, key, author)
}

// Sign makes the bundle with the key of b.Author.
func (b KeysBundle) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&b, key) }

// LoadKeysBundleAccess reads an access, once opened. Errors wrap a Failure.
func LoadKeysBundleAccess(packed []byte) (access KeysBundleAccess, err error) {
	if err = unpack(packed, &access); err != nil {
		return KeysBundleAccess{}, fmt.Errorf("load %s: %w", access.name(), err)
	}
	return access, nil
}

// Pack makes the access, which is not signed.
func (a KeysBundleAccess) Pack() ([]byte, error) { return pack(&a) }

// Claim is what a certificate says of itself, before it is verified: whose key it
// must be verified with.
type Claim struct {
	// Type is the value of "type".
	Type string `wire:"type"`
	// Author is nil for the root key, and for a sequester authority.
	Author    *parsec3.DeviceID `wire:"author,nullable,optional"`
	Timestamp parsec.DateTime   `wire:"timestamp"`
}

// Claims reads what a certificate that a device or the root key should have signed
// says of itself. Errors wrap a Failure.
func Claims(signed []byte) (claim Claim, err error) {
	if len(signed) < ed25519.SignatureSize {
		return Claim{}, FailureSignature
	}
	encoded, err := unpackMap(signed[ed25519.SignatureSize:])
	if err != nil {
		return Claim{}, err
	}
	if err := wire.Microseconds.Unmarshal(encoded, &claim); err != nil {
		return Claim{}, FailureSchema.because(err)
	}
	return claim, nil
}

func (*KeysBundle) name() string                  { return "realm_keys_bundle" }
func (b *KeysBundle) author() parsec3.DeviceID    { return b.Author }
func (b *KeysBundle) fields() any                 { return b }
func (b *KeysBundle) decode(encoded []byte) error { return unmarshal(encoded, b) }

func (*KeysBundleAccess) name() string                  { return "realm_keys_bundle_access" }
func (a *KeysBundleAccess) fields() any                 { return a }
func (a *KeysBundleAccess) decode(encoded []byte) error { return unmarshal(encoded, a) }
