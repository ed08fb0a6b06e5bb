//go:build !without_postgresql

package invariants3_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

func TestInvariant18RealmCreatedOnce(t *testing.T)       { everywhere(t, realmCreatedOnce) }
func TestInvariant19RealmDatesIncrease(t *testing.T)     { everywhere(t, realmDatesIncrease) }
func TestInvariant20RolesReplay(t *testing.T)            { everywhere(t, rolesReplay) }
func TestInvariant21OwnersAgainstEachOther(t *testing.T) { everywhere(t, ownersAgainstEachOther) }
func TestInvariant22AnOwnerRemains(t *testing.T)         { everywhere(t, anOwnerRemains) }
func TestInvariant23OneSelfPromotion(t *testing.T)       { everywhere(t, oneSelfPromotion) }
func TestInvariant24WritesAndRemovals(t *testing.T)      { everywhere(t, writesAndRemovals) }
func TestInvariant25OneRotation(t *testing.T)            { everywhere(t, oneRotation) }
func TestInvariant26RotationForMembers(t *testing.T)     { everywhere(t, rotationForMembers) }
func TestInvariant27ShareOfTheCurrentKey(t *testing.T)   { everywhere(t, shareOfTheCurrentKey) }
func TestInvariant28MembersHaveTheKeys(t *testing.T)     { everywhere(t, membersHaveTheKeys) }
func TestInvariant29DataWithTheCurrentKey(t *testing.T)  { everywhere(t, dataWithTheCurrentKey) }
func TestInvariant30OneInitialName(t *testing.T)         { everywhere(t, oneInitialName) }
func TestInvariant31WritesAndArchiving(t *testing.T)     { everywhere(t, writesAndArchiving) }
func TestInvariant32DeletionIsNotTooEarly(t *testing.T)  { everywhere(t, deletionIsNotTooEarly) }
func TestInvariant34NothingForTheRemoved(t *testing.T)   { everywhere(t, nothingForTheRemoved) }

