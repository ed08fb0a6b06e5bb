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
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

func TestRAIDConformance(t *testing.T) {
	for _, nodes := range []int{1, 2, 3, 5} {
		_, stores := newFakeNodes(nodes)
		t.Run(fmt.Sprintf("RAID0 of %d", nodes), func(t *testing.T) {
			exerciseStore(t, func(*testing.T) blockstore.Store { return blockstore.NewRAID0(stores) })
		})
		for _, level := range []int{1, 5} {
			if level == 5 && nodes < 3 {
				continue
			}
			for _, degraded := range []bool{false, true} {
				t.Run(fmt.Sprintf("RAID%d of %d degraded %t", level, nodes, degraded), func(t *testing.T) {
					_, stores := newFakeNodes(nodes)
					raid := openRAID(t, level, stores, degraded, nil)
					t.Cleanup(raid.Close)
					exerciseStore(t, func(*testing.T) blockstore.Store { return raid })
				})
			}
		}
	}
}

func TestRAID5NeedsThreeNodes(t *testing.T) {
	_, stores := newFakeNodes(2)
	_, err := blockstore.NewRAID5(stores, blockstore.RAIDOptions{})
	if err == nil || err.Error() != "RAID5 block store needs at least 3 nodes" {
		t.Fatalf("RAID5 of 2 nodes: %v", err)
	}
}

// nodeStates are what a node can do to a read.
var nodeStates = []struct {
	name  string
	state func(context.Context) error
}{
	{"well", nil}, {"absent", absent}, {"broken", broken}, {"hanging", hanging}, {"damaged", damaged},
}

// Every combination of states of nodes: a block is read where enough nodes have
// it, and is said not to exist only where all say so.
func TestRAIDReadsOfAllStates(t *testing.T) {
	for _, shape := range []struct{ level, nodes, needed int }{{1, 2, 1}, {1, 3, 1}, {5, 3, 2}, {5, 4, 3}, {5, 5, 4}} {
		t.Run(fmt.Sprintf("RAID%d of %d", shape.level, shape.nodes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				combinations := 1
				for range shape.nodes {
					combinations *= len(nodeStates)
				}
				for combination := range combinations {
					readOfStates(t, shape.level, shape.nodes, shape.needed, combination)
				}
			})
		})
	}
}

// readOfStates reads from nodes whose states a number encodes.
func readOfStates(t *testing.T, level, count, needed, combination int) {
	t.Helper()
	nodes, stores := newFakeNodes(count)
	raid := openRAID(t, level, stores, false, nil)
	defer raid.Close()
	id, block := newBlockID(), blockOf(1000)
	mustCreate(t, raid, id, block)
	well, missing := 0, 0
	var names []string
	for i, rest := 0, combination; i < count; i, rest = i+1, rest/len(nodeStates) {
		state := nodeStates[rest%len(nodeStates)]
		nodes[i].set(state.state, nil)
		names = append(names, state.name)
		switch state.name {
		case "well":
			well++
		case "absent":
			missing++
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := make([]byte, len(block))
	err := raid.Read(ctx, organization(t), id, nil, got)
	switch {
	case well >= needed:
		if err != nil || !bytes.Equal(got, block) {
			t.Errorf("%v: %v, or other bytes", names, err)
		}
	case missing == count:
		if !errors.Is(err, blockstore.ErrNotFound) {
			t.Errorf("%v: %v, want not found", names, err)
		}
	case err == nil || errors.Is(err, blockstore.ErrNotFound):
		t.Errorf("%v: %v, want another failure than not found", names, err)
	}
	for i, node := range nodes {
		if _, _, running := node.counts(); running != 0 {
			t.Errorf("%v: node %d is read after the end", names, i)
		}
	}
}

func TestRAIDRepairs(t *testing.T) {
	type damage func(t *testing.T, node *fakeNode, id parsec.BlockID)
	replace := func(change func(stored []byte) []byte) damage {
		return func(t *testing.T, node *fakeNode, id parsec.BlockID) {
			stored, err := testkit.StoredBlock(t.Context(), node.Memory, organization(t), id)
			if err != nil {
				t.Fatal(err)
			}
			if err := node.Memory.Create(t.Context(), organization(t), id, change(stored)); err != nil {
				t.Fatal(err)
			}
		}
	}
	refuse := func(state func(context.Context) error) damage {
		return func(_ *testing.T, node *fakeNode, _ parsec.BlockID) { node.set(state, nil) }
	}
	lose := func(_ *testing.T, node *fakeNode, _ parsec.BlockID) { node.Memory = blockstore.NewMemory() }
	for _, test := range []struct {
		name   string
		level  int
		node   int
		damage damage
	}{
		{"RAID1 missing", 1, 0, lose},
		{"RAID1 damaged", 1, 0, refuse(damaged)},
		{"RAID5 missing first", 5, 0, lose},
		{"RAID5 missing second", 5, 1, lose},
		{"RAID5 damaged", 5, 1, refuse(damaged)},
		{"RAID5 short", 5, 0, replace(func(stored []byte) []byte { return stored[1:] })},
		{"RAID5 long", 5, 1, replace(func(stored []byte) []byte { return append(stored, 0) })},
		{"RAID5 empty", 5, 1, replace(func([]byte) []byte { return nil })},
		{"RAID5 wrong length inside", 5, 0, replace(func(stored []byte) []byte { stored[1]++; return stored })},
	} {
		for _, count := range []int{3, 4, 5, 7} {
			t.Run(fmt.Sprintf("%s of %d", test.name, count), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log bytes.Buffer
					nodes, stores := newFakeNodes(count)
					raid := openRAID(t, test.level, stores, false, &log)
					defer raid.Close()
					var id parsec.BlockID // RAID1 asks node 0 first.
					block := blockOf(1000)
					mustCreate(t, raid, id, block)
					want, err := testkit.StoredBlock(t.Context(), nodes[test.node].Memory, organization(t), id)
					if err != nil {
						t.Fatal(err)
					}
					test.damage(t, nodes[test.node], id)
					wantBlock(t, raid, id, block)
					synctest.Wait()
					wantBlock(t, nodes[test.node].Memory, id, want)
					_, creates, _ := nodes[test.node].counts()
					if creates != 2 {
						t.Errorf("the node was written %d times, want 2", creates)
					}
					if line := log.String(); strings.Count(line, "\n") != 1 ||
						!strings.Contains(line, fmt.Sprintf(`msg="block repaired: it was missing or damaged" node="node %d (memory)" block=CoolOrg/`, test.node)) {
						t.Errorf("logged %q", line)
					}
				})
			})
		}
	}
}

