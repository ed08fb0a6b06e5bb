package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/erasure"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var errDown = errors.New("down")

// list is an erasure.List of one target, in memory.
type list struct {
	mu      sync.Mutex
	rows    int64
	objects map[parsec.BlockID]erasure.Object
	held    map[parsec.BlockID]erasure.Hold
	known   map[parsec.BlockID]bool
	ended   bool
}

func (*list) Targets(context.Context, int64) ([]erasure.Target, error) { return nil, nil }

func (l *list) EraseRows(context.Context, erasure.Target) (erased int64, left bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	erased = min(l.rows, 100)
	l.rows -= erased
	return erased, l.rows > 0, nil
}

func (l *list) Remains(context.Context, erasure.Target) (erasure.Remains, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return erasure.Remains{Objects: int64(len(l.objects))}, nil
}

func (l *list) Objects(_ context.Context, _ erasure.Target, after *parsec.BlockID, most int) ([]erasure.Object, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var page []erasure.Object
	for _, id := range slices.SortedFunc(maps.Keys(l.objects), func(a, b parsec.BlockID) int { return slices.Compare(a[:], b[:]) }) {
		if len(page) < most && (after == nil || slices.Compare(id[:], after[:]) > 0) {
			page = append(page, l.objects[id])
		}
	}
	return page, nil
}

func (l *list) Hold(_ context.Context, _ erasure.Target, blocks []parsec.BlockID, hold erasure.Hold) ([]erasure.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	states := make([]erasure.State, len(blocks))
	for i, id := range blocks {
		other, isHeld := l.held[id]
		switch {
		case l.known[id]:
			states[i] = erasure.Known
		case !isHeld || other.Until <= hold.Now:
			l.held[id], states[i] = hold, erasure.Held
		}
	}
	return states, nil
}

func (l *list) Forget(_ context.Context, _ erasure.Target, blocks []parsec.BlockID, hold erasure.Hold) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range blocks {
		delete(l.objects, id)
		if l.held[id].Token == hold.Token {
			delete(l.held, id)
		}
	}
	return nil
}

func (l *list) End(context.Context, erasure.Target) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = l.rows == 0 && len(l.objects) == 0
	return !l.ended, nil
}

// store is a block store whose deletions may fail.
type store struct {
	*blockstore.Memory
	remove func(name string) error
}

func (s *store) Delete(ctx context.Context, name string) error {
	if err := s.remove(name); err != nil {
		return err
	}
	return s.Memory.Delete(ctx, name)
}

// world is an eraser of a target, with blocks on two nodes in RAID1.
type world struct {
	t      *testing.T
	list   *list
	nodes  [2]*store
	eraser erasure.Eraser
	target erasure.Target
	gone   erasure.Remains
	rows   int64
}

func newWorld(t *testing.T, blocks int) *world {
	t.Helper()
	id, err := parsec.ParseOrganizationID("Acme")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, target: erasure.Target{Number: 1, Organization: id, Realm: new(parsec.RealmID), Generation: organization.Parsec3}, list: &list{
		rows: 250, objects: map[parsec.BlockID]erasure.Object{}, held: map[parsec.BlockID]erasure.Hold{}, known: map[parsec.BlockID]bool{},
	}}
	for i := range w.nodes {
		w.nodes[i] = &store{blockstore.NewMemory(), func(string) error { return nil }}
	}
	for i := range blocks {
		block := parsec.BlockID{byte(i >> 8), byte(i)}
		w.list.objects[block] = erasure.Object{Block: block, Size: 10}
		w.create(block)
	}
	array, err := blockstore.NewArray(1, []blockstore.Store{w.nodes[0], w.nodes[1]})
	if err != nil {
		t.Fatal(err)
	}
	w.eraser = erasure.Eraser{List: w.list, Array: array, Now: func() parsec.DateTime { return parsec.DateTimeOf(time.Now()) },
		Advance: func(rows int64, gone erasure.Remains) {
			w.rows += rows
			w.gone.Objects += gone.Objects
			w.gone.Bytes += gone.Bytes
		}}
	return w
}

