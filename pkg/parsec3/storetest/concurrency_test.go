package storetest

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/rules"
)

var concurrencyChecks = []check{
	{"exclusion by the founding", foundingExclusion},
	{"exclusion by the topics", topicExclusion},
	{"exclusion by the reservation of a block", blockExclusion},
	{"bootstraps of one organization", concurrentBootstraps},
	{"limit of users", concurrentUsers},
	{"revocation and writes of its target", revocationAgainstWrites},
	{"revocation and realms of its target", revocationAgainstRealms},
	{"creations of one realm", concurrentRealmCreations},
	{"rotations to one key", concurrentRotations},
	{"removal and writes of its target", removalAgainstWrites},
	{"services and rotations", servicesAgainstRotations},
	{"deletion and writes", deletionAgainstWrites},
	{"versions and checkpoints", concurrentWrites},
	{"creations of one vlob", concurrentVlobCreations},
	{"sessions of one document", concurrentSessions},
	{"reservations of one block", concurrentReservations},
	{"snapshots of vlobs", vlobSnapshots},
	{"snapshots of certificates", certificateSnapshots},
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

// race runs two rules at once, in either order of their beginnings, and returns
// their errors, nil or errLost.
func (f *fixture) race(round int, works [2]func() error) (errs [2]error) {
	f.Helper()
	var group sync.WaitGroup
	for i := range works {
		place := (i + round) % 2
		group.Go(func() { errs[place] = works[place]() })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, errLost) {
			f.Fatalf("race: %v", err)
		}
	}
	return errs
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

// foundingExclusion has foundings, and changes of both generations.
func foundingExclusion(f *fixture) {
	f.bootstrap()
	var inside atomic.Int64
	alone := func() error {
		if inside.Add(1) != 1 {
			f.Error("two change the organization at once")
		}
		runtime.Gosched()
		inside.Add(-1)
		return nil
	}
	each(func(worker int) {
		for range rounds {
			var err error
			if worker%2 == 0 {
				err = f.try(rules.Scope{Founding: true, Common: rules.Exclusive}, func(rules.Tx) error { return alone() })
			} else {
				err = f.store.ChangeOrganization(f.Context(), f.organization, func(organization.Tx) error { return alone() })
			}
			if err != nil {
				f.Errorf("update: %v", err)
			}
		}
	})
}

func topicExclusion(f *fixture) {
	f.bootstrapSequestered()
	realm := f.createRealm()
	vlob := f.createVlob(realm, "x")
	locked := func(change func(*rules.Scope)) rules.Scope {
		var scope rules.Scope
		change(&scope)
		return scope
	}
	f.wantExclusion(
		[]rules.Scope{onCommon()},
		[]rules.Scope{
			locked(func(s *rules.Scope) { s.Common = rules.Shared }),
			onRealm(realm), onVlob(realm, vlob), onVlob(realm, newVlobID()), onBlock(realm, newBlockID()),
		},
	)
	f.wantExclusion([]rules.Scope{onRealm(realm)}, []rules.Scope{onVlob(realm, vlob), onVlob(realm, newVlobID()), onBlock(realm, newBlockID())})
	f.wantExclusion([]rules.Scope{onSequester()}, []rules.Scope{locked(func(s *rules.Scope) { s.Sequester = rules.Shared })})
	f.wantExclusion(
		[]rules.Scope{locked(func(s *rules.Scope) { s.Common, s.Shamir = rules.Shared, rules.Exclusive })},
		[]rules.Scope{locked(func(s *rules.Scope) { s.Common, s.Shamir = rules.Shared, rules.Shared })},
	)
}

// blockExclusion has a block that is reserved, in two realms.
func blockExclusion(f *fixture) {
	f.bootstrap()
	realm, other, id := f.createRealm(), f.createRealm(), newBlockID()
	f.reserve(realm, newUpload(id))
	f.wantExclusion([]rules.Scope{onBlock(realm, id), onBlock(other, id)}, nil)
}

// wantOneWinner runs a rule that creates something in every worker.
func (f *fixture) wantOneWinner(create func(worker int) error) (winner int) {
	f.Helper()
	var winners, last atomic.Int64
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

// concurrentBootstraps has one that wins, of an organization that exists or not.
func concurrentBootstraps(f *fixture) {
	for round := range rounds {
		at := f.another()
		if round%2 == 0 {
			at.create(organization.Organization{BootstrapToken: "token"})
		}
		winner := f.wantOneWinner(func(worker int) error {
			return at.try(rules.Scope{Founding: true, Common: rules.Exclusive}, func(tx rules.Tx) error {
				stored, found := tx.Organization()
				if found && stored.Bootstrapped() {
					return errLost
				}
				foundAt(tx, organization.Organization{ID: at.organization, MinimumArchivingPeriod: uint64(worker)}, at.next())
				return nil
			})
		})
		stored, _, err := f.store.Organization(f.Context(), at.organization)
		f.no(err)
		equal(f, "what the winner stored", stored.MinimumArchivingPeriod, uint64(winner))
		at.wantCertificates(aliceOne, rules.CertificatesAfter{}, certificates{common: []string{"user alice", "device alice 1"}})
	}
}

// concurrentUsers creates users up to a limit, each later than the one before.
func concurrentUsers(f *fixture) {
	f.bootstrap()
	const limit = 4
	var created atomic.Int64
	each(func(int) {
		err := f.try(onCommon(), func(tx rules.Tx) error {
			active, err := tx.ActiveUsers(f.Context())
			if err != nil {
				return err
			}
			if active >= limit {
				return errLost
			}
			createUserIn(tx, newUser(newUserID(), parsec.ProfileStandard, tx.Topics().Common+1), newDeviceID())
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
	equal(f, "common topic", f.topics().Common, at(1)+limit-1)
	_, got, err := f.store.Certificates(f.Context(), f.organization, aliceOne, rules.CertificatesAfter{}, 1<<30)
	f.no(err)
	equal(f, "common certificates", len(got.Common), 2*limit)
}

// mark is an event whose text tells what a transaction did: events come in commit
// order.
func (f *fixture) mark(tx rules.Tx, text string) { tx.Emit(f.ping(text)) }

// marks returns the texts of the events.
func (r *recorder) marks() string {
	r.f.Helper()
	var list []string
	for _, e := range r.take() {
		if pinged, ok := e.Body.(notice.Pinged); ok {
			list = append(list, pinged.Ping)
		}
	}
	return strings.Join(list, ", ")
}

// wantMarks wants the events of a race to be one of some.
func (r *recorder) wantMarks(allowed ...string) {
	r.f.Helper()
	if got := r.marks(); !slices.Contains(allowed, got) {
		r.f.Errorf("committed: %q, want one of %q", got, allowed)
	}
}

// revocationAgainstWrites reads who is revoked after the locks: a write that waited
// for the revocation finds it (docs/protocol/v5/commands.md §6, §13 invariant 7).
func revocationAgainstWrites(f *fixture) {
	f.bootstrap()
	events := f.record()
	realm := f.createRealm()
	for round := range rounds {
		user, device, vlob := newUserID(), newDeviceID(), newVlobID()
		f.createUser(newUser(user, parsec.ProfileStandard, f.next()), device)
		f.grant(realm, user, parsec.RoleContributor)
		date := f.next()
		f.race(round, [2]func() error{
			func() error {
				return f.try(onCommon(), func(tx rules.Tx) error {
					traces, err := tx.Traces(f.Context(), user)
					if err != nil {
						return err
					}
					if traces.Realms >= date {
						f.mark(tx, "refused")
						return nil
					}
					f.mark(tx, "revoked")
					tx.RevokeUser(user, certificate(aliceOne, date, "revoked"))
					return nil
				})
			},
			func() error {
				return f.try(by(device, onVlob(realm, vlob)), func(tx rules.Tx) error {
					if author, _ := tx.Author(); author.RevokedOn != nil {
						return errLost
					}
					f.mark(tx, "written")
					writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: device, Timestamp: date + 1, Blob: []byte("x")})
					return nil
				})
			},
		})
		events.wantMarks("revoked", "written, refused")
	}
}

// revocationAgainstRealms is the same with realms that the target creates.
func revocationAgainstRealms(f *fixture) {
	f.bootstrap()
	events := f.record()
	for round := range rounds {
		user, device := newUserID(), newDeviceID()
		f.createUser(newUser(user, parsec.ProfileStandard, f.next()), device)
		date := f.next()
		f.race(round, [2]func() error{
			func() error {
				return f.try(onCommon(), func(tx rules.Tx) error {
					traces, err := tx.Traces(f.Context(), user)
					if err != nil {
						return err
					}
					if max(traces.Realms, traces.Signed, traces.Managing) >= date {
						f.mark(tx, "refused")
						return nil
					}
					f.mark(tx, "revoked")
					tx.RevokeUser(user, certificate(aliceOne, date, "revoked"))
					return nil
				})
			},
			func() error {
				return f.try(by(device, onRealm(newRealmID())), func(tx rules.Tx) error {
					if author, _ := tx.Author(); author.RevokedOn != nil {
						return errLost
					}
					f.mark(tx, "created")
					tx.CreateRealm(user, certificate(device, date+1, "created"))
					return nil
				})
			},
		})
		events.wantMarks("revoked", "created, refused")
	}
}

func concurrentRealmCreations(f *fixture) {
	f.bootstrap()
	for range rounds {
		realm := newRealmID()
		winner := f.wantOneWinner(func(worker int) error {
			return f.try(onRealm(realm), func(tx rules.Tx) error {
				if found, exists := tx.Realm(); exists {
					if found.Timestamp == 0 {
						f.Error("a realm without date is found")
					}
					return errLost
				}
				tx.CreateRealm(alice, certificate(aliceOne, at(10+worker), "created"))
				return nil
			})
		})
		equal(f, "date", f.realm(realm, alice).Timestamp, at(10+winner))
	}
}

func concurrentRotations(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	for round := range rounds {
		keyIndex := uint64(round) + 1
		winner := f.wantOneWinner(func(worker int) error {
			return f.try(onRealm(realm), func(tx rules.Tx) error {
				found, _ := tx.Realm()
				if found.KeyIndex+1 != keyIndex {
					return errLost
				}
				rotation := rules.KeyRotation{KeyIndex: keyIndex, KeysBundle: []byte(fmt.Sprint("by ", worker)), Participants: map[parsec3.UserID][]byte{alice: {1}}}
				tx.RotateKey(rotation, certificate(aliceOne, found.Timestamp+1, "rotation"))
				return nil
			})
		})
		f.wantKeys(alice, realm, keyIndex, fmt.Sprint("by ", winner), "\x01")
	}
}

// removalAgainstWrites reads the role after the locks: a write that waited for the
// removal of its author finds it (invariant 24).
func removalAgainstWrites(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm := f.createRealm()
	events := f.record()
	for round := range rounds {
		f.grant(realm, bob, parsec.RoleContributor)
		vlob, date := newVlobID(), f.next()
		f.race(round, [2]func() error{
			func() error {
				return f.try(onRealm(realm), func(tx rules.Tx) error {
					if found, _ := tx.Realm(); found.LastVlob >= date {
						f.mark(tx, "refused")
						return nil
					}
					f.mark(tx, "removed")
					tx.SetRole(bob, parsec.RoleNone, nil, certificate(aliceOne, date, "removed"))
					return nil
				})
			},
			func() error {
				return f.try(by(bobOne, onVlob(realm, vlob)), func(tx rules.Tx) error {
					if found, _ := tx.Realm(); found.Role != parsec.RoleContributor {
						return errLost
					}
					f.mark(tx, "written")
					writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: bobOne, Timestamp: date + 1, Blob: []byte("x")})
					return nil
				})
			},
		})
		f.next()
		events.wantMarks("removed", "written, refused")
	}
}

// servicesAgainstRotations has each rotation see the services of its commit
// (invariant 48).
func servicesAgainstRotations(f *fixture) {
	f.bootstrapSequestered()
	realm := f.createRealm()
	events := f.record()
	for round := range rounds {
		date := f.next()
		f.race(round, [2]func() error{
			func() error {
				return f.try(onSequester(), func(tx rules.Tx) error {
					f.mark(tx, "created")
					createServiceIn(tx, parsec.SequesterServiceID{byte(round + 1)}, date)
					return nil
				})
			},
			func() error {
				return f.try(onRealm(realm), func(tx rules.Tx) error {
					services, err := tx.Services(f.Context())
					if err != nil {
						return err
					}
					f.mark(tx, fmt.Sprint("rotated for ", len(services)-round))
					tx.RotateKey(rules.KeyRotation{KeyIndex: uint64(round) + 1}, certificate(aliceOne, date, "rotation"))
					return nil
				})
			},
		})
		events.wantMarks("created, rotated for 1", "rotated for 0, created")
	}
}

// deletionAgainstWrites leaves nothing in a deleted realm (invariant 33).
func deletionAgainstWrites(f *fixture) {
	f.bootstrap()
	for round := range rounds {
		realm, vlob, date := f.createRealm(), newVlobID(), f.next()
		f.race(round, [2]func() error{
			func() error { return f.try(onRealm(realm), queued(rules.Tx.MarkRealmDeleted)) },
			func() error {
				return f.try(onVlob(realm, vlob), func(tx rules.Tx) error {
					if found, _ := tx.Realm(); found.Deleted {
						return errLost
					}
					writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: aliceOne, Timestamp: date, Blob: []byte("x")})
					return nil
				})
			},
		})
		f.prune()
		f.wantVlobs(realm, nil, []parsec.VlobID{vlob})
	}
	f.wantUsage(0, 0)
}

