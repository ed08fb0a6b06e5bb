package parsec2_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

func bootstrapAddress(t testing.TB) parsec.BootstrapAddress {
	t.Helper()
	return must(parsec.ParseBootstrapAddress("parsec://localhost/CoolOrg?action=bootstrap_organization&token=t0ken"))
}

func alicePerson() parsec2.Person {
	return parsec2.Person{
		Label:       must(parsec.ParseDeviceLabel("Laptop")),
		HumanHandle: must(parsec.ParseHumanHandle("alice@example.com", "Alice")),
	}
}

func founded(t testing.TB) (*parsec2.Device, *protocol.OrganizationBootstrapRequest) {
	t.Helper()
	device, request, err := parsec2.NewOrganization(bootstrapAddress(t), alicePerson(), reference)
	if err != nil {
		t.Fatal(err)
	}
	return device, request
}

func TestNewOrganization(t *testing.T) {
	device, request := founded(t)
	if request.BootstrapToken != "t0ken" || request.RootVerifyKey != device.RootVerifyKey {
		t.Errorf("token %s, root key %s", request.BootstrapToken, request.RootVerifyKey)
	}
	if device.Organization != bootstrapAddress(t).Organization() || device.Profile != parsec.ProfileAdmin {
		t.Errorf("device %+v", device)
	}
	compareUser(t, device, parsec.DeviceID{}, device.RootVerifyKey, &protocol.UserCreateRequest{
		UserCertificate: request.UserCertificate, RedactedUserCertificate: request.RedactedUserCertificate,
		DeviceCertificate: request.DeviceCertificate, RedactedDeviceCertificate: request.RedactedDeviceCertificate,
	})
	v1 := parsec2.OrganizationBootstrapV1(request)
	if !reflect.DeepEqual(v1, &protocol.OrganizationBootstrapV1Request{
		BootstrapToken: "t0ken", RootVerifyKey: device.RootVerifyKey,
		UserCertificate: request.UserCertificate, RedactedUserCertificate: request.RedactedUserCertificate,
		DeviceCertificate: request.DeviceCertificate, RedactedDeviceCertificate: request.RedactedDeviceCertificate,
	}) {
		t.Errorf("form of API 1 %+v", v1)
	}
}

func TestNewUser(t *testing.T) {
	author, _ := founded(t)
	person := parsec2.Person{
		ID:          must(parsec.ParseDeviceID("bob@dev1")),
		Label:       must(parsec.ParseDeviceLabel("Phone")),
		HumanHandle: must(parsec.ParseHumanHandle("bob@example.com", "Bob")),
	}
	user, request, err := author.NewUser(person, parsec.ProfileOutsider, reference)
	if err != nil {
		t.Fatal(err)
	}
	if user.ID != person.ID || user.Profile != parsec.ProfileOutsider || user.Organization != author.Organization {
		t.Errorf("user %+v", user)
	}
	compareUser(t, user, author.ID, author.VerifyKey(), request)
	v1 := testclient.UserCreateV1(request)
	if !reflect.DeepEqual(v1, &protocol.UserCreateV1Request{
		UserCertificate: request.UserCertificate, DeviceCertificate: request.DeviceCertificate,
	}) {
		t.Errorf("form of API 1 %+v", v1)
	}
	if _, _, err := author.NewUser(person, "", reference); err == nil {
		t.Error("a user without profile")
	}
}

// compareUser loads the certificates of a user made at the reference instant.
func compareUser(t *testing.T, device *parsec2.Device, author parsec.DeviceID, key parsec.VerifyKey, request *protocol.UserCreateRequest) {
	t.Helper()
	want := certificate.User{
		Author: author, Timestamp: reference, UserID: device.ID.User(),
		HumanHandle: device.HumanHandle, PublicKey: device.PublicKey(), Profile: device.Profile,
	}
	if got, err := certificate.LoadUser(request.UserCertificate, key, author); err != nil || got != want {
		t.Errorf("user %+v, %v", got, err)
	}
	if got, err := certificate.LoadUser(request.RedactedUserCertificate, key, author); err != nil || got != want.Redacted() {
		t.Errorf("redacted user %+v, %v", got, err)
	}
	compareDevice(t, device, author, key, request.DeviceCertificate, request.RedactedDeviceCertificate)
}

func compareDevice(t *testing.T, device *parsec2.Device, author parsec.DeviceID, key parsec.VerifyKey, full, redacted []byte) {
	t.Helper()
	want := certificate.Device{
		Author: author, Timestamp: reference, DeviceID: device.ID, DeviceLabel: device.Label, VerifyKey: device.VerifyKey(),
	}
	if got, err := certificate.LoadDevice(full, key, author); err != nil || got != want {
		t.Errorf("device %+v, %v", got, err)
	}
	if got, err := certificate.LoadDevice(redacted, key, author); err != nil || got != want.Redacted() {
		t.Errorf("redacted device %+v, %v", got, err)
	}
}

func TestNewDevice(t *testing.T) {
	author, _ := founded(t)
	label := must(parsec.ParseDeviceLabel("Tablet"))
	device, request, err := author.NewDevice(must(parsec.ParseDeviceName("dev2")), label, reference)
	if err != nil {
		t.Fatal(err)
	}
	if device.ID.User() != author.ID.User() || device.ID.Name().String() != "dev2" {
		t.Errorf("device %s", device.ID)
	}
	if device.VerifyKey() == author.VerifyKey() || device.PublicKey() != author.PublicKey() {
		t.Error("a device has its own signing key, and the private key of its user")
	}
	compareDevice(t, device, author.ID, author.VerifyKey(), request.DeviceCertificate, request.RedactedDeviceCertificate)
	v1 := parsec2.DeviceCreateV1(request, []byte("answer"))
	if string(v1.DeviceCertificate) != string(request.DeviceCertificate) || string(v1.EncryptedAnswer) != "answer" {
		t.Errorf("form of API 1 %+v", v1)
	}
	random, _, err := author.NewDevice(parsec.DeviceName{}, parsec.DeviceLabel{}, reference)
	if err != nil || random.ID == device.ID {
		t.Errorf("device %v, %v", random, err)
	}
}

