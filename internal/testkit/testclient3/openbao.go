package testclient3

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"parsec-server/pkg/parsec3/protocol"
)

// Entity is an Identity of an OpenBao server that stands in for a real one: it keeps
// nothing, and the id of an entity is its only e-mail address.
type Entity string

// openBaoKey is what the signatures of OpenBao begin with: they name the version of the
// key.
const openBaoKey = "vault:v1:"

func (e Entity) key() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("entity-" + string(e)))
	return ed25519.NewKeyFromSeed(seed[:])
}

// openBaoInput is what OpenBao is given to sign.
func openBaoInput(payload []byte) []byte {
	return base64.StdEncoding.AppendEncode(nil, payload)
}

func (e Entity) sign(payload []byte) (protocol.SubmitSignature, error) {
	signature := base64.StdEncoding.EncodeToString(ed25519.Sign(e.key(), openBaoInput(payload)))
	return protocol.SubmitSignature{Kind: protocol.SignedByOpenBao, OpenBaoSignature: openBaoKey + signature, EntityID: string(e)}, nil
}

func (Entity) verify(payload []byte, by protocol.SubmitSignature, _ time.Time) (emails []string, err error) {
	if by.Kind != protocol.SignedByOpenBao {
		return nil, errSystem
	}
	encoded, ofKey := strings.CutPrefix(by.OpenBaoSignature, openBaoKey)
	signature, err := base64.StdEncoding.DecodeString(encoded)
	key := Entity(by.EntityID).key().Public().(ed25519.PublicKey)
	if !ofKey || err != nil || !ed25519.Verify(key, openBaoInput(payload), signature) {
		return nil, errSignature
	}
	return []string{by.EntityID}, nil
}
