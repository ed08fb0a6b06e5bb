package certificate_test

import (
	"crypto/ed25519"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/wire"
)

const now = parsec.DateTime(1_704_164_645_678_901)

var (
	alice = parsec3.DeviceID{0xa1}
	bob   = parsec3.UserID{0xb0}
	realm = parsec.RealmID{0xf0}
)

// samples are one certificate of each type with an Ed25519 signature.
func samples(t testing.TB) map[string]signer {
	t.Helper()
	loaded := loadVectors(t)
	handle, err := parsec3.ParseHumanHandle("bob@example.com", "Bob")
	if err != nil {
		t.Fatal(err)
	}
	label, err := parsec3.ParseDeviceLabel("My\nlaptop")
	if err != nil {
		t.Fatal(err)
	}
	later := now + 1
	return map[string]signer{
		"user_certificate": certificate.User{
			Author: alice, Timestamp: now, UserID: bob, HumanHandle: handle, PublicKey: parsec.PublicKey{1}, Profile: parsec.ProfileStandard,
		},
		"device_certificate": certificate.Device{
			Author: alice, Timestamp: now, Purpose: parsec3.PurposeRegistration, UserID: bob, DeviceID: parsec3.DeviceID{2}, DeviceLabel: label, VerifyKey: parsec.VerifyKey{3},
		},
		"user_update_certificate":        certificate.UserUpdate{Author: alice, Timestamp: now, UserID: bob, NewProfile: parsec.ProfileOutsider},
		"revoked_user_certificate":       certificate.RevokedUser{Author: alice, Timestamp: now, UserID: bob},
		"realm_role_certificate":         certificate.RealmRole{Author: alice, Timestamp: now, RealmID: realm, UserID: bob, Role: parsec.RoleReader},
		"realm_key_rotation_certificate": certificate.RealmKeyRotation{Author: alice, Timestamp: now, RealmID: realm, KeyIndex: 7, KeyCanary: []byte{4}},
		"realm_name_certificate":         certificate.RealmName{Author: alice, Timestamp: now, RealmID: realm, KeyIndex: 7, EncryptedName: []byte{5}},
		"realm_archiving_certificate": certificate.RealmArchiving{
			Author: alice, Timestamp: now, RealmID: realm, Type: parsec.ArchivingDeletionPlanned, DeletionDate: &later,
		},
		"shamir_recovery_brief_certificate": certificate.ShamirBrief{
			Author: alice, Timestamp: now, UserID: bob, Threshold: 3, PerRecipientShares: map[parsec3.UserID]uint8{{6}: 1, {7}: 2},
		},
		"shamir_recovery_share_certificate": certificate.ShamirShare{Author: alice, Timestamp: now, UserID: bob, Recipient: parsec3.UserID{6}, CipheredShare: []byte{8}},
		"shamir_recovery_deletion_certificate": certificate.ShamirDeletion{
			Author: alice, Timestamp: now, SetupToDeleteTimestamp: now - 1, SetupToDeleteUserID: bob, ShareRecipients: []parsec3.UserID{{7}, {6}},
		},
		authorityType: certificate.SequesterAuthority{Timestamp: now, VerifyKeyDER: loaded.Keys.RSA["sequester_authority"].Public},
	}
}

// authorOf returns who must have signed a type.
func authorOf(name string) parsec3.DeviceID {
	if name == authorityType {
		return parsec3.DeviceID{}
	}
	return alice
}

// TestSignThenLoad gives the same, as its own type alone, with its own author and
// key alone, and whole alone.
func TestSignThenLoad(t *testing.T) {
	loaded := loadVectors(t)
	key, verifyKey := loaded.signing(t, "alice_dev1"), loaded.verify(t, "alice_dev1")
	all := samples(t)
	if !slices.Equal(slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(kinds))) {
		t.Fatal("there is not one sample of each type")
	}
	for name, sample := range all {
		signed, err := sample.Sign(key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for other, kind := range kinds {
			value, err := kind.load(signed, verifyKey, authorOf(other))
			if other == name {
				if err != nil || !reflect.DeepEqual(value, sample) {
					t.Errorf("%s: got %+v, %v\nwant %+v", name, value, err, sample)
				}
			} else if !errors.Is(err, certificate.FailureSchema) {
				t.Errorf("%s as %s: got %v", name, other, err)
			}
		}
		if _, err := kinds[name].load(signed, loaded.verify(t, "bob_dev1"), authorOf(name)); !errors.Is(err, certificate.FailureSignature) {
			t.Errorf("%s of another key: got %v", name, err)
		}
		if name != authorityType {
			for _, author := range []parsec3.DeviceID{{}, {0xa2}} {
				if _, err := kinds[name].load(signed, verifyKey, author); !errors.Is(err, certificate.FailureAuthor) {
					t.Errorf("%s of the author %s: got %v", name, author, err)
				}
			}
		}
		for size := range signed {
			if _, err := kinds[name].load(signed[:size], verifyKey, authorOf(name)); err == nil {
				t.Errorf("%s: the first %d of %d bytes load", name, size, len(signed))
			}
		}
		if _, err := kinds[name].load(append(signed, 0), verifyKey, authorOf(name)); err == nil {
			t.Errorf("%s loads with a byte more", name)
		}
	}
}