func realmCreatedOnce(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	for range rounds / 2 {
		realm := newRealmID()
		got := w.collide(each(4, func(i, instance int) call {
			return []*member{w.alice, bob}[i/2].createsRealm(instance, realm, anytime)
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusRealmAlreadyExists: 3})
	}
	w.coherent(bob)
}

func realmDatesIncrease(w *world) {
	bob, carol := w.addUser("bob", parsec.ProfileStandard), w.addUser("carol", parsec.ProfileStandard)
	realm := w.alice.addRealmWith(parsec.RoleOwner, bob)
	heard := w.alice.listen(0)
	for range rounds {
		w.collide(
			w.alice.names(0, realm, 1, false, now()), bob.names(1, realm, 1, false, now()),
			bob.archives(0, realm, parsec.ArchivingAvailable, nil, now()),
			w.alice.shares(1, realm, 1, carol, parsec.RoleReader, now()), bob.shares(0, realm, 1, carol, parsec.RoleContributor, now()),
			w.alice.unshares(1, realm, carol, now()),
		)
	}
	last := parsec.DateTime(0)
	for _, event := range heard.all() {
		if told, is := event.(*protocol.RealmCertificateEvent); is && told.RealmID == realm {
			if told.Timestamp <= last {
				w.Fatalf("a certificate of %s is committed after one of %s", told.Timestamp, last)
			}
			last = told.Timestamp
		}
	}
	w.coherent(bob, carol)
}

// rolesReplay has members change each other as chance has it, by clocks that are not
// equal: what is accepted of it replays.
func rolesReplay(w *world) {
	members := []*member{w.alice}
	for _, name := range []string{"bob", "carol", "dave"} {
		members = append(members, w.addUser(name, parsec.ProfileAdmin))
	}
	realm := w.alice.addRealmWith(parsec.RoleManager, members[1:]...)
	roles := []parsec.RealmRole{parsec.RoleOwner, parsec.RoleManager, parsec.RoleContributor, parsec.RoleReader}
	profiles := []parsec.UserProfile{parsec.ProfileAdmin, parsec.ProfileStandard, parsec.ProfileOutsider}
	draw := rand.New(rand.NewPCG(20, 20))
	pick := func() *member { return members[draw.IntN(len(members))] }
	accepted, dates := 0, 0
	for round := range 5 * rounds {
		dates += 2
		var calls []call
		for instance := range 4 {
			by, of, date := pick(), pick(), ahead(dates+draw.IntN(4))
			switch draw.IntN(10) {
			case 0, 1, 2, 3:
				calls = append(calls, by.shares(instance%2, realm, 1, of, roles[draw.IntN(len(roles))], date))
			case 4, 5:
				calls = append(calls, by.unshares(instance%2, realm, of, date))
			case 6:
				calls = append(calls, by.promotesItself(instance%2, realm, date))
			case 7, 8:
				calls = append(calls, by.setsProfile(instance%2, of, profiles[draw.IntN(len(profiles))], date))
			default:
				if of != w.alice && round > 3*rounds {
					calls = append(calls, w.alice.revokes(instance%2, of, date))
				}
			}
		}
		for _, got := range w.race(calls...) {
			if got == protocol.StatusOK {
				accepted++
			}
		}
	}
	if accepted < rounds {
		w.Errorf("only %d changes are accepted", accepted)
	}
	w.coherent()
	for _, m := range members {
		reply, err := parsec3.Call(w.ctx, m.on[0], protocol.Ping, &protocol.PingRequest{Ping: "active"})
		if err == nil && reply.Pong == "active" {
			m.knowledge(1)
		}
	}
}

func ownersAgainstEachOther(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	for round := range rounds {
		realm := w.alice.addRealmWith(parsec.RoleOwner, bob)
		calls := []call{w.alice.unshares(0, realm, bob, anytime), bob.unshares(1, realm, w.alice, anytime)}
		if round%2 == 0 {
			calls = []call{
				w.alice.shares(0, realm, 1, bob, parsec.RoleReader, anytime), bob.shares(1, realm, 1, w.alice, parsec.RoleManager, anytime),
			}
		}
		w.wantOutcomes(w.collide(calls...), outcomes{protocol.StatusOK: 1, protocol.StatusAuthorNotAllowed: 1})
	}
	realm := w.alice.addRealmWith(parsec.RoleOwner, bob)
	for _, own := range []call{
		bob.shares(0, realm, 1, bob, parsec.RoleReader, anytime), bob.unshares(1, realm, bob, anytime),
	} {
		w.want(protocol.StatusInvalidCertificate, own)
	}
	w.want(protocol.StatusActiveOwnerAlreadyExists, bob.promotesItself(0, realm, anytime))
	w.coherent(bob)
}

// anOwnerRemains has each of three owners removed by another.
func anOwnerRemains(w *world) {
	bob, carol := w.addUser("bob", parsec.ProfileAdmin), w.addUser("carol", parsec.ProfileAdmin)
	for range rounds {
		realm := w.alice.addRealmWith(parsec.RoleOwner, bob, carol)
		w.collide(w.alice.unshares(0, realm, bob, anytime), bob.unshares(1, realm, carol, anytime), carol.unshares(0, realm, w.alice, anytime))
		owners := 0
		for _, m := range []*member{w.alice, bob, carol} {
			if m.knowledge(1).Realm(realm).Role(m.User) == parsec.RoleOwner {
				owners++
			}
		}
		if owners == 0 {
			w.Fatal("nobody is OWNER")
		}
	}
	realm := bob.addRealmWith(parsec.RoleManager, w.alice)
	w.ok(w.alice.revokes(0, bob, anytime))
	w.want(protocol.StatusAuthorNotAllowed, w.alice.unshares(1, realm, bob, anytime)) // It is OWNER still.
	w.coherent(carol)
}

func oneSelfPromotion(w *world) {
	managers := []*member{w.alice, w.addUser("bob", parsec.ProfileStandard), w.addUser("carol", parsec.ProfileStandard)}
	for round := range rounds {
		owner := w.addUser("owner", parsec.ProfileStandard)
		realm := owner.addRealmWith(parsec.RoleManager, managers...)
		w.want(protocol.StatusActiveOwnerAlreadyExists, managers[round%3].promotesItself(0, realm, anytime))
		promotions := each(len(managers), func(i, instance int) call { return managers[i].promotesItself(instance, realm, anytime) })
		if round%2 == 0 {
			w.ok(w.alice.revokes(0, owner, anytime))
			w.wantOutcomes(w.collide(promotions...), outcomes{protocol.StatusOK: 1, protocol.StatusActiveOwnerAlreadyExists: 2})
			continue
		}
		// The last owner is revoked meanwhile, or becomes OUTSIDER.
		change := w.alice.revokes(1, owner, anytime)
		if round%4 == 1 {
			change = w.alice.setsProfile(1, owner, parsec.ProfileOutsider, anytime)
		}
		got := w.collide(append(promotions, change)...)
		w.wantOutcomes(got[len(promotions):], outcomes{protocol.StatusOK: 1})
		promoted := 0
		for _, status := range got[:len(promotions)] {
			switch status {
			case protocol.StatusOK:
				promoted++
			case protocol.StatusActiveOwnerAlreadyExists:
			default:
				w.Fatalf("a promotion ends with %s", status)
			}
		}
		if promoted > 1 {
			w.Fatalf("%d promote themselves", promoted)
		}
	}
	w.coherent(managers...)
}

// writesAndRemovals has data written later than its author is removed, or loses the
// right to write.
func writesAndRemovals(w *world) {
	realm := w.alice.addRealm()
	round := 0
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		bob := w.addUser("bob", parsec.ProfileStandard)
		w.ok(w.alice.shares(0, realm, 1, bob, parsec.RoleContributor, anytime))
		date := now()
		change := w.alice.unshares(0, realm, bob, date)
		if round++; round%4 < 2 {
			change = w.alice.shares(0, realm, 1, bob, parsec.RoleReader, date)
		}
		return change, bob.createsVlob(1, realm, newVlobID(), 1, date+1), w.neverBoth("the loss of a right and a later write")
	})
	w.verifyVlobs(realm)
}

