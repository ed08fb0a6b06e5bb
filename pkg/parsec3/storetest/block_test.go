package storetest

import (
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var blockChecks = []check{
	{"creation", blockCreation},
	{"reservation", blockReservation},
	{"release", blockRelease},
	{"id of another realm", blockOfAnotherRealm},
	{"tokens", uploadTokens},
}

func newBlock(realm parsec.RealmID, id parsec.BlockID, size uint64, date parsec.DateTime) rules.Block {
	return rules.Block{
		ID: id, Realm: realm, KeyIndex: 1, Author: aliceOne, Size: size, CreatedOn: date, Checksum: blockstore.ChecksumOf(id[:]),
	}
}

func (f *fixture) createBlock(realm parsec.RealmID, id parsec.BlockID, size uint64) {
	f.Helper()
	date := f.next()
	f.queue(onBlock(realm, id), func(tx rules.Tx) { tx.CreateBlock(newBlock(realm, id, size, date)) })
}

// inHundredYears is after all that checks do at the same time, by a clock: pruning ends
// what has expired in every organization.
const inHundredYears = parsec.DateTime(4_102_444_800_000_000)

// newUpload is one of a process that lives as long as its store, here.
func newUpload(id parsec.BlockID) rules.BlockUpload {
	return rules.BlockUpload{ID: id, Token: parsec.NewUUID(), Until: inHundredYears}
}

func (f *fixture) reserve(realm parsec.RealmID, upload rules.BlockUpload) {
	f.Helper()
	f.queue(onBlock(realm, upload.ID), func(tx rules.Tx) { tx.ReserveBlock(upload) })
}

func (f *fixture) release(upload rules.BlockUpload) {
	f.Helper()
	f.no(f.store.ReleaseBlock(f.Context(), f.organization, upload.ID, upload.Token))
}

// wantBlock asks a transaction whether a block exists, and for its upload.
func (f *fixture) wantBlock(realm parsec.RealmID, id parsec.BlockID, exists bool, upload *rules.BlockUpload) {
	f.Helper()
	f.update(onBlock(realm, id), func(tx rules.Tx) error {
		gotExists, gotUpload := tx.Block()
		equal(f, "block exists", gotExists, exists)
		equal(f, "upload", gotUpload, upload)
		return nil
	})
}

// wantRead reads a block, nil for one that is not found.
func (f *fixture) wantRead(device parsec3.DeviceID, realm parsec.RealmID, id parsec.BlockID, want *rules.Block) {
	f.Helper()
	_, _, block, err := f.store.ReadBlock(f.Context(), f.organization, device, realm, id)
	f.no(err)
	equal(f, "block", block, want)
}

func blockCreation(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	f.rotate(realm, 1, nil)
	id, bare := newBlockID(), newBlockID()
	f.wantBlock(realm, id, false, nil)
	f.wantRead(aliceOne, realm, id, nil)
	block := newBlock(realm, id, 1<<33, at(40))
	f.update(onBlock(realm, id), func(tx rules.Tx) error {
		tx.CreateBlock(block)
		exists, _ := tx.Block()
		equal(f, "block seen before the end of its rule", exists, false)
		return nil
	})
	f.wantBlock(realm, id, true, nil)
	f.wantRead(aliceOne, realm, id, &block)
	f.wantRead(aliceOne, newRealmID(), id, nil)
	f.wantRead(aliceOne, realm, newBlockID(), nil)
	without := newBlock(realm, bare, 0, at(41))
	without.Checksum, without.KeyIndex = nil, 0
	f.queue(onBlock(realm, bare), func(tx rules.Tx) { tx.CreateBlock(without) })
	f.wantRead(aliceOne, realm, bare, &without)
	_, _, got, err := f.store.ReadBlock(f.Context(), f.organization, aliceOne, realm, id)
	f.no(err)
	got.Checksum[0]++
	f.wantRead(aliceOne, realm, id, new(newBlock(realm, id, 1<<33, at(40))))
}

// blockReservation has an upload that replaces another, and becomes a block.
func blockReservation(f *fixture) {
	f.bootstrap()
	realm, id := f.createRealm(), newBlockID()
	first, second := newUpload(id), newUpload(id)
	second.Until = at(2000)
	f.update(onBlock(realm, id), func(tx rules.Tx) error {
		tx.ReserveBlock(first)
		_, upload := tx.Block()
		equal(f, "upload seen before the end of its rule", upload, nil)
		return nil
	})
	f.wantBlock(realm, id, false, &first)
	f.wantRead(aliceOne, realm, id, nil)
	f.reserve(realm, second)
	f.wantBlock(realm, id, false, &second)
	f.wantBlock(realm, newBlockID(), false, nil)
	f.createBlock(realm, id, 5)
	f.wantBlock(realm, id, true, nil)
}

func blockRelease(f *fixture) {
	f.bootstrap()
	realm, id := f.createRealm(), newBlockID()
	upload := newUpload(id)
	f.release(upload) // which is not there
	f.reserve(realm, upload)
	f.release(newUpload(id)) // another one
	f.wantBlock(realm, id, false, &upload)
	other := f.another()
	other.bootstrap()
	other.release(upload)
	f.wantBlock(realm, id, false, &upload)
	f.release(upload)
	f.wantBlock(realm, id, false, nil)
	f.release(upload)
	f.reserve(realm, upload)
	f.createBlock(realm, id, 5)
	f.release(upload) // too late
	f.wantBlock(realm, id, true, nil)
	_, _, block, err := f.store.ReadBlock(f.Context(), f.organization, aliceOne, realm, id)
	f.no(err)
	equal(f, "block found", block != nil, true)
}

// blockOfAnotherRealm has ids that are unique in an organization.
func blockOfAnotherRealm(f *fixture) {
	apart := f.another()
	apart.bootstrap()
	f.bootstrap()
	realm, other, id, reserved := f.createRealm(), f.createRealm(), newBlockID(), newBlockID()
	apart.createRealmAs(realm, alice)
	upload := newUpload(reserved)
	f.createBlock(realm, id, 5)
	f.reserve(realm, upload)
	f.wantBlock(other, id, true, nil)
	f.wantBlock(other, reserved, false, &upload)
	f.wantRead(aliceOne, other, id, nil)
	apart.wantBlock(realm, id, false, nil)
	apart.wantBlock(realm, reserved, false, nil)
	apart.wantRead(aliceOne, realm, id, nil)
	apart.createBlock(realm, id, 7)
	apart.createBlock(realm, reserved, 7)
	f.wantBlock(realm, reserved, false, &upload)
	_, _, block, err := f.store.ReadBlock(f.Context(), f.organization, aliceOne, realm, id)
	f.no(err)
	equal(f, "size", block.Size, 5)
}

// uploadTokens are of a process that lives.
func uploadTokens(f *fixture) {
	f.bootstrap()
	realm, id := f.createRealm(), newBlockID()
	upload := rules.BlockUpload{ID: id, Token: f.store.NewUploadToken(), Until: at(1000)}
	equal(f, "second token differs", f.store.NewUploadToken() != upload.Token, true)
	f.reserve(realm, upload)
	f.update(onBlock(realm, id), func(tx rules.Tx) error {
		equal(f, "upload is dead", tx.UploadIsDead(), false)
		return nil
	})
	f.update(onBlock(realm, newBlockID()), func(tx rules.Tx) error {
		equal(f, "no upload is dead", tx.UploadIsDead(), false)
		return nil
	})
}
