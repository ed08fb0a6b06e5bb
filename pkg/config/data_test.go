package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder of data holds what is not set otherwise: the database, the blocks and a
// token, which is the same as soon as it is kept there.
func TestData(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "it's: here")
	loaded := mustLoad(t, typed("data="+folder), nil).Config
	if loaded.Data != (Data{Folder: folder, User: "postgres", Database: true, Blocks: true, Token: true}) {
		t.Errorf("data %+v", loaded.Data)
	}
	if want := "host='" + strings.ReplaceAll(folder, "'", `\'`) + "/run' port=5432 user=parsec dbname=parsec"; loaded.Database.DSN.Reveal() != want || !loaded.Database.Migrate {
		t.Errorf("database %s, migrated %t", loaded.Database.DSN.Reveal(), loaded.Database.Migrate)
	}
	if loaded.Blockstore.Kind != BlockstoreFolder || loaded.Blockstore.Folder != folder+"/blocks" {
		t.Errorf("blocks in %+v", loaded.Blockstore)
	}
	if address := loaded.ServerAddress.String(); address != "parsec://localhost:6777?no_ssl=true" {
		t.Errorf("address %s", address)
	}
	again := mustLoad(t, typed("data="+folder), nil).Config
	if loaded.AdministrationToken.Reveal() == again.AdministrationToken.Reveal() || weakRule(again.AdministrationToken.Reveal()) != "" {
		t.Error("a token that is not made anew, or that can be guessed")
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "administration-token"), []byte(goodToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept := mustLoad(t, nil, map[string]string{"PARSEC_DATA": folder}).Config; kept.AdministrationToken.Reveal() != goodToken {
		t.Errorf("token %s", kept.AdministrationToken.Reveal())
	}
	other := mustLoad(t, typed("data="+folder, "db=postgresql://h", "blockstore=POSTGRESQL", "administration-token="+goodToken), nil).Config
	if other.Data.Database || other.Data.Blocks || other.Data.Token || other.Database.DSN.Reveal() != "postgresql://h" {
		t.Errorf("set otherwise: %+v", other.Data)
	}
	dsn, err := LoadDSN(typed("data="+folder), environmentOf(nil))
	if err != nil || dsn.Reveal() != loaded.Database.DSN.Reveal() {
		t.Errorf("database alone: %s (%v)", dsn.Reveal(), err)
	}
}
