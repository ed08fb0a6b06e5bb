//go:build !without_postgresql && !without_minio

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
)

// A deployment moves from its database to a folder, from there to a RAID5 of folders
// and back, with a look at all of it each time.
func TestFolderCommands(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	path := filepath.Join(t.TempDir(), "blocks")
	folder, nodes := "file:"+path, []string{}
	var to []string
	for _, index := range []string{"0", "1", "2"} {
		node := "RAID5:" + index + ":" + folderText(t)
		nodes, to = append(nodes, node), append(to, "--to", node)
	}
	raid := strings.Join(nodes, " ")
	d.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	d.run(1, "create it with `parsec backend blockstore init`", "copy", "--to", folder, "--apply")
	d.run(0, "The block store is ready (FILE).\n", "init", "-b", folder)
	d.run(0, "copied: 40, 39.1 KiB.\n", "copy", "--to", folder, "--apply")
	d.run(0, "copied: 0, 0 bytes.\n", "copy", "--to", folder, "--apply")

	d.variables["PARSEC_BLOCKSTORE"] = folder
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check", "--deep")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, same := range []string{folder, "file:" + path + "/../blocks/", "file:" + link, "RAID1:0:file:" + link} {
		d.run(2, "share a node", "copy", "--to", same)
	}
	d.variables["PARSEC_BLOCKSTORE"] = raid
	d.run(0, "The block store is ready (RAID5).\n", "init")
	d.variables["PARSEC_BLOCKSTORE"] = folder
	d.run(0, "copied: 40, 39.1 KiB.\n", "copy", append(to, "--apply")...)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	d.run(1, "no such block store, mount its volume", "check")
	d.run(0, "", "init")
	d.run(3, "40 missing, 40 lost", "check")

	d.variables["PARSEC_BLOCKSTORE"] = raid
	d.run(0, "copied: 40, 39.1 KiB.\n", "copy", "--to", folder, "--apply")
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check", "--deep")
	// A node comes back empty.
	second := strings.TrimPrefix(nodes[1], "RAID5:1:file:")
	if err := os.RemoveAll(second); err != nil {
		t.Fatal(err)
	}
	d.run(1, "node 1 (folder "+second+")", "check")
	d.run(0, "", "init")
	d.run(0, "40 missing; 40 repaired.\n", "repair", "--apply")
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check", "--deep")
}

// An object without metadata is found by its age, and deleted.
func TestFolderOrphans(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	path := filepath.Join(t.TempDir(), "blocks")
	d.variables["PARSEC_BLOCKSTORE"] = "file:" + path
	d.run(0, "", "init")
	d.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	d.run(0, "copied: 40", "copy", "--to", "file:"+path, "--apply")
	d.variables["PARSEC_BLOCKSTORE"] = "file:" + path
	store, acme := d.open("file:"+path), d.blocks[39].Organization
	elsewhere, err := parsec.ParseOrganizationID("Elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	old, young, foreign := parsec.BlockID{1, 1}, parsec.BlockID{2, 1}, parsec.BlockID{3, 1}
	if err := errors.Join(
		store.Create(t.Context(), acme, old, []byte("abc")),
		store.Create(t.Context(), acme, young, []byte("abc")),
		store.Create(t.Context(), elsewhere, foreign, []byte("abc")),
	); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(path, "%41cme", "0", "1", old.String())
	longAgo := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(name, longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	d.run(3, "43 objects, of which 1 are foreign and 1 too young to tell: 1 orphans, 3 bytes.\n", "orphans")
	d.run(0, "1 deleted.\n", "orphans", "--apply")
	d.run(0, "0 orphans, 0 bytes.\n", "orphans")
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check", "--deep")
}
