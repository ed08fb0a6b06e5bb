package blockstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// openFolder returns a store, as the server uses it, that logs to log, if that is not nil.
func openFolder(t testing.TB, path string, log *bytes.Buffer) *blockstore.Limited {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	if log != nil {
		logger = slog.New(slog.NewTextHandler(log, nil))
	}
	store, err := blockstore.NewFolder(blockstore.FolderOptions{Path: path, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	limits := blockstore.DefaultLimits()
	limits.Pause = time.Millisecond
	return blockstore.NewLimited(store, limits)
}

// newFolder returns a store in a folder of the test's.
func newFolder(t testing.TB) (path string, store *blockstore.Limited) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "blocks")
	store = openFolder(t, path, nil)
	if err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return path, store
}

func TestFolder(t *testing.T) {
	exerciseStore(t, func(t *testing.T) blockstore.Store {
		_, store := newFolder(t)
		return store
	})
	exerciseInventory(t, func(t *testing.T) blockstore.Inventory {
		_, store := newFolder(t)
		return store
	})
}

func TestFolderInRAID(t *testing.T) {
	t.Parallel()
	for level, nodes := range map[int]int{0: 2, 1: 2, 5: 3} {
		t.Run(fmt.Sprintf("RAID%d", level), func(t *testing.T) {
			t.Parallel()
			var stores []blockstore.Store
			for range nodes {
				_, store := newFolder(t)
				stores = append(stores, store)
			}
			var raid blockstore.Store = blockstore.NewRAID0(stores)
			if level != 0 {
				opened := openRAID(t, level, stores, false, nil)
				t.Cleanup(opened.Close)
				raid = opened
			}
			exerciseStore(t, func(*testing.T) blockstore.Store { return raid })
		})
	}
}

// filesIn lists what is below a folder, with permissions.
func filesIn(t *testing.T, path string) map[string]fs.FileMode {
	t.Helper()
	found := make(map[string]fs.FileMode)
	err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == path {
			return err
		}
		info, err := entry.Info()
		found[strings.TrimPrefix(name, path+"/")] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A block is one file that nobody else may read, of a name that every file system can
// tell from all others, and nothing stays of an organization without blocks.
func TestFolderFiles(t *testing.T) {
	t.Parallel()
	path, store := newFolder(t)
	empty := filesIn(t, path)
	accented, err := parsec.ParseOrganizationID("Équipe_2-b")
	if err != nil {
		t.Fatal(err)
	}
	id := newBlockID()
	if err := store.Create(t.Context(), accented, id, blockOf(100)); err != nil {
		t.Fatal(err)
	}
	digits := id.String()
	want := map[string]fs.FileMode{
		"%c3%89quipe_2-b":                                                  fs.ModeDir | 0o700,
		"%c3%89quipe_2-b/" + digits[:1]:                                    fs.ModeDir | 0o700,
		"%c3%89quipe_2-b/" + digits[:1] + "/" + digits[1:2]:                fs.ModeDir | 0o700,
		"%c3%89quipe_2-b/" + digits[:1] + "/" + digits[1:2] + "/" + digits: 0o600,
		"parsec-blocks.txt":                                                0o600,
		"unfinished.tmp":                                                   fs.ModeDir | 0o700,
	}
	if got := filesIn(t, path); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("the folder itself: %v, %v", info.Mode(), err)
	}
	if err := store.Delete(t.Context(), accented.String()+"/"+digits); err != nil {
		t.Fatal(err)
	}
	if got := filesIn(t, path); fmt.Sprint(got) != fmt.Sprint(empty) {
		t.Errorf("after the last block there are %v, want %v", got, empty)
	}
	// The folders that the store knows to be there are not.
	if err := store.Create(t.Context(), accented, id, blockOf(100)); err != nil {
		t.Error(err)
	}
}

