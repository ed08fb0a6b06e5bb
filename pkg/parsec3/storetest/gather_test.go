package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// gatheringChecks are of stores that nobody else works on.
var gatheringChecks = []check{
	{"order of dates in the common topic", gatheredInCommon},
	{"order of dates in a realm", gatheredInRealm},
	{"order of dates of data", gatheredData},
	{"creations of one realm", gatheredRealmCreations},
	{"versions of one vlob", gatheredVersions},
	{"reservations of one block", gatheredReservations},
	{"who leaves", gatheredAndLeft},
	{"who panics", gatheredAndPanics},
}

// gathering counts what waits for others.
type gathering interface{ Gathered() int }

// together runs rules of one topic, the dates of whose scopes are those of the first
// one and later, while the first one runs; it returns their errors.
func (f *fixture) together(first func(tx rules.Tx), all ...member) []error {
	f.Helper()
	errs := make([]error, len(all))
	var group sync.WaitGroup
	inside, goOn := make(chan struct{}), make(chan struct{})
	group.Go(func() {
		began := false
		err := f.try(all[0].scope, func(tx rules.Tx) error {
			if !began { // It may be run again.
				began = true
				close(inside)
				<-goOn
			}
			first(tx)
			return nil
		})
		if err != nil {
			f.Errorf("the first one: %v", err)
		}
	})
	<-inside
	for i, m := range all {
		group.Go(func() {
			ctx := m.ctx
			if ctx == nil {
				ctx = f.Context()
			}
			m.scope.Organization = f.organization
			errs[i] = f.store.Update(ctx, m.scope, m.rule)
		})
	}
	testkit.Await(f, "all others wait", func() bool { return f.store.(gathering).Gathered() == len(all) })
	for _, m := range all {
		if m.meanwhile != nil {
			m.meanwhile()
		}
	}
	close(goOn)
	group.Wait()
	return errs
}

// member is one of those that run together.
type member struct {
	scope rules.Scope
	rule  func(tx rules.Tx) error
	// ctx is nil for that of the test.
	ctx context.Context
	// meanwhile runs while all wait.
	meanwhile func()
}

// dated returns a scope with a date.
func dated(scope rules.Scope, date parsec.DateTime) rules.Scope {
	scope.Date = date
	return scope
}

func nothing(rules.Tx) {}

func wantErrors(f *fixture, got []error, want ...error) {
	f.Helper()
	for i, err := range want {
		if !errors.Is(got[i], err) {
			f.Errorf("number %d gets %v, want %v", i, got[i], err)
		}
	}
}

// gatheredInCommon adds devices that are asked for in another order than dated: each
// finds the last date, and the devices, that the one before leaves, but nothing of the
// one that is refused.
func gatheredInCommon(f *fixture) {
	f.bootstrap()
	events := f.record()
	first, refused := f.next(), f.next()
	dates := []parsec.DateTime{f.next(), refused, f.next()}
	id := func(date parsec.DateTime) parsec3.DeviceID { return parsec3.DeviceID{0xa1, byte(date / 1_000_000)} }
	create := func(date, after parsec.DateTime, before ...parsec3.DeviceID) func(tx rules.Tx) error {
		return func(tx rules.Tx) error {
			f.mark(tx, fmt.Sprint(date))
			tx.CreateDevice(newDevice(id(date), alice, date), redactable(aliceOne, date, fmt.Sprint("device ", date)))
			if date == refused {
				return errLost
			}
			equal(f, "last date", tx.Topics().Common, after)
			for _, device := range append(before, id(refused)) {
				found, err := tx.DeviceExists(f.Context(), device)
				if err != nil {
					return err
				}
				equal(f, "the device is found", found, device != id(refused))
			}
			return nil
		}
	}
	begun := f.topics().Common
	errs := f.together(func(tx rules.Tx) { f.no(create(first, begun)(tx)) },
		member{scope: dated(onCommon(), dates[2]), rule: create(dates[2], dates[0], id(dates[0]), id(first))},
		member{scope: dated(onCommon(), refused), rule: create(refused, first)},
		member{scope: dated(onCommon(), dates[0]), rule: create(dates[0], first, id(first))},
	)
	wantErrors(f, errs, nil, errLost, nil)
	equal(f, "committed", events.marks(), fmt.Sprintf("%s, %s, %s", first, dates[0], dates[2]))
	equal(f, "last date", f.topics().Common, dates[2])
}

