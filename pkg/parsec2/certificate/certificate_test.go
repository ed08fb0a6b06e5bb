package certificate_test

import (
	"bytes"
	"compress/zlib"
	"crypto/ed25519"
	"errors"
	"reflect"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/wire"
)

const now parsec.DateTime = 1704164645_678901

func userID(t testing.TB, text string) parsec.UserID {
	t.Helper()
	id, err := parsec.ParseUserID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func deviceID(t testing.TB, text string) parsec.DeviceID {
	t.Helper()
	id, err := parsec.ParseDeviceID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestSignThenLoad(t *testing.T) {
	keys := loadKeys(t)
	key, verifyKey := keys.signing(t, "alice_dev1"), keys.verify(t, "alice_dev1")
	alice, root := deviceID(t, "alice@dev1"), parsec.DeviceID{}
	bob, realm, later := userID(t, "bob"), parsec.RealmID(parsec.NewUUID()), now+1
	handle, err := parsec.ParseHumanHandle("bob@example.com", "Boby McBobFace")
	if err != nil {
		t.Fatal(err)
	}
	label, err := parsec.ParseDeviceLabel("My dev1 machine")
	if err != nil {
		t.Fatal(err)
	}
	user := certificate.User{
		Author: alice, Timestamp: now, UserID: bob, HumanHandle: handle,
		PublicKey: parsec.PublicKey{1, 2}, Profile: parsec.ProfileOutsider,
	}
	rootUser := user.Redacted()
	rootUser.Author = root
	device := certificate.Device{
		Author: alice, Timestamp: now, DeviceID: deviceID(t, "bob@dev1"), DeviceLabel: label, VerifyKey: verifyKey,
	}
	rootDevice := device.Redacted()
	rootDevice.Author = root
	for _, test := range []struct {
		kind   string
		author parsec.DeviceID
		value  any
	}{
		{"user_certificate", alice, user},
		{"user_certificate", root, rootUser},
		{"device_certificate", alice, device},
		{"device_certificate", root, rootDevice},
		{"revoked_user_certificate", alice, certificate.RevokedUser{Author: alice, Timestamp: now, UserID: bob}},
		{"realm_role_certificate", alice, certificate.RealmRole{Author: alice, Timestamp: now, RealmID: realm, UserID: bob, Role: parsec.RoleReader}},
		{"realm_role_certificate", alice, certificate.RealmRole{Author: alice, Timestamp: now, RealmID: realm, UserID: bob}},
		{"realm_archiving_certificate", alice, certificate.RealmArchiving{Author: alice, Timestamp: now, RealmID: realm, Type: parsec.ArchivingArchived}},
		{"realm_archiving_certificate", alice, certificate.RealmArchiving{
			Author: alice, Timestamp: now, RealmID: realm, Type: parsec.ArchivingDeletionPlanned, DeletionDate: &later,
		}},
		{"sequester_authority_certificate", root, certificate.SequesterAuthority{
			Timestamp: now, VerifyKeyDER: keys.RSA["sequester_authority"].Public,
		}},
		{"shamir_recovery_brief_certificate", alice, certificate.ShamirBrief{
			Author: alice, Timestamp: now, Threshold: 1, PerRecipientShares: map[parsec.UserID]uint64{bob: 2},
		}},
		{"shamir_recovery_share_certificate", alice, certificate.ShamirShare{Author: alice, Timestamp: now, Recipient: bob, CipheredShare: []byte{}}},
	} {
		signed, err := signedKinds[test.kind].sign(test.value, key)
		if err != nil {
			t.Errorf("sign %+v: %v", test.value, err)
			continue
		}
		got, err := signedKinds[test.kind].load(signed, verifyKey, test.author)
		if err != nil || !reflect.DeepEqual(got, test.value) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, test.value)
		}
	}
}

// TestLoadWantsTheAuthor loads what the root key signed as a device's, and the
// reverse.
func TestLoadWantsTheAuthor(t *testing.T) {
	keys := loadKeys(t)
	key, verifyKey := keys.signing(t, "alice_dev1"), keys.verify(t, "alice_dev1")
	alice, root := deviceID(t, "alice@dev1"), parsec.DeviceID{}
	for _, test := range []struct{ signs, expected parsec.DeviceID }{
		{alice, root},
		{root, alice},
		{alice, deviceID(t, "alice@dev2")},
	} {
		signed, err := certificate.Device{Author: test.signs, Timestamp: now, DeviceID: alice}.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certificate.LoadDevice(signed, verifyKey, test.expected); !errors.Is(err, certificate.FailureAuthor) {
			t.Errorf("author %q where %q is expected: got %v", test.signs, test.expected, err)
		}
	}
	signed, err := certificate.RevokedUser{Author: alice, Timestamp: now, UserID: alice.User()}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certificate.LoadRevokedUser(signed, verifyKey, root); !errors.Is(err, certificate.FailureAuthor) {
		t.Errorf("a revocation as the root's: got %v", err)
	}
}