// verifyVlobs has alice check who has written what there is in a realm.
func (w *world) verifyVlobs(realm parsec.RealmID, others ...*member) {
	w.Helper()
	known := w.coherent(others...)
	for _, change := range w.alice.changes(0, realm, 0).Changes {
		for _, item := range w.alice.reads(1, realm, change.Vlob).Items {
			if _, err := known.Signer(realm, item.Author, item.CreatedOn); err != nil {
				w.Errorf("vlob %s: %v", item.Vlob, err)
			}
		}
	}
}

func oneRotation(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealmWith(parsec.RoleOwner, bob)
	for key := uint64(2); key < 2+rounds; key++ {
		got := w.collide(each(4, func(i, instance int) call {
			by := []*member{w.alice, bob}[i/2]
			return by.rotates(instance, realm, key, []*member{w.alice, bob}, nil, anytime)
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusBadKeyIndex: 3})
		if index := w.coherent(bob).Realm(realm).KeyIndex; index != key {
			w.Fatalf("the key index is %d, want %d", index, key)
		}
	}
	w.want(protocol.StatusBadKeyIndex, w.alice.rotates(0, realm, 3+rounds, []*member{w.alice, bob}, nil, anytime))
}

// rotationForMembers has a member come, or go, while the key is rotated for those that
// are there.
func rotationForMembers(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealm()
	key := uint64(1)
	joined := false
	w.inBothOrders(2*rounds, func() (call, call, func(first, second protocol.Status)) {
		here := []*member{w.alice}
		change := w.alice.shares(0, realm, key, bob, parsec.RoleReader, anytime)
		if joined {
			here = append(here, bob)
			change = w.alice.unshares(0, realm, bob, anytime)
		}
		return w.alice.rotates(1, realm, key+1, here, nil, anytime), change, func(rotation, change protocol.Status) {
			w.Helper()
			switch {
			case rotation == protocol.StatusOK && change == protocol.StatusBadKeyIndex && !joined:
				key++
			case rotation == protocol.StatusOK && change == protocol.StatusOK && joined:
				key++ // for bob too, who goes afterwards
				joined = false
			case rotation == protocol.StatusParticipantMismatch && change == protocol.StatusOK:
				joined = !joined
			default:
				w.Fatalf("a rotation and a change of the members, joined %t: %s and %s", joined, rotation, change)
			}
		}
	})
	w.ok(w.alice.revokes(0, bob, anytime)) // Who is revoked counts as long as it has a role.
	here := []*member{w.alice}
	if joined {
		w.want(protocol.StatusParticipantMismatch, w.alice.rotates(0, realm, key+1, here, nil, anytime))
		here = append(here, bob)
	} else {
		w.want(protocol.StatusParticipantMismatch, w.alice.rotates(0, realm, key+1, []*member{w.alice, bob}, nil, anytime))
	}
	w.ok(w.alice.rotates(1, realm, key+1, here, nil, anytime))
	w.coherent()
}

// shareOfTheCurrentKey has who gets a role while the key is rotated read the key that is
// current then.
func shareOfTheCurrentKey(w *world) {
	realm := w.alice.addRealm()
	members, key := []*member{w.alice}, uint64(1)
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		bob := w.addUser("bob", parsec.ProfileStandard)
		return w.alice.shares(0, realm, key, bob, parsec.RoleReader, anytime), w.alice.rotates(1, realm, key+1, members, nil, anytime),
			func(share, rotation protocol.Status) {
				w.Helper()
				w.neverBoth("a share with the old key, and a rotation without its target")(share, rotation)
				if rotation == protocol.StatusOK {
					key++
					w.ok(w.alice.shares(0, realm, key, bob, parsec.RoleReader, anytime))
				}
				members = append(members, bob)
				w.want(protocol.StatusOK, bob.readsKeys(1, realm, key))
			}
	})
	w.coherent()
}

