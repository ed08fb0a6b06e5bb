package storetest

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var concurrencyChecks = []check{
	{"versions and checkpoints", concurrentWrites},
	{"messages", concurrentMessages},
	{"creations of one vlob", concurrentVlobCreations},
	{"creations of one block", concurrentBlockCreations},
	{"reservations of one block", concurrentReservations},
	{"limit of users", concurrentUsers},
	{"snapshots", snapshots},
	{"start of a reencryption", concurrentStart},
	{"saves of a reencryption", concurrentSaves},
	{"exclusion by the organization", organizationExclusion},
	{"exclusion by the realm", realmExclusion},
	{"exclusion by the invitation", invitationExclusion},
}

const (
	workers = 8
	rounds  = 10
)

// errLost is of a rule that comes too late.
var errLost = errors.New("lost")

// each runs the work of every worker at once, and waits.
func each(work func(worker int)) {
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() { work(worker) })
	}
	group.Wait()
}

// concurrentWrites updates one vlob and creates others at once: versions and
// checkpoints have no gap, no duplicate, and events have their order.
func concurrentWrites(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	shared := f.createVlob(realm, aliceOne, 0, "first")
	events := f.record(notice.RealmTopic(f.organization, realm))
	write := func(scope rules.Scope) {
		err := f.try(scope, func(tx rules.Tx) error {
			checkpoint := writeNext(tx, rules.VlobVersion{Blob: []byte("x"), Author: aliceOne, Timestamp: at(1)})
			tx.Emit(event.Event{Organization: f.organization, Author: aliceOne, Body: notice.RealmVlobsUpdated{
				Realm: realm, Checkpoint: checkpoint, Source: scope.Vlob,
			}})
			return nil
		})
		if err != nil {
			f.Errorf("write: %v", err)
		}
	}
	each(func(int) {
		for range rounds {
			write(onVlobUpdate(shared))
			write(onVlobCreate(realm, newVlobID()))
		}
	})
	const writes = workers * rounds
	facts, changes, _, err := f.store.Changes(f.Context(), f.organization, alice, realm, 0)
	f.no(err)
	equal(f, "checkpoint", facts.Checkpoint, 1+2*writes)
	equal(f, "number of vlobs", len(changes), 1+writes)
	equal(f, "version", changes[shared], 1+writes)
	_, versions, _, err := f.store.VlobVersions(f.Context(), f.organization, alice, shared)
	f.no(err)
	equal(f, "number of versions", len(versions), 1+writes)
	for i, version := range versions {
		equal(f, "version", version.Version, uint32(i)+1)
	}
	for i, e := range events.take() {
		body, _ := e.Body.(notice.RealmVlobsUpdated)
		equal(f, "checkpoint of an event", body.Checkpoint, uint64(i)+2)
	}
}

// concurrentMessages has recipients in several orders, repeated too: lists
// are locked in one order, or transactions block one another.
func concurrentMessages(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	events := f.record(notice.UserTopic(f.organization, bob))
	orders := [][]parsec.UserID{{alice, bob, carol}, {carol, bob, alice}, {bob, carol, bob, alice}, {carol, alice, bob}}
	each(func(worker int) {
		for range rounds {
			err := f.try(rules.Scope{Author: aliceOne}, func(tx rules.Tx) error {
				counts, err := tx.MessageCounts(f.Context(), orders[worker%len(orders)])
				if err != nil {
					return err
				}
				for _, recipient := range []parsec.UserID{alice, bob, carol} {
					tx.AddMessage(rules.Message{
						Recipient: recipient, Index: counts[recipient] + 1, Sender: aliceOne, Timestamp: at(worker), Body: []byte("m"),
					})
				}
				tx.Emit(event.Event{Organization: f.organization, Author: aliceOne, Body: notice.MessageReceived{
					Recipient: bob, Index: counts[bob] + 1,
				}})
				return nil
			})
			if err != nil {
				f.Errorf("send: %v", err)
			}
		}
	})
	for _, user := range []parsec.UserID{alice, bob, carol} {
		messages, _, err := f.store.Messages(f.Context(), f.organization, user, 0, math.MaxUint64)
		f.no(err)
		equal(f, "number of messages", len(messages), workers*rounds)
		for i, message := range messages {
			equal(f, "index of a message", message.Index, uint64(i)+1)
		}
	}
	received := events.take()
	equal(f, "number of events", len(received), workers*rounds)
	for i, e := range received {
		equal(f, "event", e.Body, event.Body(notice.MessageReceived{Recipient: bob, Index: uint64(i) + 1}))
	}
}

