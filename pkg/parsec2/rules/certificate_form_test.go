package rules

import (
	"crypto/ed25519"
	"reflect"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// The checks that the vectors have no set for, and what checks return.

const (
	certificateTestNow parsec.DateTime = 1704164645_678901
	// certificateTestOld is just out of the window.
	certificateTestOld = certificateTestNow - 320_000_000
)

type certificateKey struct {
	sign   ed25519.PrivateKey
	verify parsec.VerifyKey
}

func certificateTestKey(t *testing.T, name string) certificateKey {
	t.Helper()
	keys := vectors.Load[struct {
		Ed25519 map[string]struct {
			Seed      []byte `json:"seed"`
			VerifyKey []byte `json:"verify_key"`
		} `json:"ed25519"`
	}](t, "keys.json")
	key, found := keys.Ed25519[name]
	if !found {
		t.Fatalf("no key %q", name)
	}
	return certificateKey{ed25519.NewKeyFromSeed(key.Seed), parsec.VerifyKey(key.VerifyKey)}
}

func certificateTestDevice(t *testing.T, text string) parsec.DeviceID {
	t.Helper()
	id, err := parsec.ParseDeviceID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// certificateTestPair returns a valid new user, before a test spoils it.
func certificateTestPair(t *testing.T, author parsec.DeviceID, device string) pair {
	t.Helper()
	id := certificateTestDevice(t, device)
	handle, err := parsec.ParseHumanHandle("bob@example.com", "Boby McBobFace")
	if err != nil {
		t.Fatal(err)
	}
	label, err := parsec.ParseDeviceLabel("My dev1 machine")
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		certificate.User{
			Author: author, Timestamp: certificateTestNow, UserID: id.User(), HumanHandle: handle,
			PublicKey: parsec.PublicKey{1}, Profile: parsec.ProfileAdmin,
		},
		certificate.Device{
			Author: author, Timestamp: certificateTestNow, DeviceID: id, DeviceLabel: label, VerifyKey: parsec.VerifyKey{2},
		},
	}
}

func (p pair) redacted() pair { return pair{p.user.Redacted(), p.device.Redacted()} }

func (p pair) sign(t *testing.T, key certificateKey) signedPair {
	t.Helper()
	return signedPair{certificateTestSigned(t, p.user, key), certificateTestSigned(t, p.device, key)}
}

func certificateTestSigned(t *testing.T, value interface {
	Sign(ed25519.PrivateKey) ([]byte, error)
}, key certificateKey) []byte {
	t.Helper()
	signed, err := value.Sign(key.sign)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// checkStoredPair compares what is to be stored with where it comes from.
func checkStoredPair(t *testing.T, user User, device Device, from pair, full, redacted signedPair) {
	t.Helper()
	wantUser := User{
		ID: from.user.UserID, Profile: from.user.Profile, HumanHandle: from.user.HumanHandle,
		Certificate: full.user, RedactedCertificate: redacted.user,
		Certifier: from.user.Author, CreatedOn: from.user.Timestamp,
	}
	if !reflect.DeepEqual(user, wantUser) {
		t.Errorf("user\n got %+v\nwant %+v", user, wantUser)
	}
	checkStoredDevice(t, device, from.device, full.device, redacted.device)
}

func checkStoredDevice(t *testing.T, device Device, from certificate.Device, full, redacted []byte) {
	t.Helper()
	want := Device{
		ID: from.DeviceID, Label: from.DeviceLabel, VerifyKey: from.VerifyKey,
		Certificate: full, RedactedCertificate: redacted, Certifier: from.Author, CreatedOn: from.Timestamp,
	}
	if !reflect.DeepEqual(device, want) {
		t.Errorf("device\n got %+v\nwant %+v", device, want)
	}
}

func TestCheckUserCreateGivesWhatToStore(t *testing.T) {
	key, author := certificateTestKey(t, "alice_dev1"), certificateTestDevice(t, "alice@dev1")
	alice := &Author{Device: author, Profile: parsec.ProfileAdmin, VerifyKey: key.verify}
	bob := certificateTestPair(t, author, "bob@dev1")
	full, redacted := bob.sign(t, key), bob.redacted().sign(t, key)
	user, device, err := checkUserCreate(alice, certificateTestNow, &protocol.UserCreateRequest{
		UserCertificate: full.user, DeviceCertificate: full.device,
		RedactedUserCertificate: redacted.user, RedactedDeviceCertificate: redacted.device,
	})
	if err != nil {
		t.Fatal(err)
	}
	checkStoredPair(t, user, device, bob, full, redacted)
}

func TestCheckUserCreateIsForAdministrators(t *testing.T) {
	key := certificateTestKey(t, "alice_dev1")
	for _, profile := range []parsec.UserProfile{parsec.ProfileStandard, parsec.ProfileOutsider} {
		author := &Author{Device: certificateTestDevice(t, "alice@dev1"), Profile: profile, VerifyKey: key.verify}
		// The certificates do not load: the profile comes first.
		_, _, err := checkUserCreate(author, certificateTestNow, &protocol.UserCreateRequest{})
		checkRefusal(t, protocol.UserCreate.Form, parsec.APIVersion{Major: 3, Minor: 4}, err, protocol.StatusNotAllowed, false)
	}
}

func TestCheckUserCreateV1(t *testing.T) {
	key, author := certificateTestKey(t, "alice_dev1"), certificateTestDevice(t, "alice@dev1")
	carl := certificateTestDevice(t, "carl@dev1")
	for _, test := range []struct {
		name      string
		profile   parsec.UserProfile
		change    func(p *pair)
		signer    string
		want      protocol.Status
		wrongDate bool
	}{
		{name: "handle and label", want: protocol.StatusOK},
		{name: "neither handle nor label", change: func(p *pair) { *p = p.redacted() }, want: protocol.StatusOK},
		{name: "not an administrator, bad signature", profile: parsec.ProfileStandard, signer: "bob_dev1", want: protocol.StatusNotAllowed},
		{name: "bad signature", signer: "bob_dev1", want: protocol.StatusInvalidCertification},
		{name: "other author of the device", change: func(p *pair) { p.device.Author = carl }, want: protocol.StatusInvalidCertification},
		{name: "other author of the user", change: func(p *pair) { p.user.Author = carl }, want: protocol.StatusInvalidCertification},
		{name: "dates differ", change: func(p *pair) { p.user.Timestamp++ }, want: protocol.StatusInvalidData},
		{name: "dates differ, old", change: func(p *pair) { p.user.Timestamp, p.device.Timestamp = certificateTestOld, certificateTestOld-1 }, want: protocol.StatusInvalidData},
		{name: "old", change: func(p *pair) { p.user.Timestamp, p.device.Timestamp = certificateTestOld, certificateTestOld }, want: protocol.StatusInvalidCertification, wrongDate: true},
		{name: "old, other owner", change: func(p *pair) {
			p.user.Timestamp, p.device.Timestamp, p.device.DeviceID = certificateTestOld, certificateTestOld, carl
		}, want: protocol.StatusInvalidCertification, wrongDate: true},
		{name: "other owner", change: func(p *pair) { p.device.DeviceID = carl }, want: protocol.StatusInvalidData},
	} {
		t.Run(test.name, func(t *testing.T) {
			alice := &Author{Device: author, Profile: parsec.ProfileAdmin, VerifyKey: key.verify}
			if test.profile != "" {
				alice.Profile = test.profile
			}
			bob, signer := certificateTestPair(t, author, "bob@dev1"), key
			if test.change != nil {
				test.change(&bob)
			}
			if test.signer != "" {
				signer = certificateTestKey(t, test.signer)
			}
			full := bob.sign(t, signer)
			user, device, err := checkUserCreateV1(alice, certificateTestNow, &protocol.UserCreateV1Request{
				UserCertificate: full.user, DeviceCertificate: full.device,
			})
			checkRefusal(t, protocol.UserCreateV1.Form, parsec.APIVersion{Major: 1, Minor: 2}, err, test.want, test.wrongDate)
			if err == nil {
				checkStoredPair(t, user, device, bob, full, full)
			}
		})
	}
}

func TestCheckDeviceCreateGivesWhatToStore(t *testing.T) {
	key, author := certificateTestKey(t, "alice_dev1"), certificateTestDevice(t, "alice@dev1")
	alice := &Author{Device: author, Profile: parsec.ProfileOutsider, VerifyKey: key.verify}
	second := certificateTestPair(t, author, "alice@dev2").device
	full, redacted := certificateTestSigned(t, second, key), certificateTestSigned(t, second.Redacted(), key)
	device, err := checkDeviceCreate(alice, certificateTestNow, &protocol.DeviceCreateRequest{
		DeviceCertificate: full, RedactedDeviceCertificate: redacted,
	})
	if err != nil {
		t.Fatal(err)
	}
	checkStoredDevice(t, device, second, full, redacted)

	_, err = checkDeviceCreate(alice, certificateTestNow, &protocol.DeviceCreateRequest{
		DeviceCertificate: redacted, RedactedDeviceCertificate: []byte{},
	})
	checkRefusal(t, protocol.DeviceCreate.Form, parsec.APIVersion{Major: 2, Minor: 0}, err, protocol.StatusInvalidCertification, false)
}

func TestCheckDeviceCreateV1(t *testing.T) {
	key, author := certificateTestKey(t, "alice_dev1"), certificateTestDevice(t, "alice@dev1")
	alice := &Author{Device: author, Profile: parsec.ProfileStandard, VerifyKey: key.verify}
	unlabelled := certificateTestPair(t, author, "alice@dev2").device.Redacted()
	label := certificateTestPair(t, author, "alice@dev2").device.DeviceLabel
	carl := certificateTestDevice(t, "carl@dev1")
	for _, test := range []struct {
		name      string
		change    func(d *certificate.Device)
		want      protocol.Status
		wrongDate bool
	}{
		{name: "no label", change: func(*certificate.Device) {}, want: protocol.StatusOK},
		{name: "other author, old", change: func(d *certificate.Device) { d.Author, d.Timestamp = carl, certificateTestOld }, want: protocol.StatusInvalidCertification},
		{name: "old, labelled", change: func(d *certificate.Device) { d.Timestamp, d.DeviceLabel = certificateTestOld, label }, want: protocol.StatusInvalidCertification, wrongDate: true},
		{name: "labelled, other user", change: func(d *certificate.Device) { d.DeviceLabel, d.DeviceID = label, carl }, want: protocol.StatusInvalidData},
		{name: "other user", change: func(d *certificate.Device) { d.DeviceID = carl }, want: protocol.StatusBadUserID},
	} {
		t.Run(test.name, func(t *testing.T) {
			second := unlabelled
			test.change(&second)
			full := certificateTestSigned(t, second, key)
			device, err := checkDeviceCreateV1(alice, certificateTestNow, &protocol.DeviceCreateV1Request{DeviceCertificate: full})
			checkRefusal(t, protocol.DeviceCreateV1.Form, parsec.APIVersion{Major: 1, Minor: 2}, err, test.want, test.wrongDate)
			if err == nil {
				checkStoredDevice(t, device, second, full, full)
			}
		})
	}
}

func TestCheckBootstrapGivesWhatToStore(t *testing.T) {
	root := certificateTestKey(t, "root")
	alice := certificateTestPair(t, parsec.DeviceID{}, "alice@dev1")
	full, redacted := alice.sign(t, root), alice.redacted().sign(t, root)
	keys := vectors.Load[struct {
		RSA map[string]struct {
			Public []byte `json:"public_key_spki_der"`
		} `json:"rsa"`
	}](t, "keys.json")
	verifyKeyDER := keys.RSA["sequester_authority"].Public
	authority := certificateTestSigned(t, certificate.SequesterAuthority{Timestamp: certificateTestNow, VerifyKeyDER: verifyKeyDER}, root)
	for _, sequestered := range []bool{false, true} {
		request := &protocol.OrganizationBootstrapRequest{
			RootVerifyKey:   root.verify,
			UserCertificate: full.user, DeviceCertificate: full.device,
			RedactedUserCertificate: redacted.user, RedactedDeviceCertificate: redacted.device,
		}
		want := bootstrap{RootVerifyKey: root.verify}
		if sequestered {
			request.SequesterAuthorityCertificate = authority
			want.SequesterAuthorityCertificate, want.SequesterVerifyKeyDER = authority, verifyKeyDER
		}
		got, err := checkBootstrap(certificateTestNow, request)
		if err != nil {
			t.Fatal(err)
		}
		checkStoredPair(t, got.User, got.Device, alice, full, redacted)
		got.User, got.Device = User{}, Device{}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("sequestered %t\n got %+v\nwant %+v", sequestered, got, want)
		}
	}
}

func TestCheckBootstrapV1(t *testing.T) {
	root := certificateTestKey(t, "root")
	for _, test := range []struct {
		name      string
		change    func(p *pair)
		redact    func(r *protocol.OrganizationBootstrapV1Request)
		want      protocol.Status
		wrongDate bool
	}{
		{name: "redacted", want: protocol.StatusOK},
		{name: "not redacted", redact: func(r *protocol.OrganizationBootstrapV1Request) {
			r.RedactedUserCertificate, r.RedactedDeviceCertificate = nil, nil
		}, want: protocol.StatusOK},
		{name: "device only redacted", redact: func(r *protocol.OrganizationBootstrapV1Request) {
			r.RedactedUserCertificate = nil
		}, want: protocol.StatusInvalidData},
		{name: "user only redacted, badly", redact: func(r *protocol.OrganizationBootstrapV1Request) {
			r.RedactedUserCertificate, r.RedactedDeviceCertificate = []byte{}, nil
		}, want: protocol.StatusInvalidData},
		{name: "empty redacted user", redact: func(r *protocol.OrganizationBootstrapV1Request) {
			r.RedactedUserCertificate = []byte{}
		}, want: protocol.StatusInvalidCertification},
		{name: "full as redacted", redact: func(r *protocol.OrganizationBootstrapV1Request) {
			r.RedactedUserCertificate, r.RedactedDeviceCertificate = r.UserCertificate, r.DeviceCertificate
		}, want: protocol.StatusInvalidData},
		{name: "full as redacted, old", change: func(p *pair) {
			p.user.Timestamp, p.device.Timestamp = certificateTestOld, certificateTestOld
		}, redact: func(r *protocol.OrganizationBootstrapV1Request) {
			r.RedactedUserCertificate, r.RedactedDeviceCertificate = r.UserCertificate, r.DeviceCertificate
		}, want: protocol.StatusInvalidCertification, wrongDate: true},
		{name: "standard, dates differ", change: func(p *pair) {
			p.user.Profile, p.user.Timestamp = parsec.ProfileStandard, p.user.Timestamp+1
		}, want: protocol.StatusInvalidData},
	} {
		t.Run(test.name, func(t *testing.T) {
			alice := certificateTestPair(t, parsec.DeviceID{}, "alice@dev1")
			if test.change != nil {
				test.change(&alice)
			}
			full, redacted := alice.sign(t, root), alice.redacted().sign(t, root)
			request := &protocol.OrganizationBootstrapV1Request{
				RootVerifyKey:   root.verify,
				UserCertificate: full.user, DeviceCertificate: full.device,
				RedactedUserCertificate: redacted.user, RedactedDeviceCertificate: redacted.device,
			}
			if test.redact != nil {
				test.redact(request)
			}
			got, err := checkBootstrapV1(certificateTestNow, request)
			checkRefusal(t, protocol.OrganizationBootstrapV1.Form, parsec.APIVersion{Major: 1, Minor: 2}, err, test.want, test.wrongDate)
			if err != nil {
				return
			}
			if request.RedactedUserCertificate == nil {
				redacted = full
			}
			checkStoredPair(t, got.User, got.Device, alice, full, redacted)
			if got.RootVerifyKey != root.verify || got.SequesterAuthorityCertificate != nil || got.SequesterVerifyKeyDER != nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestCheckUserRevokeGivesWhatToStore(t *testing.T) {
	key, author := certificateTestKey(t, "alice_dev1"), certificateTestDevice(t, "alice@dev1")
	alice := &Author{Device: author, Profile: parsec.ProfileAdmin, VerifyKey: key.verify}
	bob := certificateTestDevice(t, "bob@dev1").User()
	signed := certificateTestSigned(t, certificate.RevokedUser{Author: author, Timestamp: certificateTestNow - 1, UserID: bob}, key)
	user, revocation, err := checkUserRevoke(alice, certificateTestNow, &protocol.UserRevokeRequest{RevokedUserCertificate: signed})
	want := Revocation{Certificate: signed, Certifier: author, On: certificateTestNow - 1}
	if err != nil || user != bob || !reflect.DeepEqual(revocation, want) {
		t.Errorf("got %s, %+v, %v\nwant %s, %+v", user, revocation, err, bob, want)
	}
}

func TestCheckRealmCertificatesGiveWhatToStore(t *testing.T) {
	key, author := certificateTestKey(t, "alice_dev1"), certificateTestDevice(t, "alice@dev1")
	alice := &Author{Device: author, Profile: parsec.ProfileStandard, VerifyKey: key.verify}
	realm, date := parsec.RealmID{1}, certificateTestNow+1
	bob := certificateTestDevice(t, "bob@dev1").User()

	role := certificate.RealmRole{Author: author, Timestamp: date, RealmID: realm, UserID: author.User(), Role: parsec.RoleOwner}
	signed := certificateTestSigned(t, role, key)
	created, err := checkRealmCreate(alice, certificateTestNow, &protocol.RealmCreateRequest{RoleCertificate: signed})
	want := RoleCertificate{Realm: realm, User: author.User(), Role: parsec.RoleOwner, Certificate: signed, Author: author, CertifiedOn: date}
	if err != nil || !reflect.DeepEqual(created, want) {
		t.Errorf("realm_create\n got %+v, %v\nwant %+v", created, err, want)
	}

	role.UserID, role.Role = bob, parsec.RoleNone
	signed = certificateTestSigned(t, role, key)
	updated, err := checkRealmUpdateRoles(alice, certificateTestNow, &protocol.RealmUpdateRolesRequest{RoleCertificate: signed})
	want = RoleCertificate{Realm: realm, User: bob, Certificate: signed, Author: author, CertifiedOn: date}
	if err != nil || !reflect.DeepEqual(updated, want) {
		t.Errorf("realm_update_roles\n got %+v, %v\nwant %+v", updated, err, want)
	}

	deletion := date + 1
	signed = certificateTestSigned(t, certificate.RealmArchiving{
		Author: author, Timestamp: date, RealmID: realm, Type: parsec.ArchivingDeletionPlanned, DeletionDate: &deletion,
	}, key)
	id, archiving, err := checkRealmUpdateArchiving(alice, certificateTestNow, &protocol.RealmUpdateArchivingRequest{ArchivingCertificate: signed})
	wantArchiving := Archiving{Type: parsec.ArchivingDeletionPlanned, DeletionDate: &deletion, ConfiguredOn: date, ConfiguredBy: author}
	if err != nil || id != realm || !reflect.DeepEqual(archiving, wantArchiving) {
		t.Errorf("realm_update_archiving\n got %s, %+v, %v\nwant %s, %+v", id, archiving, err, realm, wantArchiving)
	}
}
