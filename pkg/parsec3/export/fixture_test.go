package export_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/export"
	"parsec-server/pkg/parsec3/rules"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

var (
	organizationID = must(parsec.ParseOrganizationID("CoolOrg"))
	realmID        = parsec.RealmID{1}
	otherRealm     = parsec.RealmID{2}
	alice          = parsec3.UserID{0xa1}
	bob            = parsec3.UserID{0xb0}
	aliceOne       = parsec3.DeviceID{0xa1, 1}
	service        = parsec.SequesterServiceID{0x5e}
	low, high      = parsec.VlobID{0x10}, parsec.VlobID{0x20}
)

// created is the date of the organization; what happens is dated in seconds from it.
const created parsec.DateTime = 1_700_000_000_000_000

func at(seconds int) parsec.DateTime { return created.Add(time.Duration(seconds) * time.Second) }

// archive is an organization with a realm, exported an hour later.
type archive struct {
	t      *testing.T
	store  rules.Store
	blocks *blockstore.Memory
	clock  *testkit.Clock
	rules  *rules.Rules
	folder string
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	bus := testkit.NewBus(t)
	a := &archive{
		t: t, store: testkit.NewParsec3Store(t, bus), blocks: blockstore.NewMemory(), clock: testkit.NewClock(at(3600)), folder: t.TempDir(),
	}
	a.rules = rules.New(a.store, nil, bus, nil, a.clock.Now, slog.New(slog.DiscardHandler), rules.Options{})
	a.change(rules.Scope{Founding: true}, func(tx rules.Tx) {
		founded := at(0)
		tx.PutOrganization(organization.Organization{
			ID: organizationID, CreatedOn: founded, BootstrappedOn: &founded, Generation: organization.Parsec3, RootVerifyKey: &parsec.VerifyKey{7},
			SequesterAuthorityCertificate: []byte("authority"), SequesterVerifyKeyDER: []byte("key"),
		})
		authority := signed(0, "authority")
		tx.Found(person(alice, "alice"), signed(0, "alice"), rules.Device{ID: aliceOne, User: alice, CreatedOn: founded}, signed(0, "alice's device"), &authority)
	})
	a.change(rules.Scope{Common: rules.Exclusive}, func(tx rules.Tx) {
		tx.CreateUser(person(bob, "bob"), signed(1, "bob"), rules.Device{ID: parsec3.DeviceID{0xb0, 1}, User: bob, CreatedOn: at(1)}, signed(1, "bob's device"))
	})
	a.change(rules.Scope{Sequester: rules.Exclusive}, func(tx rules.Tx) {
		tx.CreateService(rules.SequesterService{ID: service, Label: "Archive", CreatedOn: at(2)}, signed(2, "service"))
	})
	return a
}

func person(id parsec3.UserID, name string) rules.User {
	return rules.User{ID: id, Profile: parsec.ProfileAdmin, CreatedOn: created, HumanHandle: must(parsec.ParseHumanHandle(name+"@example.com", name))}
}

// signed returns a certificate that has a redacted form.
func signed(seconds int, what string) rules.Certificate {
	return rules.Certificate{Timestamp: at(seconds), Bytes: []byte(what), Redacted: []byte("redacted")}
}

