//go:build !without_postgresql

package imports_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// organizationSeen is what clients have got from the official server.
type organizationSeen struct {
	Devices     map[string]deviceSeen
	Realms      map[string]realmSeen
	Invitations map[string]json.RawMessage
}

type deviceSeen struct {
	Login        string
	Name         string
	Certificates struct {
		Common, Sequester []string
		ShamirRecovery    []string `json:"shamir_recovery"`
		Realms            map[string][]string
	}
	// InviteList is a status, or a list.
	InviteList json.RawMessage `json:"invite_list"`
	Realms     map[string]struct {
		Poll        string
		Checkpoint  uint64
		Changes     map[string]uint32
		KeysBundles map[string]json.RawMessage `json:"keys_bundles"`
	}
}

type realmSeen struct {
	Vlobs map[string][]struct {
		Version  uint32
		SHA256   string
		Author   string
		KeyIndex uint64 `json:"key_index"`
	}
	Blocks map[string]struct{ SHA256 string }
}

// TestImportedOrganizations has clients find, after an import, what they saw of the
// official server, byte for byte, verify every certificate, and go on writing.
func TestImportedOrganizations(t *testing.T) {
	t.Parallel()
	known := vectors.Load[official](t, "import/official-3.9.3.json")
	address := serveImported(t)
	for name, seen := range known.Expected.Organizations {
		keys := known.Keys.Organizations[name]
		for id, device := range seen.Devices {
			t.Run(name+" "+device.Name, func(t *testing.T) {
				t.Parallel()
				v := &visitor{t: t, seen: &device, realms: seen.Realms}
				v.client = client3.New(address, client3.LatestVersion, client.Options{})
				t.Cleanup(v.client.Close)
				v.resident = testclient3.NewResident(v.client, keys.device(t, name, id))
				v.visit()
			})
		}
		t.Run(name+" invitations", func(t *testing.T) {
			t.Parallel()
			c := client3.New(address, client3.LatestVersion, client.Options{})
			t.Cleanup(c.Close)
			for token, invitation := range seen.Invitations {
				_, err := client3.Call(t.Context(), c.Invited(must(parsec.ParseOrganizationID(name)), must(parsec3.ParseAccessToken(token))),
					protocol.InviteInfo, &protocol.InviteInfoRequest{})
				wantLogin(t, "invitation "+token, statusOf(invitation), err)
			}
		})
	}
}

