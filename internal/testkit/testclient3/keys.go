package testclient3

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/box"
	"golang.org/x/crypto/nacl/secretbox"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// Keys are the keys of a realm, from index 1 on; a realm without rotation has that
// of its only user.
type Keys struct {
	own  [32]byte
	list [][32]byte
}

// UserKeys returns the keys of the realm of the user of d: one of index 0.
func UserKeys(d *client3.Device) *Keys { return &Keys{own: sha256.Sum256(d.PrivateKey.Bytes())} }

// Index returns that of the last key.
func (k *Keys) Index() uint64 { return uint64(len(k.list)) }

// Encrypt encrypts with the last key.
func (k *Keys) Encrypt(data []byte) []byte {
	key, err := k.key(k.Index())
	if err != nil {
		panic("parsec3: the last key is not there: " + err.Error())
	}
	return seal(data, key)
}

// Decrypt decrypts what was encrypted with the key of an index.
func (k *Keys) Decrypt(index uint64, encrypted []byte) ([]byte, error) {
	key, err := k.key(index)
	if err != nil {
		return nil, err
	}
	return unseal(encrypted, key)
}

func (k *Keys) key(index uint64) (*[32]byte, error) {
	switch {
	case index == 0:
		return &k.own, nil
	case index > k.Index():
		return nil, fmt.Errorf("no key has the index %d", index)
	default:
		return &k.list[index-1], nil
	}
}

const nonceSize = 24

// seal has the form of a SecretKey (docs/protocol/v5/types.md §5).
func seal(data []byte, key *[32]byte) []byte {
	var nonce [nonceSize]byte
	rand.Read(nonce[:]) // never fails
	return secretbox.Seal(nonce[:], data, &nonce, key)
}

func unseal(sealed []byte, key *[32]byte) ([]byte, error) {
	if len(sealed) < nonceSize {
		return nil, errors.New("too short for its nonce")
	}
	data, ok := secretbox.Open(nil, sealed[nonceSize:], (*[nonceSize]byte)(sealed), key)
	if !ok {
		return nil, errors.New("encrypted with another key")
	}
	return data, nil
}

// Access is what a keys bundle is encrypted with.
type Access [32]byte

// For seals the access for a user.
func (a Access) For(key parsec.PublicKey) ([]byte, error) {
	packed, err := keysBundleAccess{Key: a}.pack()
	if err != nil {
		return nil, err
	}
	return box.SealAnonymous(nil, packed, (*[32]byte)(&key), rand.Reader)
}

const serviceAccessPrefix = "RSAES-OAEP-SHA256-XSALSA20-POLY1305:"

// ForService seals the access for a sequester service.
func (a Access) ForService(key *rsa.PublicKey) ([]byte, error) {
	packed, err := keysBundleAccess{Key: a}.pack()
	if err != nil {
		return nil, err
	}
	var once [32]byte
	rand.Read(once[:]) // never fails
	head, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key, once[:], nil)
	if err != nil {
		return nil, err
	}
	return append(append([]byte(serviceAccessPrefix), head...), seal(packed, &once)...), nil
}

// Participants are who gets an access to a keys bundle.
type Participants struct {
	Users map[parsec3.UserID]parsec.PublicKey
	// Services is nil for an organization without sequester.
	Services map[parsec.SequesterServiceID]*rsa.PublicKey
}

// RotateKey returns the keys of a realm with one more, and the request by which d
// adds it.
func RotateKey(d *client3.Device, realm parsec.RealmID, keys *Keys, to Participants, now parsec.DateTime) (*Keys, *protocol.RealmRotateKeyRequest, error) {
	var key [32]byte
	rand.Read(key[:]) // never fails
	rotated := &Keys{own: keys.own, list: append(append([][32]byte(nil), keys.list...), key)}
	signed, err := certificate.RealmKeyRotation{
		Author: d.ID, Timestamp: now, RealmID: realm, KeyIndex: rotated.Index(), KeyCanary: rotated.Encrypt(nil),
	}.Sign(d.SigningKey)
	if err != nil {
		return nil, nil, err
	}
	bundle, err := keysBundle{Author: d.ID, Timestamp: now, RealmID: realm, Keys: rotated.list}.sign(d.SigningKey)
	if err != nil {
		return nil, nil, err
	}
	var access Access
	rand.Read(access[:]) // never fails
	request := &protocol.RealmRotateKeyRequest{
		RealmKeyRotationCertificate:    signed,
		KeysBundle:                     seal(bundle, (*[32]byte)(&access)),
		PerParticipantKeysBundleAccess: map[parsec3.UserID][]byte{},
	}
	for user, public := range to.Users {
		if request.PerParticipantKeysBundleAccess[user], err = access.For(public); err != nil {
			return nil, nil, err
		}
	}
	if to.Services != nil {
		request.PerSequesterServiceKeysBundleAccess = map[parsec.SequesterServiceID][]byte{}
	}
	for service, public := range to.Services {
		if request.PerSequesterServiceKeysBundleAccess[service], err = access.ForService(public); err != nil {
			return nil, nil, err
		}
	}
	return rotated, request, nil
}

// OpenKeysBundle returns the keys that a reply to realm_get_keys_bundle holds for
// the user of d, and the access, for others. The bundle must be what author, known
// by key, has signed for the rotation of the realm to an index.
func OpenKeysBundle(d *client3.Device, reply *protocol.RealmGetKeysBundleReply, realm parsec.RealmID, index uint64, author parsec3.DeviceID, key parsec.VerifyKey) (*Keys, Access, error) {
	packed, err := openAccess(d, reply.KeysBundleAccess)
	if err != nil {
		return nil, Access{}, err
	}
	keys, access, err := openKeysBundle(packed, reply.KeysBundle, realm, index, author, key)
	if err != nil {
		return nil, Access{}, err
	}
	keys.own = UserKeys(d).own
	return keys, access, nil
}

// openAccess returns what Access.For has sealed.
func openAccess(d *client3.Device, sealed []byte) ([]byte, error) {
	public, private := [32]byte(d.PublicKey()), [32]byte(d.PrivateKey.Bytes())
	packed, ok := box.OpenAnonymous(nil, sealed, &public, &private)
	if !ok {
		return nil, errors.New("the access to the keys bundle is not for this user")
	}
	return packed, nil
}

// openKeysBundle is OpenKeysBundle with an access that is unsealed.
func openKeysBundle(packed, sealed []byte, realm parsec.RealmID, index uint64, author parsec3.DeviceID, key parsec.VerifyKey) (*Keys, Access, error) {
	access, err := loadKeysBundleAccess(packed)
	if err != nil {
		return nil, Access{}, err
	}
	signed, err := unseal(sealed, &access.Key)
	if err != nil {
		return nil, Access{}, fmt.Errorf("open the keys bundle: %w", err)
	}
	bundle, err := loadKeysBundle(signed, key, author)
	if err != nil {
		return nil, Access{}, err
	}
	if bundle.RealmID != realm || uint64(len(bundle.Keys)) != index {
		return nil, Access{}, fmt.Errorf("the keys bundle is of realm %s with %d keys", bundle.RealmID, len(bundle.Keys))
	}
	return &Keys{list: bundle.Keys}, Access(access.Key), nil
}
