package blockstore_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
)

// exerciseInventory checks what a store, which may hold blocks already, tells
// of its objects. The checks run in parallel.
func exerciseInventory(t *testing.T, open func(t *testing.T) blockstore.Inventory) {
	store := open(t)
	t.Run("inventory", func(t *testing.T) {
		for name, check := range map[string]func(fixture, blockstore.Inventory){
			"listing":               fixture.listing,
			"listing of all":        fixture.listingOfAll,
			"delete":                fixture.deletion,
			"cancelled inventories": fixture.cancelledInventory,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				check(fixture{t, store, newOrganization(t, "Inv_")}, store)
			})
		}
	})
}

// listed walks through a list from after a name, as callers do.
func (f fixture) listed(store blockstore.Inventory, prefix, after string) []blockstore.Object {
	f.t.Helper()
	var all []blockstore.Object
	for {
		objects, err := store.List(f.t.Context(), prefix, after)
		if err != nil {
			f.t.Fatalf("list %q after %q: %v", prefix, after, err)
		}
		if len(objects) == 0 {
			return all
		}
		all = append(all, objects...)
		after = objects[len(objects)-1].Name
	}
}

// listing wants the blocks of an organization, in order, and of no other whose
// id begins alike.
func (f fixture) listing(store blockstore.Inventory) {
	begin := time.Now().Add(-time.Hour) // Clocks differ.
	prefix := f.organization.String() + "/"
	if objects := f.listed(store, prefix, ""); len(objects) != 0 {
		f.t.Errorf("a new organization has %d objects", len(objects))
	}
	for _, suffix := range []string{"-", "_a", "é"} {
		neighbour, err := parsec.ParseOrganizationID(f.organization.String() + suffix)
		if err != nil {
			f.t.Fatal(err)
		}
		f.create(neighbour, newBlockID(), content(3, 1))
	}
	var ids []parsec.BlockID
	for i := range 5 {
		id := newBlockID()
		id[0], id[1] = byte(i*64), byte(i)
		ids = append(ids, id)
	}
	ids[0] = parsec.BlockID{} // No id comes before.
	for _, i := range []int{3, 0, 4, 1, 2} {
		f.create(f.organization, ids[i], content(100*i, 1))
	}
	slices.SortFunc(ids, func(a, b parsec.BlockID) int { return strings.Compare(a.String(), b.String()) })
	all := f.listed(store, prefix, "")
	if len(all) != len(ids) {
		f.t.Fatalf("%d blocks are listed as %d objects: %v", len(ids), len(all), all)
	}
	for i, object := range all {
		organization, id, isBlock := object.Block()
		if !isBlock || organization != f.organization || id != ids[i] || object.Name != prefix+ids[i].String() {
			f.t.Errorf("object %d is %q", i, object.Name)
		}
		if err := store.Read(f.t.Context(), f.organization, id, nil, make([]byte, object.Size)); err != nil {
			f.t.Errorf("object %d of %d bytes: %v", i, object.Size, err)
		}
		if object.Modified.Before(begin) || object.Modified.After(begin.Add(2*time.Hour)) {
			f.t.Errorf("object %d was created on %s", i, object.Modified)
		}
		if rest := f.listed(store, prefix, object.Name); len(rest) != len(ids)-i-1 || len(rest) > 0 && rest[0] != all[i+1] {
			f.t.Errorf("after object %d come %v", i, rest)
		}
		// From the name of a block that is not there.
		before := id
		before[15] ^= 1
		rest := f.listed(store, prefix, prefix+before.String())
		want := len(ids) - i
		if strings.Compare(before.String(), id.String()) > 0 {
			want--
		}
		if len(rest) != want {
			f.t.Errorf("around object %d come %d, want %d", i, len(rest), want)
		}
	}
}

// listingOfAll wants each object once, whatever is before and after it.
func (f fixture) listingOfAll(store blockstore.Inventory) {
	want := make(map[string]int)
	for _, prefix := range []string{"All", "All-", "Zoo", "Éléphant", "all"} {
		organization := newOrganization(f.t, prefix)
		for range 2 {
			id := newBlockID()
			f.create(organization, id, nil)
			want[organization.String()+"/"+id.String()] = 1
		}
	}
	for _, object := range f.listed(store, "", "") {
		if _, known := want[object.Name]; known {
			want[object.Name]--
		}
	}
	for name, missing := range want {
		if missing != 0 {
			f.t.Errorf("%s is listed %d times", name, 1-missing)
		}
	}
}

func (f fixture) deletion(store blockstore.Inventory) {
	kept, deleted := newBlockID(), newBlockID()
	prefix := f.organization.String() + "/"
	f.create(f.organization, kept, content(10, 1))
	for range 2 {
		f.create(f.organization, deleted, content(10, 2))
		for range 2 { // The second time there is nothing to delete.
			if err := store.Delete(f.t.Context(), prefix+deleted.String()); err != nil {
				f.t.Fatalf("delete: %v", err)
			}
			f.wantNone(f.organization, deleted)
		}
	}
	f.wantBlock(f.organization, kept, content(10, 1))
	if objects := f.listed(store, prefix, ""); len(objects) != 1 || objects[0].Name != prefix+kept.String() {
		f.t.Errorf("after a deletion there are %v", objects)
	}
	if err := store.Delete(f.t.Context(), "never/was there"); err != nil {
		f.t.Errorf("delete what never was there: %v", err)
	}
}

func (f fixture) cancelledInventory(store blockstore.Inventory) {
	id := newBlockID()
	f.create(f.organization, id, content(10, 1))
	cancelled, cancel := context.WithCancel(f.t.Context())
	cancel()
	if _, err := store.List(cancelled, "", ""); !errors.Is(err, context.Canceled) {
		f.t.Errorf("list with a cancelled context: %v, want %v", err, context.Canceled)
	}
	if err := store.Delete(cancelled, f.organization.String()+"/"+id.String()); !errors.Is(err, context.Canceled) {
		f.t.Errorf("delete with a cancelled context: %v, want %v", err, context.Canceled)
	}
	f.wantBlock(f.organization, id, content(10, 1))
}
