package blockstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// wantVerified reads a block whose checksum is known.
func wantVerified(t testing.TB, store blockstore.Store, id parsec.BlockID, want []byte) {
	t.Helper()
	block := make([]byte, len(want))
	if err := store.Read(t.Context(), organization(t), id, blockstore.ChecksumOf(want), block); err != nil {
		t.Fatalf("read: %v", err)
	}
	if !bytes.Equal(block, want) {
		t.Fatalf("a block of %d bytes is not what was created", len(want))
	}
}

// A copy or chunk of good length and other bytes, on whatever node, is neither
// given to clients nor left as it is.
func TestRAIDRepairsOtherBytes(t *testing.T) {
	for _, shape := range []struct{ level, nodes int }{{1, 2}, {1, 3}, {5, 3}, {5, 4}, {5, 5}, {5, 7}} {
		for harmed := range shape.nodes {
			for _, harm := range []string{"other", "a bit"} {
				t.Run(fmt.Sprintf("RAID%d of %d, node %d, %s", shape.level, shape.nodes, harmed, harm), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						nodes, stores := newFakeNodes(shape.nodes)
						raid := openRAID(t, shape.level, stores, false, nil)
						defer raid.Close()
						id := parsec.BlockID{15: byte(harmed)} // RAID1 asks the node first.
						block := blockOf(1000)
						mustCreate(t, raid, id, block)
						spoil(t, nodes[harmed], id, harm)
						wantVerified(t, raid, id, block)
						if shape.level == 5 && harmed == shape.nodes-1 {
							return // No read looks at a parity while all is well.
						}
						synctest.Wait()
						wantPieces(t, nodes, shape.level, id, block)
					})
				})
			}
		}
	}
}

// A parity of other bytes that is read in place of a chunk which is late is
// noticed, and repaired.
func TestRAID5RepairsItsParity(t *testing.T) {
	for _, count := range []int{3, 4, 5} {
		synctest.Test(t, func(t *testing.T) {
			nodes, stores := newFakeNodes(count)
			raid := openRAID(t, 5, stores, false, nil)
			defer raid.Close()
			id, block := newBlockID(), blockOf(1000)
			mustCreate(t, raid, id, block)
			spoil(t, nodes[count-1], id, "a bit")
			cut := false
			nodes[1].set(func(ctx context.Context) error {
				if cut {
					return nil
				}
				cut = true
				return hanging(ctx)
			}, nil)
			wantVerified(t, raid, id, block)
			synctest.Wait()
			wantPieces(t, nodes, 5, id, block)
		})
	}
}

// What no node knows, and the others cannot rebuild, is an error.
func TestRAIDRefusesOtherBytes(t *testing.T) {
	for _, shape := range []struct{ level, nodes int }{{1, 1}, {1, 2}, {5, 3}, {5, 4}} {
		nodes, stores := newFakeNodes(shape.nodes)
		raid := openRAID(t, shape.level, stores, false, nil)
		defer raid.Close()
		id, block := newBlockID(), blockOf(1000)
		mustCreate(t, raid, id, block)
		for _, node := range nodes[:min(2, shape.nodes)] {
			spoil(t, node, id, "a bit")
		}
		err := raid.Read(t.Context(), organization(t), id, blockstore.ChecksumOf(block), make([]byte, len(block)))
		if err == nil || errors.Is(err, blockstore.ErrNotFound) {
			t.Errorf("RAID%d of %d: %v", shape.level, shape.nodes, err)
		}
	}
}

// A node hangs during an upload, which is refused, and applies it after the next
// upload of the block, with other bytes, which has counted.
func TestRAIDNodeAppliesAnOldWrite(t *testing.T) {
	for _, shape := range []struct{ level, nodes int }{{1, 2}, {5, 3}, {5, 4}} {
		for late := range shape.nodes {
			if shape.level == 5 && late == shape.nodes-1 {
				continue // No read looks at a parity while all is well; an examination does.
			}
			t.Run(fmt.Sprintf("RAID%d of %d, node %d", shape.level, shape.nodes, late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					nodes, stores := newFakeNodes(shape.nodes)
					for i, node := range nodes {
						if i == late {
							stores[i] = &lateNode{fakeNode: node}
						}
					}
					raid := openRAID(t, shape.level, stores, false, nil)
					defer raid.Close()
					id := parsec.BlockID{15: byte(late)} // RAID1 asks the node first.
					block := blockOf(1000)
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					if err := raid.Create(ctx, organization(t), id, bytes.Repeat([]byte("old!"), 250)); err == nil {
						t.Fatal("a write that a node has not confirmed is accepted")
					}
					mustCreate(t, raid, id, block)
					if err := stores[late].(*lateNode).apply(); err != nil {
						t.Fatal(err)
					}
					wantVerified(t, raid, id, block)
					synctest.Wait()
					wantPieces(t, nodes, shape.level, id, block)
				})
			})
		}
	}
}

// lateNode applies its first write when it is told to.
type lateNode struct {
	*fakeNode
	apply func() error
}

func (l *lateNode) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	if l.apply != nil {
		return l.fakeNode.Create(ctx, organization, id, block)
	}
	kept := bytes.Clone(block)
	l.apply = func() error { return l.Memory.Create(context.WithoutCancel(ctx), organization, id, kept) }
	return hanging(ctx)
}

