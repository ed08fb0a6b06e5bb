//go:build !without_postgresql_programs

package parsec3_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	words "parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec3/protocol"
)

// newDataFolder names a folder that PostgreSQL can reach as another user, if root runs
// the tests.
func newDataFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Chmod(filepath.Dir(folder), 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "data")
}

// blockLoad has clients of both generations write blocks all the time, and remembers
// those that were confirmed.
type blockLoad struct {
	w       *world
	younger *younger
	older   *older

	mu        sync.Mutex
	confirmed map[parsec.BlockID]int // the generation
}

func newBlockLoad(w *world) *blockLoad {
	l := newLoad()
	return &blockLoad{w: w, younger: newYounger(w, l), older: newOlder(w, l), confirmed: make(map[parsec.BlockID]int)}
}

func (b *blockLoad) write(ctx context.Context, generation int, block parsec.BlockID) error {
	data := of(generation, parsec.UUID(block), 1, smallBlock)
	if generation == 5 {
		_, err := client3.Call(ctx, b.younger.writer.RPC(), protocol.BlockCreate, &protocol.BlockCreateRequest{RealmID: b.younger.realm, BlockID: block, KeyIndex: 1, Block: data})
		return err
	}
	_, err := parsec2.Call(ctx, b.older.client.AuthenticatedRPC(b.older.device, api3), words.BlockCreate, &words.BlockCreateRequest{RealmID: b.older.realm, BlockID: block, Block: data})
	return err
}

func (b *blockLoad) read(ctx context.Context, generation int, block parsec.BlockID) ([]byte, error) {
	if generation == 5 {
		reply, err := client3.Call(ctx, b.younger.writer.RPC(), protocol.BlockRead, &protocol.BlockReadRequest{RealmID: b.younger.realm, BlockID: block})
		if err != nil {
			return nil, err
		}
		return reply.Block, nil
	}
	reply, err := parsec2.Call(ctx, b.older.client.AuthenticatedRPC(b.older.device, api3), words.BlockRead, &words.BlockReadRequest{BlockID: block})
	if err != nil {
		return nil, err
	}
	return reply.Block, nil
}

// start returns what ends the load.
func (b *blockLoad) start() (end func()) {
	ctx, cancel := context.WithCancel(b.w.ctx)
	var writing sync.WaitGroup
	for writer := range writers {
		generation := 3 + 2*(writer%2)
		writing.Go(func() {
			for ctx.Err() == nil {
				block := parsec.BlockID(parsec.NewUUID())
				limited, done := context.WithTimeout(ctx, 10*time.Second)
				if b.write(limited, generation, block) == nil {
					b.mu.Lock()
					b.confirmed[block] = generation
					b.mu.Unlock()
				}
				done()
			}
		})
	}
	return func() {
		cancel()
		writing.Wait()
	}
}

// written returns what was confirmed so far.
func (b *blockLoad) written() map[parsec.BlockID]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.confirmed)
}

// awaitMore waits until more blocks of both generations are confirmed than there were.
func (b *blockLoad) awaitMore() {
	b.w.t.Helper()
	count := func() (both [2]int) {
		for _, generation := range b.written() {
			both[generation/5]++
		}
		return both
	}
	before := count()
	testkit.Await(b.w.t, "more blocks are confirmed", func() bool {
		now := count()
		return now[0] > before[0]+3 && now[1] > before[1]+3
	})
}

// wantBlocks has a client read each block.
func (b *blockLoad) wantBlocks(blocks map[parsec.BlockID]int) {
	b.w.t.Helper()
	for block, generation := range blocks {
		if data, err := b.read(b.w.ctx, generation, block); err != nil || !bytes.Equal(data, of(generation, parsec.UUID(block), 1, smallBlock)) {
			b.w.t.Errorf("block %s of API %d, which was confirmed: %v, or other bytes", block, generation, err)
		}
	}
}

// leaderIn is the number of the process that is PostgreSQL in a folder.
func leaderIn(t *testing.T, folder string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || pid < 2 {
		t.Fatalf("PostgreSQL is process %q", line)
	}
	return pid
}

// runParsec runs a command to its end.
func runParsec(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), program, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", arguments, err, output)
	}
	return string(output)
}

