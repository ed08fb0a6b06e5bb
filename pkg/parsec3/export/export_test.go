package export_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/export"
	"parsec-server/pkg/parsec3/rules"
)

// whole is the export of the realm of archive.fill.
var whole = fmt.Sprintf(`info|87948|1|CoolOrg|01|07|%d|16|11|1|1|1|1
common_certificate|0|alice
common_certificate|1|alice's device
common_certificate|2|bob
common_certificate|3|bob's device
sequester_certificate|0|authority
sequester_certificate|1|service
realm_certificate|0|created
realm_certificate|1|rotation 1
realm_certificate|2|rotation 2
realm_certificate|3|role of bob
realm_certificate|4|role of bob
realm_keys_bundle|1|bundle 1
realm_keys_bundle|2|bundle 2
realm_keys_bundle_access|0|a1|1|access 1
realm_keys_bundle_access|1|a1|2|access 2
realm_keys_bundle_access|2|b0|2|bob's access
realm_keys_bundle_access|3|b0|2|bob's new access
realm_sequester_keys_bundle_access|0|5e|1|service's access 1
realm_sequester_keys_bundle_access|1|5e|2|service's access 2
vlob_atom|1|20|1|1|high 1|6|a101|%d
vlob_atom|2|10|1|1|low 1|5|a101|%d
vlob_atom|3|10|2|1|low 2|5|a101|%d
vlob_atom|4|20|2|1||0|a101|%d
block|1|b2|a101|5|1
block|2|b1|a101|6|1
block_data|1|first
block_data|2|second
`, at(100), at(30), at(40), at(35), at(45))

func (a *archive) checkContent(path, want string) {
	a.t.Helper()
	if got := content(a.t, path); got != want {
		a.t.Errorf("the file has\n%s\nwant\n%s", got, want)
	}
}

func TestExport(t *testing.T) {
	a := newArchive(t)
	a.fill()
	path := a.path("whole")
	for range 2 { // the second time there is nothing to add
		if _, _, err := a.run(t.Context(), path, a.rules, a.blocks); err != nil {
			t.Fatal(err)
		}
		a.checkContent(path, whole)
	}
	if information, err := os.Stat(path); err != nil || information.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", information, err)
	}
}

// TestLayout is that of docs/protocol/v5/administration.md §5: nothing may be NULL.
func TestLayout(t *testing.T) {
	a := newArchive(t)
	a.fill()
	path := a.path("whole")
	if _, _, err := a.run(t.Context(), path, a.rules, a.blocks); err != nil {
		t.Fatal(err)
	}
	database := must(sql.Open("sqlite", path))
	defer func() { _ = database.Close() }()
	for _, table := range tables {
		rows := must(database.QueryContext(t.Context(), `SELECT name, "notnull" FROM pragma_table_info(?)`, table.name))
		var names []string
		for rows.Next() {
			var name string
			var notNull bool
			if err := rows.Scan(&name, &notNull); err != nil || !notNull {
				t.Errorf("%s.%s may be NULL (%v)", table.name, name, err)
			}
			names = append(names, name)
		}
		if err := rows.Close(); err != nil || strings.Join(names, ", ") != table.columns {
			t.Errorf("%s has %q, %v", table.name, names, err)
		}
	}
	var count int
	if err := database.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_schema WHERE type = 'table'").Scan(&count); err != nil || count != len(tables) {
		t.Errorf("%d tables, %v", count, err)
	}
}

var errStopped = errors.New("stopped here")

// stopping fails the reads of a store, from one on.
type stopping struct {
	rules.Store
	mu   sync.Mutex
	left int
}

func (s *stopping) count() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left--
	if s.left < 0 {
		return errStopped
	}
	return nil
}

func (s *stopping) CertificatePage(ctx context.Context, organization parsec.OrganizationID, list *rules.CertificateList, from rules.CertificatePlace, bytes int) ([][]byte, rules.CertificatePlace, error) {
	if err := s.count(); err != nil {
		return nil, from, err
	}
	return s.Store.CertificatePage(ctx, organization, list, from, bytes)
}

func (s *stopping) ExportedRealm(ctx context.Context, key rules.ExportKey) (rules.ExportedRealm, bool, error) {
	if err := s.count(); err != nil {
		return rules.ExportedRealm{}, false, err
	}
	return s.Store.ExportedRealm(ctx, key)
}

// ExportedBlobs gives one version at a time to the disk: it is where most time goes.
func (s *stopping) ExportedBlobs(ctx context.Context, key rules.ExportKey, versions []rules.VlobNumber) ([]rules.VlobVersion, error) {
	if err := s.count(); err != nil {
		return nil, err
	}
	return s.Store.ExportedBlobs(ctx, key, versions)
}

func (s *stopping) ExportedChecksums(ctx context.Context, key rules.ExportKey, ids []parsec.BlockID) ([]*blockstore.Checksum, error) {
	if err := s.count(); err != nil {
		return nil, err
	}
	return s.Store.ExportedChecksums(ctx, key, ids)
}

