package certificate

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/wire"
)

// Failure is the step at which loading ended
// (docs/protocol/v5/certificates.md §2). Every error of a Load function wraps one;
// it is safe to show, while the rest of the error is for logs.
type Failure string

// The failures, in the order of the steps.
const (
	FailureSignature Failure = "signature"
	FailureFormat    Failure = "format"
	FailureZstd      Failure = "zstd"
	FailureMsgpack   Failure = "msgpack"
	FailureSchema    Failure = "schema"
	FailureIntegrity Failure = "integrity"
	FailureAuthor    Failure = "author"
)

func (f Failure) Error() string { return "invalid " + string(f) }

// because adds what was found to the failure.
func (f Failure) because(err error) error { return fmt.Errorf("%w: %w", f, err) }

// payload is a type of payload, by pointer.
type payload interface {
	// name returns the value of "type".
	name() string
	// fields returns the struct to encode after "type".
	fields() any
	// decode sets the payload from a map of its type. Its errors wrap a
	// Failure.
	decode(encoded []byte) error
}

// certificate is a payload that a device or the root key signs.
type certificate interface {
	payload
	// author is zero for the root key.
	author() parsec3.DeviceID
}

// load verifies and reads a certificate of type T that author, zero for the root
// key, signed with key.
func load[T any, P interface {
	*T
	certificate
}](signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (T, error) {
	var value, none T
	target := P(&value)
	if err := open(signed, key, author, target); err != nil {
		return none, fmt.Errorf("load %s: %w", target.name(), err)
	}
	return value, nil
}

func open(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID, target certificate) error {
	if len(signed) < ed25519.SignatureSize {
		return FailureSignature.because(errors.New("too short"))
	}
	signature, packed := signed[:ed25519.SignatureSize], signed[ed25519.SignatureSize:]
	if !key.VerifyStrict(packed, signature) {
		return FailureSignature
	}
	if err := unpack(packed, target); err != nil {
		return err
	}
	if target.author() != author {
		return FailureAuthor
	}
	return nil
}

// Claim is what a certificate says of itself before it is verified: whose key it must
// be verified with.
type Claim struct {
	// Type is the value of "type".
	Type string `wire:"type"`
	// Author is nil for the root key, and for a sequester authority.
	Author    *parsec3.DeviceID `wire:"author,nullable,optional"`
	Timestamp parsec.DateTime   `wire:"timestamp"`
}

// ReadClaim reads what a certificate that a device or the root key should have signed
// says of itself. Errors wrap a Failure.
func ReadClaim(signed []byte) (claim Claim, err error) {
	if len(signed) < ed25519.SignatureSize {
		return claim, FailureSignature.because(errors.New("too short"))
	}
	encoded, err := Unpack(signed[ed25519.SignatureSize:])
	if err != nil {
		return claim, err
	}
	return claim, unmarshal(encoded, &claim)
}

// Read returns what a certificate of type T says, whoever has signed it: for those who
// tell what is wrong with one that does not load. Errors wrap a Failure.
func Read[T any, P interface {
	*T
	certificate
}](signed []byte) (T, error) {
	var value, none T
	if len(signed) < ed25519.SignatureSize {
		return none, FailureSignature.because(errors.New("too short"))
	}
	if err := unpack(signed[ed25519.SignatureSize:], P(&value)); err != nil {
		return none, err
	}
	return value, nil
}

func sign(source certificate, key ed25519.PrivateKey) ([]byte, error) {
	packed, err := pack(source)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", source.name(), err)
	}
	return append(ed25519.Sign(key, packed), packed...), nil
}

// unpack reads 0x00 || zstd(msgpack(map)).
func unpack(packed []byte, target payload) error {
	encoded, err := Unpack(packed)
	if err != nil {
		return err
	}
	if name, ok := wire.Microseconds.LookupString(encoded, "type"); !ok || name != target.name() {
		return FailureSchema.because(errors.New("another type"))
	}
	return target.decode(encoded)
}

// Unpack returns the map of 0x00 || zstd(msgpack(map)), the form of certificates and
// of what clients keep from the server (docs/protocol/v5/certificates.md §2). Errors
// wrap a Failure.
func Unpack(packed []byte) ([]byte, error) {
	if len(packed) == 0 || packed[0] != formatVersion {
		return nil, FailureFormat.because(errors.New("not of version 0"))
	}
	encoded, err := decompress(packed[1:])
	if err != nil {
		return nil, FailureZstd.because(err)
	}
	if err := wire.Microseconds.Scan(encoded); err != nil {
		return nil, FailureMsgpack.because(err)
	}
	if !wire.IsMap(encoded) {
		return nil, FailureSchema.because(errors.New("the root is not a map"))
	}
	return encoded, nil
}

// pack makes 0x00 || zstd(msgpack(map)). It overwrites source with what its reader
// will find, and so refuses what no reader accepts, such as a wrong sum of shares.
func pack(source payload) ([]byte, error) {
	head := []wire.Field{{Key: "type", Value: source.name()}}
	encoded, err := wire.Microseconds.AppendMap(nil, head, source.fields())
	if err != nil {
		return nil, err
	}
	if err := source.decode(encoded); err != nil {
		return nil, err
	}
	return Pack(encoded)
}

// Pack makes what Unpack reads of a map. It fails on a map above 1 MiB.
func Pack(encoded []byte) ([]byte, error) {
	if len(encoded) > maxPayload {
		return nil, fmt.Errorf("more than %d bytes", maxPayload)
	}
	return compress([]byte{formatVersion}, encoded)
}

// unmarshal decodes the fields of a payload.
func unmarshal(encoded []byte, target any) error {
	if err := wire.Microseconds.Unmarshal(encoded, target); err != nil {
		return FailureSchema.because(err)
	}
	return nil
}

// signer returns the author of a certificate that the root key may sign, zero for
// nil. A device whose id is zero would be taken for the root key.
func signer(author *parsec3.DeviceID) (parsec3.DeviceID, error) {
	if author == nil {
		return parsec3.DeviceID{}, nil
	}
	if *author == (parsec3.DeviceID{}) {
		return parsec3.DeviceID{}, FailureAuthor
	}
	return *author, nil
}

// signerField returns the wire form of what signer reads.
func signerField(author parsec3.DeviceID) *parsec3.DeviceID {
	if author == (parsec3.DeviceID{}) {
		return nil
	}
	return &author
}