// What others put into the folder is no object, wherever it is.
func TestFolderIgnoresOthers(t *testing.T) {
	t.Parallel()
	path, store := newFolder(t)
	id := parsec.BlockID{0x8f, 1}
	mustCreate(t, store, id, blockOf(10))
	other := parsec.BlockID{0x10, 1}
	for _, name := range []string{
		"lost+found/x", "readme.txt", "%43ool%4frg/readme", "%43ool%4frg/8/readme", "%43ool%4frg/8/f/readme", "%43ool%4frg/8/f/" + other.String(),
		"CoolOrg/8/f/" + id.String(), "%63oolorg/8/f/" + id.String(), "%4/8/f/" + id.String(), "%zz/8/f/" + id.String(), "%43ool%4frg/8/ff/" + id.String(),
		"%43ool%4frg/8/f/" + strings.ToUpper(id.String()), "%43ool%4frg/8/f/" + strings.ReplaceAll(id.String(), "-", ""),
	} {
		name = filepath.Join(path, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := store.List(t.Context(), "", "")
	if err != nil || len(objects) != 1 || objects[0].Name != "CoolOrg/"+id.String() {
		t.Errorf("listed %v (%v)", objects, err)
	}
	if _, err := store.List(t.Context(), "", "lost+found"); err == nil {
		t.Error("a list after what is no block")
	}
}

// A list has pages, as long as those of all stores.
func TestFolderPages(t *testing.T) {
	t.Parallel()
	path, store := newFolder(t)
	const blocks = 2100
	mustCreate(t, store, newBlockID(), nil)
	for i := range blocks - 1 { // Durable writes would take their time.
		id := parsec.BlockID{byte(i), byte(i >> 8), 1}
		digits := id.String()
		folder := filepath.Join(path, "%43ool%4frg", digits[:1], digits[1:2])
		if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, digits), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	after, sum := "", 0
	for _, want := range []int{1000, 1000, 100, 0} {
		objects, err := store.List(t.Context(), "", after)
		if err != nil || len(objects) != want {
			t.Fatalf("after %d there are %d (%v), want %d", sum, len(objects), err, want)
		}
		for _, object := range objects {
			if object.Name <= after {
				t.Fatalf("%s comes after %s", object.Name, after)
			}
			after = object.Name
		}
		sum += len(objects)
	}
}

// A folder whose volume is not mounted is not an empty store: nothing is found missing
// in it, nothing is written to it. The store is there again with its volume.
func TestFolderGone(t *testing.T) {
	t.Parallel()
	path, store := newFolder(t)
	id := newBlockID()
	mustCreate(t, store, id, blockOf(10))
	gone := path + ".gone"
	for name, leave := range map[string]func() error{
		"no folder":    func() error { return nil },
		"empty folder": func() error { return os.Mkdir(path, 0o700) },
		"a file":       func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := errors.Join(os.Rename(path, gone), leave()); err != nil {
			t.Fatal(err)
		}
		read := store.Read(t.Context(), organization(t), id, nil, make([]byte, 10))
		create := store.Create(t.Context(), organization(t), newBlockID(), blockOf(10))
		_, list := store.List(t.Context(), "", "")
		for action, err := range map[string]error{
			"read": read, "create": create, "list": list, "delete": store.Delete(t.Context(), "CoolOrg/"+id.String()),
			"ready": openFolder(t, path, nil).Ready(t.Context()),
		} {
			if err == nil || errors.Is(err, blockstore.ErrNotFound) || !strings.HasPrefix(err.Error(), "folder "+path+": ") {
				t.Errorf("%s: %s: %v", name, action, err)
			}
		}
		if left, err := os.ReadDir(path); err == nil && len(left) > 0 {
			t.Errorf("%s: %v was written", name, left)
		}
		if err := errors.Join(os.RemoveAll(path), os.Rename(gone, path)); err != nil {
			t.Fatal(err)
		}
		wantBlock(t, store, id, blockOf(10))
		mustCreate(t, store, newBlockID(), blockOf(10))
	}
}

// Init takes an empty folder, one of its own, and nothing else.
func TestFolderInit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "blocks")
	if err := openFolder(t, path, nil).Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "create it with `parsec backend blockstore init`") {
		t.Errorf("ready before init: %v", err)
	}
	store := openFolder(t, path, nil)
	for range 2 {
		if err := store.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mustCreate(t, store, newBlockID(), blockOf(10))
	if err := openFolder(t, path, nil).Init(t.Context()); err != nil {
		t.Error(err)
	}
	marker := filepath.Join(path, "parsec-blocks.txt")
	text, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(marker, []byte("parsec blocks 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{openFolder(t, path, nil).Init(t.Context()), openFolder(t, path, nil).Ready(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "of another version of the server") {
			t.Errorf("another version: %v", err)
		}
	}
	if err := os.Remove(marker); err != nil {
		t.Fatal(err)
	}
	if err := openFolder(t, path, nil).Init(t.Context()); err == nil || !strings.Contains(err.Error(), "it is not empty, and has no parsec-blocks.txt") {
		t.Errorf("init without marker: %v", err)
	}
	if err := os.WriteFile(marker, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openFolder(t, path, nil).Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// What a killed write leaves is removed by a later one, once no write can need it.
func TestFolderLeftovers(t *testing.T) {
	t.Parallel()
	path, _ := newFolder(t)
	unfinished := filepath.Join(path, "unfinished.tmp")
	for name, age := range map[string]time.Duration{"old": 2 * time.Hour, "young": time.Minute} {
		name, date := filepath.Join(unfinished, name), time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(name, []byte("half a bl"), 0o600), os.Chtimes(name, date, date)); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	mustCreate(t, openFolder(t, path, &log), newBlockID(), blockOf(10))
	left, err := os.ReadDir(unfinished)
	if err != nil || len(left) != 1 || left[0].Name() != "young" || !strings.Contains(log.String(), "files=1") {
		t.Errorf("left %v (%v), logged %s", left, err, log.String())
	}
}

// A write that nobody waits for any more gives nothing a name.
func TestFolderCutWrite(t *testing.T) {
	t.Parallel()
	path, store := newFolder(t)
	for range 20 {
		id := newBlockID()
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		err := store.Create(ctx, organization(t), id, blockOf(1000))
		cancel()
		if err == nil {
			wantBlock(t, store, id, blockOf(1000))
		}
	}
	if left, err := os.ReadDir(filepath.Join(path, "unfinished.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left %v (%v)", left, err)
	}
}
