package storetest

import (
	"math"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var blockChecks = []check{
	{"create", createBlock},
	{"reservation", reserveBlock},
	{"reservation of what cannot be created", reserveNothing},
	{"reservation during a confirmation", reserveDuringConfirmation},
}

func newBlock(realm parsec.RealmID, id parsec.BlockID, size uint64) rules.Block {
	return rules.Block{ID: id, Realm: realm, Author: aliceOne, Size: size, CreatedOn: at(3), Checksum: blockstore.ChecksumOf(id[:])}
}

// newUpload ends at a date of the checks.
func newUpload(id parsec.BlockID, seconds int) rules.BlockUpload {
	return rules.BlockUpload{ID: id, Token: parsec.NewUUID(), Until: at(seconds)}
}

// reserve tries to reserve a block for alice at a date of the checks.
func (f *fixture) reserve(realm parsec.RealmID, upload rules.BlockUpload, seconds int) rules.BlockReservation {
	f.Helper()
	facts, err := f.store.ReserveBlock(f.Context(), f.organization, alice, realm, upload, at(seconds))
	f.no(err)
	return facts
}

func (f *fixture) release(upload rules.BlockUpload) {
	f.Helper()
	f.no(f.store.ReleaseBlock(f.Context(), f.organization, upload.ID, upload.Token))
}

// wantBlock asks in every way whether a block exists, and for its upload.
func (f *fixture) wantBlock(realm parsec.RealmID, id parsec.BlockID, exists bool, upload *rules.BlockUpload) {
	f.Helper()
	_, _, found, err := f.store.Block(f.Context(), f.organization, alice, id)
	f.no(err)
	equal(f, "block found", found, exists)
	f.update(onBlock(realm, id), func(tx rules.Tx) error {
		gotExists, gotUpload := tx.Block()
		equal(f, "block exists in a transaction", gotExists, exists)
		equal(f, "upload", gotUpload, upload)
		return nil
	})
}

func createBlock(f *fixture) {
	f.bootstrap()
	realm, other := f.createRealm(), f.createRealm()
	id := newBlockID()
	f.wantBlock(realm, id, false, nil)
	f.update(onBlock(realm, id), func(tx rules.Tx) error {
		tx.CreateBlock(newBlock(realm, id, 1000))
		exists, _ := tx.Block()
		equal(f, "block seen before the end of its rule", exists, false)
		return nil
	})
	f.wantBlock(realm, id, true, nil)
	f.wantBlock(other, id, true, nil)
	f.wantBlock(realm, newBlockID(), false, nil)

	facts, block, _, err := f.store.Block(f.Context(), f.organization, bob, id)
	f.no(err)
	equal(f, "realm of the block", facts, f.realm(realm, bob))
	equal(f, "block", block, new(newBlock(realm, id, 1000)))

	old := newBlock(realm, newBlockID(), 0)
	old.Checksum = nil
	f.reserve(realm, newUpload(old.ID, 10), 5)
	f.queue(onBlock(realm, old.ID), func(tx rules.Tx) { tx.CreateBlock(old) })
	_, block, _, err = f.store.Block(f.Context(), f.organization, bob, old.ID)
	f.no(err)
	equal(f, "block without checksum", block, &old)

	for _, block := range []rules.Block{newBlock(other, newBlockID(), math.MaxUint32), newBlock(realm, newBlockID(), 0)} {
		f.queue(onBlock(block.Realm, block.ID), func(tx rules.Tx) { tx.CreateBlock(block) })
	}
	for realm, want := range map[parsec.RealmID]uint64{realm: 1000, other: math.MaxUint32} {
		_, blocks, vlobs, _, err := f.store.RealmStatistics(f.Context(), f.organization, realm, alice)
		f.no(err)
		equal(f, "sizes", [2]uint64{blocks, vlobs}, [2]uint64{want, 0})
	}
	statistics := f.statistics(nil)
	equal(f, "data size", statistics.DataSize, 1000+math.MaxUint32)
	equal(f, "metadata size", statistics.MetadataSize, 0)
	equal(f, "checkpoint", f.realm(realm, alice).Checkpoint, 0)
}

// reserveBlock has uploads that follow one another: the first is released, the
// second and third expire, the fourth creates the block.
func reserveBlock(f *fixture) {
	f.bootstrap()
	realm, other, id := f.createRealm(), f.createRealm(), newBlockID()
	facts := f.realm(realm, alice)
	want := func(what string, got rules.BlockReservation, want rules.BlockReservation) {
		f.Helper()
		want.Realm = facts
		equal(f, what, got, want)
	}
	reserved := rules.BlockReservation{Reserved: true}

	first, second, third := newUpload(id, 10), newUpload(id, 20), newUpload(id, 30)
	want("free", f.reserve(realm, first, 5), reserved)
	f.wantBlock(realm, id, false, &first)
	want("its own", f.reserve(realm, first, 6), reserved)
	want("taken", f.reserve(realm, second, 9), rules.BlockReservation{})
	equal(f, "taken by another realm", f.reserve(other, second, 9).Reserved, false)
	f.release(second)
	f.wantBlock(realm, id, false, &first)
	f.release(first)
	f.wantBlock(realm, id, false, nil)
	f.release(first)

	want("released", f.reserve(realm, second, 9), reserved)
	f.wantBlock(other, id, false, &second)
	want("expired", f.reserve(realm, third, 20), reserved)
	f.wantBlock(realm, id, false, &third)
	f.release(second)
	f.wantBlock(realm, id, false, &third)
	equal(f, "expired, for another realm", f.reserve(other, newUpload(id, 40), 35).Reserved, true)

	f.queue(onBlock(realm, id), func(tx rules.Tx) { tx.CreateBlock(newBlock(realm, id, 7)) })
	f.wantBlock(realm, id, true, nil)
	_, block, _, err := f.store.Block(f.Context(), f.organization, alice, id)
	f.no(err)
	equal(f, "block that was reserved", block, new(newBlock(realm, id, 7)))
	want("created", f.reserve(realm, newUpload(id, 99), 90), rules.BlockReservation{Exists: true})
	f.wantBlock(realm, id, true, nil)
	f.release(third)
	f.release(rules.BlockUpload{ID: id})
	f.wantBlock(realm, id, true, nil)
	equal(f, "size", must(f.blocksSize(realm)), 7)
	equal(f, "size of the other realm", must(f.blocksSize(other)), 0)
}

func (f *fixture) blocksSize(realm parsec.RealmID) (uint64, error) {
	_, size, _, _, err := f.store.RealmStatistics(f.Context(), f.organization, realm, alice)
	return size, err
}

func reserveNothing(f *fixture) {
	id := newBlockID()
	equal(f, "reservation in an unknown organization", f.reserve(newRealmID(), newUpload(id, 10), 5), rules.BlockReservation{})
	f.release(newUpload(id, 10))
	f.bootstrap()
	equal(f, "reservation in an unknown realm", f.reserve(newRealmID(), newUpload(id, 10), 5), rules.BlockReservation{})
	realm := f.createRealm()
	f.wantBlock(realm, id, false, nil)
	f.queue(onBlock(realm, id), func(tx rules.Tx) { tx.CreateBlock(newBlock(realm, id, 7)) })
	equal(f, "reservation of a block, for an unknown realm",
		f.reserve(newRealmID(), newUpload(id, 10), 5), rules.BlockReservation{Exists: true})
}

// reserveDuringConfirmation has an upload confirmed after its reservation has
// expired: one that comes while that goes on waits, and finds the block.
func reserveDuringConfirmation(f *fixture) {
	f.bootstrap()
	realm, id := f.createRealm(), newBlockID()
	first, second := newUpload(id, 10), newUpload(id, 90)
	equal(f, "reserved", f.reserve(realm, first, 5).Reserved, true)
	reserved := make(chan bool, 1)
	f.update(onBlock(realm, id), func(tx rules.Tx) error {
		_, upload := tx.Block()
		equal(f, "upload", upload, &first)
		go func() {
			facts, err := f.store.ReserveBlock(f.Context(), f.organization, alice, realm, second, at(20))
			if err != nil {
				f.Errorf("reserve: %v", err)
			}
			reserved <- facts.Reserved
		}()
		select {
		case <-reserved:
			f.Error("the reservation does not wait for the confirmation")
			reserved <- false
		case <-time.After(exclusionPatience):
		}
		tx.CreateBlock(newBlock(realm, id, 7))
		return nil
	})
	equal(f, "reserved after the confirmation", <-reserved, false)
	f.wantBlock(realm, id, true, nil)
	equal(f, "exists", f.reserve(realm, second, 20).Exists, true)
}
