package export_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/export"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// patience bounds a test over sockets.
const patience = 2 * time.Minute

// estate is a server with an organization, of which alice is the first user.
type estate struct {
	t      *testing.T
	ctx    context.Context
	clock  *testkit.Clock
	blocks *blockstore.Memory
	server *testkit.Generations
	client *client3.Client
	alice  *testclient3.Resident
}

func newEstate(t *testing.T) *estate {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	e := &estate{t: t, ctx: ctx, clock: testkit.NewClock(created), blocks: blockstore.NewMemory()}
	options := testkit.GenerationsOptions{Now: e.clock.Now, Blocks: e.blocks}
	options.Parsec3.SpontaneousBootstrap = true
	e.server = testkit.StartGenerations(t, options)
	e.client = client3.New(e.server.Address, client3.LatestVersion, client.Options{Now: e.clock.Now})
	t.Cleanup(e.client.Close)
	founding := client3.Founding{Organization: organizationID, AuthorityVerifyKey: rsaPublic(t, "sequester_authority")}
	device, request, err := client3.NewOrganization(founding, somebody("alice"), created)
	e.do(err)
	_, err = client3.Call(ctx, e.client.Anonymous(organizationID), protocol.OrganizationBootstrap, request)
	e.do(err)
	e.alice = testclient3.NewResident(e.client, device)
	e.do(e.alice.Poll(ctx))
	return e
}

func (e *estate) do(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
	e.clock.Advance(time.Second)
}

func somebody(name string) client3.Person {
	return client3.Person{
		Label: must(parsec3.ParseDeviceLabel(name)), HumanHandle: must(parsec3.ParseHumanHandle(name+"@example.com", name)),
	}
}

type rsaPair struct {
	Private []byte `json:"private_key_pkcs8_der"`
	Public  []byte `json:"public_key_spki_der"`
}

func rsaKeysOf(t *testing.T, name string) rsaPair {
	t.Helper()
	return vectors.Load[struct {
		RSA map[string]rsaPair `json:"rsa"`
	}](t, "keys.json").RSA[name]
}

func rsaPublic(t *testing.T, name string) []byte { return rsaKeysOf(t, name).Public }

func rsaPrivate(t *testing.T, name string) *rsa.PrivateKey {
	return must(x509.ParsePKCS8PrivateKey(rsaKeysOf(t, name).Private)).(*rsa.PrivateKey)
}

// addService adds a sequester service with a key.
func (e *estate) addService(key string) parsec.SequesterServiceID {
	e.t.Helper()
	id := parsec.SequesterServiceID(parsec.NewUUID())
	signed, err := certificate.SequesterService{
		Timestamp: e.clock.Now(), ServiceID: id, ServiceLabel: key, EncryptionKeyDER: rsaPublic(e.t, key),
	}.Sign(rsaPrivate(e.t, "sequester_authority"))
	e.do(err)
	e.do(e.server.Parsec3.CreateSequesterService(e.ctx, organizationID, signed, ""))
	return id
}

// export exports a realm as of now, later, and returns the file.
func (e *estate) export(realm parsec.RealmID) string {
	e.t.Helper()
	snapshot := e.clock.Now()
	e.clock.Advance(time.Hour)
	source, err := e.server.Parsec3.ExportRealm(e.ctx, organizationID, realm, &snapshot)
	e.do(err)
	path := filepath.Join(e.t.TempDir(), "export")
	work, err := export.Open(e.ctx, path, source)
	e.do(err)
	work.Blocks, work.Advance = e.blocks, func(int, int64) {}
	e.do(errors.Join(work.Run(e.ctx), work.Close()))
	return path
}