func TestSignRefusesInvalidFields(t *testing.T) {
	keys := loadKeys(t)
	key, alice := keys.signing(t, "alice_dev1"), deviceID(t, "alice@dev1")
	later := now + 1
	for name, value := range map[string]signer{
		"user without id":         certificate.User{Author: alice, Profile: parsec.ProfileAdmin},
		"user without profile":    certificate.User{Author: alice, UserID: alice.User()},
		"user of unknown profile": certificate.User{Author: alice, UserID: alice.User(), Profile: "KING"},
		"date of year 0":          certificate.Device{DeviceID: alice, Timestamp: parsec.MinDateTime - 1},
		"revocation by root":      certificate.RevokedUser{UserID: alice.User()},
		"unknown role":            certificate.RealmRole{Author: alice, UserID: alice.User(), Role: "KING"},
		"archiving without type":  certificate.RealmArchiving{Author: alice, DeletionDate: &later},
		"deletion without date":   certificate.RealmArchiving{Author: alice, Type: parsec.ArchivingDeletionPlanned},
		"authority without key":   certificate.SequesterAuthority{},
		"threshold of 0":          certificate.ShamirBrief{Author: alice},
		"recipient of 0 shares":   certificate.ShamirBrief{Author: alice, Threshold: 1, PerRecipientShares: map[parsec.UserID]uint64{alice.User(): 0}},
		"payload over the limit":  certificate.ShamirShare{Author: alice, Recipient: alice.User(), CipheredShare: make([]byte, 1<<20)},
	} {
		if signed, err := value.Sign(key); err == nil {
			t.Errorf("%s: signed as %x", name, signed)
		}
	}
	service := certificate.SequesterService{ServiceLabel: "\xff", EncryptionKeyDER: keys.RSA["sequester_service"].Public}
	if signed, err := service.Sign(keys.rsaPrivate(t, "sequester_authority")); err == nil {
		t.Errorf("service label that is not UTF-8: signed as %x", signed)
	}
	if packed, err := (certificate.PKISubmit{}).Pack(); err == nil {
		t.Errorf("submit payload without label: packed as %x", packed)
	}
}

// TestArchivingDateIsOfDeletionsOnly ignores the other keys of a configuration
// whatever they hold.
func TestArchivingDateIsOfDeletionsOnly(t *testing.T) {
	keys := loadKeys(t)
	key, verifyKey, alice := keys.signing(t, "alice_dev1"), keys.verify(t, "alice_dev1"), deviceID(t, "alice@dev1")
	for _, date := range []any{now, "tomorrow", nil} {
		signed := signPayload(t, key, "realm_archiving_certificate",
			wire.Field{Key: "author", Value: alice}, wire.Field{Key: "timestamp", Value: now},
			wire.Field{Key: "realm_id", Value: parsec.RealmID{1}},
			wire.Field{Key: "configuration", Value: map[string]any{"type": "ARCHIVED", "deletion_date": date}})
		archiving, err := certificate.LoadRealmArchiving(signed, verifyKey, alice)
		if err != nil || archiving.DeletionDate != nil {
			t.Errorf("deletion_date %v of an archived realm: got %+v, %v", date, archiving, err)
		}
	}
	later := now + 1
	archiving := certificate.RealmArchiving{Author: alice, Timestamp: now, Type: parsec.ArchivingArchived, DeletionDate: &later}
	signed, err := archiving.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	payload := decodePayload(t, signed[ed25519.SignatureSize:]).(map[any]any)
	if want := (map[any]any{"type": "ARCHIVED"}); !reflect.DeepEqual(payload["configuration"], want) {
		t.Errorf("signed configuration: got %v, want %v", payload["configuration"], want)
	}
}

