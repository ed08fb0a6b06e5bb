package certificate

import "fmt"

// The algorithms of docs/protocol/v5/types.md §4, each the only one of its kind: a
// certificate that names another does not load, and no value keeps the name.
type (
	signingKeyAlgorithm struct{}
	privateKeyAlgorithm struct{}
	secretKeyAlgorithm  struct{}
	hashAlgorithm       struct{}
)

const (
	ed25519Algorithm = "ED25519"
	x25519Algorithm  = "X25519_XSALSA20_POLY1305"
	// EncryptionAlgorithm is that of the keys of realms.
	EncryptionAlgorithm = "BLAKE2_XSALSA20_POLY1305"
	// HashAlgorithm is that by which they are derived.
	HashAlgorithm = "SHA256"
)

// MarshalText returns the wire form.
func (signingKeyAlgorithm) MarshalText() ([]byte, error) { return []byte(ed25519Algorithm), nil }

// MarshalText returns the wire form.
func (privateKeyAlgorithm) MarshalText() ([]byte, error) { return []byte(x25519Algorithm), nil }

// MarshalText returns the wire form.
func (secretKeyAlgorithm) MarshalText() ([]byte, error) { return []byte(EncryptionAlgorithm), nil }

// MarshalText returns the wire form.
func (hashAlgorithm) MarshalText() ([]byte, error) { return []byte(HashAlgorithm), nil }

// UnmarshalText refuses any other text.
func (*signingKeyAlgorithm) UnmarshalText(text []byte) error { return only(ed25519Algorithm, text) }

// UnmarshalText refuses any other text.
func (*privateKeyAlgorithm) UnmarshalText(text []byte) error { return only(x25519Algorithm, text) }

// UnmarshalText refuses any other text.
func (*secretKeyAlgorithm) UnmarshalText(text []byte) error { return only(EncryptionAlgorithm, text) }

// UnmarshalText refuses any other text.
func (*hashAlgorithm) UnmarshalText(text []byte) error { return only(HashAlgorithm, text) }

func only(algorithm string, text []byte) error {
	if string(text) != algorithm {
		return fmt.Errorf("must be %q", algorithm)
	}
	return nil
}