// TestEveryFieldIsWanted leaves out each field in turn, makes it nil, and gives it
// twice; only the purpose of a device may be left out or nil.
func TestEveryFieldIsWanted(t *testing.T) {
	loaded := loadVectors(t)
	key, verifyKey := loaded.signing(t, "alice_dev1"), loaded.verify(t, "alice_dev1")
	nullable := map[string]bool{"human_handle": true, "device_label": true, "role": true, "purpose": true}
	for name, sample := range samples(t) {
		signed, err := sample.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		fields := decodePayload(t, signed[ed25519.SignatureSize:]).(map[any]any)
		for field := range fields {
			var without, withNil, twice []wire.Field
			for other, value := range fields {
				member := wire.Field{Key: other.(string), Value: value}
				twice = append(twice, member)
				if other == field {
					withNil, twice = append(withNil, wire.Field{Key: member.Key}), append(twice, member)
					continue
				}
				without, withNil = append(without, member), append(withNil, member)
			}
			load := func(fields []wire.Field) error {
				_, err := kinds[name].load(signPayload(t, key, fields), verifyKey, authorOf(name))
				return err
			}
			if err := load(without); (err == nil) != (field == "purpose") {
				t.Errorf("%s without %s: got %v", name, field, err)
			}
			// Nil as the author of what a user may be created by is the root key.
			if err := load(withNil); (err == nil) != nullable[field.(string)] {
				t.Errorf("%s with nil as %s: got %v", name, field, err)
			}
			if err := load(twice); !errors.Is(err, certificate.FailureSchema) {
				t.Errorf("%s with %s twice: got %v", name, field, err)
			}
		}
	}
}

// TestZeroIDsAreNobody refuses the ids that stand for no user and for the root key.
func TestZeroIDsAreNobody(t *testing.T) {
	loaded := loadVectors(t)
	key, verifyKey := loaded.signing(t, "root"), loaded.verify(t, "root")
	zero := parsec.UUID{}
	for _, name := range []string{"user_certificate", "device_certificate"} {
		sample := samples(t)[name]
		signed, err := sample.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		fields := decodePayload(t, signed[ed25519.SignatureSize:]).(map[any]any)
		for _, field := range []string{"author", "user_id", "device_id"} {
			if _, found := fields[field]; !found {
				continue
			}
			var spoiled []wire.Field
			for other, value := range fields {
				if other == field {
					value = zero
				}
				spoiled = append(spoiled, wire.Field{Key: other.(string), Value: value})
			}
			author := alice
			if field == "author" {
				author = parsec3.DeviceID{}
			}
			if _, err := kinds[name].load(signPayload(t, key, spoiled), verifyKey, author); err == nil {
				t.Errorf("%s with zero as %s loads", name, field)
			}
		}
	}
}