// TestDecompressedSizeIsBounded goes to the limit and over, by little and by
// much.
func TestDecompressedSizeIsBounded(t *testing.T) {
	const limit = 1 << 20
	keys := loadKeys(t)
	key, verifyKey, alice := keys.signing(t, "alice_dev1"), keys.verify(t, "alice_dev1"), deviceID(t, "alice@dev1")
	padded := func(size int) []byte {
		fields := func(padding int) []byte {
			encoded, err := wire.AppendMap(nil, []wire.Field{
				{Key: "type", Value: "revoked_user_certificate"}, {Key: "author", Value: alice},
				{Key: "timestamp", Value: now}, {Key: "user_id", Value: "bob"},
				{Key: "padding", Value: make([]byte, padding)},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return encoded
		}
		const some = limit / 2 // whose head is as long as that of the result
		return fields(some + size - len(fields(some)))
	}
	for _, test := range []struct {
		name    string
		payload []byte
		want    error
	}{
		{"at the limit", padded(limit), nil},
		{"one byte over", padded(limit + 1), certificate.FailureZlib},
		{"bomb", make([]byte, 32*limit), certificate.FailureZlib},
	} {
		signed := signBytes(t, key, test.payload)
		if _, err := certificate.LoadRevokedUser(signed, verifyKey, alice); !errors.Is(err, test.want) {
			t.Errorf("%s (%d bytes signed): got %v, want %v", test.name, len(signed), err, test.want)
		}
	}
}

func TestSequesterServiceSignThenLoad(t *testing.T) {
	keys := loadKeys(t)
	for _, name := range []string{"sequester_authority", "sequester_other"} {
		authority := keys.rsaPrivate(t, name)
		want := certificate.SequesterService{
			Timestamp: now, ServiceID: parsec.SequesterServiceID(parsec.NewUUID()), ServiceLabel: "",
			EncryptionKeyDER: keys.RSA["sequester_service"].Public,
		}
		signed, err := want.Sign(authority)
		if err != nil {
			t.Fatal(err)
		}
		got, err := certificate.LoadSequesterService(signed, &authority.PublicKey)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, want)
		}
		// Every cut is refused without a crash.
		for size := range signed {
			if _, err := certificate.LoadSequesterService(signed[:size], &authority.PublicKey); err == nil {
				t.Errorf("%s: the first %d of %d bytes load", name, size, len(signed))
			}
		}
	}
}

func TestPKIPackThenLoad(t *testing.T) {
	label, err := parsec.ParseDeviceLabel("My dev1 machine")
	if err != nil {
		t.Fatal(err)
	}
	submit := certificate.PKISubmit{VerifyKey: parsec.VerifyKey{1}, PublicKey: parsec.PublicKey{2}, RequestedDeviceLabel: label}
	packed, err := submit.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := certificate.LoadPKISubmit(packed); err != nil || got != submit {
		t.Errorf("got %+v, %v\nwant %+v", got, err, submit)
	}
	if _, err := certificate.LoadPKIAnswer(packed); !errors.Is(err, certificate.FailureType) {
		t.Errorf("a submit payload as an answer: got %v", err)
	}
	answer := certificate.PKIAnswer{DeviceID: deviceID(t, "bob@dev1"), Profile: parsec.ProfileStandard, RootVerifyKey: parsec.VerifyKey{3}}
	if packed, err = answer.Pack(); err != nil {
		t.Fatal(err)
	}
	if got, err := certificate.LoadPKIAnswer(packed); err != nil || got != answer {
		t.Errorf("got %+v, %v\nwant %+v", got, err, answer)
	}
}

// TestErrorsNameTheCertificate keeps logs readable.
func TestErrorsNameTheCertificate(t *testing.T) {
	_, err := certificate.LoadUser(nil, parsec.VerifyKey{}, parsec.DeviceID{})
	if err == nil || !strings.Contains(err.Error(), "user_certificate") {
		t.Errorf("got %v", err)
	}
}

// signPayload makes a certificate whose fields nothing checked.
func signPayload(t testing.TB, key ed25519.PrivateKey, kind string, fields ...wire.Field) []byte {
	t.Helper()
	encoded, err := wire.AppendMap(nil, append([]wire.Field{{Key: "type", Value: kind}}, fields...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return signBytes(t, key, encoded)
}

// signBytes compresses and signs anything.
func signBytes(t testing.TB, key ed25519.PrivateKey, data []byte) []byte {
	t.Helper()
	var compressed bytes.Buffer
	writer, err := zlib.NewWriterLevel(&compressed, zlib.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return append(ed25519.Sign(key, compressed.Bytes()), compressed.Bytes()...)
}