// gatheredInRealm changes roles and the key of a realm.
func gatheredInRealm(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm := f.createRealm()
	events := f.record()
	begun, shared, rotated, removed, again := f.realm(realm, alice).Timestamp, f.next(), f.next(), f.next(), f.next()
	scope := func(date parsec.DateTime) rules.Scope { return dated(onRealm(realm), date) }
	want := func(tx rules.Tx, last parsec.DateTime, keyIndex uint64, role parsec.RealmRole, members int) {
		found, _ := tx.Realm()
		equal(f, "last date", found.Timestamp, last)
		equal(f, "key index", found.KeyIndex, keyIndex)
		got, err := tx.RealmRole(f.Context(), bob)
		f.no(err)
		equal(f, "role of bob", got, role)
		list, err := tx.Members(f.Context())
		f.no(err)
		equal(f, "members", len(list), members)
	}
	errs := f.together(func(tx rules.Tx) {
		want(tx, begun, 0, parsec.RoleNone, 1)
		f.mark(tx, "shared")
		tx.SetRole(bob, parsec.RoleManager, nil, certificate(aliceOne, shared, "shared"))
	},
		member{scope: by(bobOne, scope(again)), rule: func(tx rules.Tx) error {
			found, _ := tx.Realm()
			equal(f, "role of the author", found.Role, parsec.RoleNone)
			want(tx, removed, 1, parsec.RoleNone, 1)
			tx.SetRole(carol, parsec.RoleReader, nil, certificate(bobOne, again, "again"))
			return errLost
		}},
		member{scope: scope(removed), rule: func(tx rules.Tx) error {
			want(tx, rotated, 1, parsec.RoleManager, 2)
			f.mark(tx, "removed")
			tx.SetRole(bob, parsec.RoleNone, nil, certificate(aliceOne, removed, "removed"))
			return nil
		}},
		member{scope: by(bobOne, scope(rotated)), rule: func(tx rules.Tx) error {
			found, _ := tx.Realm()
			equal(f, "role of the author", found.Role, parsec.RoleManager)
			want(tx, shared, 0, parsec.RoleManager, 2)
			f.mark(tx, "rotated")
			tx.RotateKey(rules.KeyRotation{KeyIndex: 1, KeysBundle: []byte("bundle")}, certificate(bobOne, rotated, "rotated"))
			return nil
		}},
	)
	wantErrors(f, errs, errLost, nil, nil)
	equal(f, "committed", events.marks(), "shared, rotated, removed")
}