func (a *archive) change(scope rules.Scope, effects func(rules.Tx)) {
	a.t.Helper()
	scope.Organization = organizationID
	err := a.store.Update(a.t.Context(), scope, func(tx rules.Tx) error {
		effects(tx)
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
}

func onRealm(realm parsec.RealmID) rules.Scope {
	return rules.Scope{Common: rules.Shared, Realm: realm, RealmLock: rules.Exclusive, Sequester: rules.Shared}
}

func (a *archive) rotate(realm parsec.RealmID, index uint64, seconds int) {
	a.t.Helper()
	a.change(onRealm(realm), func(tx rules.Tx) {
		tx.RotateKey(rules.KeyRotation{
			KeyIndex: index, KeysBundle: fmt.Append(nil, "bundle ", index),
			Participants: map[parsec3.UserID][]byte{alice: fmt.Append(nil, "access ", index)},
			Services:     map[parsec.SequesterServiceID][]byte{service: fmt.Append(nil, "service's access ", index)},
		}, signed(seconds, fmt.Sprint("rotation ", index)))
	})
}

func (a *archive) write(realm parsec.RealmID, vlob parsec.VlobID, version uint32, seconds int, blob string) {
	a.t.Helper()
	scope := rules.Scope{Common: rules.Shared, Realm: realm, RealmLock: rules.Shared, Vlob: vlob}
	a.change(scope, func(tx rules.Tx) {
		tx.WriteVlob(rules.VlobVersion{Vlob: vlob, Version: version, KeyIndex: 1, Author: aliceOne, Timestamp: at(seconds), Blob: []byte(blob)})
	})
}

// upload creates a block, whose bytes only get to the store if it is not lost.
func (a *archive) upload(realm parsec.RealmID, id parsec.BlockID, seconds int, data string, lost bool) {
	a.t.Helper()
	if !lost {
		a.restore(id, data)
	}
	a.change(rules.Scope{Common: rules.Shared, Realm: realm, RealmLock: rules.Shared, Block: &id}, func(tx rules.Tx) {
		tx.CreateBlock(rules.Block{
			ID: id, Realm: realm, KeyIndex: 1, Author: aliceOne, Size: uint64(len(data)), CreatedOn: at(seconds), Checksum: blockstore.ChecksumOf([]byte(data)),
		})
	})
}

func (a *archive) restore(id parsec.BlockID, data string) {
	a.t.Helper()
	if err := a.blocks.Create(a.t.Context(), organizationID, id, []byte(data)); err != nil {
		a.t.Fatal(err)
	}
}

// fill makes the realm as it is exported, at 100, and what comes later.
func (a *archive) fill() {
	a.t.Helper()
	for _, realm := range []parsec.RealmID{realmID, otherRealm} {
		a.change(onRealm(realm), func(tx rules.Tx) { tx.CreateRealm(alice, signed(10, "created")) })
		a.rotate(realm, 1, 11)
	}
	a.rotate(realmID, 2, 12)
	for i, access := range []string{"bob's access", "bob's new access"} {
		a.change(onRealm(realmID), func(tx rules.Tx) {
			tx.SetRole(bob, parsec.RoleReader, []byte(access), signed(20+i, "role of bob"))
		})
	}
	a.write(realmID, high, 1, 30, "high 1")
	a.write(realmID, low, 1, 40, "low 1")
	a.write(realmID, low, 2, 35, "low 2") // dated before the one before
	a.write(realmID, high, 2, 45, "")
	a.write(realmID, low, 3, 101, "too late")
	a.write(otherRealm, parsec.VlobID{0x30}, 1, 30, "elsewhere")
	a.upload(realmID, parsec.BlockID{0xb2}, 50, "first", false)
	a.upload(realmID, parsec.BlockID{0xb1}, 51, "second", false)
	a.upload(realmID, parsec.BlockID{0xb4}, 101, "too late", false)
	a.upload(otherRealm, parsec.BlockID{0xb3}, 50, "elsewhere", false)
	a.rotate(realmID, 3, 101)
}

func (a *archive) path(name string) string { return filepath.Join(a.folder, name) }

// source begins an export of the realm at 100.
func (a *archive) source(by *rules.Rules) (*rules.RealmExport, error) {
	snapshot := at(100)
	return by.ExportRealm(a.t.Context(), organizationID, realmID, &snapshot)
}

// run exports into a file, by rules and from blocks that may fail, and returns what was
// lost and what was told.
func (a *archive) run(ctx context.Context, path string, by *rules.Rules, blocks blockstore.Store) (lost []parsec.BlockID, told int64, err error) {
	a.t.Helper()
	source, err := a.source(by)
	if err != nil {
		return nil, 0, err
	}
	work, err := export.Open(ctx, path, source)
	if err != nil {
		return nil, 0, err
	}
	work.Blocks = blocks
	work.Advance = func(_ int, bytes int64) { told += bytes }
	work.Lost = func(block parsec.BlockID) { lost = append(lost, block) }
	err = work.Run(ctx)
	if err == nil && told != work.Bytes() && len(lost) == 0 {
		a.t.Errorf("told %d bytes of %d", told, work.Bytes())
	}
	return lost, told, errors.Join(err, work.Close())
}

// tables are those of the layout, with their columns.
var tables = []struct{ name, columns, order string }{
	{"info", "magic, version, organization_id, realm_id, root_verify_key, snapshot_timestamp, vlobs_total_bytes, blocks_total_bytes, " +
		"certificates_export_done, vlobs_export_done, blocks_metadata_export_done, blocks_data_export_done", "1"},
	{"common_certificate", "_id, certificate", "1"},
	{"sequester_certificate", "_id, certificate", "1"},
	{"realm_certificate", "_id, certificate", "1"},
	{"realm_keys_bundle", "key_index, keys_bundle", "1"},
	{"realm_keys_bundle_access", "_id, user_id, key_index, access", "1"},
	{"realm_sequester_keys_bundle_access", "_id, sequester_service_id, key_index, access", "1"},
	{"vlob_atom", "sequential_id, vlob_id, version, key_index, blob, size, author, timestamp", "1"},
	{"block", "sequential_id, block_id, author, size, key_index", "1"},
	{"block_data", "block, data", "1"},
}

// content returns every row of every table, a line each: ids shortened to their first
// byte, other bytes as text.
func content(t *testing.T, path string) string {
	t.Helper()
	database, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	var lines strings.Builder
	for _, table := range tables {
		rows, err := database.QueryContext(t.Context(), "SELECT "+table.columns+" FROM "+table.name+" ORDER BY "+table.order)
		if err != nil {
			t.Fatal(err)
		}
		count := strings.Count(table.columns, ",") + 1
		for rows.Next() {
			columns, targets := make([]any, count), make([]any, count)
			for i := range columns {
				targets[i] = &columns[i]
			}
			if err := rows.Scan(targets...); err != nil {
				t.Fatal(err)
			}
			lines.WriteString(table.name)
			for _, column := range columns {
				lines.WriteString("|" + text(column))
			}
			lines.WriteString("\n")
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return lines.String()
}

func text(column any) string {
	value, isBytes := column.([]byte)
	if !isBytes {
		return fmt.Sprint(column)
	}
	if len(value) >= 16 && bytes.HasSuffix(value, make([]byte, 8)) {
		return fmt.Sprintf("%x", bytes.TrimRight(value, "\x00"))
	}
	return string(value)
}
