package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"parsec-server/pkg/parsec"
)

// Array is a block store seen node by node, for those who check and mend it.
// Its methods are safe for concurrent use, and beside the servers that use the
// nodes: a block that clients may ask for is complete and never changes.
type Array struct {
	level int
	nodes []Inventory
}

// NewArray returns the nodes of a RAID of level 0, 1 or 5. A store that is no
// RAID is one of level 0 with one node.
func NewArray(level int, stores []Store) (*Array, error) {
	if level == 5 && len(stores) < minRAID5Nodes {
		return nil, fmt.Errorf("RAID5 block store needs at least %d nodes", minRAID5Nodes)
	}
	a := &Array{level: level}
	for _, store := range stores {
		inventory, lists := store.(Inventory)
		if !lists {
			return nil, fmt.Errorf("%s: %w", nameOf(store), errNoInventory)
		}
		a.nodes = append(a.nodes, inventory)
	}
	return a, nil
}

// Nodes returns the stores, in order.
func (a *Array) Nodes() []Inventory { return a.nodes }

// NodeName names a node in reports, such as "node 0 (S3 bucket …)".
func (a *Array) NodeName(node int) string {
	return "node " + strconv.Itoa(node) + " (" + nameOf(a.nodes[node]) + ")"
}

// Ready returns an error that names the nodes that do not answer, nil if none.
func (a *Array) Ready(ctx context.Context) error {
	return a.onEach(func(node int) error { return a.nodes[node].Ready(ctx) })
}