func (w *world) create(block parsec.BlockID) {
	w.t.Helper()
	for _, node := range w.nodes {
		if err := node.Create(w.t.Context(), w.target.Organization, block, make([]byte, 10)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// wantObjects wants the nodes to have the same number of objects.
func (w *world) wantObjects(want int) {
	w.t.Helper()
	for i, node := range w.nodes {
		objects, err := node.List(w.t.Context(), "", "")
		if err != nil || len(objects) != want {
			w.t.Errorf("node %d has %d objects, want %d (%v)", i, len(objects), want, err)
		}
	}
}

func (w *world) erase() error {
	if err := w.eraser.EraseRows(w.t.Context(), w.target); err != nil {
		return err
	}
	return w.eraser.EraseObjects(w.t.Context(), w.target)
}

func TestEraser(t *testing.T) {
	w := newWorld(t, 600)
	if err := w.erase(); err != nil {
		t.Fatal(err)
	}
	w.wantObjects(0)
	if want := (erasure.Remains{Objects: 600, Bytes: 6000}); w.rows != 250 || w.gone != want || !w.list.ended || len(w.list.held) != 0 {
		t.Errorf("%d rows, %+v, ended: %t, %d held", w.rows, w.gone, w.list.ended, len(w.list.held))
	}
}

// TestEraserGoesOn has a node fail at some point, and the next run end the work: after
// the minute for which what it may delete yet is held.
func TestEraserGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 600)
		var mu sync.Mutex
		calls := 0
		w.nodes[1].remove = func(string) error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls > 300 {
				return errDown
			}
			return nil
		}
		incomplete, is := errors.AsType[*erasure.IncompleteError](w.erase())
		if !is || !incomplete.GaveUp || !errors.Is(incomplete, errDown) || w.list.ended {
			t.Fatalf("%v, ended: %t", incomplete, w.list.ended)
		}
		if left := len(w.list.objects); left < 300 || left >= 600 {
			t.Errorf("%d objects are left", left)
		}
		w.nodes[1].remove = func(string) error { return nil }
		begin := time.Now()
		if err := w.erase(); err != nil || !w.list.ended {
			t.Fatalf("%v, ended: %t", err, w.list.ended)
		}
		if took := time.Since(begin); took < 50*time.Second || took > 2*time.Minute {
			t.Errorf("it took %s", took)
		}
		w.wantObjects(0)
	})
}

// TestEraserPassesOver has one object stay that cannot be deleted.
func TestEraserPassesOver(t *testing.T) {
	w := newWorld(t, 600)
	stays := parsec.BlockID{0, 7}
	w.nodes[0].remove = func(name string) error {
		if name == "Acme/"+stays.String() {
			return errDown
		}
		return nil
	}
	incomplete, is := errors.AsType[*erasure.IncompleteError](w.erase())
	if !is || incomplete.GaveUp || incomplete.Objects != 1 || w.list.ended {
		t.Errorf("%v, ended: %t", incomplete, w.list.ended)
	}
	if _, left := w.list.objects[stays]; !left || len(w.list.objects) != 1 {
		t.Errorf("%d objects are left", len(w.list.objects))
	}
}

// TestEraserSparesBlocks has blocks be known again, be uploaded by others, or have an
// upload that may still be under way.
func TestEraserSparesBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10)
		known, uploaded, late := parsec.BlockID{0, 1}, parsec.BlockID{0, 2}, parsec.BlockID{0, 3}
		now := w.eraser.Now()
		w.list.known[known] = true
		w.list.held[uploaded] = erasure.Hold{Until: now.Add(2 * time.Minute)}
		w.list.objects[late] = erasure.Object{Block: late, DueOn: now.Add(time.Minute)}
		var mu sync.Mutex
		deletedOn := map[string]time.Duration{}
		begin := time.Now()
		w.nodes[0].remove = func(name string) error {
			mu.Lock()
			defer mu.Unlock()
			deletedOn[name] = time.Since(begin)
			return nil
		}
		if err := w.erase(); err != nil || !w.list.ended {
			t.Fatalf("%v, ended: %t", err, w.list.ended)
		}
		w.wantObjects(1)
		for block, least := range map[parsec.BlockID]time.Duration{late: time.Minute, uploaded: 2 * time.Minute, {0, 4}: 0} {
			if got := deletedOn[fmt.Sprintf("Acme/%s", block)]; got < least || got > least+2*time.Second {
				t.Errorf("%s is deleted after %s", block, got)
			}
		}
		if _, deleted := deletedOn[fmt.Sprintf("Acme/%s", known)]; deleted {
			t.Error("a block that is known again is deleted")
		}
	})
}

// TestErasersTogether has two share the work.
func TestErasersTogether(t *testing.T) {
	w := newWorld(t, 600)
	w.list.rows = 0
	w.eraser.Poll = time.Millisecond
	w.eraser.Advance = func(int64, erasure.Remains) {}
	ends := make(chan error)
	for range 2 {
		go func() {
			eraser := w.eraser
			ends <- eraser.EraseObjects(t.Context(), w.target)
		}()
	}
	for range 2 {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	w.wantObjects(0)
}

// TestEraserEnds with its context, and knows what it deleted.
func TestEraserEnds(t *testing.T) {
	w := newWorld(t, 600)
	ctx, cancel := context.WithCancelCause(t.Context())
	w.eraser.Advance = func(_ int64, gone erasure.Remains) {
		if gone.Objects > 0 {
			cancel(errDown)
		}
	}
	if err := w.eraser.EraseObjects(ctx, w.target); !errors.Is(err, errDown) {
		t.Errorf("got %v", err)
	}
	objects, err := w.nodes[0].List(t.Context(), "", "")
	if left := len(w.list.objects); err != nil || left != len(objects) || left == 0 || left == 600 {
		t.Errorf("%d are listed, %d there (%v)", left, len(objects), err)
	}
}
