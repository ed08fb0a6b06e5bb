package blockstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit"
)

// slowToEnd goes on for a moment after it has been cut.
func slowToEnd(ctx context.Context) error {
	<-ctx.Done()
	return errors.Join(ctx.Err(), after(5*time.Millisecond)(context.WithoutCancel(ctx)))
}

// What a create says, and that nothing is written once it has said it.
func TestRAIDCreates(t *testing.T) {
	type states []func(context.Context) error
	slow := after(100 * time.Millisecond)
	for _, test := range []struct {
		name             string
		states           states
		strict, degraded bool
		// within bounds the time in the bubble.
		within time.Duration
	}{
		{"all well", states{nil, nil, nil}, true, true, 0},
		{"all slow", states{slow, slow, slow}, true, true, 100 * time.Millisecond},
		{"one broken", states{nil, broken, nil}, false, true, 0},
		{"one broken, others slow", states{slow, broken, slow}, false, true, 100 * time.Millisecond},
		{"one broken, others slow to end", states{broken, slowToEnd, slowToEnd}, false, false, 30*time.Second + 5*time.Millisecond},
		{"one hangs", states{nil, nil, slowToEnd}, false, true, 30*time.Second + 5*time.Millisecond},
		{"two broken", states{broken, nil, broken}, false, false, 0},
		{"two broken, the other slow to end", states{broken, broken, slowToEnd}, false, false, 2*time.Second + 5*time.Millisecond},
		{"all broken", states{broken, broken, broken}, false, false, 0},
		{"five, all well", states{nil, nil, nil, nil, nil}, true, true, 0},
		{"five, the fourth broken", states{nil, nil, nil, broken, nil}, false, true, 0},
		{"five, the last broken", states{nil, nil, nil, nil, broken}, false, true, 0},
		{"five, the last two broken", states{nil, nil, nil, broken, broken}, false, false, 0},
		{"one broken, one hangs", states{broken, nil, slowToEnd}, false, false, 30*time.Second + 5*time.Millisecond},
	} {
		for _, level := range []int{1, 5} {
			for _, degraded := range []bool{false, true} {
				t.Run(fmt.Sprintf("RAID%d %s degraded %t", level, test.name, degraded), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var log bytes.Buffer
						nodes, stores := newFakeNodes(len(test.states))
						for i, state := range test.states {
							nodes[i].set(nil, state)
						}
						raid := openRAID(t, level, stores, degraded, &log)
						defer raid.Close()
						id, begin := newBlockID(), time.Now()
						ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
						defer cancel()
						err := raid.Create(ctx, organization(t), id, blockOf(1000))
						want := test.strict
						if degraded {
							want = test.degraded
						}
						if (err == nil) != want {
							t.Fatalf("create: %v", err)
						}
						if took := time.Since(begin); took > test.within {
							t.Errorf("took %v, want at most %v", took, test.within)
						}
						for i, node := range nodes {
							if _, _, running := node.counts(); running != 0 {
								t.Errorf("node %d is written after the end", i)
							}
						}
						if err == nil {
							wantBlock(t, raid, id, blockOf(1000))
						} else if !strings.Contains(err.Error(), "node ") {
							t.Errorf("the error does not name a node: %v", err)
						}
						synctest.Wait() // What was read may be repaired, and that is logged.
						stored := strings.Count(log.String(), `msg="block stored without a node"`)
						if err == nil && degraded && !test.strict != (stored == 1) {
							t.Errorf("logged %q", log.String())
						}
					})
				})
			}
		}
	}
}

// A write that is accepted without a node waits two seconds for it.
func TestRAIDStraggler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		nodes, stores := newFakeNodes(3)
		raid := openRAID(t, 5, stores, true, &log)
		defer raid.Close()
		nodes[1].set(nil, hanging)
		begin := time.Now()
		mustCreate(t, raid, newBlockID(), blockOf(10))
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		if !strings.Contains(log.String(), `msg="block stored without a node" node="node 1 (memory)" block=CoolOrg/`) {
			t.Errorf("logged %q", log.String())
		}
	})
}