// stoppingBlocks are those of a store that is stopped.
type stoppingBlocks struct {
	blockstore.Store
	by     *stopping
	cancel context.CancelFunc
}

func (s *stoppingBlocks) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *blockstore.Checksum, into ...[]byte) error {
	if s.by.count() != nil {
		s.cancel() // nobody waits for the block store any more
		return context.Canceled
	}
	return s.Store.Read(ctx, organization, id, checksum, into...)
}

// TestStopped stops an export at each of its steps, and goes on: it is the same file.
func TestStopped(t *testing.T) {
	a := newArchive(t)
	a.fill()
	stops := 0
	for after := 0; ; after++ {
		path := a.path(fmt.Sprint("stopped", after))
		stopped := &stopping{Store: a.store, left: after}
		by := rules.New(stopped, nil, testkit.NewBus(t), nil, a.clock.Now, nil, rules.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		_, _, err := a.run(ctx, path, by, &stoppingBlocks{a.blocks, stopped, cancel})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, errStopped) && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		stops++
		if _, _, err := a.run(t.Context(), path, a.rules, a.blocks); err != nil {
			t.Fatalf("after %d: %v", after, err)
		}
		a.checkContent(path, whole)
	}
	if stops < 20 {
		t.Errorf("only %d stops", stops)
	}
}

// TestLostBlocks leaves out what the block store does not have, and adds it when it is
// back.
func TestLostBlocks(t *testing.T) {
	a := newArchive(t)
	a.fill()
	lost := parsec.BlockID{0xb5}
	a.upload(realmID, lost, 60, "lost", true)
	path := a.path("lost")
	got, _, err := a.run(t.Context(), path, a.rules, a.blocks)
	if err != nil || len(got) != 1 || got[0] != lost {
		t.Fatalf("lost %v, %v", got, err)
	}
	without := strings.Replace(whole, "|16|11|", "|16|15|", 1)
	without = strings.Replace(without, "block_data|1", "block|3|b5|a101|4|1\nblock_data|1", 1)
	a.checkContent(path, without)
	a.restore(lost, "lost")
	if got, _, err := a.run(t.Context(), path, a.rules, a.blocks); err != nil || len(got) > 0 {
		t.Fatalf("lost %v, %v", got, err)
	}
	a.checkContent(path, without+"block_data|3|lost\n")
}

// TestVersionsOfOneDate has the last of them: the layout has room for one.
func TestVersionsOfOneDate(t *testing.T) {
	a := newArchive(t)
	a.fill()
	a.write(realmID, high, 3, 45, "high 3")
	source := must(a.source(a.rules))
	work := must(export.Open(t.Context(), a.path("dates"), source))
	work.Blocks, work.Advance = a.blocks, func(int, int64) {}
	if err := errors.Join(work.Run(t.Context()), work.Close()); err != nil || work.LeftOut() != 1 {
		t.Fatalf("%d left out, %v", work.LeftOut(), err)
	}
	want := strings.Replace(whole, "|20|2|1||0|", "|20|3|1|high 3|6|", 1)
	a.checkContent(a.path("dates"), strings.Replace(want, "|16|11|", "|22|11|", 1))
}

// TestDeletedMeanwhile says so wherever an export is.
func TestDeletedMeanwhile(t *testing.T) {
	a := newArchive(t)
	a.fill()
	source := must(a.source(a.rules))
	work := must(export.Open(t.Context(), a.path("deleted"), source))
	work.Blocks, work.Advance = a.blocks, func(int, int64) {}
	a.change(onRealm(realmID), rules.Tx.MarkRealmDeleted)
	if err := work.Run(t.Context()); !errors.Is(err, rules.ErrExportDeleted) {
		t.Errorf("%v", err)
	}
	if err := work.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.source(a.rules); !errors.Is(err, rules.ErrExportDeleted) {
		t.Errorf("%v", err)
	}
}

// TestSnapshots wants dates that an export can have.
func TestSnapshots(t *testing.T) {
	a := newArchive(t)
	a.fill()
	begin := func(id parsec.OrganizationID, realm parsec.RealmID, snapshot *parsec.DateTime) error {
		_, err := a.rules.ExportRealm(t.Context(), id, realm, snapshot)
		return err
	}
	latest := at(3600 - 320)
	if source, err := a.rules.ExportRealm(t.Context(), organizationID, realmID, nil); err != nil || source.Snapshot != latest {
		t.Errorf("%+v, %v", source, err)
	}
	tooLate, tooEarly, first := latest+1, at(10)-1, at(10)
	if err := begin(organizationID, realmID, &first); err != nil {
		t.Error(err)
	}
	for text, err := range map[string]error{
		"Snapshot timestamp cannot be more recent than present time - 320s (i.e. " + latest.String() + ")": begin(organizationID, realmID, &tooLate),
		"Requested snapshot timestamp " + tooEarly.String() + " is older than realm creation":              begin(organizationID, realmID, &tooEarly),
		organization.ErrNotFound.Error(): begin(must(parsec.ParseOrganizationID("Other")), realmID, nil),
		rules.ErrExportNoRealm.Error():   begin(organizationID, parsec.RealmID{9}, nil),
	} {
		if err == nil || err.Error() != text {
			t.Errorf("%v, want %s", err, text)
		}
	}
	a.clock.Advance(-3600e9 + 300e9)
	if err := begin(organizationID, realmID, nil); err == nil || !strings.Contains(err.Error(), "is older than realm creation") {
		t.Errorf("of a realm that is young: %v", err)
	}
}

