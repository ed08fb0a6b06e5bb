//go:build !without_postgresql

package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// archive is an office whose organization Sequestered has a storage service,
// and keeps its blocks in the database.
type archive struct {
	*office
	service parsec.SequesterServiceID
	store   blockstore.Store
}

func newArchive(t *testing.T) *archive {
	o := newOffice(t)
	o.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	settings, err := config.LoadBlockstore(nil, environmentOf(o.variables))
	if err != nil {
		t.Fatal(err)
	}
	database, err := config.LoadDatabase(nil, environmentOf(o.variables))
	if err != nil {
		t.Fatal(err)
	}
	store, end, err := openBlockStore(settings, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	o.addUser("alice", "Alice", parsec.ProfileAdmin, nil)
	o.addUser("bob", "Bob", parsec.ProfileStandard, nil)
	service := must(parsec.ParseUUID(o.createService()))
	return &archive{office: o, service: parsec.SequesterServiceID(service), store: store}
}

// write writes a version of a vlob, with its copy unless that is nil.
func (a *archive) write(realm, vlob byte, version uint32, author string, copied []byte) {
	a.t.Helper()
	scope := rules.Scope{Organization: organizationID(a.t, "Sequestered"), Vlob: parsec.VlobID{vlob}, By: rules.RealmVlobUpdate}
	if version == 1 {
		scope.Realm, scope.By = parsec.RealmID{realm}, rules.RealmVlobCreate
	}
	var copies map[parsec.SequesterServiceID][]byte
	if copied != nil {
		copies = map[parsec.SequesterServiceID][]byte{a.service: copied}
	}
	a.change(scope, func(tx rules.Tx) {
		facts, _ := tx.Realm()
		tx.WriteVlob(rules.VlobVersion{
			Version: version, Blob: []byte("blob"), Author: must(parsec.ParseDeviceID(author + "@one")), Timestamp: date("2020-01-01") + parsec.DateTime(version),
		}, facts.Checkpoint+1, copies)
	})
}

// upload creates a block, whose bytes only get to the store if there are some.
func (a *archive) upload(realm, block byte, author string, data []byte) {
	a.t.Helper()
	organization, id := organizationID(a.t, "Sequestered"), parsec.BlockID{block}
	if data != nil {
		if err := a.store.Create(a.t.Context(), organization, id, data); err != nil {
			a.t.Fatal(err)
		}
	}
	a.change(rules.Scope{Organization: organization, Realm: parsec.RealmID{realm}, Block: id, By: rules.RealmData}, func(tx rules.Tx) {
		tx.CreateBlock(rules.Block{
			ID: id, Realm: parsec.RealmID{realm}, Author: must(parsec.ParseDeviceID(author + "@one")), Size: 4, CreatedOn: date("2020-01-01"),
		})
	})
}

func (a *archive) options(output string) []string {
	return []string{
		"sequester", "export-realm", "--organization", "Sequestered", "--realm", parsec.UUID{1}.Hex(),
		"--service", parsec.UUID(a.service).Hex(), "--output", output,
	}
}

// content is every row of a file, in the layout of the specification, a line
// each.
func content(t *testing.T, path string) string {
	t.Helper()
	database, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	var lines strings.Builder
	for _, query := range []string{
		"SELECT 'info', magic, version, hex(realm_id), length(root_verify_key), '' FROM info",
		`SELECT 'vlob', v._id, hex(v.vlob_id), v.version || ' ' || v.blob, CAST(d.device_certificate AS TEXT), v.timestamp
		 FROM vlob_atom v JOIN device d ON d._id = v.author ORDER BY v._id`,
		`SELECT 'block', b._id, hex(b.block_id), CAST(b.data AS TEXT), CAST(d.device_certificate AS TEXT), ''
		 FROM block b JOIN device d ON d._id = b.author ORDER BY b._id`,
		"SELECT 'role', CAST(role_certificate AS TEXT), '', '', '', '' FROM realm_role ORDER BY _id",
		"SELECT 'user', CAST(user_certificate AS TEXT), coalesce(CAST(revoked_user_certificate AS TEXT), 'NULL'), '', '', '' FROM user_ ORDER BY _id",
		"SELECT 'device', CAST(device_certificate AS TEXT), '', '', '', '' FROM device ORDER BY _id",
	} {
		rows, err := database.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var columns [6]string
			if err := rows.Scan(&columns[0], &columns[1], &columns[2], &columns[3], &columns[4], &columns[5]); err != nil {
				t.Fatal(err)
			}
			lines.WriteString(strings.TrimRight(strings.Join(columns[:], "|"), "|") + "\n")
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return lines.String()
}

func id(first byte) string { return strings.ToUpper(parsec.UUID{first}.Hex()) }

func (a *archive) checkContent(path string, want ...string) {
	a.t.Helper()
	if got := content(a.t, path); got != strings.Join(want, "\n")+"\n" {
		a.t.Errorf("the file has\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestSequesterExport(t *testing.T) {
	a := newArchive(t)
	a.addRoles(1, true, role("alice", parsec.RoleOwner, "2020-01-01"), role("bob", parsec.RoleContributor, "2020-01-02"))
	a.addRoles(2, true, role("alice", parsec.RoleOwner, "2020-01-03"))
	a.write(1, 0x11, 1, "alice", nil) // before the service
	a.write(1, 0x11, 2, "alice", []byte("second"))
	a.write(2, 0x22, 1, "alice", []byte("of another realm"))
	a.write(1, 0x12, 1, "bob", []byte{})
	a.upload(1, 0xb2, "bob", []byte("data"))
	a.upload(2, 0xb3, "alice", []byte("away"))
	a.upload(1, 0xb1, "alice", nil)
	folder := t.TempDir()
	path := filepath.Join(folder, "parsec-sequester-export-realm-"+parsec.UUID{1}.Hex()+".sqlite")
	stdout, _, err := a.run(a.options(folder)...)
	lost := "lost Sequestered/" + parsec.BlockID{0xb1}.String() + ": the block store does not have it\n"
	if !errors.Is(err, errProblems) || stdout != lost+"Realm exported to "+path+"\n" {
		t.Errorf("printed %q, error %v", stdout, err)
	}
	midnight := int64(date("2020-01-01"))
	info := "info|87947|1|" + id(1) + "|32"
	versions := []string{
		fmt.Sprintf("vlob|2|%s|2 second|device alice|%d", id(0x11), midnight+2),
		fmt.Sprintf("vlob|3|%s|1 |device bob|%d", id(0x12), midnight+1),
	}
	first := "block|1|" + id(0xb2) + "|data|device bob"
	roles := []string{"role|role of alice 2020-01-01", "role|role of bob 2020-01-02"}
	users := []string{"user|user alice|NULL", "user|user bob|NULL", "device|device alice", "device|device bob"}
	a.checkContent(path, append(append(append([]string{info}, append(versions, first)...), roles...), users...)...)
	if information, err := os.Stat(path); err != nil || information.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", information, err)
	}

	// The lost block is back, and there is more.
	if err := a.store.Create(t.Context(), organizationID(t, "Sequestered"), parsec.BlockID{0xb1}, []byte("back")); err != nil {
		t.Fatal(err)
	}
	a.write(1, 0x12, 2, "alice", []byte("more"))
	a.addRoles(1, false, role("bob", parsec.RoleNone, "2020-01-04"))
	a.addUser("carol", "", parsec.ProfileOutsider, nil)
	a.change(rules.Scope{Organization: organizationID(t, "Sequestered"), LockOrganization: true}, func(tx rules.Tx) {
		tx.RevokeUser(must(parsec.ParseUserID("bob")), rules.Revocation{Certificate: []byte("revoked"), On: date("2020-01-05")})
	})
	want := append([]string{info}, append(versions, fmt.Sprintf("vlob|4|%s|2 more|device alice|%d", id(0x12), midnight+2),
		first, "block|2|"+id(0xb1)+"|back|device alice", roles[0], roles[1], "role|role of bob 2020-01-04",
		"user|user alice|NULL", "user|user bob|revoked", "user|user carol|NULL", "device|device alice", "device|device bob", "device|device carol")...)
	for range 2 { // the second time there is nothing to add
		arguments := a.options(path)
		arguments[1] = "export_realm"
		if got := a.succeed(append([]string{"backend"}, arguments...)...); got != "Realm exported to "+path+"\n" {
			t.Errorf("printed %q", got)
		}
		a.checkContent(path, want...)
	}
	a.checkExportRefusals(path)
	a.checkContent(path, want...)
}

func (a *archive) checkExportRefusals(path string) {
	a.t.Helper()
	webhook := a.createService("--service-type", "webhook", "--webhook-url", "https://example.com/hook")
	other := a.createService()
	a.writeText(path + ".text")
	fine := a.options(path)
	for _, item := range []struct {
		more  []string
		usage bool
		want  string
	}{
		{[]string{"--organization", "Plain"}, false, "The organization Plain is not sequestered"},
		{[]string{"--organization", "Unknown"}, false, "There is no organization Unknown in the database "},
		{[]string{"--service", webhook}, false, "is a webhook"},
		{[]string{"--service", parsec.UUID{9}.Hex()}, false, "no such sequester service"},
		{[]string{"--service", other}, false, "is not an export of this realm for this service"},
		{[]string{"--realm", parsec.UUID{2}.Hex()}, false, "is not an export of this realm for this service"},
		{[]string{"--realm", parsec.UUID{9}.Hex()}, false, "There is no realm 09000000000000000000000000000000 in the organization Sequestered."},
		{[]string{"--output", path + ".text"}, false, "not a database"},
		{[]string{"--output", filepath.Join(path, "below")}, false, "not a directory"},
		{[]string{"--blockstore", "MOCKED"}, true, "A block store in memory"},
		{[]string{"--realm", "x"}, true, "Invalid value for '--realm'"},
		{[]string{"--realm", ""}, true, "Missing option '--realm'."},
		{[]string{"--service", ""}, true, "Missing option '--service'."},
		{[]string{"--output", ""}, true, "Missing option '--output'."},
		{[]string{"--organization", ""}, true, "Missing option '--organization'."},
	} {
		stdout, _, err := a.run(append(fine, item.more...)...)
		_, usage := errors.AsType[*config.UsageError](err)
		if err == nil || stdout != "" || usage != item.usage || !strings.Contains(err.Error(), item.want) || strings.Contains(err.Error(), "\n") {
			a.t.Errorf("%q: printed %q, error %v", item.more, stdout, err)
		}
	}
}

// writeText makes a file that is no database.
func (a *archive) writeText(path string) {
	a.t.Helper()
	if err := os.WriteFile(path, []byte(strings.Repeat("no database\n", 100)), 0o600); err != nil {
		a.t.Fatal(err)
	}
}