// serveImported imports the real database for good, and serves it.
func serveImported(t *testing.T) parsec.ServerAddress {
	t.Helper()
	from, _ := testkit.NewOfficial(t, testkit.LoadOfficial(t, "3.9.3"))
	to := testkit.NewPostgres(t)
	moving.Complete(t, to, moving.Move(t, wing, from, to, imports.Choices{BlockData: true}), moving.Date)
	pool, err := database.NewPool(database.Source{DSN: to}, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	server := testkit.StartGenerations(t, testkit.GenerationsOptions{
		Database: to, Blocks: blockstore.NewPostgres(pool), Parsec3: rules.Options{Accounts: protocol.AccountEnabledWithVault},
	})
	return server.Address
}

func (k organizationKeys) device(t *testing.T, organization, id string) *client3.Device {
	t.Helper()
	of := k.Devices[id]
	private, err := ecdh.X25519().NewPrivateKey(k.Users[of.User].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &client3.Device{
		Organization: must(parsec.ParseOrganizationID(organization)),
		User:         parsec3.UserID(must(parsec.ParseUUID(of.User))), ID: parsec3.DeviceID(must(parsec.ParseUUID(id))),
		SigningKey: ed25519.NewKeyFromSeed(of.SigningKey), PrivateKey: private, RootVerifyKey: parsec.VerifyKey(k.RootVerifyKey),
	}
}

// statusOf is what is told where a reply is a text.
func statusOf(raw json.RawMessage) (status string) {
	if json.Unmarshal(raw, &status) != nil {
		return "ok"
	}
	return status
}

// wantLogin wants the HTTP status that the official server gave.
func wantLogin(t *testing.T, what, want string, err error) {
	t.Helper()
	if code, refused := strings.CutPrefix(want, "HTTP "); refused != (err != nil) || refused && !strings.Contains(err.Error(), code) {
		t.Errorf("%s: %v, and officially %q", what, err, want)
	}
}

func hashes(all [][]byte) []string {
	hashed := []string{}
	for _, one := range all {
		hashed = append(hashed, hash(one))
	}
	return hashed
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// visitor compares what a device sees with what it saw.
type visitor struct {
	t        *testing.T
	client   *client3.Client
	resident *testclient3.Resident
	seen     *deviceSeen
	realms   map[string]realmSeen
}

func (v *visitor) visit() {
	t := v.t
	reply, err := client3.Call(t.Context(), v.resident.RPC(), protocol.CertificateGet, &protocol.CertificateGetRequest{})
	wantLogin(t, "it logs in", v.seen.Login, err)
	if err != nil {
		return
	}
	v.compare("common", hashes(reply.CommonCertificates), v.seen.Certificates.Common)
	v.compare("sequester", hashes(reply.SequesterCertificates), v.seen.Certificates.Sequester)
	v.compare("Shamir recovery", hashes(reply.ShamirRecoveryCertificates), v.seen.Certificates.ShamirRecovery)
	for id := range v.realms { // Other devices write meanwhile.
		v.compare("realm "+id, hashes(reply.RealmCertificates[parsec.RealmID(must(parsec.ParseUUID(id)))]), v.seen.Certificates.Realms[id])
	}
	if err := v.resident.Poll(t.Context()); err != nil {
		t.Fatalf("it verifies: %v", err)
	}
	for id := range v.seen.Realms {
		v.visitRealm(id)
	}
	v.write()
}

func (v *visitor) compare(what string, have, want []string) {
	v.t.Helper()
	if want == nil {
		want = []string{}
	}
	if !slices.Equal(have, want) {
		v.t.Errorf("%s: it sees %d certificates, and saw %d, or others", what, len(have), len(want))
	}
}

// visitRealm reads every byte of a realm.
func (v *visitor) visitRealm(id string) {
	t, realm, seen := v.t, parsec.RealmID(must(parsec.ParseUUID(id))), v.seen.Realms[id]
	changes, checkpoint, err := v.resident.Changes(t.Context(), realm, 0)
	if seen.Poll != "ok" {
		if refusal, refused := errors.AsType[*protocol.Refusal](err); !refused || string(refusal.Status) != seen.Poll {
			t.Errorf("realm %s: %v, and officially %s", id, err, seen.Poll)
		}
		return
	}
	if err != nil || checkpoint != seen.Checkpoint || len(changes) != len(seen.Changes) {
		t.Errorf("realm %s: %d vlobs until %d, and officially %d until %d: %v", id, len(changes), checkpoint, len(seen.Changes), seen.Checkpoint, err)
	}
	request := &protocol.VlobReadVersionsRequest{RealmID: realm}
	want := map[protocol.VlobNumber]string{}
	for vlob, versions := range v.realms[id].Vlobs {
		if changes[parsec.VlobID(must(parsec.ParseUUID(vlob)))] != seen.Changes[vlob] {
			t.Errorf("vlob %s is another version", vlob)
		}
		for _, version := range versions {
			number := protocol.VlobNumber{Vlob: parsec.VlobID(must(parsec.ParseUUID(vlob))), Version: version.Version}
			request.Items, want[number] = append(request.Items, number), version.SHA256+" by "+version.Author
		}
	}
	if len(request.Items) > 0 {
		reply, err := client3.Call(t.Context(), v.resident.RPC(), protocol.VlobReadVersions, request)
		if err != nil {
			t.Errorf("realm %s: %v", id, err)
			return
		}
		for _, item := range reply.Items {
			number := protocol.VlobNumber{Vlob: item.Vlob, Version: item.Version}
			if have := hash(item.Blob) + " by " + parsec.UUID(item.Author).Hex(); have != want[number] {
				t.Errorf("vlob %s version %d is %s, and was %s", item.Vlob, item.Version, have, want[number])
			}
			delete(want, number)
		}
		if len(want) > 0 {
			t.Errorf("realm %s: %d versions are missing", id, len(want))
		}
	}
	v.readKeys(realm, seen.KeysBundles)
	for block, stored := range v.realms[id].Blocks {
		reply, err := client3.Call(t.Context(), v.resident.RPC(), protocol.BlockRead, &protocol.BlockReadRequest{
			RealmID: realm, BlockID: parsec.BlockID(must(parsec.ParseUUID(block))),
		})
		if err != nil || hash(reply.Block) != stored.SHA256 {
			t.Errorf("block %s: it is another one, or %v", block, err)
		}
	}
}

// readKeys reads every keys bundle of a realm.
func (v *visitor) readKeys(realm parsec.RealmID, seen map[string]json.RawMessage) {
	for index, bundle := range seen {
		var number uint64
		if err := json.Unmarshal([]byte(index), &number); err != nil {
			v.t.Fatal(err)
		}
		reply, err := client3.Call(v.t.Context(), v.resident.RPC(), protocol.RealmGetKeysBundle, &protocol.RealmGetKeysBundleRequest{RealmID: realm, KeyIndex: number})
		var want struct {
			Access string
			Bundle string `json:"keys_bundle"`
		}
		if json.Unmarshal(bundle, &want) != nil {
			if status := statusOf(bundle); err == nil || !strings.Contains(err.Error(), status) {
				v.t.Errorf("keys %d of realm %s: %v, and officially %s", number, realm, err, status)
			}
			continue
		}
		if err != nil || hash(reply.KeysBundle) != want.Bundle || hash(reply.KeysBundleAccess) != want.Access {
			v.t.Errorf("keys %d of realm %s are others, or %v", number, realm, err)
		}
	}
}

// write makes a workspace with a file, unless the user may not.
func (v *visitor) write() {
	t, ctx := v.t, v.t.Context()
	realm, err := v.resident.NewWorkspace(ctx, "after the import")
	if refusal, refused := errors.AsType[*protocol.Refusal](err); refused && refusal.Status == protocol.StatusAuthorNotAllowed {
		return // An OUTSIDER.
	}
	if err != nil {
		t.Fatalf("it makes a workspace: %v", err)
	}
	vlob, block := parsec.VlobID(parsec.NewUUID()), parsec.BlockID(parsec.NewUUID())
	content := []byte("written after the import")
	if err := v.resident.UploadBlock(ctx, realm, vlob, block, content); err != nil {
		t.Errorf("it writes a block: %v", err)
	}
	if err := errors.Join(v.resident.Upload(ctx, realm, vlob, content), v.resident.Update(ctx, realm, vlob, 2, content)); err != nil {
		t.Errorf("it writes a file: %v", err)
	}
	versions, err := v.resident.Read(ctx, realm, nil, vlob)
	if read := versions[vlob]; err != nil || read.Number != 2 || string(read.Content) != string(content) {
		t.Errorf("it reads version %d: %v", read.Number, err)
	}
	if data, err := v.resident.ReadBlock(ctx, realm, block); err != nil || string(data) != string(content) {
		t.Errorf("it reads the block %q: %v", data, err)
	}
}

// accountSeen is what an authentication method has got from the official server.
type accountSeen struct {
	Info  json.RawMessage `json:"account_info"`
	Items json.RawMessage `json:"vault_item_list"`
}

// TestImportedAccounts has the methods of accounts let in whom they let in, and open the
// vaults.
func TestImportedAccounts(t *testing.T) {
	t.Parallel()
	known := vectors.Load[struct {
		Keys struct {
			Accounts []struct {
				Method string `json:"auth_method_id"`
				MACKey []byte `json:"mac_key"`
			}
		}
		Expected struct{ Accounts map[string]accountSeen }
	}](t, "import/official-3.9.3.json")
	c := client3.New(serveImported(t), client3.LatestVersion, client.Options{})
	t.Cleanup(c.Close)
	for _, account := range known.Keys.Accounts {
		seen := known.Expected.Accounts[account.Method]
		rpc := c.AuthenticatedAccount(client3.AuthMethod{ID: must(parsec.ParseUUID(account.Method)), MACKey: [32]byte(account.MACKey)})
		_, err := client3.Call(t.Context(), rpc, protocol.AccountInfo, &protocol.AccountInfoRequest{})
		wantLogin(t, "method "+account.Method, statusOf(seen.Info), err)
		if err != nil {
			continue
		}
		items, err := client3.Call(t.Context(), rpc, protocol.VaultItemList, &protocol.VaultItemListRequest{})
		if err != nil {
			t.Errorf("method %s: %v", account.Method, err)
			continue
		}
		var want struct {
			Items map[string]struct{ Hex string }
		}
		if err := json.Unmarshal(seen.Items, &want); err != nil {
			t.Fatal(err)
		}
		have := map[string]string{}
		for fingerprint, item := range items.Items {
			have[hash(fingerprint[:])] = hex.EncodeToString(item)
		}
		wanted := map[string]string{}
		for fingerprint, item := range want.Items {
			wanted[fingerprint] = item.Hex
		}
		if !maps.Equal(have, wanted) {
			t.Errorf("method %s: its vault has %v, and had %v", account.Method, have, wanted)
		}
	}
}