// TestOtherFiles are refused, and stay as they are.
func TestOtherFiles(t *testing.T) {
	a := newArchive(t)
	a.fill()
	good := a.path("good")
	if _, _, err := a.run(t.Context(), good, a.rules, a.blocks); err != nil {
		t.Fatal(err)
	}
	bytes := must(os.ReadFile(good))
	for name, want := range map[string]struct{ change, error string }{
		"organization": {"UPDATE info SET organization_id = 'Other'", "for a different organization: got Other instead of expected CoolOrg"},
		"realm":        {"UPDATE info SET realm_id = x'02000000000000000000000000000000'", "for a different realm: got 02000000000000000000000000000000 instead of expected 01000000000000000000000000000000"},
		"root key":     {"UPDATE info SET root_verify_key = x'08'", "for a different root verify key: got 08 instead of expected 07"},
		"date": {
			fmt.Sprintf("UPDATE info SET snapshot_timestamp = %d", at(99)),
			"Existing output export database is for a different timestamp: got " + at(99).String() + " instead of expected " + at(100).String(),
		},
		"vlobs":          {"UPDATE info SET vlobs_total_bytes = 15", "for a different size of vlobs: got 15 instead of expected 16"},
		"blocks":         {"UPDATE info SET blocks_total_bytes = 16", "for a different size of blocks: got 16 instead of expected 11"},
		"magic":          {"UPDATE info SET magic = 87947", "not the export of a realm: magic 87947 and version 1"},
		"version":        {"UPDATE info SET version = 2", "not the export of a realm: magic 87948 and version 2"},
		"no info":        {"DELETE FROM info", "not the export of a realm: 10 of its 10 tables, and 0 rows of info"},
		"two infos":      {"INSERT INTO info SELECT * FROM info", "2 rows of info"},
		"no table":       {"DROP TABLE block_data", "not the export of a realm: 9 of its 10 tables"},
		"another schema": {"DROP TABLE info; CREATE TABLE info (magic)", "not the export of a realm: "},
		"missing vlob":   {"DELETE FROM vlob_atom WHERE sequential_id = 2", "of its vlobs are not those of the realm"},
		"other vlob":     {"UPDATE vlob_atom SET version = 9 WHERE sequential_id = 2", "of its vlobs are not those of the realm"},
		"missing block":  {"DELETE FROM block WHERE sequential_id = 2", "its blocks are not those of the realm"},
		"other block":    {"UPDATE block SET size = 1000000000000 WHERE sequential_id = 2", "its blocks are not those of the realm"},
	} {
		t.Run(name, func(t *testing.T) {
			path := a.path(name)
			if err := os.WriteFile(path, bytes, 0o600); err != nil {
				t.Fatal(err)
			}
			database := must(sql.Open("sqlite", path))
			_, err := database.ExecContext(t.Context(), want.change)
			if err := errors.Join(err, database.Close()); err != nil {
				t.Fatal(err)
			}
			a.checkRefused(t, path, want.error)
		})
	}
	for name, content := range map[string][]byte{
		"half": bytes[:len(bytes)/2], "text": []byte(strings.Repeat("no database\n", 1000)), "cut": bytes[:50],
	} {
		t.Run(name, func(t *testing.T) {
			path := a.path(name)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			a.checkRefused(t, path, path+": ")
		})
	}
	t.Run("folder", func(t *testing.T) {
		if _, _, err := a.run(t.Context(), a.folder, a.rules, a.blocks); err == nil {
			t.Error("a folder is no file")
		}
	})
}

// checkRefused wants a file to be refused, with one line, and to stay as it is.
func (a *archive) checkRefused(t *testing.T, path, want string) {
	t.Helper()
	before := must(os.ReadFile(path))
	_, _, err := a.run(t.Context(), path, a.rules, a.blocks)
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want %s", err, want)
	}
	if string(must(os.ReadFile(path))) != string(before) {
		t.Error("the file has changed")
	}
}

// TestTwoAtOnce has a second export into one file refused.
func TestTwoAtOnce(t *testing.T) {
	a := newArchive(t)
	a.fill()
	work := must(export.Open(t.Context(), a.path("one"), must(a.source(a.rules))))
	if _, _, err := a.run(t.Context(), a.path("one"), a.rules, a.blocks); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("%v", err)
	}
	if err := work.Close(); err != nil {
		t.Fatal(err)
	}
}
