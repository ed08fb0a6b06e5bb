//go:build !without_postgresql && !without_minio && !without_versitygw && !without_swift

package main

import (
	"errors"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// TestImportOfBlocks copies the blocks of official databases to other stores, has another
// import find them where they are, and tells which ones are missing, or short.
func TestImportOfBlocks(t *testing.T) {
	t.Parallel()
	minio := testkit.S3(t)
	for release, test := range map[string]struct {
		nodes []string
		lose  string
	}{
		"2.17": {[]string{storeText(minio)}, `
INSERT INTO block (organization, block_id, realm, author, size, created_on) SELECT b.organization, gen_random_uuid(), b.realm, b.author, b.size, b.created_on
FROM block b WHERE b._id = 1`},
		"3.9.3": {[]string{"RAID5:0:" + storeText(minio), "RAID5:1:" + storeText(minio), "RAID5:2:" + storeText(minio)}, `
INSERT INTO block (realm, block_id, author, size, created_on, key_index) SELECT b.realm, gen_random_uuid(), b.author, b.size, b.created_on, b.key_index
FROM block b WHERE b._id = 1`},
	} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, release))
			s := &shell{t: t, variables: map[string]string{
				"PARSEC_IMPORT_FROM": from, "PARSEC_DB": testkit.NewPostgres(t, testkit.Unsound), "PARSEC_BLOCKSTORE": strings.Join(test.nodes, " "),
			}}
			s.succeed("backend", "blockstore", "init")
			if out := s.succeed("backend", "import", "--dry-run", "--from-blockstore", "POSTGRESQL"); strings.Contains(out, "block_missing") {
				t.Errorf("a dry run says %q, of blocks that are there", out)
			}
			if out := s.succeed("backend", "import", "--dry-run"); !strings.Contains(out, "block_missing") {
				t.Errorf("a dry run says %q, of a block store that is empty", out)
			}
			s.succeed("backend", "import", "--from-blockstore", "POSTGRESQL")
			if out := s.succeed("backend", "import", "verify"); strings.Contains(out, "missing") {
				t.Errorf("verify says %q", out)
			}
			wantBlocks(t, test.nodes, owner)

			s.variables["PARSEC_DB"] = testkit.NewPostgres(t, testkit.Unsound)
			executeOn(t, owner, "DELETE FROM block_data") // The store of before is this one.
			s.succeed("backend", "import")
			if out := s.succeed("backend", "import", "verify"); strings.Contains(out, "missing") {
				t.Errorf("verify says %q, of blocks that stay", out)
			}
			executeOn(t, owner, test.lose)
			executeOn(t, owner, "UPDATE block SET size = size + 1 WHERE _id = 2")
			s.variables["PARSEC_DB"] = testkit.NewPostgres(t, testkit.Unsound)
			s.succeed("backend", "import")
			out, _, err := s.run("backend", "import", "verify")
			if !errors.Is(err, errProblems) || !strings.Contains(out, "missing") || !strings.Contains(out, "bytes, not ") {
				t.Errorf("verify says %v, %q, of a block that is missing, and a short one", err, out)
			}
		})
	}
}

// wantBlocks wants a store to have what the official database has.
func wantBlocks(t *testing.T, nodes []string, owner string) {
	t.Helper()
	settings, err := config.ParseBlockstore(nodes)
	if err != nil {
		t.Fatal(err)
	}
	store, end, err := openBlockStore(settings, config.Database{})
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	rows, err := testkit.Connect(t, owner).Query(t.Context(), `
SELECT d.organization_id::text, d.block_id, d.data FROM block_data d WHERE EXISTS (SELECT FROM block b WHERE b.block_id = d.block_id)`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	count := 0
	for rows.Next() {
		var organization string
		var id [16]byte
		var want []byte
		if err := rows.Scan(&organization, &id, &want); err != nil {
			t.Fatal(err)
		}
		name, err := parsec.ParseOrganizationID(organization)
		if err != nil {
			t.Fatal(err)
		}
		have := make([]byte, len(want))
		if err := store.Read(t.Context(), name, parsec.BlockID(id), nil, have); err != nil || string(have) != string(want) {
			t.Errorf("block %s: %d bytes, %v", parsec.BlockID(id), len(have), err)
		}
		count++
	}
	if err := rows.Err(); err != nil || count == 0 {
		t.Errorf("%d blocks, %v", count, err)
	}
}