// wantOneWinner runs a rule that creates something in every worker.
func (f *fixture) wantOneWinner(create func(worker int) error) (winner int) {
	f.Helper()
	var winners atomic.Int64
	var last atomic.Int64
	each(func(worker int) {
		switch err := create(worker); {
		case err == nil:
			winners.Add(1)
			last.Store(int64(worker))
		case !errors.Is(err, errLost):
			f.Errorf("create: %v", err)
		}
	})
	equal(f, "winners", winners.Load(), 1)
	return int(last.Load())
}

func concurrentVlobCreations(f *fixture) {
	f.bootstrap()
	realms := []parsec.RealmID{f.createRealm(), f.createRealm()}
	for range rounds {
		id := newVlobID()
		winner := f.wantOneWinner(func(worker int) error {
			return f.try(onVlobCreate(realms[worker%2], id), func(tx rules.Tx) error {
				if _, found := tx.Vlob(); found {
					return errLost
				}
				writeNext(tx, rules.VlobVersion{Blob: fmt.Append(nil, worker), Author: aliceOne, Timestamp: at(1)})
				return nil
			})
		})
		f.wantBlob(id, 1, 1, fmt.Sprint(winner))
		f.wantBlob(id, 2, 1, "")
	}
	equal(f, "checkpoints", f.realm(realms[0], alice).Checkpoint+f.realm(realms[1], alice).Checkpoint, rounds)
}

func concurrentBlockCreations(f *fixture) {
	f.bootstrap()
	realms := []parsec.RealmID{f.createRealm(), f.createRealm()}
	for range rounds {
		id := newBlockID()
		winner := f.wantOneWinner(func(worker int) error {
			realm := realms[worker%2]
			return f.try(onBlock(realm, id), func(tx rules.Tx) error {
				if exists, _ := tx.Block(); exists {
					return errLost
				}
				tx.CreateBlock(newBlock(realm, id, uint64(worker)))
				return nil
			})
		})
		_, block, _, err := f.store.Block(f.Context(), f.organization, alice, id)
		f.no(err)
		equal(f, "block", block, new(newBlock(realms[winner%2], id, uint64(winner))))
	}
}

// concurrentReservations has one reservation at a time hold a block that is
// reserved, released, taken over and created from everywhere. Once it is
// created, none holds any more: it would have the bytes written again
// (invariant 48).
func concurrentReservations(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	for range rounds {
		id := newBlockID()
		var holders, created atomic.Int64
		each(func(worker int) {
			for created.Load() == 0 {
				upload := newUpload(id, 10)
				facts, err := f.store.ReserveBlock(f.Context(), f.organization, alice, realm, upload, at(5))
				if err != nil {
					f.Errorf("reserve: %v", err)
					return
				}
				if !facts.Reserved {
					runtime.Gosched()
					continue
				}
				if holders.Add(1) != 1 {
					f.Error("reserved while another holds it")
				}
				if _, _, found, err := f.store.Block(f.Context(), f.organization, alice, id); found || err != nil {
					f.Errorf("reserved after its creation (%v)", err)
				}
				holders.Add(-1)
				if worker != 0 {
					if err := f.store.ReleaseBlock(f.Context(), f.organization, id, upload.Token); err != nil {
						f.Errorf("release: %v", err)
					}
					continue
				}
				err = f.try(onBlock(realm, id), func(tx rules.Tx) error {
					if _, held := tx.Block(); held == nil || *held != upload {
						f.Errorf("upload %+v, want %+v", held, upload)
					}
					tx.CreateBlock(newBlock(realm, id, 1))
					return nil
				})
				if err != nil {
					f.Errorf("create: %v", err)
				}
				created.Add(1)
			}
		})
		equal(f, "created", created.Load(), 1)
		f.wantBlock(realm, id, true, nil)
	}
	equal(f, "size", must(f.blocksSize(realm)), rounds)
}

