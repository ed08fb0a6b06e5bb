package certificate_test

import (
	"bytes"
	"compress/zlib"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

type keyVectors struct {
	Ed25519 map[string]struct {
		Seed      []byte `json:"seed"`
		VerifyKey []byte `json:"verify_key"`
	} `json:"ed25519"`
	Curve25519 map[string]struct {
		PrivateKey []byte `json:"private_key"`
		PublicKey  []byte `json:"public_key"`
	} `json:"curve25519"`
	RSA map[string]struct {
		Private []byte `json:"private_key_pkcs8_der"`
		Public  []byte `json:"public_key_spki_der"`
		Bits    int    `json:"bits"`
	} `json:"rsa"`
}

func loadKeys(t testing.TB) keyVectors {
	t.Helper()
	return vectors.Load[keyVectors](t, "keys.json")
}

func (k keyVectors) signing(t testing.TB, name string) ed25519.PrivateKey {
	t.Helper()
	key, found := k.Ed25519[name]
	if !found {
		t.Fatalf("no Ed25519 key %q", name)
	}
	return ed25519.NewKeyFromSeed(key.Seed)
}

func (k keyVectors) verify(t testing.TB, name string) parsec.VerifyKey {
	t.Helper()
	key, found := k.Ed25519[name]
	if !found {
		t.Fatalf("no Ed25519 key %q", name)
	}
	return parsec.VerifyKey(key.VerifyKey)
}

func (k keyVectors) rsaPrivate(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(k.RSA[name].Private)
	if err != nil {
		t.Fatalf("RSA key %q: %v", name, err)
	}
	return key.(*rsa.PrivateKey)
}

type certificateVectors struct {
	Signed           []signedVector `json:"signed"`
	SequesterService []signedVector `json:"sequester_service"`
	PKIPayloads      []struct {
		outcomeVector
		Payload []byte `json:"payload"`
	} `json:"pki_payloads"`
}

type signedVector struct {
	outcomeVector
	Signed         []byte          `json:"signed"`
	VerifyKey      string          `json:"verify_key"`
	ExpectedAuthor parsec.DeviceID `json:"expected_author"`
}

type outcomeVector struct {
	Name    string              `json:"name"`
	Kind    string              `json:"kind"`
	Valid   bool                `json:"valid"`
	Content map[string]any      `json:"content"`
	Failure certificate.Failure `json:"failure"`
}

// signedKind is how one type of certificate with an Ed25519 signature loads,
// and how its value is signed again.
type signedKind struct {
	load func(signed []byte, key parsec.VerifyKey, author parsec.DeviceID) (any, error)
	sign func(value any, key ed25519.PrivateKey) ([]byte, error)
}

type signer interface {
	Sign(key ed25519.PrivateKey) ([]byte, error)
}

func kindOf[T signer](load func([]byte, parsec.VerifyKey, parsec.DeviceID) (T, error)) signedKind {
	return signedKind{
		load: func(signed []byte, key parsec.VerifyKey, author parsec.DeviceID) (any, error) {
			return load(signed, key, author)
		},
		sign: func(value any, key ed25519.PrivateKey) ([]byte, error) { return value.(T).Sign(key) },
	}
}

var signedKinds = map[string]signedKind{
	"user_certificate":                  kindOf(certificate.LoadUser),
	"device_certificate":                kindOf(certificate.LoadDevice),
	"revoked_user_certificate":          kindOf(certificate.LoadRevokedUser),
	"realm_role_certificate":            kindOf(certificate.LoadRealmRole),
	"realm_archiving_certificate":       kindOf(certificate.LoadRealmArchiving),
	"shamir_recovery_brief_certificate": kindOf(certificate.LoadShamirBrief),
	"shamir_recovery_share_certificate": kindOf(certificate.LoadShamirShare),
	"sequester_authority_certificate": kindOf(func(signed []byte, key parsec.VerifyKey, _ parsec.DeviceID) (certificate.SequesterAuthority, error) {
		return certificate.LoadSequesterAuthority(signed, key)
	}),
}

// otherFailures are the items whose class differs here, which the vectors
// leave free: a malformed extension is malformed msgpack, a map without type
// is of the wrong one, nil is no author of certificates that the root key
// never signs, and no colon is no algorithm.
var otherFailures = map[string]certificate.Failure{
	"user_timestamp_ext_4_bytes": certificate.FailureMsgpack,
	"user_timestamp_nan":         certificate.FailureMsgpack,
	"user_timestamp_inf":         certificate.FailureMsgpack,
	"user_timestamp_huge":        certificate.FailureMsgpack,
	"role_realm_id_15_bytes":     certificate.FailureMsgpack,
	"user_empty_map":             certificate.FailureType,
	"revoked_null_author":        certificate.FailureSchema,
	"role_null_author":           certificate.FailureSchema,
	"service_no_colon":           certificate.FailureAlgorithm,
}

// check compares what a Load function returned with the item.
func (v *outcomeVector) check(t *testing.T, value any, err error) {
	t.Helper()
	if v.Valid {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		// The certificate says more than its value, where profile decides.
		delete(v.Content, "is_admin")
		if got := contentOf(t, value); !reflect.DeepEqual(got, v.Content) {
			t.Errorf("content\n got %v\nwant %v", got, v.Content)
		}
		return
	}
	if !reflect.ValueOf(value).IsZero() {
		t.Errorf("a refused payload gave %+v", value)
	}
	want := v.Failure
	if other, found := otherFailures[v.Name]; found {
		want = other
	}
	if failure, ok := errors.AsType[certificate.Failure](err); !ok || failure != want {
		t.Errorf("got error %v, want failure %q", err, want)
	}
}

func TestLoadSignedVectors(t *testing.T) {
	keys := loadKeys(t)
	for _, item := range vectors.Load[certificateVectors](t, "certificates.json").Signed {
		t.Run(item.Name, func(t *testing.T) {
			kind, found := signedKinds[item.Kind]
			if !found {
				t.Fatalf("no kind %q", item.Kind)
			}
			value, err := kind.load(item.Signed, keys.verify(t, item.VerifyKey), item.ExpectedAuthor)
			item.check(t, value, err)
		})
	}
}

func TestLoadSequesterServiceVectors(t *testing.T) {
	keys := loadKeys(t)
	for _, item := range vectors.Load[certificateVectors](t, "certificates.json").SequesterService {
		t.Run(item.Name, func(t *testing.T) {
			key, err := parsec.ParseRSAPublicKey(keys.RSA[item.VerifyKey].Public)
			if err != nil {
				t.Fatal(err)
			}
			value, err := certificate.LoadSequesterService(item.Signed, key)
			item.check(t, value, err)
		})
	}
}

func TestLoadPKIVectors(t *testing.T) {
	for _, item := range vectors.Load[certificateVectors](t, "certificates.json").PKIPayloads {
		t.Run(item.Name, func(t *testing.T) {
			switch item.Kind {
			case "pki_enrollment_submit_payload":
				value, err := certificate.LoadPKISubmit(item.Payload)
				item.check(t, value, err)
			case "pki_enrollment_answer_payload":
				value, err := certificate.LoadPKIAnswer(item.Payload)
				item.check(t, value, err)
			default:
				t.Fatalf("no kind %q", item.Kind)
			}
		})
	}
}

// TestSignLikeOfficialClients signs what the vectors hold again: the payload
// has the same keys and values as the original.
func TestSignLikeOfficialClients(t *testing.T) {
	// What is not made again: layouts of other releases, unknown keys, texts
	// that are not normalised.
	others := []string{
		"user_api1_1_12", "user_api1_1_13", "user_nfd_normalised", "user_profile_admin_flag_false",
		"user_profile_standard_flag_true", "device_api1", "archiving_extra_in_configuration",
	}
	keys := loadKeys(t)
	items := vectors.Load[certificateVectors](t, "certificates.json")
	for _, item := range items.Signed {
		if !item.Valid || strings.HasSuffix(item.Name, "_unknown_field") || slices.Contains(others, item.Name) {
			continue
		}
		t.Run(item.Name, func(t *testing.T) {
			kind, key := signedKinds[item.Kind], keys.signing(t, item.VerifyKey)
			value, err := kind.load(item.Signed, keys.verify(t, item.VerifyKey), item.ExpectedAuthor)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := kind.sign(value, key)
			if err != nil {
				t.Fatal(err)
			}
			want, got := decodePayload(t, item.Signed[ed25519.SignatureSize:]), decodePayload(t, signed[ed25519.SignatureSize:])
			if !reflect.DeepEqual(got, want) {
				t.Errorf("payload\n got %v\nwant %v", got, want)
			}
		})
	}
}

func TestKeyVectors(t *testing.T) {
	keys := loadKeys(t)
	for name, key := range keys.Ed25519 {
		if public := keys.signing(t, name).Public().(ed25519.PublicKey); !bytes.Equal(public, key.VerifyKey) {
			t.Errorf("Ed25519 key %s: got verify key %x, want %x", name, public, key.VerifyKey)
		}
	}
	for name, key := range keys.Curve25519 {
		private, err := ecdh.X25519().NewPrivateKey(key.PrivateKey)
		if err != nil {
			t.Fatalf("X25519 key %s: %v", name, err)
		}
		if public := private.PublicKey().Bytes(); !bytes.Equal(public, key.PublicKey) {
			t.Errorf("X25519 key %s: got public key %x, want %x", name, public, key.PublicKey)
		}
	}
	for name, key := range keys.RSA {
		public, err := parsec.ParseRSAPublicKey(key.Public)
		if err != nil {
			t.Errorf("RSA key %s: %v", name, err)
			continue
		}
		if !keys.rsaPrivate(t, name).PublicKey.Equal(public) || public.N.BitLen() != key.Bits {
			t.Errorf("RSA key %s: got %d bits, want the %d bits of its private key", name, public.N.BitLen(), key.Bits)
		}
	}
}

func decodePayload(t testing.TB, compressed []byte) any {
	t.Helper()
	value, err := msgpack.Decode(decompress(t, compressed))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func decompress(t testing.TB, compressed []byte) []byte {
	t.Helper()
	reader, err := zlib.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// contentOf returns a value in the form of "content" in the vectors.
func contentOf(t testing.TB, value any) map[string]any {
	t.Helper()
	switch value := value.(type) {
	case certificate.User:
		return map[string]any{
			"author": text(value.Author), "timestamp": text(value.Timestamp), "user_id": text(value.UserID),
			"human_handle": pair(value.HumanHandle), "public_key": binary(value.PublicKey[:]), "profile": string(value.Profile),
		}
	case certificate.Device:
		return map[string]any{
			"author": text(value.Author), "timestamp": text(value.Timestamp), "device_id": text(value.DeviceID),
			"device_label": text(value.DeviceLabel), "verify_key": binary(value.VerifyKey[:]),
		}
	case certificate.RevokedUser:
		return map[string]any{
			"author": text(value.Author), "timestamp": text(value.Timestamp), "user_id": text(value.UserID),
		}
	case certificate.RealmRole:
		content := map[string]any{
			"author": text(value.Author), "timestamp": text(value.Timestamp), "realm_id": text(value.RealmID),
			"user_id": text(value.UserID), "role": nil,
		}
		if value.Role != parsec.RoleNone {
			content["role"] = string(value.Role)
		}
		return content
	case certificate.RealmArchiving:
		configuration := map[string]any{"type": string(value.Type)}
		if value.DeletionDate != nil {
			configuration["deletion_date"] = text(*value.DeletionDate)
		}
		return map[string]any{
			"author": text(value.Author), "timestamp": text(value.Timestamp), "realm_id": text(value.RealmID),
			"configuration": configuration,
		}
	case certificate.SequesterAuthority:
		return map[string]any{
			"author": nil, "timestamp": text(value.Timestamp), "verify_key_der": binary(value.VerifyKeyDER),
		}
	case certificate.SequesterService:
		return map[string]any{
			"timestamp": text(value.Timestamp), "service_id": text(value.ServiceID), "service_label": value.ServiceLabel,
			"encryption_key_der": binary(value.EncryptionKeyDER),
		}
	case certificate.ShamirBrief:
		shares := map[string]any{}
		for recipient, count := range value.PerRecipientShares {
			shares[recipient.String()] = float64(count)
		}
		return map[string]any{
			"author": text(value.Author), "timestamp": text(value.Timestamp), "threshold": float64(value.Threshold),
			"per_recipient_shares": shares,
		}
	case certificate.ShamirShare:
		return map[string]any{
			"author": text(value.Author), "timestamp": text(value.Timestamp), "recipient": text(value.Recipient),
			"ciphered_share": binary(value.CipheredShare),
		}
	case certificate.PKISubmit:
		return map[string]any{
			"verify_key": binary(value.VerifyKey[:]), "public_key": binary(value.PublicKey[:]),
			"requested_device_label": text(value.RequestedDeviceLabel),
		}
	case certificate.PKIAnswer:
		return map[string]any{
			"device_id": text(value.DeviceID), "device_label": text(value.DeviceLabel), "human_handle": pair(value.HumanHandle),
			"profile": string(value.Profile), "root_verify_key": binary(value.RootVerifyKey[:]),
		}
	default:
		t.Fatalf("no content of %T", value)
		return nil
	}
}

// text is nil for the zero value.
func text(value interface{ String() string }) any {
	if reflect.ValueOf(value).IsZero() {
		return nil
	}
	return value.String()
}

func pair(handle parsec.HumanHandle) any {
	if handle == (parsec.HumanHandle{}) {
		return nil
	}
	return []any{handle.Email(), handle.Label()}
}

func binary(data []byte) any {
	return map[string]any{"$bin": base64.StdEncoding.EncodeToString(data)}
}
