// Package memory keeps what is to be erased in the process: organizations alone, since
// the realms of an organization in memory are deleted by nobody.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"parsec-server/pkg/erasure"
	"parsec-server/pkg/organization"
	organizationmemory "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
)

var _ erasure.List = (*List)(nil)

// Wing is the memory of one generation.
type Wing interface {
	// EraseOrganization forgets all that an organization has, but for its settings. It
	// returns what the block store has of it.
	EraseOrganization(ctx context.Context, organization parsec.OrganizationID) ([]erasure.Object, error)
}

// List implements erasure.List. Its methods are safe for concurrent use.
type List struct {
	organizations *organizationmemory.Store
	wings         map[organization.Generation]Wing

	mu   sync.Mutex // guards what follows
	last int64
	// all are those that are looked after, by the name of the organization.
	all map[parsec.OrganizationID]*entry
}

// entry is what is left of an organization.
type entry struct {
	target  erasure.Target
	objects map[parsec.BlockID]erasure.Object
	hold    erasure.Hold
}

// New returns the list of the organizations of a store. Each is erased by the wing of
// its generation.
func New(organizations *organizationmemory.Store, wings map[organization.Generation]Wing) *List {
	return &List{organizations: organizations, wings: wings, all: map[parsec.OrganizationID]*entry{}}
}

// Targets implements erasure.List.
func (l *List) Targets(ctx context.Context, after int64) ([]erasure.Target, error) {
	for id, cell := range l.organizations.Cells() {
		cell.RLock()
		stored := cell.Organization()
		cell.RUnlock()
		if stored != nil && stored.DeletedOn != nil {
			l.add(id, stored.Bound())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var targets []erasure.Target
	for _, one := range l.all {
		if one.target.Number > after {
			targets = append(targets, one.target)
		}
	}
	slices.SortFunc(targets, func(a, b erasure.Target) int { return cmp.Compare(a.Number, b.Number) })
	return targets, ctx.Err()
}

func (l *List) add(id parsec.OrganizationID, bound organization.Generation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.all[id]; known {
		return
	}
	l.last++
	l.all[id] = &entry{
		target:  erasure.Target{Number: l.last, Organization: id, Generation: cmp.Or(bound, organization.Parsec2), RowsLeft: true},
		objects: map[parsec.BlockID]erasure.Object{},
	}
}

// find returns an entry, nil if there is none any more. The caller holds mu.
func (l *List) find(target erasure.Target) *entry {
	if one := l.all[target.Organization]; one != nil && one.target.Number == target.Number {
		return one
	}
	return nil
}

// EraseRows implements erasure.List.
func (l *List) EraseRows(ctx context.Context, target erasure.Target) (erased int64, left bool, err error) {
	objects, err := l.wings[target.Generation].EraseOrganization(ctx, target.Organization)
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.find(target); one != nil && err == nil {
		one.target.RowsLeft = false
		for _, object := range objects {
			one.objects[object.Block] = object
		}
	}
	return int64(len(objects)), false, err
}

// Remains implements erasure.List.
func (l *List) Remains(ctx context.Context, target erasure.Target) (remains erasure.Remains, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.find(target); one != nil {
		for _, object := range one.objects {
			remains.Objects++
			remains.Bytes += object.Size
		}
	}
	return remains, ctx.Err()
}

// Objects implements erasure.List.
func (l *List) Objects(ctx context.Context, target erasure.Target, after *parsec.BlockID, most int) (page []erasure.Object, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.find(target)
	if one == nil {
		return nil, ctx.Err()
	}
	inOrder := func(a, b parsec.BlockID) int { return bytes.Compare(a[:], b[:]) }
	for _, id := range slices.SortedFunc(maps.Keys(one.objects), inOrder) {
		if len(page) < most && (after == nil || inOrder(id, *after) > 0) {
			page = append(page, one.objects[id])
		}
	}
	return page, ctx.Err()
}

// Hold implements erasure.List.
func (l *List) Hold(ctx context.Context, target erasure.Target, blocks []parsec.BlockID, hold erasure.Hold) ([]erasure.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	state := erasure.Busy
	if one := l.find(target); one != nil && (one.hold.Token == hold.Token || one.hold.Until <= hold.Now) {
		one.hold, state = hold, erasure.Held
	}
	return slices.Repeat([]erasure.State{state}, len(blocks)), ctx.Err()
}

// Forget implements erasure.List.
func (l *List) Forget(_ context.Context, target erasure.Target, blocks []parsec.BlockID, _ erasure.Hold) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.find(target); one != nil {
		for _, id := range blocks {
			delete(one.objects, id)
		}
	}
	return nil
}

// End implements erasure.List.
func (l *List) End(ctx context.Context, target erasure.Target) (left bool, err error) {
	l.mu.Lock()
	early := l.find(target)
	if early != nil && early.target.RowsLeft {
		l.mu.Unlock()
		return true, nil
	}
	l.mu.Unlock()
	if early == nil {
		return false, nil
	}
	// What began before the organization was closed may have left something since.
	if _, _, err := l.EraseRows(ctx, target); err != nil {
		return true, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.find(target)
	switch {
	case one == nil:
		return false, nil
	case len(one.objects) > 0:
		return true, nil
	}
	l.organizations.Remove(target.Organization)
	delete(l.all, target.Organization)
	return false, nil
}
