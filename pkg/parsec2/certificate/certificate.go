package certificate

import (
	"bytes"
	"compress/zlib"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"sync"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// maxPayload bounds a payload once decompressed, in bytes; a normal one is
// below 1 KiB (docs/protocol/certificates.md §2).
const maxPayload = 1 << 20

// Failure is the step at which loading ended (docs/protocol/certificates.md
// §2). Every error of a Load function wraps one; it is safe to show, while the
// rest of the error is for logs.
type Failure string

// The failures, in the order of the steps.
const (
	FailureAlgorithm Failure = "algorithm" // of sequester services only
	FailureSignature Failure = "signature"
	FailureZlib      Failure = "zlib"
	FailureMsgpack   Failure = "msgpack"
	FailureType      Failure = "type"
	FailureSchema    Failure = "schema"
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
	author() parsec.DeviceID
}

// load verifies and reads a certificate of type T that author, zero for the
// root key, signed with key.
func load[T any, P interface {
	*T
	certificate
}](signed []byte, key parsec.VerifyKey, author parsec.DeviceID) (T, error) {
	var value, none T
	target := P(&value)
	if err := open(signed, key, author, target); err != nil {
		return none, fmt.Errorf("load %s: %w", target.name(), err)
	}
	return value, nil
}

func open(signed []byte, key parsec.VerifyKey, author parsec.DeviceID, target certificate) error {
	if len(signed) < ed25519.SignatureSize {
		return FailureSignature.because(errors.New("too short"))
	}
	signature, compressed := signed[:ed25519.SignatureSize], signed[ed25519.SignatureSize:]
	if !key.Verify(compressed, signature) {
		return FailureSignature
	}
	if err := unpack(compressed, target); err != nil {
		return err
	}
	if target.author() != author {
		return FailureAuthor
	}
	return nil
}

// Read returns what a certificate of type T says, whoever has signed it: for those
// who tell what is wrong with one that does not load. Errors wrap a Failure.
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
	compressed, err := pack(source)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", source.name(), err)
	}
	return append(ed25519.Sign(key, compressed), compressed...), nil
}

// unpack reads zlib(msgpack(map)).
func unpack(compressed []byte, target payload) error {
	encoded, err := decompress(compressed)
	if err != nil {
		return FailureZlib.because(err)
	}
	if err := wire.Scan(encoded); err != nil {
		return FailureMsgpack.because(err)
	}
	if !wire.IsMap(encoded) {
		return FailureSchema.because(errors.New("the root is not a map"))
	}
	if name, ok := wire.LookupString(encoded, "type"); !ok || name != target.name() {
		return FailureType
	}
	return target.decode(encoded)
}

// pack makes zlib(msgpack(map)). It overwrites source with what its reader
// will find, and so refuses what no reader accepts, such as an empty id.
func pack(source payload) ([]byte, error) {
	head := []wire.Field{{Key: "type", Value: source.name()}}
	encoded, err := wire.AppendMap(nil, head, source.fields())
	if err != nil {
		return nil, err
	}
	if len(encoded) > maxPayload {
		return nil, fmt.Errorf("more than %d bytes", maxPayload)
	}
	if err := source.decode(encoded); err != nil {
		return nil, err
	}
	return compress(encoded)
}

// unmarshal decodes the fields of a payload.
func unmarshal(encoded []byte, target any) error {
	if err := wire.Unmarshal(encoded, target); err != nil {
		return FailureSchema.because(err)
	}
	return nil
}

// decompress reads one zlib stream; what follows it is ignored, as by every
// official release.
func decompress(compressed []byte) ([]byte, error) {
	reader, err := zlib.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	// The checksum is verified by reading on to the end of the stream: the
	// limit leaves room for one byte too many.
	data, err := io.ReadAll(io.LimitReader(reader, maxPayload+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxPayload {
		return nil, fmt.Errorf("more than %d bytes once decompressed", maxPayload)
	}
	return data, nil
}

// compressors are kept: each allocates about a megabyte.
var compressors = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}

func compress(data []byte) ([]byte, error) {
	var compressed bytes.Buffer
	writer := compressors.Get().(*zlib.Writer)
	defer compressors.Put(writer)
	writer.Reset(&compressed)
	if _, err := writer.Write(data); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return compressed.Bytes(), nil
}