// concurrentWrites updates one vlob and creates others at once: versions and
// checkpoints have no gap, no duplicate, and events have their order.
func concurrentWrites(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	shared := f.createVlob(realm, "first")
	events := f.record(notice.RealmTopic(f.organization, realm))
	write := func(vlob parsec.VlobID) {
		err := errLost
		// A store gives up at some time where others are always faster: commands do
		// not come so far, as the version that they name is then taken.
		for run := 0; err != nil && run < workers*rounds; run++ {
			err = f.try(onVlob(realm, vlob), func(tx rules.Tx) error {
				tx.Emit(event.Event{Organization: f.organization, Body: notice.Vlob{ID: notice.NewID(), Realm: realm, Vlob: vlob, Version: tx.Vlob() + 1}})
				writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: aliceOne, Timestamp: at(1), Blob: []byte("x")})
				return nil
			})
		}
		if err != nil {
			f.Errorf("write: %v", err)
		}
	}
	each(func(int) {
		for range rounds {
			write(shared)
			write(newVlobID())
		}
	})
	const writes = workers * rounds
	_, facts, changes, err := f.store.Changes(f.Context(), f.organization, aliceOne, realm, 0)
	f.no(err)
	equal(f, "checkpoint", facts.Checkpoint, 1+2*writes)
	equal(f, "number of vlobs", len(changes), 1+writes)
	equal(f, "shared vlob is among them", slices.Contains(changes, rules.VlobChange{Vlob: shared, Version: 1 + writes}), true)
	items := make([]rules.VlobNumber, 1+writes)
	for i := range items {
		items[i] = rules.VlobNumber{Vlob: shared, Version: uint32(i) + 1}
	}
	reading, err := f.store.ReadVersions(f.Context(), f.organization, aliceOne, realm, items, math.MaxInt64)
	f.no(err)
	equal(f, "number of versions", len(reading.Versions), 1+writes)
	version := uint32(1)
	for _, e := range events.take() {
		if body, _ := e.Body.(notice.Vlob); body.Vlob == shared {
			version++
			equal(f, "version of an event", body.Version, version)
		}
	}
	f.wantUsage(uint64(len("first"))+2*writes, 0)
}