func (m *member) readsKeys(instance int, realm parsec.RealmID, key uint64) call {
	return send(m.on[instance], protocol.RealmGetKeysBundle, &protocol.RealmGetKeysBundleRequest{RealmID: realm, KeyIndex: key})
}

func membersHaveTheKeys(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealm()
	w.ok(
		w.alice.rotates(0, realm, 2, []*member{w.alice}, nil, anytime),
		w.alice.shares(1, realm, 2, bob, parsec.RoleReader, anytime),
		w.alice.rotates(0, realm, 3, []*member{w.alice, bob}, nil, anytime),
		w.alice.unshares(1, realm, bob, anytime),
		w.alice.rotates(0, realm, 4, []*member{w.alice}, nil, anytime),
	)
	for instance := range bob.on {
		for key := uint64(1); key <= 4; key++ {
			w.want(protocol.StatusAuthorNotAllowed, bob.readsKeys(instance, realm, key))
			w.want(protocol.StatusOK, w.alice.readsKeys(instance, realm, key))
		}
	}
	w.ok(w.alice.shares(0, realm, 4, bob, parsec.RoleContributor, anytime))
	for instance := range bob.on {
		w.want(protocol.StatusAccessNotAvailableForAuthor, bob.readsKeys(instance, realm, 1))
		for _, key := range []uint64{2, 3, 4} {
			w.want(protocol.StatusOK, bob.readsKeys(instance, realm, key))
		}
	}
	reply := ask(bob, 1, protocol.RealmGetKeysBundle, &protocol.RealmGetKeysBundleRequest{RealmID: realm, KeyIndex: 4})
	if string(reply.KeysBundleAccess) != string(accessOf(bob.User)) {
		w.Errorf("the access is %q", reply.KeysBundleAccess)
	}
}

// dataWithTheCurrentKey has data with the old key meet a rotation: what is accepted is
// committed before it.
func dataWithTheCurrentKey(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealmWith(parsec.RoleContributor, bob)
	heard := w.alice.listen(1)
	key := uint64(1)
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		vlob, date := newVlobID(), now()
		write, rotation := bob.createsVlob(0, realm, vlob, key, date), w.alice.rotates(1, realm, key+1, []*member{w.alice, bob}, nil, date)
		key++
		return write, rotation, func(write, rotation protocol.Status) {
			w.Helper()
			if rotation != protocol.StatusOK {
				w.Fatalf("the rotation ends with %s", rotation)
			}
			events := heard.all()
			rotated := place(events, realmAt(realm, date))
			switch written := place(events, vlobOf(vlob)); {
			case write == protocol.StatusBadKeyIndex:
			case write != protocol.StatusOK:
				w.Fatalf("the write ends with %s", write)
			case !before(written, rotated):
				w.Fatal("a vlob with the old key is committed after the rotation")
			}
		}
	})
	w.want(protocol.StatusBadKeyIndex, bob.createsVlob(0, realm, newVlobID(), key-1, anytime))
	w.want(protocol.StatusBadKeyIndex, bob.createsBlock(1, realm, newBlockID(), key-1, "block"))
	w.ok(bob.createsVlob(1, realm, newVlobID(), key, anytime), bob.createsBlock(0, realm, newBlockID(), key, "block"))
	w.verifyVlobs(realm, bob)
}

