//go:build !without_postgresql

package e2e_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	parsec2imports "parsec-server/pkg/parsec2/imports"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// officialDevice has the keys of a device, in the form of the file.
type officialDevice struct {
	Profile    string
	IsAdmin    bool   `json:"is_admin"`
	SigningKey []byte `json:"signing_key"`
	PrivateKey []byte `json:"private_key"`
}

// officialVersion is what a client of the official server has read.
type officialVersion struct {
	Author, SHA256 string
	Version        uint32
}

// officialVlob is a vlob, which the file of 1.13 has as the list of its versions.
type officialVlob struct {
	Head     uint32
	Versions []officialVersion
}

// UnmarshalJSON reads either form.
func (v *officialVlob) UnmarshalJSON(text []byte) error {
	if !bytes.HasPrefix(text, []byte("[")) {
		type plain officialVlob
		return json.Unmarshal(text, (*plain)(v))
	}
	err := json.Unmarshal(text, &v.Versions)
	for _, version := range v.Versions {
		v.Head = max(v.Head, version.Version)
	}
	return err
}

// officialSeen is what one device has seen of the official server.
type officialSeen struct {
	Login    string
	Messages []struct {
		Count          uint64
		Sender, SHA256 string
	}
	Realms map[string]struct {
		Poll             string
		Checkpoint       uint64
		RoleCertificates any `json:"role_certificates"`
		Vlobs            map[string]officialVlob
	}
}

// officialBlock is the row of a block.
type officialBlock struct {
	ID string `json:"block_id"`
}

// officialFile is a real database, as far as clients know of it.
type officialFile struct {
	Keys struct {
		Organizations map[string]struct {
			Devices       map[string]officialDevice
			RootVerifyKey []byte `json:"root_verify_key"`
		}
	}
	Expected struct {
		Organizations map[string]struct {
			Devices map[string]officialSeen
		}
	}
	Rows struct {
		Block []officialBlock
		Data  []struct {
			Organization string `json:"organization_id"`
			ID           string `json:"block_id"`
			Data         []byte
		} `json:"block_data"`
	}
}

// blocks are what an organization has uploaded, by id.
func (f *officialFile) blocks(organization string) map[string][]byte {
	all := map[string][]byte{}
	for _, stored := range f.Rows.Data {
		if stored.Organization == organization {
			all[stored.ID] = stored.Data
		}
	}
	maps.DeleteFunc(all, func(id string, _ []byte) bool {
		return !slices.ContainsFunc(f.Rows.Block, func(block officialBlock) bool { return block.ID == id })
	})
	return all
}

// importOfficial moves a real database in, for good, and serves it.
func importOfficial(t *testing.T, release string) *testkit.Instance {
	t.Helper()
	from, _ := testkit.NewOfficial(t, testkit.LoadOfficial(t, release))
	to := testkit.NewPostgres(t)
	now := parsec.DateTimeOf(time.Now())
	report := moving.Move(t, parsec2imports.Wing{}, from, to, imports.Choices{At: now, BlockData: true})
	pool, err := database.NewPool(database.Source{DSN: to}, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	// While there is nothing else, the server is not ready; here is an organization that
	// it serves meanwhile.
	if err := testkit.OpenPostgres(t, to, testkit.NewBus(t)).Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "import --final") {
		t.Errorf("the server is ready: %v", err)
	}
	testkit.Execute(t, testkit.Connect(t, to), `
INSERT INTO organization (organization_id, bootstrap_token, user_profile_outsider_allowed, minimum_archiving_period, created_on) VALUES ('Other', '', false, 0, 0)`)
	instance := testkit.Start(t, testkit.InstanceOptions{
		Store:  func(t testing.TB, bus *event.Bus) rules.Store { return testkit.OpenPostgres(t, to, bus) },
		Blocks: blockstore.NewPostgres(pool),
	})
	wantClosed(t, instance, report.Organizations[0].ID)
	moving.Complete(t, to, report, now)
	return instance
}

// wantClosed wants an organization that is being imported to be away for a while.
func wantClosed(t *testing.T, instance *testkit.Instance, id parsec.OrganizationID) {
	t.Helper()
	stranger := parsec2.New(instance.Address, client.Options{})
	_, err := parsec2.Call(t.Context(), stranger.AnonymousRPC(id, parsec.APIVersion{Major: 3}), protocol.PKIEnrollmentInfo, &protocol.PKIEnrollmentInfoRequest{})
	if err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("over HTTP it answers %v", err)
	}
	conn, err := stranger.DialAnonymous(t.Context(), id, nil)
	if err == nil {
		conn.CloseNow()
		t.Error("over WebSocket it lets a client in")
	}
	if refused := (*parsec2.HandshakeError)(nil); errors.As(err, &refused) {
		t.Errorf("over WebSocket it says %v", err)
	}
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// TestImportedOrganizations has clients find, after an import, what they saw of the
// official server, byte for byte, verify all of it, and go on writing.
func TestImportedOrganizations(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"1.13", "2.17"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			file := vectors.Load[officialFile](t, "import/official-"+release+".json")
			instance := importOfficial(t, release)
			for name, expected := range file.Expected.Organizations {
				keys, unread := file.Keys.Organizations[name], file.blocks(name)
				for id, seen := range expected.Devices {
					if !strings.EqualFold(seen.Login, "ok") {
						continue
					}
					device := keys.Devices[id].device(t, name, id, keys.RootVerifyKey)
					follow(t, instance, device, &seen, unread)
				}
				for id := range unread {
					t.Errorf("nobody of %s reads the block %s", name, id)
				}
			}
		})
	}
}

