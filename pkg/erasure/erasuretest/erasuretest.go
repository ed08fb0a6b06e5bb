// Package erasuretest is the suite that every list of what is to be erased passes, as far
// as it is about organizations: the contract of erasure.List, checked.
package erasuretest

import (
	"slices"
	"testing"

	"parsec-server/pkg/erasure"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Opened is a list, beside the organizations that it is about.
type Opened struct {
	List          erasure.List
	Organizations organization.Store
	// Fill gives an organization of a generation, which there is, so many blocks of 10
	// bytes.
	Fill func(id parsec.OrganizationID, generation organization.Generation, blocks int)
}

// Exercise checks the list that open returns, whose events are published to bus.
func Exercise(t *testing.T, open func(t *testing.T, bus *event.Bus) Opened) {
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	opened := open(t, bus)
	for _, generation := range []organization.Generation{organization.Parsec2, organization.Parsec3, 0} {
		f := &fixture{T: t, Opened: opened, bus: bus, generation: generation}
		f.id, f.neighbour = f.create("Gone"), f.create("Kept")
		f.deletes()
	}
}

type fixture struct {
	*testing.T
	Opened
	bus           *event.Bus
	generation    organization.Generation
	id, neighbour parsec.OrganizationID
}

const (
	blocks     = 300 // more than go at once
	blockBytes = 10
	expired    = parsec.DateTime(1)
)

func (f *fixture) no(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("unexpected error: %v", err)
	}
}

// create makes an expired organization with blocks, but for one of no generation.
func (f *fixture) create(prefix string) parsec.OrganizationID {
	f.Helper()
	id, err := parsec.ParseOrganizationID(prefix + parsec.NewUUID().Hex()[:20])
	f.no(err)
	made := organization.Organization{ID: id, ExpirationDate: new(expired), Generation: f.generation}
	if f.generation != 0 {
		made.RootVerifyKey, made.BootstrappedOn = &parsec.VerifyKey{1}, new(parsec.DateTime)
	}
	f.no(f.Organizations.ChangeOrganization(f.Context(), id, func(tx organization.Tx) error {
		tx.PutOrganization(made)
		return nil
	}))
	if f.generation != 0 {
		f.Fill(id, f.generation, blocks)
	}
	return id
}

// target returns that of the organization, nil for none.
func (f *fixture) target() *erasure.Target {
	f.Helper()
	targets, err := f.List.Targets(f.Context(), 0)
	f.no(err)
	if slices.ContainsFunc(targets, func(one erasure.Target) bool { return one.Organization == f.neighbour }) {
		f.Fatal("an organization is to be erased that is not deleted")
	}
	if at := slices.IndexFunc(targets, func(one erasure.Target) bool { return one.Organization == f.id }); at >= 0 {
		return &targets[at]
	}
	return nil
}

func (f *fixture) deletes() {
	if f.target() != nil {
		f.Fatal("it is to be erased before")
	}
	f.no(f.Organizations.ChangeOrganization(f.Context(), f.id, func(tx organization.Tx) error {
		tx.MarkDeleted(2)
		return nil
	}))
	stored, found, err := f.Organizations.Organization(f.Context(), f.id)
	f.no(err)
	if !found || stored.DeletedOn == nil || *stored.DeletedOn != 2 {
		f.Errorf("deleted: %+v", stored)
	}
	target := f.target()
	if target == nil || target.Realm != nil || !target.RowsLeft {
		f.Fatalf("target %+v", target)
	}
	f.end(*target, true)
	f.erasesRows(*target)
	if again := f.target(); again == nil || again.RowsLeft || again.Number != target.Number {
		f.Errorf("target %+v", again)
	}
	if f.generation != 0 {
		want := erasure.Remains{Objects: blocks, Bytes: blocks * blockBytes}
		f.holds(*target, want)
	}
	heard := make(chan event.Event, 1)
	subscription := f.bus.Subscribe(func(e event.Event) { heard <- e }, event.OrganizationTopic(f.id))
	defer subscription.Close()
	f.end(*target, false)
	select {
	case e := <-heard:
		if body, is := e.Body.(event.OrganizationExpiration); !is || body.Date == nil || *body.Date != expired {
			f.Errorf("event %+v", e)
		}
	case <-f.Context().Done():
		f.Error("nobody is told")
	}
	if _, found, err := f.Organizations.Organization(f.Context(), f.id); err != nil || found || f.target() != nil {
		f.Errorf("it is still there: %t, %v", found, err)
	}
	f.end(*target, false) // Again.
	if _, found, err := f.Organizations.Organization(f.Context(), f.neighbour); err != nil || !found {
		f.Errorf("its neighbour is gone: %v", err)
	}
}

func (f *fixture) erasesRows(target erasure.Target) {
	f.Helper()
	for left := true; left; {
		var err error
		_, left, err = f.List.EraseRows(f.Context(), target)
		f.no(err)
	}
}

func (f *fixture) end(target erasure.Target, want bool) {
	f.Helper()
	left, err := f.List.End(f.Context(), target)
	if f.no(err); left != want && (f.generation != 0 || !want) { // Without rows it may end at once.
		f.Fatalf("generation %d: something is left: %t", f.generation, left)
	}
}

// holds has one eraser at a time delete objects, until all are forgotten.
func (f *fixture) holds(target erasure.Target, want erasure.Remains) {
	if remains, err := f.List.Remains(f.Context(), target); err != nil || remains != want {
		f.Errorf("%+v remains, %v", remains, err)
	}
	first, second := erasure.Hold{Token: parsec.NewUUID(), Now: 10, Until: 20}, erasure.Hold{Token: parsec.NewUUID(), Now: 19, Until: 30}
	hold := func(hold erasure.Hold, want erasure.State) {
		f.Helper()
		states, err := f.List.Hold(f.Context(), target, make([]parsec.BlockID, 2), hold)
		if f.no(err); len(states) != 2 || states[0] != want || states[1] != want {
			f.Errorf("%v, want %v", states, want)
		}
	}
	hold(first, erasure.Held)
	hold(first, erasure.Held)
	hold(second, erasure.Busy)
	second.Now = 20
	hold(second, erasure.Held)
	hold(first, erasure.Busy)
	f.end(target, true)
	f.erasesRows(target) // Of an end that came too early rows are looked for again.
	for after := (*parsec.BlockID)(nil); ; {
		const page = 256
		objects, err := f.List.Objects(f.Context(), target, after, page)
		if f.no(err); len(objects) == 0 {
			return
		}
		var ids []parsec.BlockID
		for _, object := range objects {
			ids = append(ids, object.Block)
		}
		after = &ids[len(ids)-1]
		f.no(f.List.Forget(f.Context(), target, ids, second))
	}
}
