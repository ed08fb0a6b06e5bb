package testclient3

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// MasterSecret is what the keys of an authentication method derive from
// (docs/protocol/v5/account.md §3).
type MasterSecret [32]byte

// Argon2ID is how a MasterSecret derives from a password. Memory is in KiB.
type Argon2ID struct{ Memory, Operations, Parallelism uint32 }

// DefaultArgon2ID is that of official clients, which take none that is weaker.
var DefaultArgon2ID = Argon2ID{Memory: 131072, Operations: 3, Parallelism: 1}

// MasterSecretOf returns that of a password of the account of an e-mail address. The
// salt is the client's: no server chooses it.
func MasterSecretOf(password, email string, algorithm Argon2ID) MasterSecret {
	return MasterSecret(argon2.IDKey([]byte(password), passwordSalt(email),
		algorithm.Operations, algorithm.Memory, uint8(algorithm.Parallelism), 32))
}

func passwordSalt(email string) []byte {
	hash, err := blake2b.New(16, nil)
	if err != nil {
		panic(err) // the size is one
	}
	hash.Write([]byte("PARSEC_PASSWORD_ARGON2ID." + email))
	return hash.Sum(nil)
}

// NewMasterSecret returns one without password.
func NewMasterSecret() (secret MasterSecret) {
	rand.Read(secret[:]) // never fails
	return secret
}

// MethodID identifies the authentication method.
func (m MasterSecret) MethodID() parsec.UUID {
	return parsec.UUID(m.derive(repeated(0x00), 16))
}

// MACKey signs the tokens of the method.
func (m MasterSecret) MACKey() [32]byte { return [32]byte(m.derive(repeated(0x11), 32)) }

// secretKey never leaves the client.
func (m MasterSecret) secretKey() *[32]byte {
	key := [32]byte(m.derive(repeated(0x22), 32))
	return &key
}

func repeated(octet byte) (uuid parsec.UUID) {
	for i := range uuid {
		uuid[i] = octet
	}
	return uuid
}

// The beginning of BLAKE2b (RFC 7693 §2.6).
var blake2bIV = [8]uint64{
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
}

// derive returns BLAKE2b of no message, keyed with the secret: the first half of uuid is
// the salt, the second one the personalisation, which the library has no parameters for.
// So the state after them is written as the library stores it.
func (m MasterSecret) derive(uuid parsec.UUID, size int) []byte {
	var parameters [8]uint64 // RFC 7693 §2.5
	parameters[0] = uint64(size) | uint64(len(m))<<8 | 1<<16 | 1<<24
	parameters[4] = binary.LittleEndian.Uint64(uuid[:8])
	parameters[6] = binary.LittleEndian.Uint64(uuid[8:])
	state := []byte("b2b")
	for i, word := range blake2bIV {
		state = binary.BigEndian.AppendUint64(state, word^parameters[i])
	}
	// The one block holds the key. Its length is counted before it is hashed.
	state = binary.BigEndian.AppendUint64(state, 0)
	state = binary.BigEndian.AppendUint64(state, 0)
	state = append(state, byte(size))
	state = append(state, m[:]...)
	state = append(state, make([]byte, blake2b.BlockSize-len(m))...)
	state = append(state, blake2b.BlockSize)
	hash, err := blake2b.New512(nil)
	if err == nil {
		err = hash.(interface{ UnmarshalBinary([]byte) error }).UnmarshalBinary(state)
	}
	if err != nil {
		panic(err) // nothing of it depends on the arguments
	}
	return hash.Sum(nil)
}

// VaultKey is what a client encrypts the devices in a vault with.
type VaultKey [32]byte

const vaultKeyAccessType = "account_vault_key_access"

type vaultKeyAccess struct {
	VaultKey [32]byte `wire:"vault_key"`
}

// NewVaultKey returns a random one.
func NewVaultKey() (key VaultKey) {
	rand.Read(key[:]) // never fails
	return key
}

// SealVaultKey returns the access to a vault by the method.
func (m MasterSecret) SealVaultKey(key VaultKey) ([]byte, error) {
	packed, err := packPayload(vaultKeyAccessType, &vaultKeyAccess{key})
	if err != nil {
		return nil, err
	}
	return seal(packed, m.secretKey()), nil
}

// OpenVaultKey reads what SealVaultKey returns.
func (m MasterSecret) OpenVaultKey(sealed []byte) (VaultKey, error) {
	packed, err := unseal(sealed, m.secretKey())
	if err != nil {
		return VaultKey{}, err
	}
	var access vaultKeyAccess
	err = unpackPayload(packed, vaultKeyAccessType, &access)
	return access.VaultKey, err
}

const registrationDeviceType = "account_vault_item_registration_device"

type registrationDevice struct {
	OrganizationID parsec.OrganizationID `wire:"organization_id"`
	UserID         parsec3.UserID        `wire:"user_id"`
	EncryptedData  []byte                `wire:"encrypted_data"`
}

// registrationFingerprint names the item of a vault that has a device of a user.
func registrationFingerprint(organization parsec.OrganizationID, user parsec3.UserID) [32]byte {
	return sha256.Sum256([]byte("REGISTRATION_DEVICE." + organization.String() + "." + user.String()))
}
