//go:build !without_postgresql

package main

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

// rowsOf counts the rows of the tables of an export that hold what was written.
func rowsOf(t *testing.T, path string) (versions, blocks, data int) {
	t.Helper()
	database := must(sql.Open("sqlite", path))
	defer func() { _ = database.Close() }()
	err := database.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM vlob_atom), (SELECT count(*) FROM block), (SELECT count(*) FROM block_data)").
		Scan(&versions, &blocks, &data)
	if err != nil {
		t.Fatal(err)
	}
	return versions, blocks, data
}

func TestExportRealm(t *testing.T) {
	o := newOffice3(t)
	o.write3(1, "2020-02-01", "first")
	o.write3(1, "2020-02-03", "second")
	o.upload3(1, "2020-02-01", "data", false)
	o.upload3(2, "2020-02-01", "lost", true)
	folder := t.TempDir()
	realm := parsec.UUID(acmeRealm).Hex()
	arguments := func(more ...string) []string {
		return append([]string{"export-realm", "--organization", "Acme3", "--realm", realm}, more...)
	}
	path := filepath.Join(folder, "parsec-export-Acme3-realm-"+realm+"-20200202T000000Z.sqlite")
	dated := arguments("--snapshot-timestamp", "2020-02-02T00:00:00Z", folder)
	stdout, _, err := o.run(dated...)
	lost := "lost Acme3/" + parsec.BlockID{2}.String() + ": the block store does not have it\n"
	if !errors.Is(err, errProblems) || stdout != lost+"Realm exported to "+path+"\n" {
		t.Errorf("printed %q, error %v", stdout, err)
	}
	if versions, blocks, data := rowsOf(t, path); versions != 1 || blocks != 2 || data != 1 {
		t.Errorf("%d versions, %d blocks, %d with data", versions, blocks, data)
	}
	if err := o.blocks.Create(t.Context(), organizationID(t, "Acme3"), parsec.BlockID{2}, []byte("lost")); err != nil {
		t.Fatal(err)
	}
	dated[0] = "export_realm"
	if got := o.succeed(dated...); got != "Realm exported to "+path+"\n" {
		t.Errorf("printed %q", got)
	}
	if _, _, data := rowsOf(t, path); data != 2 {
		t.Errorf("%d blocks with data", data)
	}
	latest := filepath.Join(folder, "latest")
	if got := o.succeed(arguments(latest)...); got != "Realm exported to "+latest+"\n" {
		t.Errorf("printed %q", got)
	}
	if versions, _, _ := rowsOf(t, latest); versions != 2 {
		t.Errorf("%d versions", versions)
	}
	o.checkExportRefusals3(path)
	o.change3(onRealm3(acmeRealm), parsec3rules.Tx.MarkRealmDeleted)
	if _, _, err := o.run(dated...); !errors.Is(err, parsec3rules.ErrExportDeleted) {
		t.Errorf("of a realm that is deleted: %v", err)
	}
}

// checkExportRefusals3 leaves the file of an export as of 2020-02-02 as it is.
func (o *office3) checkExportRefusals3(path string) {
	o.t.Helper()
	o.t.Chdir(o.t.TempDir()) // where nothing is written
	before := must(os.ReadFile(path))
	realm := parsec.UUID(acmeRealm).Hex()
	fine := []string{"export-realm", path, "--organization", "Acme3", "--realm", realm, "--snapshot-timestamp", "2020-02-02"}
	for _, item := range []struct {
		more  []string
		usage bool
		want  string
	}{
		{[]string{"--organization", "Unknown"}, false, "There is no organization Unknown in the database "},
		{[]string{"--organization", "Plain"}, false, "The organization Plain is of API 1 to 3, which this command is not for."},
		{[]string{"--realm", parsec.UUID{9}.Hex()}, false, "There is no realm 09000000000000000000000000000000 in the organization Acme3."},
		{
			[]string{"--snapshot-timestamp", "2020-02-01"}, false,
			"Existing output export database is for a different timestamp: got 2020-02-02T00:00:00.000000Z instead of expected 2020-02-01T00:00:00.000000Z; " +
				"to go on with it give --snapshot-timestamp 2020-02-02T00:00:00.000000Z",
		},
		{[]string{"--snapshot-timestamp", ""}, false, "Existing output export database is for a different timestamp: got 2020-02-02T00:00:00.000000Z"},
		{[]string{"--snapshot-timestamp", "2020-01-01"}, false, "Requested snapshot timestamp 2020-01-01T00:00:00.000000Z is older than realm creation"},
		{[]string{"--snapshot-timestamp", "2999-01-01"}, false, "Snapshot timestamp cannot be more recent than present time - 320s (i.e. "},
		{[]string{"--snapshot-timestamp", "yesterday"}, true, "Invalid value for '--snapshot-timestamp'"},
		{[]string{"another"}, true, "Got unexpected extra argument (another)"},
		{[]string{"--blockstore", "MOCKED"}, true, "A block store in memory"},
		{[]string{"--realm", "x"}, true, "Invalid value for '--realm'"},
		{[]string{"--realm", ""}, true, "Missing option '--realm'."},
		{[]string{"--organization", ""}, true, "Missing option '--organization'."},
		{[]string{"--db", "MOCKED"}, true, "needs a PostgreSQL database"},
	} {
		stdout, _, err := o.run(append(fine, item.more...)...)
		_, usage := errors.AsType[*config.UsageError](err)
		if err == nil || stdout != "" || usage != item.usage || !strings.Contains(err.Error(), item.want) || strings.Contains(err.Error(), "\n") {
			o.t.Errorf("%q: printed %q, error %v", item.more, stdout, err)
		}
	}
	if string(must(os.ReadFile(path))) != string(before) {
		o.t.Error("the file has changed")
	}
	if left := must(os.ReadDir(".")); len(left) > 0 {
		o.t.Errorf("wrote %v", left)
	}
}
