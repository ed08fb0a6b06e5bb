package export

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

var errAbsent = errors.New("the block store is away")

// shaky is a block store of blocks that are as long as they are asked for, some of which
// fail for a while.
type shaky struct {
	blockstore.Store
	// fails are how often the reads of a block fail, and nobody the blocks that are lost.
	fails  map[parsec.BlockID]int
	nobody map[parsec.BlockID]bool

	mu            sync.Mutex
	reading, most int
}

// reader is a shaky store with what each read takes.
type reader struct {
	*shaky
	takes time.Duration
}

func (r *reader) Read(_ context.Context, _ parsec.OrganizationID, id parsec.BlockID, _ *blockstore.Checksum, _ ...[]byte) error {
	r.mu.Lock()
	r.reading++
	r.most = max(r.most, r.reading)
	r.mu.Unlock()
	<-time.After(r.takes) // of the bubble
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading--
	switch {
	case r.nobody[id]:
		return blockstore.ErrNotFound
	case r.fails[id] > 0:
		r.fails[id]--
		return errAbsent
	default:
		return nil
	}
}

// TestBlockStoreAway waits longer and longer for a block store, and not for ever.
func TestBlockStoreAway(t *testing.T) {
	const never = 1000
	for _, test := range []struct {
		name  string
		fails map[parsec.BlockID]int
		lost  int
		took  time.Duration
		fail  bool
	}{
		{"never", nil, 0, 0, false},
		{"once", map[parsec.BlockID]int{{1}: 1}, 0, 7500 * time.Millisecond, false},
		{"four times", map[parsec.BlockID]int{{1}: 4}, 0, 112500 * time.Millisecond, false},
		{"all, four times", map[parsec.BlockID]int{{1}: 4, {2}: 4, {3}: 4}, 0, 112500 * time.Millisecond, false},
		{"five times", map[parsec.BlockID]int{{1}: 5}, 0, 0, true},
		{"for good", map[parsec.BlockID]int{{1}: never, {2}: never, {3}: never}, 0, 0, true},
		// Each round reads one more.
		{"again and again", map[parsec.BlockID]int{{1}: 1, {2}: 2, {3}: 3}, 0, 3 * 7500 * time.Millisecond, false},
		{"lost ones", nil, 2, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &shaky{fails: test.fails, nobody: map[parsec.BlockID]bool{}}
				wanted := []wantedBlock{{id: parsec.BlockID{1}, size: 1}, {id: parsec.BlockID{2}, size: 1}, {id: parsec.BlockID{3}, size: 1}}
				for i := range test.lost {
					store.nobody[wanted[i].id] = true
				}
				e := &Export{Blocks: &reader{shaky: store}, source: &rules.RealmExport{}}
				begun := time.Now()
				lost, err := e.read(t.Context(), wanted)
				if test.fail {
					if !errors.Is(err, errAbsent) || time.Since(begun) > 3*time.Minute {
						t.Errorf("%v after %v", err, time.Since(begun))
					}
					return
				}
				if err != nil || len(lost) != test.lost || time.Since(begun) != test.took {
					t.Errorf("lost %v, %v after %v", lost, err, time.Since(begun))
				}
				for i := range wanted {
					if (wanted[i].data == nil) != store.nobody[wanted[i].id] {
						t.Errorf("block %d is %v", i, wanted[i].data)
					}
				}
			})
		})
	}
}

// TestReaders reads some blocks at the same time, and no more.
func TestReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &shaky{}
		wanted := make([]wantedBlock, blocksAtOnce)
		for i := range wanted {
			wanted[i].id = parsec.BlockID([]byte(fmt.Sprintf("%016d", i)))
		}
		e := &Export{Blocks: &reader{store, time.Second}, source: &rules.RealmExport{}}
		if _, err := e.read(t.Context(), wanted); err != nil || store.most != readers {
			t.Errorf("%d at the same time, %v", store.most, err)
		}
	})
}

// TestPauseEnds with the context.
func TestPauseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e := &Export{Blocks: &reader{shaky: &shaky{fails: map[parsec.BlockID]int{{}: 9}}}, source: &rules.RealmExport{}}
		begun := time.Now()
		if _, err := e.read(ctx, make([]wantedBlock, 1)); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}