func concurrentVlobCreations(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	for range rounds {
		id := newVlobID()
		winner := f.wantOneWinner(func(worker int) error {
			return f.try(onVlob(realm, id), func(tx rules.Tx) error {
				if tx.Vlob() != 0 {
					return errLost
				}
				writeNext(tx, rules.VlobVersion{Vlob: id, Author: aliceOne, Timestamp: at(1), Blob: fmt.Append(nil, worker)})
				return nil
			})
		})
		f.wantVlobs(realm, nil, []parsec.VlobID{id}, fmt.Sprint("1 ", winner))
	}
	equal(f, "checkpoint", f.realm(realm, alice).Checkpoint, rounds)
}

// concurrentReservations has one reservation at a time hold a block that is
// reserved, released and created from everywhere, through two realms. Once it is
// created, none holds any more: it would have the bytes written again
// (invariant 41).
func concurrentReservations(f *fixture) {
	f.bootstrap()
	realms := []parsec.RealmID{f.createRealm(), f.createRealm()}
	for range rounds {
		id := newBlockID()
		var holders, created atomic.Int64
		reserve := func(realm parsec.RealmID, upload rules.BlockUpload) bool {
			err := f.try(onBlock(realm, id), func(tx rules.Tx) error {
				if exists, taken := tx.Block(); exists || taken != nil {
					return errLost
				}
				tx.ReserveBlock(upload)
				return nil
			})
			if err != nil && !errors.Is(err, errLost) {
				f.Errorf("reserve: %v", err)
				created.Add(1)
			}
			return err == nil
		}
		each(func(worker int) {
			for created.Load() == 0 {
				realm, upload := realms[worker%2], newUpload(id)
				if !reserve(realm, upload) {
					runtime.Gosched()
					continue
				}
				if holders.Add(1) != 1 {
					f.Error("reserved while another holds it")
				}
				holders.Add(-1)
				if worker != 0 {
					if err := f.store.ReleaseBlock(f.Context(), f.organization, upload.ID, upload.Token); err != nil {
						f.Errorf("release: %v", err)
					}
					continue
				}
				err := f.try(onBlock(realm, id), func(tx rules.Tx) error {
					if _, held := tx.Block(); held == nil || *held != upload {
						f.Errorf("upload %+v, want %+v", held, upload)
					}
					tx.CreateBlock(newBlock(realm, id, 1, at(1)))
					return nil
				})
				if err != nil {
					f.Errorf("create: %v", err)
				}
				created.Add(1)
			}
		})
		equal(f, "created", created.Load(), 1)
		f.wantBlock(realms[0], id, true, nil)
	}
	f.wantUsage(0, rounds)
}