func TestSignedRequests(t *testing.T) {
	author, _ := founded(t)
	key := author.VerifyKey()
	realm := parsec.RealmID(parsec.NewUUID())
	bob := must(parsec.ParseUserID("bob"))

	revocation := must(author.RevokeUser(bob, reference))
	if got, err := certificate.LoadRevokedUser(revocation.RevokedUserCertificate, key, author.ID); err != nil ||
		got != (certificate.RevokedUser{Author: author.ID, Timestamp: reference, UserID: bob}) {
		t.Errorf("revocation %+v, %v", got, err)
	}
	creation := must(author.NewRealm(realm, reference))
	if got, err := certificate.LoadRealmRole(creation.RoleCertificate, key, author.ID); err != nil ||
		got != (certificate.RealmRole{
			Author: author.ID, Timestamp: reference, RealmID: realm, UserID: author.ID.User(), Role: parsec.RoleOwner,
		}) {
		t.Errorf("creation %+v, %v", got, err)
	}
	for _, role := range []parsec.RealmRole{parsec.RoleManager, parsec.RoleNone} {
		update := must(author.UpdateRole(realm, bob, role, reference))
		if got, err := certificate.LoadRealmRole(update.RoleCertificate, key, author.ID); err != nil ||
			got != (certificate.RealmRole{Author: author.ID, Timestamp: reference, RealmID: realm, UserID: bob, Role: role}) {
			t.Errorf("role %q: %+v, %v", role, got, err)
		}
	}
	deletion := reference + 1
	archiving := must(author.UpdateArchiving(realm, protocol.ArchivingConfiguration{
		Type: parsec.ArchivingDeletionPlanned, DeletionDate: &deletion,
	}, reference))
	if got, err := certificate.LoadRealmArchiving(archiving.ArchivingCertificate, key, author.ID); err != nil ||
		!reflect.DeepEqual(got, certificate.RealmArchiving{
			Author: author.ID, Timestamp: reference, RealmID: realm,
			Type: parsec.ArchivingDeletionPlanned, DeletionDate: &deletion,
		}) {
		t.Errorf("archiving %+v, %v", got, err)
	}
}

func TestDeviceFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	device, _ := founded(t)
	if err := device.Save(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	loaded, err := testclient.LoadDevice(path)
	if err != nil || !reflect.DeepEqual(loaded, device) {
		t.Errorf("loaded %+v, %v\nsaved %+v", loaded, err, device)
	}
	other, _ := founded(t)
	if err := other.Save(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwriting: %v", err)
	}
	if kept, err := testclient.LoadDevice(path); err != nil || !reflect.DeepEqual(kept, device) {
		t.Errorf("after a refused save: %v", err)
	}
}

func TestDeviceWithoutNamesInFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	device, _, err := parsec2.NewOrganization(bootstrapAddress(t), parsec2.Person{}, reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := device.Save(path); err != nil {
		t.Fatal(err)
	}
	if loaded, err := testclient.LoadDevice(path); err != nil || !reflect.DeepEqual(loaded, device) {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
}

// bootstrapServer answers HTTP with status, or refuses with refusal, and takes
// the bootstrap over WebSocket.
func bootstrapServer(t *testing.T, status int, refusal string, taken *string) *parsec2.Client {
	webSocket := scripted(t, func(ctx context.Context, peer *websocket.Conn) {
		welcome(ctx, peer, t)
		*taken, _ = receive(ctx, peer)["cmd"].(string)
		send(ctx, peer, wire.Field{Key: "status", Value: "ok"})
		receive(ctx, peer)
	})
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			webSocket.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/msgpack")
		w.WriteHeader(status)
		_, _ = w.Write(must(wire.Marshal(map[string]any{"status": refusal, "reason": "It is a test."})))
	}))
}

func TestBootstrap(t *testing.T) {
	device, request := founded(t)
	for _, item := range []struct {
		status    int
		refusal   string
		webSocket bool
		want      error
	}{
		{http.StatusOK, "ok", false, nil},
		{http.StatusOK, "already_bootstrapped", false, protocol.Refuse(protocol.StatusAlreadyBootstrapped, "")},
		{http.StatusNotFound, "", true, nil},
		{http.StatusOK, "unknown_command", true, nil},
	} {
		taken := ""
		c := bootstrapServer(t, item.status, item.refusal, &taken)
		if err := c.Bootstrap(t.Context(), device.Organization, request); !errors.Is(err, item.want) {
			t.Errorf("HTTP %d %s: error %v", item.status, item.refusal, err)
		}
		if (taken == "organization_bootstrap") != item.webSocket {
			t.Errorf("HTTP %d %s: over WebSocket %q", item.status, item.refusal, taken)
		}
	}
	c := bootstrapServer(t, client.StatusOrganizationExpired, "", new(string))
	if _, ok := errors.AsType[*client.HTTPError](c.Bootstrap(t.Context(), device.Organization, request)); !ok {
		t.Error("HTTP 460 is no HTTPError")
	}
}