// gatheredData writes vlobs of several authors and a block: the counters count all of
// what stands, in the order of the dates.
func gatheredData(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm := f.createRealm()
	f.grant(realm, bob, parsec.RoleContributor)
	events := f.record()
	one, two, three, block := newVlobID(), newVlobID(), newVlobID(), newBlockID()
	upload := newUpload(block)
	f.reserve(realm, upload)
	write := func(text string, checkpoint uint64, last parsec.DateTime, err error) func(tx rules.Tx, author parsec3.DeviceID, vlob parsec.VlobID, date parsec.DateTime) error {
		return func(tx rules.Tx, author parsec3.DeviceID, vlob parsec.VlobID, date parsec.DateTime) error {
			found, _ := tx.Realm()
			equal(f, "checkpoint before "+text, found.Checkpoint, checkpoint)
			equal(f, "last vlob before "+text, found.LastVlob, last)
			equal(f, "latest version before "+text, tx.Vlob(), 0)
			user, device := tx.Author()
			equal(f, "author of "+text, device.ID, author)
			equal(f, "user of "+text, user.ID, map[parsec3.DeviceID]parsec3.UserID{aliceOne: alice, bobOne: bob}[author])
			writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: author, Timestamp: date, Blob: []byte(text)})
			f.mark(tx, text)
			return err
		}
	}
	f.next()
	errs := f.together(nothing,
		member{scope: dated(by(bobOne, onVlob(realm, two)), at(40)), rule: func(tx rules.Tx) error {
			return write("two", 1, at(30), nil)(tx, bobOne, two, at(20)) // dated otherwise than its turn
		}},
		member{scope: dated(onVlob(realm, three), at(35)), rule: func(tx rules.Tx) error {
			return write("three", 1, at(30), errLost)(tx, aliceOne, three, at(35))
		}},
		member{scope: dated(onBlock(realm, block), at(37)), rule: func(tx rules.Tx) error {
			exists, present := tx.Block()
			equal(f, "the block exists", exists, false)
			equal(f, "its upload", *present, upload)
			tx.CreateBlock(rules.Block{ID: block, Realm: realm, Author: aliceOne, Size: 7, CreatedOn: at(37)})
			f.mark(tx, "block")
			return nil
		}},
		member{scope: dated(onVlob(realm, one), at(30)), rule: func(tx rules.Tx) error {
			return write("one", 0, 0, nil)(tx, aliceOne, one, at(30))
		}},
	)
	wantErrors(f, errs, nil, errLost, nil, nil)
	equal(f, "committed", events.marks(), "one, block, two")
	f.wantVlobs(realm, nil, []parsec.VlobID{one, two, three}, "1 one", "1 two")
	f.wantUsage(uint64(len("onetwo")), 7)
	_, facts, changes, err := f.store.Changes(f.Context(), f.organization, aliceOne, realm, 0)
	f.no(err)
	equal(f, "checkpoint", facts.Checkpoint, 2)
	equal(f, "last vlob", facts.LastVlob, at(30))
	equal(f, "changes", changes, []rules.VlobChange{{Vlob: one, Version: 1}, {Vlob: two, Version: 1}})
}

func gatheredRealmCreations(f *fixture) {
	f.bootstrap()
	realm := newRealmID()
	create := func(date parsec.DateTime) func(tx rules.Tx) error {
		return func(tx rules.Tx) error {
			if _, exists := tx.Realm(); exists {
				return errLost
			}
			tx.CreateRealm(alice, certificate(aliceOne, date, "created"))
			return nil
		}
	}
	one, two, three := f.next(), f.next(), f.next()
	errs := f.together(nothing,
		member{scope: dated(onRealm(realm), three), rule: create(three)},
		member{scope: dated(onRealm(realm), one), rule: create(one)},
		member{scope: dated(onRealm(realm), two), rule: create(two)},
	)
	wantErrors(f, errs, errLost, nil, errLost)
	equal(f, "date", f.realm(realm, alice).Timestamp, one)
}

// gatheredVersions writes several versions of one vlob.
func gatheredVersions(f *fixture) {
	f.bootstrap()
	realm, vlob := f.createRealm(), newVlobID()
	write := func(version uint32) func(tx rules.Tx) error {
		return func(tx rules.Tx) error {
			if tx.Vlob()+1 != version {
				return errLost
			}
			writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: aliceOne, Timestamp: at(int(version)), Blob: fmt.Append(nil, "of ", version)})
			return nil
		}
	}
	var all []member
	for _, version := range []uint32{3, 5, 1, 2, 3} {
		all = append(all, member{scope: dated(onVlob(realm, vlob), at(int(version))), rule: write(version)})
	}
	errs := f.together(nothing, all...)
	var lost int
	for _, i := range []int{0, 4} { // Of two with one date the first one wins.
		if errors.Is(errs[i], errLost) {
			lost++
		}
	}
	equal(f, "third versions that are lost", lost, 1)
	wantErrors(f, errs[1:4], errLost, nil, nil)
	f.wantVlobs(realm, nil, []parsec.VlobID{vlob}, "3 of 3")
	_, facts, changes, err := f.store.Changes(f.Context(), f.organization, aliceOne, realm, 2)
	f.no(err)
	equal(f, "checkpoint", facts.Checkpoint, 3)
	equal(f, "changes", changes, []rules.VlobChange{{Vlob: vlob, Version: 3}})
	write(5)
	f.update(onVlob(realm, vlob), write(4))
}

