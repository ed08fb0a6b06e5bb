package certificate_test

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"reflect"
	"testing"

	"github.com/klauspost/compress/zstd"

	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/wire"
)

// testVectors is certificates.json (docs/protocol/v5/vectors.md).
type testVectors struct {
	Keys struct {
		Ed25519 map[string]struct {
			Seed      []byte `json:"seed"`
			VerifyKey []byte `json:"verify_key"`
		} `json:"ed25519"`
		RSA map[string]struct {
			Public  []byte `json:"public_der"`
			Private []byte `json:"private_pkcs8_der"`
		} `json:"rsa"`
	} `json:"keys"`
	Official        []vector `json:"official"`
	Own             []vector `json:"own"`
	SequesterSigned []vector `json:"sequester_signed"`
	RSAPSS          struct {
		Public  []byte `json:"public_der"`
		Vectors []struct {
			Name    string `json:"name"`
			Signed  []byte `json:"signed"`
			Message []byte `json:"message"`
		} `json:"vectors"`
	} `json:"rsa_pss"`
}

type vector struct {
	Name           string              `json:"name"`
	Type           string              `json:"type"`
	Raw            []byte              `json:"raw"`
	Signed         any                 `json:"signed"`
	VerifyKey      string              `json:"verify_key"`
	ExpectedAuthor *string             `json:"expected_author"`
	Valid          bool                `json:"valid"`
	Content        *vectors.Decoded    `json:"content"`
	Failure        certificate.Failure `json:"failure"`
}