// concurrentUsers creates users up to a limit (invariant 3 of
// docs/protocol/commands.md §10).
func concurrentUsers(f *fixture) {
	f.bootstrap()
	const limit = 3
	var created atomic.Int64
	each(func(worker int) {
		id := userID(fmt.Sprint("user", worker))
		err := f.try(onOrganization(), func(tx rules.Tx) error {
			users, _, err := tx.ActiveUsers(f.Context())
			if err != nil {
				return err
			}
			if users >= limit {
				return errLost
			}
			tx.CreateUser(newUser(id, parsec.ProfileStandard, aliceOne))
			return nil
		})
		switch {
		case err == nil:
			created.Add(1)
		case !errors.Is(err, errLost):
			f.Errorf("create: %v", err)
		}
	})
	equal(f, "users created", created.Load(), limit-1)
	statistics := f.statistics(nil)
	equal(f, "active users", statistics.Active[parsec.ProfileAdmin]+statistics.Active[parsec.ProfileStandard], limit)
}

// snapshots reads while others write: the sum of the latest versions is the
// number of entries in the log.
func snapshots(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	vlobs := []parsec.VlobID{f.createVlob(realm, aliceOne, 0, "x"), f.createVlob(realm, aliceOne, 0, "x")}
	each(func(worker int) {
		for i := range rounds {
			if worker%2 == 0 {
				err := f.try(onVlobUpdate(vlobs[(worker/2+i)%2]), func(tx rules.Tx) error {
					writeNext(tx, rules.VlobVersion{Blob: []byte("x"), Author: aliceOne, Timestamp: at(1)})
					return nil
				})
				if err != nil {
					f.Errorf("write: %v", err)
				}
				continue
			}
			facts, changes, _, err := f.store.Changes(f.Context(), f.organization, alice, realm, 0)
			if err != nil {
				f.Errorf("read: %v", err)
				continue
			}
			equal(f, "sum of the versions", uint64(changes[vlobs[0]])+uint64(changes[vlobs[1]]), facts.Checkpoint)
			facts, _, size, _, err := f.store.RealmStatistics(f.Context(), f.organization, realm, alice)
			if err != nil {
				f.Errorf("read: %v", err)
				continue
			}
			equal(f, "size of the vlobs of one byte", size, facts.Checkpoint)
		}
	})
}

// concurrentStart starts a reencryption amid writes: each is before it, and
// part of it, or refused (invariants 33 and 36).
func concurrentStart(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	vlob := f.createVlob(realm, aliceOne, 0, "x")
	var started, written atomic.Int64
	each(func(worker int) {
		for i := range rounds {
			scope := onVlobUpdate(vlob)
			switch {
			case i == rounds/2:
				scope = onRealm(realm)
			case worker%2 == 0:
				scope = onVlobCreate(realm, newVlobID())
			}
			err := f.try(scope, func(tx rules.Tx) error {
				facts, _ := tx.Realm()
				switch {
				case facts.Maintenance.Type != parsec.MaintenanceNone:
					return errLost
				case scope.By == rules.RealmExclusive:
					tx.StartMaintenance(rules.Maintenance{Type: parsec.MaintenanceReencryption, StartedOn: at(1), StartedBy: aliceOne})
				default:
					writeNext(tx, rules.VlobVersion{Blob: []byte("x"), Author: aliceOne, Timestamp: at(1)})
				}
				return nil
			})
			switch {
			case err == nil && scope.By == rules.RealmExclusive:
				started.Add(1)
			case err == nil:
				written.Add(1)
			case !errors.Is(err, errLost):
				f.Errorf("start or write: %v", err)
			}
		}
	})
	equal(f, "started", started.Load(), 1)
	facts := f.realm(realm, alice)
	equal(f, "revision", facts.EncryptionRevision, 2)
	equal(f, "checkpoint", facts.Checkpoint, uint64(written.Load())+1)
	f.wantProgress(realm, facts.Checkpoint, 0)
	equal(f, "left to reencrypt", len(f.batch(realm, 1000)), int(facts.Checkpoint))
}