// TestSignRefuses what no reader accepts.
func TestSignRefuses(t *testing.T) {
	key := loadVectors(t)
	signing := key.signing(t, "alice_dev1")
	brief := func(threshold uint8, shares map[parsec3.UserID]uint8) certificate.ShamirBrief {
		return certificate.ShamirBrief{Author: alice, UserID: bob, Threshold: threshold, PerRecipientShares: shares}
	}
	for name, value := range map[string]signer{
		"date out of range":       certificate.RevokedUser{Author: alice, Timestamp: parsec.MaxDateTime + 1, UserID: bob},
		"user without profile":    certificate.User{Author: alice, UserID: bob},
		"user of no id":           certificate.User{Author: alice, Profile: parsec.ProfileAdmin},
		"device of no id":         certificate.Device{Author: alice, UserID: bob},
		"unknown purpose":         certificate.Device{Author: alice, UserID: bob, DeviceID: alice, Purpose: "WEB_AUTH"},
		"unknown role":            certificate.RealmRole{Author: alice, Role: "ADMIN"},
		"deletion without date":   certificate.RealmArchiving{Author: alice, Type: parsec.ArchivingDeletionPlanned},
		"key index over 2^63-1":   certificate.RealmName{Author: alice, KeyIndex: 1 << 63},
		"authority without key":   certificate.SequesterAuthority{},
		"threshold of 0":          brief(0, map[parsec3.UserID]uint8{bob: 1}),
		"recipient of 0 shares":   brief(1, map[parsec3.UserID]uint8{bob: 0, {1}: 1}),
		"threshold over the sum":  brief(4, map[parsec3.UserID]uint8{bob: 3}),
		"256 shares":              brief(1, map[parsec3.UserID]uint8{bob: 255, {1}: 1}),
		"nobody has shares":       brief(1, nil),
		"payload over the limit":  certificate.ShamirShare{Author: alice, CipheredShare: make([]byte, 1<<20)},
		"human of another domain": certificate.User{Author: alice, UserID: bob, Profile: parsec.ProfileAdmin, HumanHandle: foreignHandle(t)},
	} {
		if signed, err := value.Sign(signing); err == nil {
			t.Errorf("%s: signed as %x", name, signed)
		}
	}
	authority := key.rsaPrivate(t, "sequester_authority")
	service := certificate.SequesterService{ServiceLabel: "\xff", EncryptionKeyDER: key.Keys.RSA["sequester_service"].Public}
	if signed, err := service.Sign(authority); err == nil {
		t.Errorf("service label that is not UTF-8: signed as %x", signed)
	}
	if signed, err := (certificate.SequesterService{EncryptionKeyDER: []byte{1}}).Sign(authority); err == nil {
		t.Errorf("service key that is none: signed as %x", signed)
	}
}

