package parsec2_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// A block passes from the socket to an S3 server, and back, with less memory
// than copies of it would need: buffers serve again.
func TestBlocksPassThroughFewBuffers(t *testing.T) {
	const blockBytes, trips = 512<<10 + 40, 40
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			if n, err := io.Copy(io.Discard, r.Body); err != nil || n != blockBytes {
				t.Errorf("an object of %d bytes arrives, error %v", n, err)
			}
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(blockBytes))
		if _, err := io.CopyN(w, zeros{}, blockBytes); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(bucket.Close)
	store := must(blockstore.NewS3(blockstore.S3Options{Endpoint: bucket.URL, Bucket: "blocks", Key: "key", Secret: "secret"}))
	f := newFixture(t, func(options *testkit.InstanceOptions) {
		options.Blocks = blockstore.NewLimited(store, blockstore.DefaultLimits())
	})
	f.createRealm(f.connect("alice@dev1"), f.device("alice@dev1"), realmID(1))
	raw := f.dialRaw("alice@dev1", api3)
	id := parsec.BlockID{15: 0xFF}
	for _, item := range []struct {
		request      []byte
		replyAtLeast uint64
		// blocks is how many may be allocated for each trip. The race detector
		// has pools forget a quarter of what they are given.
		blocks float64
	}{
		{message("block_create", wire.Field{Key: "realm_id", Value: realmID(1)}, wire.Field{Key: "block_id", Value: id},
			wire.Field{Key: "block", Value: make([]byte, blockBytes)}), 1, 1.1},
		{message("block_read", wire.Field{Key: "block_id", Value: id}), blockBytes, 1.1},
	} {
		frame := appendFrame(nil, opBinary, true, item.request)
		trip := func(last byte) {
			frame[bytes.Index(frame, id[:15])+15] = last
			_, err := raw.conn.Write(frame)
			f.ok(err)
			if size := raw.skipFrame(); size < item.replyAtLeast {
				t.Fatalf("a reply of %d bytes", size)
			}
		}
		trip(0xFF) // Fills the pools.
		before := allocated()
		for i := range trips {
			trip(byte(i))
		}
		if blocks := float64(allocated()-before) / trips / blockBytes; blocks > item.blocks {
			t.Errorf("a trip allocates the size of %.2f blocks, want %.2f at most", blocks, item.blocks)
		}
	}
}

// skipFrame reads a frame without keeping it, and returns the size of its payload.
func (r *rawConn) skipFrame() uint64 {
	r.f.t.Helper()
	_, size, err := r.readFrameHead()
	r.f.ok(err)
	_, err = io.CopyN(io.Discard, r.read, int64(size))
	r.f.ok(err)
	return size
}

// allocated returns how many bytes the process has ever allocated.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