// A repair that fails is logged, and tried again by a later read; one that
// hangs is ended by Close.
func TestRAIDRepairFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		nodes, stores := newFakeNodes(2)
		raid := openRAID(t, 1, stores, false, &log)
		var id parsec.BlockID
		mustCreate(t, raid, id, blockOf(10))
		nodes[0].set(absent, broken)
		wantBlock(t, raid, id, blockOf(10))
		synctest.Wait()
		if !strings.Contains(log.String(), `msg="block not repaired" node="node 0 (memory)"`) {
			t.Errorf("logged %q", log.String())
		}
		gate := make(chan struct{})
		nodes[0].set(absent, func(context.Context) error {
			<-gate
			return nil
		})
		for range 3 {
			wantBlock(t, raid, id, blockOf(10))
			synctest.Wait()
		}
		close(gate)
		synctest.Wait()
		if _, creates, _ := nodes[0].counts(); creates != 3 {
			t.Errorf("%d writes, want 3: a repair that is planned is not planned again", creates)
		}
		nodes[0].set(absent, hanging)
		wantBlock(t, raid, id, blockOf(10))
		synctest.Wait()
		raid.Close()
		if _, _, running := nodes[0].counts(); running != 0 {
			t.Error("a repair runs after the end")
		}
		// Reads go on, and plan no more than there is room for.
		for range 100 {
			next := newBlockID()
			mustCreate(t, nodes[1], next, blockOf(10))
			if err := raid.Read(t.Context(), organization(t), next, nil, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Two chunks that are wrong, or one of a block that has lost another, are an
// error and never bytes.
func TestRAID5TwoWrongChunks(t *testing.T) {
	for name, harm := range map[string]func(nodes []*fakeNode, id parsec.BlockID) error{
		"all of different lengths": func(nodes []*fakeNode, id parsec.BlockID) error {
			return errors.Join(
				nodes[0].Memory.Create(t.Context(), organization(t), id, blockOf(7)),
				nodes[1].Memory.Create(t.Context(), organization(t), id, blockOf(8)))
		},
		"one short and the parity lost": func(nodes []*fakeNode, id parsec.BlockID) error {
			nodes[2].set(broken, nil)
			return nodes[0].Memory.Create(t.Context(), organization(t), id, blockOf(7))
		},
		"one short and one lost": func(nodes []*fakeNode, id parsec.BlockID) error {
			nodes[1].set(absent, nil)
			return nodes[0].Memory.Create(t.Context(), organization(t), id, blockOf(7))
		},
	} {
		t.Run(name, func(t *testing.T) {
			nodes, stores := newFakeNodes(3)
			raid := openRAID(t, 5, stores, false, nil)
			defer raid.Close()
			id := newBlockID()
			mustCreate(t, raid, id, blockOf(1000))
			if err := harm(nodes, id); err != nil {
				t.Fatal(err)
			}
			err := raid.Read(t.Context(), organization(t), id, nil, make([]byte, 1000))
			if err == nil || errors.Is(err, blockstore.ErrNotFound) {
				t.Errorf("read: %v", err)
			}
		})
	}
}

// While a node hangs, reads take at most twice as long as when all are well.
// The time is that of the bubble.
func TestRAIDHedgesReads(t *testing.T) {
	for _, shape := range []struct{ level, nodes int }{{1, 3}, {5, 3}, {5, 5}} {
		level := shape.level
		for hung := range shape.nodes {
			t.Run(fmt.Sprintf("RAID%d of %d node %d", level, shape.nodes, hung), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log bytes.Buffer
					const usual = 10 * time.Millisecond
					nodes, stores := newFakeNodes(shape.nodes)
					raid := openRAID(t, level, stores, false, &log)
					defer raid.Close()
					for _, node := range nodes {
						node.set(after(usual), nil)
					}
					read := func() time.Duration {
						id := newBlockID()
						mustCreate(t, raid, id, blockOf(1000))
						begin := time.Now()
						wantBlock(t, raid, id, blockOf(1000))
						return time.Since(begin)
					}
					for range 50 {
						if took := read(); took != usual {
							t.Fatalf("a read took %v while all is well", took)
						}
					}
					nodes[hung].set(hanging, nil)
					for range 50 {
						if took := read(); took > 2*usual {
							t.Fatalf("a read took %v", took)
						}
					}
					// Once the node is known to hang, nothing waits for it.
					for range 50 {
						if took := read(); took != usual {
							t.Fatalf("a read took %v while the node is known to hang", took)
						}
					}
					nodes[hung].set(nil, nil)
					for range 50 {
						read()
					}
					if level == 5 && hung == shape.nodes-1 {
						return // The parity is not read.
					}
					name := fmt.Sprintf(`node="node %d (memory)" operation=read`, hung)
					lines := strings.Split(strings.TrimSpace(log.String()), "\n")
					if len(lines) != 2 || !strings.Contains(lines[0], `level=WARN msg="block store node not available" `+name) ||
						!strings.Contains(lines[1], `level=INFO msg="block store node available again" `+name) {
						t.Errorf("logged %q", lines)
					}
				})
			})
		}
	}
}