// foreignHandle is one that API 1 to 3 accept.
func foreignHandle(t *testing.T) parsec.HumanHandle {
	t.Helper()
	handle, err := parsec.ParseHumanHandle("bob@redacted.invalid", "Bob")
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

// TestRedaction compares values: of a redacted form nothing but the name is missing.
func TestRedaction(t *testing.T) {
	all := samples(t)
	user, device := all["user_certificate"].(certificate.User), all["device_certificate"].(certificate.Device)
	otherUser, otherDevice := user.Redacted(), device.Redacted()
	otherUser.PublicKey[0]++
	otherDevice.Purpose = parsec3.PurposeStandard
	if !user.IsFullFormOf(user.Redacted()) || !device.IsFullFormOf(device.Redacted()) {
		t.Error("a certificate is not the full form of its own redacted one")
	}
	if user.IsFullFormOf(user) || user.IsFullFormOf(otherUser) || user.Redacted().IsFullFormOf(user.Redacted()) || user.Redacted().IsFullFormOf(user) {
		t.Error("a user is the full form of what it is not")
	}
	if device.IsFullFormOf(device) || device.IsFullFormOf(otherDevice) || device.Redacted().IsFullFormOf(device.Redacted()) || device.Redacted().IsFullFormOf(device) {
		t.Error("a device is the full form of what it is not")
	}
}

// TestShareRecipientsAreASet drops what is given twice.
func TestShareRecipientsAreASet(t *testing.T) {
	loaded := loadVectors(t)
	sample := samples(t)["shamir_recovery_deletion_certificate"].(certificate.ShamirDeletion)
	want := sample.ShareRecipients
	sample.ShareRecipients = append(slices.Clone(want), want...)
	signed, err := sample.Sign(loaded.signing(t, "alice_dev1"))
	if err != nil {
		t.Fatal(err)
	}
	deletion, err := certificate.LoadShamirDeletion(signed, loaded.verify(t, "alice_dev1"), alice)
	if err != nil || !slices.Equal(deletion.ShareRecipients, want) {
		t.Errorf("got %v, %v, want %v", deletion.ShareRecipients, err, want)
	}
}

// TestArchivingDateIsOfDeletionsOnly ignores the other keys of a configuration
// whatever they hold.
func TestArchivingDateIsOfDeletionsOnly(t *testing.T) {
	loaded := loadVectors(t)
	key, verifyKey := loaded.signing(t, "alice_dev1"), loaded.verify(t, "alice_dev1")
	for _, date := range []any{now, "tomorrow", nil} {
		signed := signPayload(t, key, []wire.Field{
			{Key: "type", Value: "realm_archiving_certificate"},
			{Key: "author", Value: alice}, {Key: "timestamp", Value: now}, {Key: "realm_id", Value: realm},
			{Key: "configuration", Value: map[string]any{"type": "ARCHIVED", "deletion_date": date}},
		})
		archiving, err := certificate.LoadRealmArchiving(signed, verifyKey, alice)
		if err != nil || archiving.DeletionDate != nil {
			t.Errorf("deletion_date %v of an archived realm: got %+v, %v", date, archiving, err)
		}
	}
}

// TestGenerationsAreApart loads no certificate of API 1 to 3.
func TestGenerationsAreApart(t *testing.T) {
	keys := vectors.Load[struct {
		Ed25519 map[string]struct {
			VerifyKey []byte `json:"verify_key"`
		} `json:"ed25519"`
	}](t, "keys.json").Ed25519
	items := vectors.Load[struct {
		Signed []struct {
			Name      string `json:"name"`
			Signed    []byte `json:"signed"`
			VerifyKey string `json:"verify_key"`
			Valid     bool   `json:"valid"`
		} `json:"signed"`
	}](t, "certificates.json").Signed
	tried := 0
	for _, item := range items {
		if !item.Valid {
			continue
		}
		tried++
		for name, kind := range kinds {
			if _, err := kind.load(item.Signed, parsec.VerifyKey(keys[item.VerifyKey].VerifyKey), authorOf(name)); !errors.Is(err, certificate.FailureFormat) {
				t.Errorf("%s as %s: got %v", item.Name, name, err)
			}
		}
	}
	if tried == 0 {
		t.Error("no vectors")
	}
}

// TestSequesterSignThenLoad also refuses what is cut, and the other type.
func TestSequesterSignThenLoad(t *testing.T) {
	loaded := loadVectors(t)
	authority := loaded.rsaPrivate(t, "sequester_authority")
	service := certificate.SequesterService{
		Timestamp: now, ServiceID: parsec.SequesterServiceID{1}, EncryptionKeyDER: loaded.Keys.RSA["sequester_service"].Public,
	}
	revoked := certificate.SequesterRevokedService{Timestamp: now, ServiceID: parsec.SequesterServiceID{1}}
	signedService, err := service.Sign(authority)
	if err != nil {
		t.Fatal(err)
	}
	signedRevoked, err := revoked.Sign(authority)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := certificate.LoadSequesterService(signedService, &authority.PublicKey); err != nil || !reflect.DeepEqual(got, service) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, service)
	}
	if got, err := certificate.LoadSequesterRevokedService(signedRevoked, &authority.PublicKey); err != nil || got != revoked {
		t.Errorf("got %+v, %v\nwant %+v", got, err, revoked)
	}
	if _, err := certificate.LoadSequesterService(signedRevoked, &authority.PublicKey); !errors.Is(err, certificate.FailureSchema) {
		t.Errorf("a revocation as a service: got %v", err)
	}
	if _, err := certificate.LoadSequesterRevokedService(signedService, &authority.PublicKey); !errors.Is(err, certificate.FailureSchema) {
		t.Errorf("a service as a revocation: got %v", err)
	}
	for size := range signedRevoked {
		if _, err := certificate.LoadSequesterRevokedService(signedRevoked[:size], &authority.PublicKey); err == nil {
			t.Errorf("the first %d of %d bytes load", size, len(signedRevoked))
		}
	}
}

// TestErrorsNameTheCertificate keeps logs readable.
func TestErrorsNameTheCertificate(t *testing.T) {
	_, err := certificate.LoadUser(nil, parsec.VerifyKey{}, parsec3.DeviceID{})
	if err == nil || !strings.Contains(err.Error(), "user_certificate") {
		t.Errorf("got %v", err)
	}
}

// signPayload makes a certificate whose fields nothing checked.
func signPayload(t testing.TB, key ed25519.PrivateKey, fields []wire.Field) []byte {
	t.Helper()
	encoded, err := wire.Microseconds.AppendMap(nil, fields, nil)
	if err != nil {
		t.Fatal(err)
	}
	return signPacked(key, compress(t, encoded))
}

func BenchmarkLoadUser(b *testing.B) {
	loaded := loadVectors(b)
	verifyKey := loaded.verify(b, "alice_dev1")
	signed, err := samples(b)["user_certificate"].Sign(loaded.signing(b, "alice_dev1"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := certificate.LoadUser(signed, verifyKey, alice); err != nil {
			b.Fatal(err)
		}
	}
}
