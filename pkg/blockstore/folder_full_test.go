//go:build !without_mount

package blockstore_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// A full volume refuses writes, with a word before, and harms nothing that is there. Writes
// go on once there is space.
func TestFolderFull(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	path := testkit.MountVolume(t, "72m").Path
	store, err := blockstore.NewFolder(blockstore.FolderOptions{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if space, known := store.Space(); !known || space.Size != 72<<20 || space.Free > space.Size || log.Len() > 0 {
		t.Errorf("space %+v, logged %s", space, log.String())
	}
	block := blockOf(512 << 10)
	var ids []parsec.BlockID
	for {
		id := newBlockID()
		if err = store.Create(t.Context(), organization(t), id, block); err != nil {
			break
		}
		ids = append(ids, id)
	}
	if !strings.Contains(err.Error(), "no space left") || len(ids) < 8 {
		t.Fatalf("after %d blocks: %v", len(ids), err)
	}
	if err := store.Ready(t.Context()); err != nil && !strings.Contains(err.Error(), "no space left") {
		t.Errorf("ready: %v", err)
	}
	// Whatever else fills the volume to its last byte.
	other := filepath.Join(path, "other")
	if err := os.WriteFile(other, make([]byte, 80<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the volume: %v", err)
	}
	for range 3 {
		if err := store.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("ready: %v", err)
		}
	}
	if warnings := strings.Count(log.String(), "block store soon full"); warnings != 1 {
		t.Errorf("%d warnings: %s", warnings, log.String())
	}
	for _, id := range ids {
		wantBlock(t, store, id, block)
	}
	if left, err := os.ReadDir(filepath.Join(path, "unfinished.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left %v (%v)", left, err)
	}
	if err := errors.Join(os.Remove(other), store.Delete(t.Context(), organization(t).String()+"/"+ids[0].String()),
		store.Delete(t.Context(), organization(t).String()+"/"+ids[1].String())); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, store, ids[0], block)
	if err := store.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// A volume that can only be read is read, says why it is not written, and is written
// again once it can be.
func TestFolderReadOnly(t *testing.T) {
	t.Parallel()
	volume := testkit.MountVolume(t, "100m")
	path := volume.Path
	store := openFolder(t, path, nil)
	if err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := newBlockID()
	mustCreate(t, store, id, blockOf(100))
	volume.Remount("ro")
	wantBlock(t, store, id, blockOf(100))
	for action, err := range map[string]error{
		"create": store.Create(t.Context(), organization(t), newBlockID(), blockOf(10)), "ready": openFolder(t, path, nil).Ready(t.Context()),
		"delete": store.Delete(t.Context(), organization(t).String()+"/"+id.String()),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", action, err)
		}
	}
	volume.Remount("rw")
	mustCreate(t, store, newBlockID(), blockOf(100))
	if err := openFolder(t, path, nil).Ready(t.Context()); err != nil {
		t.Error(err)
	}
}