// A refused write says what the first node has failed by, not that the others
// were cut, two seconds later.
func TestRAIDCreateError(t *testing.T) {
	for _, level := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			nodes, stores := newFakeNodes(3)
			nodes[0].set(nil, hanging)
			nodes[1].set(nil, broken)
			nodes[2].set(nil, hanging)
			raid := openRAID(t, level, stores, false, nil)
			defer raid.Close()
			begin := time.Now()
			err := raid.Create(t.Context(), organization(t), newBlockID(), blockOf(10))
			if took := time.Since(begin); err == nil || err.Error() != "node 1 (memory): broken" || took != 2*time.Second {
				t.Errorf("RAID%d: %v after %v", level, err, took)
			}
		})
	}
}

// A refused write lets the nodes that answer do so: what is left under way
// could overtake the next try, whose bytes may be others.
func TestRAIDRefusedWriteEnds(t *testing.T) {
	for _, level := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			nodes, stores := newFakeNodes(3)
			nodes[0].set(nil, broken)
			nodes[1].set(nil, after(time.Second))
			raid := openRAID(t, level, stores, false, nil)
			defer raid.Close()
			id := newBlockID()
			if err := raid.Create(t.Context(), organization(t), id, blockOf(10)); err == nil {
				t.Errorf("RAID%d: created", level)
			}
			for _, node := range nodes[1:] {
				if _, err := testkit.StoredBlock(t.Context(), node.Memory, organization(t), id); err != nil {
					t.Errorf("RAID%d: a node that answers: %v", level, err)
				}
			}
		})
	}
}

// One node is never too many to lose for a RAID1 of one.
func TestRAID1OfOneNode(t *testing.T) {
	nodes, stores := newFakeNodes(1)
	nodes[0].set(nil, broken)
	raid := openRAID(t, 1, stores, true, nil)
	defer raid.Close()
	if err := raid.Create(t.Context(), organization(t), newBlockID(), nil); !errors.Is(err, errBroken) {
		t.Errorf("create: %v", err)
	}
}

// What was stored without a node can be read without that node, and without
// none: each node that is asked and has nothing is given its part.
func TestRAIDReadsDegradedWrites(t *testing.T) {
	for _, shape := range []struct{ level, nodes int }{{1, 2}, {1, 3}, {5, 3}, {5, 4}, {5, 5}, {5, 7}} {
		for lost := range shape.nodes {
			nodes, stores := newFakeNodes(shape.nodes)
			raid := openRAID(t, shape.level, stores, true, nil)
			nodes[lost].set(nil, broken)
			id := newBlockID()
			mustCreate(t, raid, id, blockOf(1000))
			nodes[lost].set(nil, nil)
			wantBlock(t, raid, id, blockOf(1000))
			raid.Close()
		}
	}
}

// Data written by RAID can be read by the same number of other stores that hold
// the same objects, and by RAID0 and RAID1 as the objects of a single store.
func TestRAIDObjects(t *testing.T) {
	id, block := newBlockID(), blockOf(1000)
	nodes, stores := newFakeNodes(3)
	raid := openRAID(t, 1, stores, false, nil)
	defer raid.Close()
	mustCreate(t, raid, id, block)
	for _, node := range nodes {
		wantBlock(t, node, id, block)
	}
	nodes, stores = newFakeNodes(3)
	raid = openRAID(t, 5, stores, false, nil)
	defer raid.Close()
	mustCreate(t, raid, id, []byte("abc"))
	for i, want := range [][]byte{{0, 0, 0, 3}, {0x61, 0x62, 0x63, 0}, {0x61, 0x62, 0x63, 3}} {
		wantBlock(t, nodes[i], id, want)
	}
}