// concurrentSaves saves the same items from everywhere: each counts once
// (invariant 38).
func concurrentSaves(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	var items []protocol.ReencryptionItem
	for i := range workers {
		items = append(items, item(f.createVlob(realm, aliceOne, i, "old"), 1, "new"))
	}
	f.start(realm)
	var finished atomic.Int64
	each(func(worker int) {
		for i := range items {
			err := f.try(onRealm(realm), func(tx rules.Tx) error {
				total, done, err := tx.SaveReencrypted(f.Context(), items[(worker+i)%len(items):][:1])
				if err != nil {
					return err
				}
				if done > total {
					f.Errorf("%d of %d saved", done, total)
				}
				return nil
			})
			if err != nil {
				f.Errorf("save: %v", err)
			}
		}
		err := f.try(onRealm(realm), func(tx rules.Tx) error {
			facts, _ := tx.Realm()
			total, done, err := tx.ReencryptionProgress(f.Context())
			if err != nil {
				return err
			}
			if facts.Maintenance.Type == parsec.MaintenanceNone {
				return errLost
			}
			equal(f, "done of total", [2]uint64{done, total}, [2]uint64{workers, workers})
			tx.FinishMaintenance()
			return nil
		})
		switch {
		case err == nil:
			finished.Add(1)
		case !errors.Is(err, errLost):
			f.Errorf("finish: %v", err)
		}
	})
	equal(f, "finished", finished.Load(), 1)
	for _, item := range items {
		f.wantBlob(item.VlobID, 1, 2, "new")
	}
}

func organizationExclusion(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	vlob := f.createVlob(realm, aliceOne, 0, "x")
	locked := onRealm(realm)
	locked.LockOrganization = true
	f.wantExclusion(
		[]rules.Scope{onOrganization(), locked},
		[]rules.Scope{{}, onRealm(realm), onData(realm), onVlobCreate(realm, newVlobID()), onVlobUpdate(vlob)},
	)
}

func realmExclusion(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	vlob := f.createVlob(realm, aliceOne, 0, "x")
	f.wantExclusion(
		[]rules.Scope{onRealm(realm)},
		[]rules.Scope{onData(realm), onVlobCreate(realm, newVlobID()), onVlobUpdate(vlob)},
	)
	// Writes of vlobs exclude one another, whatever the vlob.
	f.wantExclusion([]rules.Scope{onVlobCreate(realm, newVlobID()), onVlobUpdate(vlob)}, nil)
}

// wantExclusion wants the rules of alone to run without any other of both
// lists.
func (f *fixture) wantExclusion(alone, shared []rules.Scope) {
	var aloneInside, sharedInside atomic.Int64
	scopes := slices.Concat(alone, shared)
	each(func(worker int) {
		for i := range 2 * rounds {
			place := (worker + i) % len(scopes)
			inside, others := &sharedInside, aloneInside.Load
			if place < len(alone) {
				inside, others = &aloneInside, func() int64 { return aloneInside.Load() - 1 + sharedInside.Load() }
			}
			err := f.try(scopes[place], func(rules.Tx) error {
				inside.Add(1)
				defer inside.Add(-1)
				for range 5 { // Others get the time to come in.
					if intruders := others(); intruders != 0 {
						f.Errorf("%+v runs with %d rules that it excludes", scopes[place], intruders)
					}
					runtime.Gosched()
				}
				return nil
			})
			if err != nil {
				f.Errorf("update: %v", err)
			}
		}
	})
}
