package certificate

import (
	"crypto/ed25519"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Manifest is what a client signs, and then encrypts, as a version of a vlob. No
// server reads it. Official manifests have more fields in place of the content, and
// the same four that their readers verify (docs/protocol/v5/quirks.md §5).
type Manifest struct {
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	ID        parsec.VlobID    `wire:"id"`
	Version   uint32           `wire:"version"`
	Content   []byte           `wire:"content"`
}

// LoadManifest reads a manifest, once decrypted, that author signed with key.
// Errors wrap a Failure.
func LoadManifest(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (Manifest, error) {
	return load[Manifest](signed, key, author)
}

// Sign makes the manifest with the key of m.Author.
func (m Manifest) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&m, key) }

func (*Manifest) name() string                  { return "file_manifest" }
func (m *Manifest) author() parsec3.DeviceID    { return m.Author }
func (m *Manifest) fields() any                 { return m }
func (m *Manifest) decode(encoded []byte) error { return unmarshal(encoded, m) }