func loadVectors(t testing.TB) testVectors {
	t.Helper()
	loaded := vectors.Load[testVectors](t, "v5/certificates.json")
	if len(loaded.Official) == 0 || len(loaded.Own) == 0 || len(loaded.SequesterSigned) == 0 || len(loaded.RSAPSS.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	return loaded
}

func (v *testVectors) signing(t testing.TB, name string) ed25519.PrivateKey {
	t.Helper()
	key, found := v.Keys.Ed25519[name]
	if !found {
		t.Fatalf("no key %q", name)
	}
	return ed25519.NewKeyFromSeed(key.Seed)
}

func (v *testVectors) verify(t testing.TB, name string) parsec.VerifyKey {
	t.Helper()
	return parsec.VerifyKey(v.signing(t, name).Public().(ed25519.PublicKey))
}

func (v *testVectors) rsaPrivate(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(v.Keys.RSA[name].Private)
	if err != nil {
		t.Fatalf("RSA key %q: %v", name, err)
	}
	return key.(*rsa.PrivateKey)
}

// kind is how one type of certificate with an Ed25519 signature loads, and how its
// value is signed again.
type kind struct {
	load func(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (any, error)
	sign func(value any, key ed25519.PrivateKey) ([]byte, error)
}

type signer interface {
	Sign(key ed25519.PrivateKey) ([]byte, error)
}

func kindOf[T signer](load func([]byte, parsec.VerifyKey, parsec3.DeviceID) (T, error)) kind {
	return kind{
		load: func(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (any, error) {
			return load(signed, key, author)
		},
		sign: func(value any, key ed25519.PrivateKey) ([]byte, error) { return value.(T).Sign(key) },
	}
}

const (
	authorityType      = "sequester_authority_certificate"
	serviceType        = "sequester_service_certificate"
	revokedServiceType = "sequester_revoked_service_certificate"
)

var kinds = map[string]kind{
	"user_certificate":                     kindOf(certificate.LoadUser),
	"device_certificate":                   kindOf(certificate.LoadDevice),
	"user_update_certificate":              kindOf(certificate.LoadUserUpdate),
	"revoked_user_certificate":             kindOf(certificate.LoadRevokedUser),
	"realm_role_certificate":               kindOf(certificate.LoadRealmRole),
	"realm_key_rotation_certificate":       kindOf(certificate.LoadRealmKeyRotation),
	"realm_name_certificate":               kindOf(certificate.LoadRealmName),
	"realm_archiving_certificate":          kindOf(certificate.LoadRealmArchiving),
	"shamir_recovery_brief_certificate":    kindOf(certificate.LoadShamirBrief),
	"shamir_recovery_share_certificate":    kindOf(certificate.LoadShamirShare),
	"shamir_recovery_deletion_certificate": kindOf(certificate.LoadShamirDeletion),
	authorityType: kindOf(func(signed []byte, key parsec.VerifyKey, _ parsec3.DeviceID) (certificate.SequesterAuthority, error) {
		return certificate.LoadSequesterAuthority(signed, key)
	}),
}

// otherFailures are the items that end at another step here, since all are one
// outcome: a malformed extension is malformed msgpack, an absent author a missing
// field, and a signature that is cut a wrong one.
var otherFailures = map[string]certificate.Failure{
	"timestamp_as_float_api_3": certificate.FailureMsgpack,
	"timestamp_short":          certificate.FailureMsgpack,
	"user_without_author":      certificate.FailureSchema,
	"only_prefix":              certificate.FailureSignature,
	"short":                    certificate.FailureSignature,
}

// author returns who the item says signs: who its content names, if it says
// nothing.
func (v *vector) author(t testing.TB) parsec3.DeviceID {
	t.Helper()
	if v.ExpectedAuthor != nil {
		id, err := parsec.ParseUUID(*v.ExpectedAuthor)
		if err != nil {
			t.Fatal(err)
		}
		return parsec3.DeviceID(id)
	}
	if v.Content != nil {
		if id, ok := v.Content.Value.(map[any]any)["author"].(parsec.UUID); ok {
			return parsec3.DeviceID(id)
		}
	}
	return parsec3.DeviceID{}
}

// check compares what a Load function returned with the item.
func (v *vector) check(t *testing.T, value any, err error) {
	t.Helper()
	if v.Valid {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	if !reflect.ValueOf(value).IsZero() {
		t.Errorf("a refused certificate gave %+v", value)
	}
	want := v.Failure
	if other, found := otherFailures[v.Name]; found {
		want = other
	}
	if failure, ok := errors.AsType[certificate.Failure](err); !ok || failure != want {
		t.Errorf("got error %v, want failure %q", err, want)
	}
}

// checkPayload wants what was signed again to have the content of the item.
func (v *vector) checkPayload(t *testing.T, packed []byte) {
	t.Helper()
	if v.Content == nil {
		return
	}
	want := v.Content.Value.(map[any]any)
	if configuration, found := want["configuration"].(map[any]any); found {
		delete(configuration, "ignored") // an unknown key
	}
	if _, found := want["purpose"]; !found && v.Type == "device_certificate" {
		want["purpose"] = string(parsec3.PurposeStandard)
	}
	if got := decodePayload(t, packed); !reflect.DeepEqual(got, any(want)) {
		t.Errorf("signed again\n got %v\nwant %v", got, want)
	}
}

// TestVectors loads every certificate with an Ed25519 signature, and signs again
// what loads: both have the content of the item.
func TestVectors(t *testing.T) {
	loaded := loadVectors(t)
	for _, item := range append(loaded.Official, loaded.Own...) {
		if item.Signed != true {
			continue
		}
		t.Run(item.Name, func(t *testing.T) {
			kind, found := kinds[item.Type]
			if !found {
				t.Fatalf("no type %q", item.Type)
			}
			value, err := kind.load(item.Raw, loaded.verify(t, item.VerifyKey), item.author(t))
			item.check(t, value, err)
			if !item.Valid {
				return
			}
			signed, err := kind.sign(value, loaded.signing(t, item.VerifyKey))
			if err != nil {
				t.Fatal(err)
			}
			item.checkPayload(t, signed[ed25519.SignatureSize:])
		})
	}
}

// TestBareServiceVector signs the one official certificate that comes without
// signature.
func TestBareServiceVector(t *testing.T) {
	loaded := loadVectors(t)
	authority := loaded.rsaPrivate(t, "sequester_authority")
	found := false
	for _, item := range loaded.Official {
		if item.Signed != false {
			continue
		}
		found = true
		signed, err := parsec.SignPSS(item.Raw, authority)
		if err != nil {
			t.Fatal(err)
		}
		service, err := certificate.LoadSequesterService(signed, &authority.PublicKey)
		item.check(t, service, err)
		again, err := service.Sign(authority)
		if err != nil {
			t.Fatal(err)
		}
		item.checkPayload(t, openPSS(t, again, &authority.PublicKey))
	}
	if !found {
		t.Error("no such vector")
	}
}

func TestSequesterVectors(t *testing.T) {
	loaded := loadVectors(t)
	authority := loaded.rsaPrivate(t, "sequester_authority")
	for _, item := range loaded.SequesterSigned {
		t.Run(item.Name, func(t *testing.T) {
			if item.Type == revokedServiceType {
				revoked, err := certificate.LoadSequesterRevokedService(item.Raw, &authority.PublicKey)
				item.check(t, revoked, err)
				again, err := revoked.Sign(authority)
				if err != nil {
					t.Fatal(err)
				}
				item.checkPayload(t, openPSS(t, again, &authority.PublicKey))
				return
			}
			service, err := certificate.LoadSequesterService(item.Raw, &authority.PublicKey)
			item.check(t, service, err)
			if !item.Valid {
				return
			}
			again, err := service.Sign(authority)
			if err != nil {
				t.Fatal(err)
			}
			item.checkPayload(t, openPSS(t, again, &authority.PublicKey))
		})
	}
}

func openPSS(t testing.TB, signed []byte, key *rsa.PublicKey) []byte {
	t.Helper()
	message, err := parsec.OpenPSS(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func decodePayload(t testing.TB, packed []byte) any {
	t.Helper()
	value, err := msgpack.DecodeProfile(wire.Microseconds, decompress(t, packed))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func decompress(t testing.TB, packed []byte) []byte {
	t.Helper()
	if len(packed) == 0 || packed[0] != 0 {
		t.Fatalf("%x has no version byte", packed)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	encoded, err := decoder.DecodeAll(packed[1:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