// vlobSnapshots reads while others write: the sum of the latest versions is the
// number of entries in the log, and versions come with the topics of their commit.
func vlobSnapshots(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	vlobs := []parsec.VlobID{f.createVlob(realm, "x"), f.createVlob(realm, "x")}
	each(func(worker int) {
		for i := range rounds {
			switch worker % 4 {
			case 0:
				err := f.try(onRealm(realm), func(tx rules.Tx) error {
					found, _ := tx.Realm()
					tx.NameRealm(certificate(aliceOne, found.Timestamp+1, "name"))
					return nil
				})
				if err != nil {
					f.Errorf("rename: %v", err)
				}
			case 1:
				vlob := vlobs[(worker/2+i)%2]
				err := f.try(onVlob(realm, vlob), func(tx rules.Tx) error {
					found, _ := tx.Realm()
					writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: aliceOne, Timestamp: found.Timestamp + 1, Blob: []byte("x")})
					return nil
				})
				if err != nil {
					f.Errorf("write: %v", err)
				}
			default:
				f.readSnapshots(realm, vlobs)
			}
		}
	})
}

func (f *fixture) readSnapshots(realm parsec.RealmID, vlobs []parsec.VlobID) {
	_, facts, changes, err := f.store.Changes(f.Context(), f.organization, aliceOne, realm, 0)
	if err != nil || len(changes) != len(vlobs) {
		f.Errorf("read: %v, and %d changes", err, len(changes))
		return
	}
	equal(f, "sum of the versions", uint64(changes[0].Version)+uint64(changes[1].Version), facts.Checkpoint)
	reading, err := f.store.ReadVlobs(f.Context(), f.organization, aliceOne, realm, vlobs, nil, math.MaxInt64)
	if err != nil {
		f.Errorf("read: %v", err)
		return
	}
	sum := uint64(0)
	for _, version := range reading.Versions {
		sum += uint64(version.Version)
		if version.Version > 1 && version.Timestamp > reading.Realm.Timestamp+1 {
			f.Errorf("a version of a later topic than the realm's")
		}
	}
	equal(f, "sum of the versions read", sum, reading.Realm.Checkpoint)
}