func oneInitialName(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	for range rounds / 2 {
		realm := w.alice.addRealmWith(parsec.RoleOwner, bob)
		got := w.collide(each(4, func(i, instance int) call {
			return []*member{w.alice, bob}[i/2].names(instance, realm, 1, true, anytime)
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusInitialNameAlreadyExists: 3})
	}
	w.coherent(bob)
}

// writesAndArchiving has data meet the archiving: what is accepted is committed before
// it.
func writesAndArchiving(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealmWith(parsec.RoleContributor, bob)
	heard := w.alice.listen(0)
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		w.ok(w.alice.archives(0, realm, parsec.ArchivingAvailable, nil, anytime))
		vlob, date := newVlobID(), now()
		return bob.createsVlob(1, realm, vlob, 1, date+1), w.alice.archives(0, realm, parsec.ArchivingArchived, nil, date), func(write, archiving protocol.Status) {
			w.Helper()
			if archiving != protocol.StatusOK {
				w.Fatalf("the archiving ends with %s", archiving)
			}
			events := heard.all()
			archived := place(events, realmAt(realm, date))
			switch written := place(events, vlobOf(vlob)); {
			case write == protocol.StatusRealmArchived:
			case write != protocol.StatusOK:
				w.Fatalf("the write ends with %s", write)
			case !before(written, archived):
				w.Fatal("a vlob is committed after the archiving")
			}
		}
	})
	w.want(protocol.StatusRealmArchived, w.alice.createsVlob(1, realm, newVlobID(), 1, anytime))
	w.want(protocol.StatusRealmArchived, w.alice.createsBlock(0, realm, newBlockID(), 1, "block"))
	w.coherent(bob)
}

func deletionIsNotTooEarly(w *world) {
	realm := w.alice.addRealm()
	for _, minimum := range []uint64{3600, 60, 86400} {
		w.settle(organization.Change{MinimumArchivingPeriod: &minimum})
		plan := func(instance int, after time.Duration) call {
			date := now()
			return w.alice.archives(instance, realm, parsec.ArchivingDeletionPlanned, new(date.Add(after)), date)
		}
		period := time.Duration(minimum) * time.Second
		for instance := range w.alice.on {
			w.want(protocol.StatusArchivingPeriodTooShort, plan(instance, period-time.Microsecond))
			w.want(protocol.StatusArchivingPeriodTooShort, plan(instance, -period))
			w.ok(plan(instance, period))
		}
	}
	w.coherent()
}

// nothingForTheRemoved has a removed user try everything, on both instances at once.
func nothingForTheRemoved(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealm()
	vlob, block := newVlobID(), newBlockID()
	w.ok(w.alice.createsVlob(0, realm, vlob, 1, anytime), w.alice.createsBlock(0, realm, block, 1, "block"))
	for range rounds / 2 {
		w.ok(w.alice.shares(0, realm, 1, bob, parsec.RoleOwner, anytime), w.alice.unshares(0, realm, bob, anytime))
		calls := []call{}
		for instance := range bob.on {
			calls = append(calls,
				bob.createsVlob(instance, realm, newVlobID(), 1, anytime), bob.updatesVlob(instance, realm, vlob, 1, 2, "x", anytime),
				bob.createsBlock(instance, realm, newBlockID(), 1, "block"), bob.readsKeys(instance, realm, 1),
				bob.names(instance, realm, 1, false, anytime), bob.archives(instance, realm, parsec.ArchivingArchived, nil, anytime),
				bob.shares(instance, realm, 1, w.addUser("new", parsec.ProfileStandard), parsec.RoleReader, anytime),
				bob.promotesItself(instance, realm, anytime), bob.rotates(instance, realm, 2, []*member{w.alice}, nil, anytime),
				send(bob.on[instance], protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: []parsec.VlobID{vlob}}),
				send(bob.on[instance], protocol.VlobReadVersions, &protocol.VlobReadVersionsRequest{RealmID: realm, Items: []protocol.VlobNumber{{Vlob: vlob, Version: 1}}}),
				send(bob.on[instance], protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm}),
				send(bob.on[instance], protocol.BlockRead, &protocol.BlockReadRequest{RealmID: realm, BlockID: block}),
			)
		}
		w.wantOutcomes(w.race(calls...), outcomes{protocol.StatusAuthorNotAllowed: len(calls)})
	}
	if changes := w.alice.changes(1, realm, 0).Changes; !slices.Equal(changes, []protocol.VlobNumber{{Vlob: vlob, Version: 1}}) {
		w.Errorf("the changes are %s", fmt.Sprint(changes))
	}
	w.coherent(bob)
}