// gatheredReservations has one upload take a block, and another one take it over.
func gatheredReservations(f *fixture) {
	f.bootstrap()
	realm, block := f.createRealm(), newBlockID()
	dead := newUpload(block)
	f.reserve(realm, dead)
	uploads := []rules.BlockUpload{newUpload(block), newUpload(block)}
	take := func(before, upload rules.BlockUpload) func(tx rules.Tx) error {
		return func(tx rules.Tx) error {
			_, present := tx.Block()
			equal(f, "the upload before", *present, before)
			tx.ReserveBlock(upload)
			return nil
		}
	}
	errs := f.together(nothing,
		member{scope: dated(onBlock(realm, block), at(30)), rule: func(tx rules.Tx) error {
			_, present := tx.Block()
			equal(f, "the upload that is created", *present, uploads[1])
			tx.CreateBlock(rules.Block{ID: block, Realm: realm, Author: aliceOne, Size: 3, CreatedOn: at(30)})
			return nil
		}},
		member{scope: dated(onBlock(realm, block), at(20)), rule: take(uploads[0], uploads[1])},
		member{scope: dated(onBlock(realm, block), at(10)), rule: take(dead, uploads[0])},
		member{scope: dated(onBlock(realm, block), at(40)), rule: func(tx rules.Tx) error {
			exists, present := tx.Block()
			equal(f, "the block exists", exists, true)
			equal(f, "its upload", present, nil)
			return errLost
		}},
	)
	wantErrors(f, errs, nil, nil, nil, errLost)
	f.wantUsage(0, 3)
}

// gatheredAndLeft never runs what is abandoned while it waits.
func gatheredAndLeft(f *fixture) {
	f.bootstrap()
	realm, one, two := f.createRealm(), newVlobID(), newVlobID()
	ctx, cancel := context.WithCancel(f.Context())
	write := func(vlob parsec.VlobID) func(tx rules.Tx) error {
		return queued(func(tx rules.Tx) {
			writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: aliceOne, Timestamp: at(9), Blob: []byte("x")})
		})
	}
	errs := f.together(nothing,
		member{scope: onVlob(realm, one), rule: write(one), ctx: ctx, meanwhile: func() {
			cancel()
			testkit.Await(f, "it leaves", func() bool { return f.store.(gathering).Gathered() == 1 })
		}},
		member{scope: onVlob(realm, two), rule: write(two)},
	)
	wantErrors(f, errs, context.Canceled, nil)
	f.wantVlobs(realm, nil, []parsec.VlobID{one, two}, "1 x")
}

// gatheredAndPanics has a panic be that of its caller.
func gatheredAndPanics(f *fixture) {
	f.bootstrap()
	realm, vlob := f.createRealm(), newVlobID()
	write := func(tx rules.Tx) {
		writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: aliceOne, Timestamp: at(9), Blob: []byte("x")})
	}
	panics := panicking{Store: f.store}
	g := *f
	g.store = &panics
	errs := g.together(nothing,
		member{scope: dated(onVlob(realm, vlob), 1), rule: func(tx rules.Tx) error {
			write(tx)
			panic("of the rule")
		}},
		member{scope: dated(onVlob(realm, vlob), 2), rule: queued(write)},
	)
	wantErrors(f, errs, errLost, nil)
	equal(f, "panics", panics.texts(), "of the rule")
	f.wantVlobs(realm, nil, []parsec.VlobID{vlob}, "1 x")
}

// panicking makes panics errors.
type panicking struct {
	rules.Store
	mu   sync.Mutex
	list []string
}

func (p *panicking) Gathered() int { return p.Store.(gathering).Gathered() }

func (p *panicking) texts() string { return strings.Join(p.list, ", ") }

func (p *panicking) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.list = append(p.list, fmt.Sprint(value))
			err = errLost
		}
	}()
	return p.Store.Update(ctx, scope, rule)
}