// TestReadBack has a member and a sequester service read what the members wrote, with
// their keys alone.
func TestReadBack(t *testing.T) {
	e := newEstate(t)
	service := e.addService("sequester_service")
	bobDevice, err := e.alice.AddUser(e.ctx, somebody("bob"), parsec.ProfileStandard)
	e.do(err)
	carolDevice, err := e.alice.AddUser(e.ctx, somebody("carol"), parsec.ProfileStandard)
	e.do(err)
	e.do(e.alice.Poll(e.ctx))
	realm, err := e.alice.NewWorkspace(e.ctx, "work")
	e.do(err)
	e.do(e.alice.Share(e.ctx, realm, bobDevice.User, parsec.RoleContributor))
	bob := testclient3.NewResident(e.client, bobDevice)
	e.do(bob.Poll(e.ctx))
	e.do(e.alice.Upload(e.ctx, realm, low, []byte("by alice, with the first key")))
	e.do(e.alice.RotateKey(e.ctx, realm))
	block := parsec.BlockID{3}
	data := bytes.Repeat([]byte("data"), 10_000)
	e.do(bob.Poll(e.ctx))
	e.do(bob.UploadBlock(e.ctx, realm, high, block, data))
	e.do(bob.Upload(e.ctx, realm, high, []byte("by bob, with the second key")))
	before := e.clock.Now() - 1
	e.do(e.alice.Update(e.ctx, realm, low, 2, []byte("by alice again")))
	snapshot := e.clock.Now()
	path := e.export(realm)
	e.do(e.alice.Update(e.ctx, realm, low, 3, []byte("after the export")))

	want := map[parsec.VlobID]string{low: "by alice again", high: "by bob, with the second key"}
	for name, open := range map[string]func() (*testclient3.RealmExport, error){
		"alice": func() (*testclient3.RealmExport, error) {
			return testclient3.OpenExportAsMember(e.ctx, path, e.alice.Device)
		},
		"bob": func() (*testclient3.RealmExport, error) {
			return testclient3.OpenExportAsMember(e.ctx, path, bobDevice)
		},
		"service": func() (*testclient3.RealmExport, error) {
			return testclient3.OpenExportAsService(e.ctx, path, e.alice.Device.RootVerifyKey, service, rsaPrivate(t, "sequester_service"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = read.Close() }()
			versions, err := read.Versions(e.ctx, snapshot)
			if err != nil || len(versions) != len(want) {
				t.Fatalf("%d vlobs, %v", len(versions), err)
			}
			for vlob, content := range want {
				if string(versions[vlob].Content) != content {
					t.Errorf("vlob %s is %q", vlob, versions[vlob].Content)
				}
			}
			if versions, err := read.Versions(e.ctx, before); err != nil || string(versions[low].Content) != "by alice, with the first key" {
				t.Errorf("before: %q, %v", versions[low].Content, err)
			}
			if blocks, err := read.Blocks(e.ctx); err != nil || len(blocks) != 1 || !bytes.Equal(blocks[block], data) {
				t.Errorf("%d blocks, %v", len(blocks), err)
			}
		})
	}
	for name, open := range map[string]func() (*testclient3.RealmExport, error){
		"who was no member": func() (*testclient3.RealmExport, error) {
			return testclient3.OpenExportAsMember(e.ctx, path, carolDevice)
		},
		"another key": func() (*testclient3.RealmExport, error) {
			return testclient3.OpenExportAsService(e.ctx, path, e.alice.Device.RootVerifyKey, service, rsaPrivate(t, "sequester_other"))
		},
		"another service": func() (*testclient3.RealmExport, error) {
			return testclient3.OpenExportAsService(e.ctx, path, e.alice.Device.RootVerifyKey, parsec.SequesterServiceID{9}, rsaPrivate(t, "sequester_service"))
		},
		"another organization": func() (*testclient3.RealmExport, error) {
			return testclient3.OpenExportAsService(e.ctx, path, parsec.VerifyKey{1}, service, rsaPrivate(t, "sequester_service"))
		},
	} {
		if read, err := open(); err == nil {
			_ = read.Close()
			t.Errorf("%s opens it", name)
		}
	}
}

// TestExportOfRevokedService has keys of before the revocation alone.
func TestExportOfRevokedService(t *testing.T) {
	e := newEstate(t)
	service := e.addService("sequester_service")
	e.do(e.alice.Poll(e.ctx))
	realm, err := e.alice.NewWorkspace(e.ctx, "work")
	e.do(err)
	path := e.export(realm)
	signed, err := certificate.SequesterRevokedService{Timestamp: e.clock.Now(), ServiceID: service}.Sign(rsaPrivate(t, "sequester_authority"))
	e.do(err)
	e.do(e.server.Parsec3.RevokeSequesterService(e.ctx, organizationID, signed))
	if err := e.server.Parsec3.RevokeSequesterService(e.ctx, organizationID, signed); !errors.As(err, new(*organization.GreaterTimestampError)) {
		t.Errorf("again: %v", err)
	}
	e.do(e.alice.Poll(e.ctx))
	e.do(e.alice.RotateKey(e.ctx, realm))
	open := func(path string) error {
		read, err := testclient3.OpenExportAsService(e.ctx, path, e.alice.Device.RootVerifyKey, service, rsaPrivate(t, "sequester_service"))
		if err == nil {
			err = read.Close()
		}
		return err
	}
	if err := open(path); err != nil {
		t.Errorf("of before: %v", err)
	}
	if open(e.export(realm)) == nil {
		t.Error("it opens what came after")
	}
	if _, err := e.server.Parsec3.ExportRealm(e.ctx, organizationID, otherRealm, nil); !errors.Is(err, rules.ErrExportNoRealm) {
		t.Errorf("%v", err)
	}
}