func (a *Array) onEach(action func(node int) error) error {
	errs := make([]error, len(a.nodes))
	var running sync.WaitGroup
	for i := range a.nodes {
		running.Go(func() {
			if err := action(i); err != nil {
				errs[i] = fmt.Errorf("%s: %w", a.NodeName(i), err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// holds reports whether a node has a copy or chunk of a block.
func (a *Array) holds(node int, id parsec.BlockID) bool {
	return a.level != 0 || node == remainder(id, len(a.nodes))
}

// pieceSize returns the length of each copy or chunk of a block.
func (a *Array) pieceSize(size int64) int64 {
	if a.level != 5 {
		return size
	}
	return int64(chunkSize(int(size), len(a.nodes)))
}

// Presence is what lists of objects say about a block.
type Presence int

// The presences. Complete says nothing of the contents of objects.
const (
	// Complete has every node list an object of the right length.
	Complete Presence = iota
	// Incomplete has nodes list nothing.
	Incomplete
	// Contradicted has a node list an object of another length.
	Contradicted
)

// Survey compares blocks of one organization, in the order of their ids, with
// the lists of the nodes. It costs a request for a thousand objects.
func (a *Array) Survey(ctx context.Context, blocks []Block) ([]Presence, error) {
	if len(blocks) == 0 {
		return nil, nil
	}
	listed := make([]map[parsec.BlockID]int64, len(a.nodes))
	err := a.onEach(func(node int) (err error) {
		listed[node], err = list(ctx, a.nodes[node], blocks)
		return err
	})
	if err != nil {
		return nil, err
	}
	presences := make([]Presence, len(blocks))
	for i, block := range blocks {
		for node := range a.nodes {
			if !a.holds(node, block.ID) {
				continue
			}
			switch size, found := listed[node][block.ID]; {
			case !found:
				presences[i] = max(presences[i], Incomplete)
			case size != a.pieceSize(block.Size):
				presences[i] = Contradicted
			}
		}
	}
	return presences, nil
}

// list returns the lengths of the objects of some blocks, in order, of one
// organization.
func list(ctx context.Context, node Inventory, blocks []Block) (map[parsec.BlockID]int64, error) {
	wanted := make(map[parsec.BlockID]struct{}, len(blocks))
	for _, block := range blocks {
		wanted[block.ID] = struct{}{}
	}
	organization := blocks[0].Organization
	prefix := organization.String() + "/"
	last := key{organization, blocks[len(blocks)-1].ID}.objectName()
	after := ""
	if before, exists := predecessor(blocks[0].ID); exists {
		after = key{organization, before}.objectName()
	}
	sizes := make(map[parsec.BlockID]int64, len(blocks))
	for {
		objects, err := node.List(ctx, prefix, after)
		if err != nil || len(objects) == 0 {
			return sizes, err
		}
		for _, object := range objects {
			k, isBlock := parseObjectName(object.Name)
			if _, asked := wanted[k.block]; !isBlock || !asked {
				continue
			}
			// Where there are both spellings, this one is read.
			if _, found := sizes[k.block]; !found || object.Name == k.objectName() {
				sizes[k.block] = object.Size
			}
		}
		if after = objects[len(objects)-1].Name; after >= last {
			return sizes, nil
		}
	}
}

// predecessor returns the id before, as numbers, unless there is none.
func predecessor(id parsec.BlockID) (before parsec.BlockID, exists bool) {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			return id, true
		}
	}
	return id, false
}

// Fault is what is wrong with a copy or chunk.
type Fault string

// The faults.
const (
	// Missing means that the node answers and has no such object.
	Missing Fault = "missing"
	// Wrong means that the object is not what was written to it.
	Wrong Fault = "wrong"
	// Unreadable means that the node did not answer.
	Unreadable Fault = "unreadable"
)

// Piece is a copy or chunk that is not as it should be.
type Piece struct {
	Node  int
	Fault Fault
	Err   error // Says more.

	// right is what it should be, if the others suffice to know.
	right   []byte
	rebuilt bool
}

// CanMend reports whether the others suffice to write the piece again.
func (p Piece) CanMend() bool { return p.rebuilt }

// Diagnosis is what reading all copies or chunks of a block has shown. Its zero
// value means that the block is well.
type Diagnosis struct {
	Pieces []Piece
	// Lost reports whether the block cannot be made from what there is, whatever
	// the nodes that did not answer have.
	Lost bool
	// Unclear reports whether copies or chunks contradict one another, and
	// nothing says which are right.
	Unclear bool

	block []byte // If all is well.
}

// Well reports whether nothing is wrong.
func (d Diagnosis) Well() bool { return len(d.Pieces) == 0 && !d.Lost && !d.Unclear }

// Checksum returns the checksum of a block that is well.
func (d Diagnosis) Checksum() *Checksum { return ChecksumOf(d.block) }

// Examine reads all copies or chunks of a block, compares them with each other,
// with the size of the block and with its checksum.
func (a *Array) Examine(ctx context.Context, block Block) Diagnosis {
	pieces := make([][]byte, len(a.nodes))
	faults := make([]*Piece, len(a.nodes))
	_ = a.onEach(func(node int) error { // Errors are faults.
		if a.holds(node, block.ID) {
			pieces[node], faults[node] = a.read(ctx, node, block)
		}
		return nil
	})
	var d Diagnosis
	switch a.level {
	case 0:
		holder := remainder(block.ID, len(a.nodes))
		d.block = pieces[holder]
		d.Lost = faults[holder] != nil && faults[holder].Fault != Unreadable
	case 1:
		d = compareCopies(pieces, faults)
	default:
		d = compareChunks(pieces, faults, int(block.Size), block.Checksum)
	}
	for _, fault := range faults {
		if fault != nil {
			d.Pieces = append(d.Pieces, *fault)
		}
	}
	return d
}

func (a *Array) read(ctx context.Context, node int, block Block) ([]byte, *Piece) {
	data := make([]byte, a.pieceSize(block.Size))
	checksum := block.Checksum
	if a.level == 5 {
		checksum = nil // It is not that of chunks.
	}
	err := a.nodes[node].Read(ctx, block.Organization, block.ID, checksum, data)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, &Piece{Node: node, Fault: Missing, Err: err}
	case errors.Is(err, errDamaged):
		return nil, &Piece{Node: node, Fault: Wrong, Err: err}
	case err != nil:
		return nil, &Piece{Node: node, Fault: Unreadable, Err: err}
	default:
		return data, nil
	}
}

var errOthersDiffer = errors.New("most others have something else")

// compareCopies takes what most of the copies say for right, and adds faults
// for the others.
func compareCopies(copies [][]byte, faults []*Piece) (d Diagnosis) {
	var right []byte
	sound, agreeing := 0, 0
	for i, candidate := range copies {
		if faults[i] != nil {
			continue
		}
		sound++
		same := 0
		for j, other := range copies {
			if faults[j] == nil && bytes.Equal(candidate, other) {
				same++
			}
		}
		if same > agreeing {
			right, agreeing = candidate, same
		}
	}
	switch {
	case sound == 0:
		d.Lost = !slices.ContainsFunc(faults, func(f *Piece) bool { return f.Fault == Unreadable })
		return d
	case 2*agreeing <= sound:
		d.Unclear = true
		return d
	}
	d.block = right
	for i, candidate := range copies {
		if faults[i] == nil && !bytes.Equal(candidate, right) {
			faults[i] = &Piece{Node: i, Fault: Wrong, Err: errOthersDiffer}
		}
		faults[i].mend(right)
	}
	return d
}

// compareChunks adds a fault for a chunk that the others, or the checksum of the
// block if it is known, show to be wrong.
func compareChunks(chunks [][]byte, faults []*Piece, length int, checksum *Checksum) (d Diagnosis) {
	lost, gone, silent := -1, 0, 0
	for i, fault := range faults {
		switch {
		case fault == nil:
		case fault.Fault == Unreadable:
			lost = i
			silent++
		default:
			lost = i
			gone++
		}
	}
	if gone+silent > 1 {
		d.Lost = gone > 1
		return d
	}
	var block []byte
	var fits bool
	if lost < 0 {
		if d.block, fits = decodeSized(chunks, len(chunks)-1, length, checksum); fits && isParity(chunks) {
			return d
		}
		if block, lost, fits = findWrongChunk(chunks, length, checksum); fits {
			faults[lost] = &Piece{Node: lost, Fault: Wrong, Err: errors.New("it does not fit the others")}
		}
	} else {
		block, fits = decodeSized(chunks, lost, length, checksum)
	}
	if !fits {
		// By the checksum, nothing here makes the block.
		d.Lost = checksum != nil && silent == 0
		d.Unclear = !d.Lost
		return d
	}
	faults[lost].mend(encodeChunks(block, len(chunks))[lost])
	return d
}

func (p *Piece) mend(right []byte) {
	if p != nil && p.Fault != Unreadable {
		p.right, p.rebuilt = right, true
	}
}

// Mend writes a piece again.
func (a *Array) Mend(ctx context.Context, block Block, piece Piece) error {
	if err := a.nodes[piece.Node].Create(ctx, block.Organization, block.ID, piece.right); err != nil {
		return fmt.Errorf("%s: %w", a.NodeName(piece.Node), err)
	}
	return nil
}
