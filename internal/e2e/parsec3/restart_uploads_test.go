//go:build !without_postgresql

package parsec3_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// TestUploadsOverRestarts replaces a server while a client sends new files that make
// 40 MiB, or more: none fails, and another device reads what was sent. The client is
// one that does not survive the first upload of a new file that fails
// (docs/protocol/v5/quirks.md §11).
func TestUploadsOverRestarts(t *testing.T) {
	t.Parallel()
	for name, start := range restarts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, "--db", testkit.NewPostgres(t), "--blockstore", "POSTGRESQL")
			w := newWorld(t, server.server)
			var ends []func() error
			w.uploadOver(func() { ends = append(ends, server.replace()) })
			for _, ended := range ends {
				if err := ended(); err != nil {
					t.Errorf("a process ends with %v", err)
				}
			}
		})
	}
}

// file is what a client sends: blocks, and then the vlob that names them.
type file struct {
	vlob   parsec.VlobID
	blocks []parsec.BlockID
}

const (
	// uploaders files are sent at a time, with blocksOfFile blocks each.
	uploaders    = 4
	blocksOfFile = 5
	// replacements is how often servers are replaced meanwhile.
	replacements = 3
	// leastBlocks make 40 MiB.
	leastBlocks = 80
)

// uploadOver has a client send files while replace replaces the server, and another
// one listen and read all.
func (w *world) uploadOver(replace func()) {
	w.t.Helper()
	alice := w.login("alice", w.found("alice"))
	device, err := alice.AddDevice(w.ctx, must(parsec3.ParseDeviceLabel("phone")))
	w.do("add the phone", err)
	phone := w.login("phone", device)
	realm, err := alice.NewWorkspace(w.ctx, "Work")
	w.do("create a workspace", err)

	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var sent atomic.Int64
	var sending sync.WaitGroup
	files := make(chan file, 10_000) // more than are sent
	for range uploaders {
		sending.Go(func() {
			for ctx.Err() == nil || sent.Load() < leastBlocks {
				one, err := uploadFile(w.ctx, alice.Resident, realm, &sent)
				if err != nil {
					w.t.Errorf("upload: %v", err)
					return
				}
				files <- one
			}
		})
	}
	for range replacements {
		before := sent.Load()
		testkit.Await(w.t, "blocks are sent", func() bool { return sent.Load() >= before+leastBlocks/8 || w.t.Failed() })
		replace()
	}
	cancel()
	sending.Wait()
	close(files)
	count := 0
	for one := range files {
		w.read(phone.Resident, realm, one)
		count++
	}
	w.t.Logf("%d files of %d blocks", count, blocksOfFile)
	for _, p := range []*peer{alice, phone} {
		if err := p.Err(); err != nil {
			w.t.Errorf("%s: %v", p.name, err)
		}
	}
}

// uploadFile counts the blocks in sent.
func uploadFile(ctx context.Context, from *testclient3.Resident, realm parsec.RealmID, sent *atomic.Int64) (file, error) {
	one := file{vlob: parsec.VlobID(parsec.NewUUID())}
	for range blocksOfFile {
		block := parsec.BlockID(parsec.NewUUID())
		if err := from.UploadBlock(ctx, realm, one.vlob, block, content(block.String(), blockSize)); err != nil {
			return one, fmt.Errorf("block: %w", err)
		}
		one.blocks = append(one.blocks, block)
		sent.Add(1)
	}
	if err := from.Upload(ctx, realm, one.vlob, []byte(one.vlob.String())); err != nil {
		return one, fmt.Errorf("vlob: %w", err)
	}
	return one, nil
}

// read wants a file to be what was sent.
func (w *world) read(by *testclient3.Resident, realm parsec.RealmID, one file) {
	w.t.Helper()
	versions, err := by.Read(w.ctx, realm, nil, one.vlob)
	w.do("read", err)
	if got := versions[one.vlob]; string(got.Content) != one.vlob.String() || got.Number != 1 {
		w.t.Errorf("vlob %s is version %d, %q", one.vlob, got.Number, got.Content)
	}
	for _, block := range one.blocks {
		data, err := by.ReadBlock(w.ctx, realm, block)
		w.do("read a block", err)
		if !bytes.Equal(data, content(block.String(), blockSize)) {
			w.t.Errorf("block %s is not what was sent", block)
		}
	}
}