// saveWhileErasing saves the folder of a server. When the archive has the database, and no
// block yet, an organization is deleted: its objects stay until the archive has them, for
// the server and for whoever looks for objects without metadata, and go afterwards.
func saveWhileErasing(w *world, folder, archive string) (said string, leaving *blockLoad) {
	w.t.Helper()
	other := *w
	other.organization = must(parsec.ParseOrganizationID("Leaving"))
	leaving = &blockLoad{w: &other, younger: newYounger(&other, newLoad()), confirmed: make(map[parsec.BlockID]int)}
	for range 20 {
		block := parsec.BlockID(parsec.NewUUID())
		w.do("write", leaving.write(w.ctx, 5, block))
		leaving.confirmed[block] = 5
	}
	// The token comes between the database and the blocks: from a pipe that nobody fills
	// the backup waits for it.
	pipe := filepath.Join(folder, "administration-token")
	w.do("make a pipe", syscall.Mkfifo(pipe, 0o600))
	saving := exec.CommandContext(w.ctx, program, "backend", "backup", folder, archive)
	var output bytes.Buffer
	saving.Stdout, saving.Stderr = &output, &output
	w.do("save", saving.Start())
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	testkit.Await(w.t, "the archive has the database", func() bool {
		dump := size(archive + ".partial.dump")
		return dump > 32<<10 && size(archive+".partial") > dump
	})
	administration, expired := w.administration(), true
	w.do("expire", administration.Update(w.ctx, other.organization, client.OrganizationSettings{IsExpired: &expired}))
	_, err := administration.Delete(w.ctx, other.organization)
	w.do("delete", err)
	testkit.Await(w.t, "the rows are erased", func() bool {
		left, err := administration.Deletion(w.ctx, other.organization)
		return err == nil && !left.RowsLeft
	})
	objects, longAgo := filepath.Join(folder, "blocks", "%4ceaving"), time.Now().Add(-48*time.Hour)
	w.do("age the objects", filepath.WalkDir(objects, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, longAgo, longAgo))
	}))
	if found := runParsec(w.t, "backend", "blockstore", "orphans", "--data", folder, "--apply"); !strings.Contains(found, "0 deleted") {
		w.t.Errorf("while a backup is made: %s", found)
	}
	open, err := os.OpenFile(pipe, os.O_RDWR, 0) // Which does not wait for a backup that has failed.
	w.do("let the backup go on", err)
	ended := saving.Wait()
	w.do("remove the pipe", errors.Join(open.Close(), os.Remove(pipe)))
	if ended != nil {
		w.t.Fatalf("backup: %v: %s", ended, &output)
	}
	testkit.Await(w.t, "the organization goes", func() bool {
		_, err := administration.Delete(w.ctx, other.organization) // Which has the server look again at once.
		refusal, is := errors.AsType[*client.AdministrationError](err)
		return is && refusal.Status == http.StatusNotFound
	})
	if left, err := os.ReadDir(objects); len(left) > 0 {
		w.t.Errorf("objects are left: %v (%v)", left, err)
	}
	return output.String(), leaving
}

// TestDataFolder kills the server of a folder, and its PostgreSQL, while clients of both
// generations write; saves the folder meanwhile, also while an organization is deleted, and
// has the archive be a folder with all that was confirmed before.
func TestDataFolder(t *testing.T) {
	t.Parallel()
	folder := newDataFolder(t)
	server := testkit.StartParsec(t, program, "--data", folder)
	w := newWorld(t, server)
	load := newBlockLoad(w)
	rounds := 4
	if testkit.Long() { // Before the load starts, which ends with the context.
		rounds = 200
		var cancel context.CancelFunc
		w.ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		t.Cleanup(cancel)
	}
	end := load.start()
	begun := time.Now()
	for round := range rounds {
		load.awaitMore()
		if round%2 == 1 { // the last one, so that what comes then is served at once
			server.Kill()
			server.Start()
		} else if err := syscall.Kill(leaderIn(t, folder), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	load.awaitMore()
	t.Logf("%d kills in %s, with %d blocks confirmed", rounds, time.Since(begun).Round(time.Second), len(load.written()))
	saved := load.written()
	archive := filepath.Join(t.TempDir(), "archive.tar")
	said, leaving := saveWhileErasing(w, folder, archive)
	if !strings.HasPrefix(said, "Saved "+folder+" in "+archive+": database of PostgreSQL ") {
		t.Errorf("backup says %q", said)
	}
	load.awaitMore()
	end()
	load.wantBlocks(load.written())
	if err := server.Stop(); err != nil {
		t.Errorf("%v: %s", err, server.Output())
	}

	elsewhere := newDataFolder(t)
	runParsec(t, "backend", "restore", archive, elsewhere)
	other := testkit.StartParsec(t, program, "--data", elsewhere)
	if said := runParsec(t, "backend", "check", "--data", elsewhere, "--blocks", "deep"); !strings.Contains(said, "3 organizations checked") || !strings.Contains(said, "nothing wrong") {
		t.Errorf("check says %q", said)
	}
	w.moveTo(load, other)
	load.wantBlocks(saved)
	leaving.w.addresses = w.addresses
	leaving.younger.writer = leaving.w.login("alice", leaving.younger.device).Resident
	leaving.wantBlocks(leaving.confirmed)
}

// moveTo has the clients of a load talk to another server.
func (w *world) moveTo(b *blockLoad, server *testkit.Parsec) {
	w.t.Helper()
	w.addresses = []parsec.ServerAddress{server.Address}
	b.younger.writer = w.login("alice", b.younger.device).Resident
	b.older.client = parsec2.New(server.Address, client.Options{})
	w.t.Cleanup(b.older.client.Close)
}