// certificateSnapshots shares realms with users that were just created: whoever
// sees the role sees the user (invariant 17).
func certificateSnapshots(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	each(func(worker int) {
		for range rounds {
			if worker%4 == 0 {
				user := newUserID()
				err := f.try(onCommon(), func(tx rules.Tx) error {
					createUserIn(tx, newUser(user, parsec.ProfileStandard, tx.Topics().Common+1), newDeviceID())
					return nil
				})
				if err == nil {
					err = f.try(onRealm(realm), func(tx rules.Tx) error {
						found, _ := tx.Realm()
						tx.SetRole(user, parsec.RoleReader, nil, certificate(aliceOne, found.Timestamp+1, "role"))
						return nil
					})
				}
				if err != nil {
					f.Errorf("write: %v", err)
				}
				continue
			}
			_, got, err := f.store.Certificates(f.Context(), f.organization, aliceOne, rules.CertificatesAfter{}, 1<<30)
			if err != nil {
				f.Errorf("read: %v", err)
				continue
			}
			users, roles := len(got.Common)/2-1, len(got.Realms[realm])-1
			if len(got.Common)%2 != 0 || roles > users {
				f.Errorf("%d common certificates with %d roles", len(got.Common), roles)
			}
		}
	})
}

// concurrentSessions of one document, the first ones and those that replace one, are one:
// everybody is in that of the same candidate.
func concurrentSessions(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	for round := range rounds {
		document, now := newVlobID(), f.next()
		if round%2 == 1 {
			f.putSession(realm, newSession(document, f.next(), nil), nil)
		}
		var editKeys [workers]string
		each(func(worker int) {
			own := newSession(document, now, []byte{byte(worker)})
			err := f.try(onVlob(realm, parsec.VlobID{}), func(tx rules.Tx) error {
				found, known, err := tx.CryptpadSession(f.Context(), document)
				switch {
				case err != nil:
					return err
				case known && found.EditKey != nil:
					editKeys[worker] = string(found.EditKey)
					return nil
				}
				tx.PutCryptpadSession(own, found)
				editKeys[worker] = string(own.EditKey)
				return nil
			})
			if err != nil {
				f.Errorf("update: %v", err)
			}
		})
		for _, key := range editKeys {
			if key != editKeys[0] {
				f.Errorf("round %d: members edit with %q", round, editKeys)
				break
			}
		}
	}
}