// A read that asks one node after another waits as long for each.
func TestRAID1TwoNodesHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const usual = 10 * time.Millisecond
		nodes, stores := newFakeNodes(3)
		raid := openRAID(t, 1, stores, false, nil)
		defer raid.Close()
		var id parsec.BlockID // Node 0 is asked first.
		mustCreate(t, raid, id, blockOf(10))
		for _, node := range nodes {
			node.set(after(usual), nil)
		}
		for range 50 {
			wantBlock(t, raid, id, blockOf(10))
		}
		nodes[0].set(hanging, nil)
		nodes[1].set(hanging, nil)
		begin := time.Now()
		wantBlock(t, raid, id, blockOf(10))
		if took := time.Since(begin); took != 3*usual {
			t.Errorf("took %v, want %v", took, 3*usual)
		}
	})
}

func TestRAIDReadCancelled(t *testing.T) {
	for _, level := range []int{1, 5} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			nodes, stores := newFakeNodes(3)
			raid := openRAID(t, level, stores, false, &log)
			defer raid.Close()
			for _, node := range nodes {
				node.set(hanging, nil)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() {
				ended <- raid.Read(ctx, organization(t), newBlockID(), nil, make([]byte, 10))
			}()
			synctest.Wait()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("RAID%d: %v", level, err)
			}
			if log.Len() != 0 {
				t.Errorf("RAID%d: a client that leaves is logged as %q", level, log.String())
			}
		})
	}
}

func TestRAIDReady(t *testing.T) {
	for _, test := range []struct {
		level, nodes, broken int
		ready                bool
	}{
		{0, 3, 0, true}, {0, 3, 1, false},
		{1, 3, 2, true}, {1, 3, 3, false}, {1, 1, 1, false},
		{5, 3, 1, true}, {5, 3, 2, false}, {5, 4, 1, true}, {5, 4, 2, false}, {5, 7, 1, true}, {5, 7, 2, false}, {5, 7, 6, false},
	} {
		nodes, stores := newFakeNodes(test.nodes)
		for _, node := range nodes[:test.broken] {
			node.set(broken, nil)
		}
		var store blockstore.Store = blockstore.NewRAID0(stores)
		if test.level > 0 {
			raid := openRAID(t, test.level, stores, false, nil)
			defer raid.Close()
			store = raid
		}
		// Nobody waits for a node that is not needed.
		if test.ready && test.broken > 0 {
			nodes[0].set(hanging, nil)
		}
		err := store.Ready(t.Context())
		if (err == nil) != test.ready {
			t.Errorf("%s, %d broken: %v", store, test.broken, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "node 0 (memory): broken") {
			t.Errorf("the error does not name the node: %v", err)
		}
	}
}
