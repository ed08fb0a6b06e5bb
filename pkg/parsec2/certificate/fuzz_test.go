package certificate_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

// Where the fuzzed bytes stand: the signature and the checksum would otherwise
// stop almost every mutation.
const (
	asReceived = iota
	asSigned   // what follows a right signature
	asPayload  // what a right zlib stream holds
	forms
)

// FuzzLoad loads any bytes as any type. What is refused names a failure and
// gives nothing; what loads can be signed again, and is then the same.
func FuzzLoad(f *testing.F) {
	const (
		service = "sequester_service_certificate"
		submit  = "pki_enrollment_submit_payload"
		answer  = "pki_enrollment_answer_payload"
	)
	kinds := append(slices.Sorted(maps.Keys(signedKinds)), service, submit, answer)
	seed := func(kind string, root bool, form int, data []byte) {
		f.Add(uint8(slices.Index(kinds, kind)), uint8(form), root, data)
	}
	items := vectors.Load[certificateVectors](f, "certificates.json")
	for _, item := range items.Signed {
		root := item.ExpectedAuthor == parsec.DeviceID{}
		seed(item.Kind, root, asReceived, item.Signed)
		if item.Valid {
			seed(item.Kind, root, asSigned, item.Signed[ed25519.SignatureSize:])
			seed(item.Kind, root, asPayload, decompress(f, item.Signed[ed25519.SignatureSize:]))
		}
	}
	for _, item := range items.SequesterService {
		seed(service, false, asReceived, item.Signed)
		if item.Valid {
			const header = len("RSASSA-PSS-SHA256:") + 2048/8
			seed(service, false, asSigned, item.Signed[header:])
			seed(service, false, asPayload, decompress(f, item.Signed[header:]))
		}
	}
	for _, item := range items.PKIPayloads {
		seed(item.Kind, false, asSigned, item.Payload)
		if item.Valid {
			seed(item.Kind, false, asPayload, decompress(f, item.Payload))
		}
	}

	keys := loadKeys(f)
	key, verifyKey := keys.signing(f, "alice_dev1"), keys.verify(f, "alice_dev1")
	authority := keys.rsaPrivate(f, "sequester_other") // the fastest
	alice := deviceID(f, "alice@dev1")

	f.Fuzz(func(t *testing.T, kindIndex, form uint8, root bool, data []byte) {
		name := kinds[int(kindIndex)%len(kinds)]
		form %= forms
		var author parsec.DeviceID
		if !root {
			author = alice
		}
		if form == asPayload {
			data = signBytes(t, key, data)[ed25519.SignatureSize:]
		}
		switch name {
		case service:
			if form != asReceived {
				digest := sha256.Sum256(data)
				signature, err := rsa.SignPSS(rand.Reader, authority, crypto.SHA256, digest[:], nil)
				if err != nil {
					t.Fatal(err)
				}
				data = slices.Concat([]byte("RSASSA-PSS-SHA256:"), signature, data)
			}
			checkLoading(t,
				func(signed []byte) (certificate.SequesterService, error) {
					return certificate.LoadSequesterService(signed, &authority.PublicKey)
				},
				func(s certificate.SequesterService) ([]byte, error) { return s.Sign(authority) }, data)
		case submit:
			checkLoading(t, certificate.LoadPKISubmit, certificate.PKISubmit.Pack, data)
		case answer:
			checkLoading(t, certificate.LoadPKIAnswer, certificate.PKIAnswer.Pack, data)
		default:
			if form != asReceived {
				data = append(ed25519.Sign(key, data), data...)
			}
			kind := signedKinds[name]
			checkLoading(t,
				func(signed []byte) (any, error) { return kind.load(signed, verifyKey, author) },
				func(value any) ([]byte, error) { return kind.sign(value, key) }, data)
		}
	})
}

func checkLoading[T any](t *testing.T, load func([]byte) (T, error), sign func(T) ([]byte, error), data []byte) {
	t.Helper()
	value, err := load(data)
	if err != nil {
		if _, ok := errors.AsType[certificate.Failure](err); !ok {
			t.Errorf("error without failure: %v", err)
		}
		if !reflect.ValueOf(value).IsZero() {
			t.Errorf("refused with %v, but gave %+v", err, value)
		}
		return
	}
	again, err := sign(value)
	if err != nil {
		t.Fatalf("sign %+v again: %v", value, err)
	}
	same, err := load(again)
	if err != nil || !reflect.DeepEqual(same, value) {
		t.Errorf("signed again, got %+v, %v\nwant %+v", same, err, value)
	}
}