// lie has the server answer that it has stored a block, and keep what it gives
// of it, if anything.
func (o *objectServer) lie(keep func(block string) (kept string, keeps bool)) {
	o.set(func(w http.ResponseWriter, r *http.Request) {
		_, name, _ := strings.Cut(r.URL.Path, container)
		if r.Method == http.MethodGet {
			if object, found := o.objects[name]; found {
				give(object, len(object))(w, r)
			} else {
				refuse(http.StatusNotFound, "NoSuchKey")(w, r)
			}
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if kept, keeps := keep(string(body)); keeps {
			o.objects[name] = kept
		}
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusCreated)
		}
	})
}

// Stores that answer 200 and keep nothing, half of a block or other bytes give
// errors; as nodes, behind the limits that servers put around them, they get
// the block again.
func TestStoresThatLie(t *testing.T) {
	block := blockOf(1000)
	for lie, keep := range map[string]func(string) (string, bool){
		"nothing":     func(string) (string, bool) { return "", false },
		"no bytes":    func(string) (string, bool) { return "", true },
		"half":        func(block string) (string, bool) { return block[:len(block)/2], true },
		"zeros":       func(block string) (string, bool) { return string(make([]byte, len(block))), true },
		"other bytes": func(block string) (string, bool) { return block[1:] + block[:1], true },
	} {
		t.Run(lie, func(t *testing.T) {
			server := startObjectServer(t)
			for kind, store := range remoteStores(t, server.URL) {
				for _, level := range []int{1, 5} {
					server.lie(keep)
					clear(server.objects)
					liar := blockstore.NewLimited(store, blockstore.DefaultLimits())
					raid := openRAID(t, level, []blockstore.Store{liar, blockstore.NewMemory(), blockstore.NewMemory()}, false, nil)
					t.Cleanup(raid.Close)
					id := parsec.BlockID{} // RAID1 asks node 0 first.
					mustCreate(t, raid, id, block)
					if level == 1 {
						if err := liar.Read(t.Context(), organization(t), id, blockstore.ChecksumOf(block), make([]byte, len(block))); err == nil {
							t.Errorf("%s: read what was not stored", kind)
						}
					}
					repaired := make(chan string, 8)
					server.lie(func(block string) (string, bool) {
						repaired <- block
						return block, true
					})
					want := block
					if level == 5 {
						want = append([]byte{0, 0, 3, 232}, block[:498]...)
					}
					wantVerified(t, raid, id, block)
					select {
					case got := <-repaired:
						if got != string(want) {
							t.Errorf("%s in RAID%d: repaired with other bytes", kind, level)
						}
					case <-time.After(20 * time.Second):
						t.Fatalf("%s in RAID%d: not repaired", kind, level)
					}
				}
			}
		})
	}
}

// An answer without a length is what the database says it is.
func TestReadWithoutLength(t *testing.T) {
	server := startObjectServer(t)
	server.set(chunked)
	stores := remoteStores(t, server.URL)
	if err := stores["S3"].Read(t.Context(), organization(t), newBlockID(), nil, make([]byte, 3)); err != nil {
		t.Errorf("S3, without checksum: %v", err)
	}
	for _, kind := range slices.Sorted(maps.Keys(stores)) {
		block := make([]byte, 3)
		err := stores[kind].Read(t.Context(), organization(t), newBlockID(), blockstore.ChecksumOf([]byte("abc")), block)
		if err != nil || string(block) != "abc" {
			t.Errorf("%s: read %q: %v", kind, block, err)
		}
		err = stores[kind].Read(t.Context(), organization(t), newBlockID(), blockstore.ChecksumOf([]byte("abd")), block)
		if !errors.Is(err, blockstore.ErrDamaged) {
			t.Errorf("%s: other bytes: %v", kind, err)
		}
	}
}

// The checksum of a block is kept unless its store, behind whatever observes it,
// cannot fail.
func TestCreateChecksum(t *testing.T) {
	observe := func(store blockstore.Store) blockstore.Store {
		return blockstore.NewObserved(store, func(context.Context, blockstore.Operation, error, time.Duration) {})
	}
	_, stores := newFakeNodes(3)
	raid := openRAID(t, 5, stores, false, nil)
	defer raid.Close()
	server := startObjectServer(t)
	server.lie(func(block string) (string, bool) { return block, true })
	remote := remoteStores(t, server.URL)
	for name, test := range map[string]struct {
		store blockstore.Store
		keeps bool
	}{
		"memory":          {blockstore.NewMemory(), false},
		"observed memory": {observe(blockstore.NewMemory()), false},
		"RAID5":           {raid, true},
		"RAID0 of memory": {blockstore.NewRAID0([]blockstore.Store{blockstore.NewMemory()}), true},
		"observed S3":     {observe(blockstore.NewLimited(remote["S3"], blockstore.DefaultLimits())), true},
		"Swift":           {remote["Swift"], true},
	} {
		id, block := newBlockID(), blockOf(1000)
		checksum, err := blockstore.Create(t.Context(), test.store, organization(t), id, block)
		if err != nil || (checksum != nil) != test.keeps || checksum != nil && *checksum != *blockstore.ChecksumOf(block) {
			t.Errorf("%s: checksum %x, %v", name, checksum, err)
		}
		wantBlock(t, test.store, id, block)
	}
}
