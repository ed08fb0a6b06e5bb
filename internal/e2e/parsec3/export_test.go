//go:build !without_postgresql

package parsec3_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // The driver of the files.

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// past is when what is exported was written.
var past = parsec.DateTimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

// exporter exports a realm from a database by commands of their own.
type exporter struct {
	t            *testing.T
	dsn          string
	organization parsec.OrganizationID
	realm        parsec.RealmID
	store        rules.Store
}

// newExporter has a realm with some versions and blocks.
func newExporter(t *testing.T, items int) *exporter {
	t.Helper()
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	e := &exporter{
		t: t, dsn: dsn, organization: must(parsec.ParseOrganizationID("Acme")), realm: parsec.RealmID{1},
		store: testkit.OpenParsec3Postgres(t, dsn, testkit.NewBus(t)),
	}
	alice, device := parsec3.UserID{1}, parsec3.DeviceID{1}
	signed := func(after int, what string) rules.Certificate {
		return rules.Certificate{Timestamp: past + parsec.DateTime(after), Author: device, Bytes: []byte(what), Redacted: []byte("redacted")}
	}
	e.change(rules.Scope{Founding: true}, func(tx rules.Tx) {
		founded := organization.Founding{}.New(e.organization, past)
		founded.RootVerifyKey, founded.BootstrappedOn, founded.Generation = &parsec.VerifyKey{1}, new(past), organization.Parsec3
		tx.PutOrganization(founded)
		user := rules.User{ID: alice, Profile: parsec.ProfileAdmin, CreatedOn: past, HumanHandle: must(parsec.ParseHumanHandle("alice@example.com", "Alice"))}
		tx.Found(user, signed(0, "user"), rules.Device{ID: device, User: alice, CreatedOn: past}, signed(0, "device"), nil)
	})
	e.change(rules.Scope{Common: rules.Shared, Realm: e.realm, RealmLock: rules.Exclusive, Sequester: rules.Shared}, func(tx rules.Tx) {
		tx.CreateRealm(alice, signed(1, "realm"))
		tx.RotateKey(rules.KeyRotation{KeyIndex: 1, KeysBundle: []byte("bundle"), Participants: map[parsec3.UserID][]byte{alice: []byte("access")}}, signed(2, "rotation"))
	})
	pool, err := database.NewPool(database.Source{DSN: dsn}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	blocks := blockstore.NewPostgres(pool)
	for i := range items {
		vlob, block, data := parsec.VlobID(parsec.NewUUID()), parsec.BlockID(parsec.NewUUID()), content(fmt.Sprint(i), 20_000)
		date := past + parsec.DateTime(10+i)
		e.change(rules.Scope{Common: rules.Shared, Realm: e.realm, RealmLock: rules.Shared, Vlob: vlob, Block: &block}, func(tx rules.Tx) {
			tx.WriteVlob(rules.VlobVersion{Vlob: vlob, Version: 1, KeyIndex: 1, Author: device, Timestamp: date, Blob: data})
			tx.CreateBlock(rules.Block{ID: block, Realm: e.realm, KeyIndex: 1, Author: device, Size: uint64(len(data)), CreatedOn: date})
		})
		if err := blocks.Create(t.Context(), e.organization, block, data); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func (e *exporter) change(scope rules.Scope, effects func(rules.Tx)) {
	e.t.Helper()
	scope.Organization = e.organization
	err := e.store.Update(e.t.Context(), scope, func(tx rules.Tx) error {
		effects(tx)
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// export runs the command, and kills it after a while.
func (e *exporter) export(path string, killedAfter time.Duration) (output string, killed bool) {
	e.t.Helper()
	command := exec.CommandContext(e.t.Context(), program, "export-realm", path, "--organization", e.organization.String(), "--realm", parsec.UUID(e.realm).Hex(),
		"--snapshot-timestamp", past.Add(time.Hour).String(), "--db", e.dsn, "--blockstore", "POSTGRESQL")
	var printed strings.Builder
	command.Stdout, command.Stderr = &printed, &printed
	if err := command.Start(); err != nil {
		e.t.Fatal(err)
	}
	timer := time.AfterFunc(killedAfter, func() { _ = command.Process.Kill() }) // it may have ended
	err := command.Wait()
	timer.Stop()
	if exit, is := errors.AsType[*exec.ExitError](err); is && exit.ExitCode() == -1 {
		return printed.String(), true
	}
	if err != nil {
		e.t.Fatalf("%v: %s", err, printed.String())
	}
	return printed.String(), false
}

// rowsOf returns every row of every table, with the numbers of the rows.
func rowsOf(t *testing.T, path string) string {
	t.Helper()
	file := must(sql.Open("sqlite", path))
	defer func() { _ = file.Close() }()
	var all strings.Builder
	for _, table := range []string{
		"info", "common_certificate", "sequester_certificate", "realm_certificate", "realm_keys_bundle", "realm_keys_bundle_access",
		"realm_sequester_keys_bundle_access", "vlob_atom", "block", "block_data",
	} {
		rows, err := file.QueryContext(t.Context(), "SELECT * FROM "+table+" ORDER BY 1")
		if err != nil {
			t.Fatal(err)
		}
		columns := must(rows.Columns())
		for rows.Next() {
			values, targets := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				targets[i] = &values[i]
			}
			if err := rows.Scan(targets...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&all, "%s %x\n", table, values)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// TestKilledExport kills an export again and again, until it is done: it is the file of
// one that nobody has killed.
func TestKilledExport(t *testing.T) {
	t.Parallel()
	e := newExporter(t, 400)
	folder := t.TempDir()
	whole := filepath.Join(folder, "whole")
	begun := time.Now()
	if printed, killed := e.export(whole, patience); killed || printed != "Realm exported to "+whole+"\n" {
		t.Fatalf("printed %q", printed)
	}
	took := time.Since(begun)
	path, kills, partial := filepath.Join(folder, "killed"), 0, 0
	for {
		limit := time.Duration(rand.Int64N(int64(took / 4)))
		if kills >= 20 {
			limit = patience
		}
		_, killed := e.export(path, limit)
		if !killed {
			break
		}
		kills++
		if information, err := os.Stat(path); err == nil && information.Size() > 0 {
			partial++
		}
	}
	t.Logf("killed %d times, %d of them with something in the file", kills, partial)
	if kills == 0 {
		t.Error("never killed")
	}
	if rowsOf(t, path) != rowsOf(t, whole) {
		t.Error("the files differ")
	}
}