// device makes the device of a client.
func (o officialDevice) device(t *testing.T, organization, id string, root []byte) *parsec2.Device {
	t.Helper()
	private, err := ecdh.X25519().NewPrivateKey(o.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &parsec2.Device{
		Organization: must(parsec.ParseOrganizationID(organization)), ID: must(parsec.ParseDeviceID(id)), Profile: parsec.UserProfile(o.Profile),
		SigningKey: ed25519.NewKeyFromSeed(o.SigningKey), PrivateKey: private, RootVerifyKey: parsec.VerifyKey(root),
	}
}

// follow compares what a device sees with what it saw. It takes the blocks that it reads
// out of those that nobody has.
func follow(t *testing.T, instance *testkit.Instance, device *parsec2.Device, seen *officialSeen, unread map[string][]byte) {
	t.Helper()
	conn, err := parsec2.New(instance.Address, client.Options{}).DialAuthenticated(t.Context(), device)
	if err != nil {
		t.Errorf("%s of %s: %v", device.ID, device.Organization, err)
		return
	}
	defer conn.Close()
	user, err := parsec2.Call(t.Context(), conn, protocol.UserGet, &protocol.UserGetRequest{UserID: device.ID.User()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testclient.VerifyTrustchain(device.RootVerifyKey, device.ID.User(), user); err != nil {
		t.Errorf("%s: %v", device.ID, err)
	}
	var messages, wanted []string
	for _, message := range must(parsec2.Call(t.Context(), conn, protocol.MessageGet, &protocol.MessageGetRequest{})).Messages {
		messages = append(messages, fmt.Sprint(message.Count, message.Sender.String(), hash(message.Body)))
	}
	for _, message := range seen.Messages {
		wanted = append(wanted, fmt.Sprint(message.Count, message.Sender, message.SHA256))
	}
	if !slices.Equal(messages, wanted) {
		t.Errorf("%s has the messages %q, and had %q", device.ID, messages, wanted)
	}
	for _, name := range slices.Sorted(maps.Keys(seen.Realms)) {
		realm := parsec.RealmID(must(parsec.ParseUUID(name)))
		had := seen.Realms[name]
		poll, err := parsec2.Call(t.Context(), conn, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm})
		if readable := strings.EqualFold(had.Poll, "ok"); readable != (err == nil) {
			t.Errorf("%s polls realm %s: %v, and officially: %s", device.ID, name, err, had.Poll)
			continue
		} else if !readable {
			continue
		}
		if poll.CurrentCheckpoint != had.Checkpoint {
			t.Errorf("realm %s is at %d, and was at %d", name, poll.CurrentCheckpoint, had.Checkpoint)
		}
		roles := must(parsec2.Call(t.Context(), conn, protocol.RealmGetRoleCertificates, &protocol.RealmGetRoleCertificatesRequest{RealmID: realm}))
		var certificates []string
		for _, signed := range roles.Certificates {
			certificates = append(certificates, hash(signed))
		}
		if fmt.Sprint(certificates) != fmt.Sprint(had.RoleCertificates) {
			t.Errorf("realm %s has the roles %v, and had %v", name, certificates, had.RoleCertificates)
		}
		revision := completeRevision(t, conn, realm)
		for vlobName, vlob := range had.Vlobs {
			id := parsec.VlobID(must(parsec.ParseUUID(vlobName)))
			if poll.Changes[id] != vlob.Head {
				t.Errorf("vlob %s is at %d, and was at %d", vlobName, poll.Changes[id], vlob.Head)
			}
			for _, version := range vlob.Versions {
				read, err := parsec2.Call(t.Context(), conn, protocol.VlobRead, &protocol.VlobReadRequest{
					VlobID: id, Version: &version.Version, EncryptionRevision: revision,
				})
				if err != nil {
					t.Errorf("%s version %d: %v", vlobName, version.Version, err)
				} else if hash(read.Blob) != version.SHA256 || read.Author.String() != version.Author {
					t.Errorf("%s version %d is another one", vlobName, version.Version)
				}
			}
		}
	}
	for id, content := range unread {
		read, err := parsec2.Call(t.Context(), conn, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: parsec.BlockID(must(parsec.ParseUUID(id)))})
		if err != nil && !strings.Contains(err.Error(), "realm_deleted") {
			continue // Another one may.
		}
		if err == nil && !bytes.Equal(read.Block, content) {
			t.Errorf("block %s is another one", id)
		}
		delete(unread, id)
	}
	realm := parsec.RealmID(parsec.NewUUID())
	if device.Profile == parsec.ProfileOutsider {
		return
	}
	created, err := device.NewRealm(realm, parsec.DateTimeOf(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsec2.Call(t.Context(), conn, protocol.RealmCreate, created); err != nil {
		t.Errorf("%s creates a realm: %v", device.ID, err)
	}
	for _, vlob := range []string{"a", "b"} {
		if _, err := parsec2.Call(t.Context(), conn, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: realm, EncryptionRevision: 1, VlobID: parsec.VlobID(parsec.NewUUID()), Timestamp: parsec.DateTimeOf(time.Now()), Blob: []byte(vlob),
		}); err != nil && !strings.Contains(err.Error(), "sequester") {
			t.Errorf("%s writes: %v", device.ID, err)
		}
	}
}

// completeRevision is the encryption revision that a realm is read at: while it is
// reencrypted, the one before.
func completeRevision(t *testing.T, conn *parsec2.Conn, realm parsec.RealmID) uint64 {
	t.Helper()
	status, err := parsec2.Call(t.Context(), conn, protocol.RealmStatus, &protocol.RealmStatusRequest{RealmID: realm})
	if err != nil {
		t.Fatal(err)
	}
	if status.InMaintenance {
		return status.EncryptionRevision - 1
	}
	return status.EncryptionRevision
}
