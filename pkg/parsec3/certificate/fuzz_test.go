package certificate_test

import (
	"crypto/ed25519"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// Where the fuzzed bytes stand: the signature and the compression would otherwise
// stop almost every mutation.
const (
	asReceived = iota
	asSigned   // what follows a right signature
	asPayload  // what a right frame of zstd holds
	forms
)

// FuzzLoad loads any bytes as any type. What is refused names a failure and gives
// nothing; what loads can be signed again, and is then the same.
func FuzzLoad(f *testing.F) {
	names := append(slices.Sorted(maps.Keys(kinds)), serviceType, revokedServiceType)
	seed := func(name string, root bool, form int, data []byte) {
		f.Add(uint8(slices.Index(names, name)), uint8(form), root, data)
	}
	loaded := loadVectors(f)
	const header = len("RSASSA-PSS-SHA256:") + 2048/8
	for _, item := range slices.Concat(loaded.Official, loaded.Own, loaded.SequesterSigned) {
		root := item.VerifyKey == "root"
		packed := item.Raw
		switch {
		case item.Signed == true && len(packed) >= ed25519.SignatureSize:
			packed = packed[ed25519.SignatureSize:]
		case item.Signed == "rsa" && len(packed) >= header:
			packed = packed[header:]
		}
		seed(item.Type, root, asReceived, item.Raw)
		seed(item.Type, root, asSigned, packed)
		if item.Valid {
			seed(item.Type, root, asPayload, decompress(f, packed))
		}
	}

	key, verifyKey := loaded.signing(f, "alice_dev1"), loaded.verify(f, "alice_dev1")
	authority := loaded.rsaPrivate(f, "sequester_authority")
	author := parsec3.DeviceID{0xde, 0x10, 0xa1, 0x1c, 0xec, 0x00, 0x10}

	f.Fuzz(func(t *testing.T, nameIndex, form uint8, root bool, data []byte) {
		name := names[int(nameIndex)%len(names)]
		by := author
		if root {
			by = parsec3.DeviceID{}
		}
		form %= forms
		if form == asPayload {
			data = signPacked(key, compress(t, data))[ed25519.SignatureSize:]
		}
		if name == serviceType || name == revokedServiceType {
			if form != asReceived {
				var err error
				if data, err = parsec.SignPSS(data, authority); err != nil {
					t.Fatal(err)
				}
			}
			if name == serviceType {
				checkLoading(t,
					func(signed []byte) (certificate.SequesterService, error) {
						return certificate.LoadSequesterService(signed, &authority.PublicKey)
					},
					func(s certificate.SequesterService) ([]byte, error) { return s.Sign(authority) }, data)
				return
			}
			checkLoading(t,
				func(signed []byte) (certificate.SequesterRevokedService, error) {
					return certificate.LoadSequesterRevokedService(signed, &authority.PublicKey)
				},
				func(s certificate.SequesterRevokedService) ([]byte, error) { return s.Sign(authority) }, data)
			return
		}
		if form != asReceived {
			data = append(ed25519.Sign(key, data), data...)
		}
		kind := kinds[name]
		checkLoading(t,
			func(signed []byte) (any, error) { return kind.load(signed, verifyKey, by) },
			func(value any) ([]byte, error) { return kind.sign(value, key) }, data)
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
