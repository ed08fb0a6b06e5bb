package testclient3

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/wire"
)

// keysBundle is what a client encrypts as a keys bundle: all keys of a realm. No
// server reads it (docs/protocol/v5/certificates.md §9).
type keysBundle struct {
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	RealmID   parsec.RealmID   `wire:"realm_id"`
	// Keys are those of the indexes from 1 on.
	Keys [][32]byte `wire:"keys"`
}

// keysBundleAccess is what a client seals as an access to a keys bundle.
type keysBundleAccess struct {
	// Key is what the bundle is encrypted with.
	Key [32]byte `wire:"keys_bundle_key"`
}

// manifest is what a client signs, and then encrypts, as a version of a vlob. No
// server reads it. Official manifests have more fields in place of the content, and
// the same four that their readers verify (docs/protocol/v5/quirks.md §5).
type manifest struct {
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	ID        parsec.VlobID    `wire:"id"`
	Version   uint32           `wire:"version"`
	Content   []byte           `wire:"content"`
}

const (
	keysBundleType       = "realm_keys_bundle"
	keysBundleAccessType = "realm_keys_bundle_access"
	manifestType         = "file_manifest"
)

func (b keysBundle) sign(key ed25519.PrivateKey) ([]byte, error) {
	return signPayload(keysBundleType, &b, key)
}

func loadKeysBundle(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (bundle keysBundle, err error) {
	err = openPayload(signed, keysBundleType, key, &bundle)
	if err == nil && bundle.Author != author {
		err = certificate.FailureAuthor
	}
	return bundle, err
}

func (a keysBundleAccess) pack() ([]byte, error) { return packPayload(keysBundleAccessType, &a) }

func loadKeysBundleAccess(packed []byte) (access keysBundleAccess, err error) {
	err = unpackPayload(packed, keysBundleAccessType, &access)
	return access, err
}

func (m manifest) sign(key ed25519.PrivateKey) ([]byte, error) {
	return signPayload(manifestType, &m, key)
}

func loadManifest(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (found manifest, err error) {
	err = openPayload(signed, manifestType, key, &found)
	if err == nil && found.Author != author {
		err = certificate.FailureAuthor
	}
	return found, err
}

func packPayload(name string, fields any) ([]byte, error) {
	encoded, err := wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "type", Value: name}}, fields)
	if err != nil {
		return nil, err
	}
	return certificate.Pack(encoded)
}

func unpackPayload(packed []byte, name string, fields any) error {
	encoded, err := certificate.Unpack(packed)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if found, _ := wire.Microseconds.LookupString(encoded, "type"); found != name {
		return fmt.Errorf("%s: has the type %q", name, found)
	}
	if err := wire.Microseconds.Unmarshal(encoded, fields); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func signPayload(name string, fields any, key ed25519.PrivateKey) ([]byte, error) {
	packed, err := packPayload(name, fields)
	if err != nil {
		return nil, err
	}
	return append(ed25519.Sign(key, packed), packed...), nil
}

func openPayload(signed []byte, name string, key parsec.VerifyKey, fields any) error {
	if len(signed) < ed25519.SignatureSize || !key.VerifyStrict(signed[ed25519.SignatureSize:], signed[:ed25519.SignatureSize]) {
		return errors.New(name + ": has another signature")
	}
	return unpackPayload(signed[ed25519.SignatureSize:], name, fields)
}
