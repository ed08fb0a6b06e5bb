package storetest

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var reencryptionChecks = []check{
	{"from start to finish", reencrypt},
	{"what is not to reencrypt is ignored", ignoredItems},
	{"batches", batches},
	{"batches of so many bytes", batchBytes},
	{"refused save", refusedSave},
	{"realm without vlob", reencryptNothing},
	{"saved bytes are copies", savedCopies},
}

// start begins the reencryption of a realm.
func (f *fixture) start(realm parsec.RealmID) {
	f.Helper()
	f.queue(onRealm(realm), func(tx rules.Tx) {
		tx.StartMaintenance(rules.Maintenance{Type: parsec.MaintenanceReencryption, StartedOn: at(100), StartedBy: aliceOne})
	})
}

func (f *fixture) finish(realm parsec.RealmID) {
	f.Helper()
	f.queue(onRealm(realm), func(tx rules.Tx) { tx.FinishMaintenance() })
}

// save saves items, and wants the progress after it, also in the next
// transaction.
func (f *fixture) save(realm parsec.RealmID, wantTotal, wantDone uint64, items ...protocol.ReencryptionItem) {
	f.Helper()
	f.update(onRealm(realm), func(tx rules.Tx) error {
		total, done, err := tx.SaveReencrypted(f.Context(), items)
		if err != nil {
			return err
		}
		equal(f, "done of total", [2]uint64{done, total}, [2]uint64{wantDone, wantTotal})
		return nil
	})
	f.wantProgress(realm, wantTotal, wantDone)
}

func (f *fixture) wantProgress(realm parsec.RealmID, wantTotal, wantDone uint64) {
	f.Helper()
	f.update(onRealm(realm), func(tx rules.Tx) error {
		total, done, err := tx.ReencryptionProgress(f.Context())
		if err != nil {
			return err
		}
		equal(f, "done of total in another transaction", [2]uint64{done, total}, [2]uint64{wantDone, wantTotal})
		return nil
	})
}

// item returns a version saved, with text as its new bytes.
func item(vlob parsec.VlobID, version uint32, text string) protocol.ReencryptionItem {
	return protocol.ReencryptionItem{VlobID: vlob, Version: version, Blob: []byte(text)}
}

// itemsOf selects so many items of any size, for the OWNERs.
func itemsOf(realm parsec.RealmID, items uint64) rules.BatchSelection {
	return rules.BatchSelection{Realm: realm, Role: parsec.RoleOwner, Items: items, Bytes: math.MaxUint64}
}

// batch reads all that is left to reencrypt.
func (f *fixture) batch(realm parsec.RealmID, size uint64) map[string]string {
	f.Helper()
	_, items, found, err := f.store.ReencryptionBatch(f.Context(), f.organization, alice, itemsOf(realm, size))
	f.no(err)
	equal(f, "realm found", found, true)
	texts := map[string]string{}
	for _, item := range items {
		texts[place(item.VlobID, item.Version)] = string(item.Blob)
	}
	equal(f, "distinct items", len(texts), len(items))
	if uint64(len(items)) > size {
		f.Errorf("batch of %d items, want at most %d", len(items), size)
	}
	return texts
}

func place(vlob parsec.VlobID, version uint32) string { return fmt.Sprint(vlob, " version ", version) }

// wantBlob wants the text under a revision; "" is none.
func (f *fixture) wantBlob(vlob parsec.VlobID, version uint32, revision uint64, want string) {
	f.Helper()
	_, got, found, err := f.store.ReadVlob(f.Context(), f.organization, alice,
		rules.VlobSelection{Vlob: vlob, EncryptionRevision: revision, Version: &version})
	f.no(err)
	equal(f, "vlob found", found, true)
	text := ""
	if got != nil {
		text = string(got.Blob)
	}
	equal(f, fmt.Sprintf("version %d under revision %d", version, revision), text, want)
}

// wantComplete wants every version, the texts, under the revision of the rule.
func (f *fixture) wantComplete(realm parsec.RealmID, texts map[parsec.VlobID][]string) {
	f.Helper()
	revision := f.realm(realm, alice).CompleteRevision()
	for vlob, versions := range texts {
		for i, text := range versions {
			f.wantBlob(vlob, uint32(i)+1, revision, text)
		}
	}
}

func reencrypt(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	realm := f.createRealm()
	f.grant(realm, bob, parsec.RoleContributor, 0)
	a := f.createVlob(realm, aliceOne, 1, "a1")
	b := f.createVlob(realm, bobOne, 2, "b1")
	f.updateVlob(a, bobOne, 3, "a2")
	before := f.snapshotRealm(realm, a, b)
	f.wantComplete(realm, map[parsec.VlobID][]string{a: {"a1", "a2"}, b: {"b1"}})

	f.start(realm)
	facts := f.realm(realm, alice)
	equal(f, "revision", facts.EncryptionRevision, 2)
	equal(f, "maintenance", facts.Maintenance, rules.Maintenance{Type: parsec.MaintenanceReencryption, StartedOn: at(100), StartedBy: aliceOne})
	f.wantProgress(realm, 3, 0)
	equal(f, "batch", f.batch(realm, 1000), map[string]string{place(a, 1): "a1", place(b, 1): "b1", place(a, 2): "a2"})

	f.save(realm, 3, 1, item(a, 2, "A2"))
	f.save(realm, 3, 2, item(b, 1, "B1, longer"))
	equal(f, "batch", f.batch(realm, 1000), map[string]string{place(a, 1): "a1"})
	f.wantBlob(a, 2, 1, "a2")
	f.wantBlob(a, 2, 2, "A2")
	f.wantBlob(a, 1, 1, "a1")
	f.wantBlob(a, 1, 2, "")
	f.wantBlob(a, 1, 3, "")
	f.save(realm, 3, 3, item(a, 1, "A1"))
	equal(f, "batch", f.batch(realm, 1000), map[string]string{})
	f.wantBlob(a, 1, 1, "a1")
	f.wantComplete(realm, map[parsec.VlobID][]string{a: {"a1", "a2"}, b: {"b1"}})
	equal(f, "the realm while all is saved", f.snapshotRealm(realm, a, b), before)

	f.finish(realm)
	f.wantComplete(realm, map[parsec.VlobID][]string{a: {"A1", "A2"}, b: {"B1, longer"}})
	facts = f.realm(realm, alice)
	equal(f, "revision", facts.EncryptionRevision, 2)
	equal(f, "maintenance", facts.Maintenance, rules.Maintenance{})
	f.wantBlob(a, 1, 1, "")
	f.wantBlob(a, 1, 2, "A1")
	f.wantBlob(a, 2, 2, "A2")
	f.wantBlob(b, 1, 2, "B1, longer")
	f.wantBlob(b, 1, 3, "")
	equal(f, "the realm but for its blobs", f.snapshotRealm(realm, a, b), before)

	// What is written next is under the new revision, and a second
	// reencryption takes all.
	f.updateVlob(b, aliceOne, 200, "b2")
	f.wantBlob(b, 2, 2, "b2")
	f.wantBlob(b, 2, 1, "")
	f.start(realm)
	equal(f, "revision", f.realm(realm, alice).EncryptionRevision, 3)
	f.wantProgress(realm, 4, 0)
	equal(f, "batch", f.batch(realm, 1000), map[string]string{
		place(a, 1): "A1", place(b, 1): "B1, longer", place(a, 2): "A2", place(b, 2): "b2",
	})
	f.save(realm, 4, 4, item(a, 1, "x"), item(a, 2, "x"), item(b, 1, "x"), item(b, 2, "y"))
	f.finish(realm)
	f.wantBlob(b, 2, 3, "y")
}

// realmSnapshot is what a reencryption leaves as it is.
type realmSnapshot struct {
	blocksSize, vlobsSize uint64
	statistics            rules.Statistics
	changes               map[parsec.VlobID]uint32
	checkpoint            uint64
	versions              [][]rules.VlobVersion
}

func (f *fixture) snapshotRealm(realm parsec.RealmID, vlobs ...parsec.VlobID) realmSnapshot {
	f.Helper()
	var s realmSnapshot
	var err error
	_, s.blocksSize, s.vlobsSize, _, err = f.store.RealmStatistics(f.Context(), f.organization, realm, alice)
	f.no(err)
	s.statistics = f.statistics(nil)
	facts, changes, _, err := f.store.Changes(f.Context(), f.organization, alice, realm, 0)
	f.no(err)
	s.changes, s.checkpoint = changes, facts.Checkpoint
	for _, vlob := range vlobs {
		_, versions, _, err := f.store.VlobVersions(f.Context(), f.organization, alice, vlob)
		f.no(err)
		s.versions = append(s.versions, versions)
	}
	return s
}

func ignoredItems(f *fixture) {
	f.bootstrap()
	realm, other := f.createRealm(), f.createRealm()
	vlob := f.createVlob(realm, aliceOne, 1, "one")
	f.updateVlob(vlob, aliceOne, 2, "two")
	foreign := f.createVlob(other, aliceOne, 1, "foreign")

	// No reencryption at all.
	f.save(realm, 0, 0, item(vlob, 1, "early"))
	f.wantBlob(vlob, 1, 1, "one")

	f.start(realm)
	f.start(other)
	f.save(realm, 2, 1,
		item(newVlobID(), 1, "unknown vlob"),
		item(vlob, 3, "unknown version"),
		item(vlob, 0, "unknown version"),
		item(foreign, 1, "other realm"),
		item(vlob, 1, "ONE"),
		item(vlob, 1, "twice in the batch"),
	)
	f.save(realm, 2, 1, item(vlob, 1, "twice"))
	f.wantBlob(vlob, 1, 2, "ONE")
	f.wantBlob(vlob, 2, 2, "")
	f.wantBlob(foreign, 1, 2, "")
	f.wantProgress(other, 1, 0)
	f.save(realm, 2, 2, item(vlob, 1, "thrice"), item(vlob, 2, "TWO"))
	f.finish(realm)
	f.save(realm, 0, 0, item(vlob, 1, "late"))
	f.wantBlob(vlob, 1, 2, "ONE")
	f.wantBlob(vlob, 2, 2, "TWO")
	equal(f, "batch without reencryption", f.batch(realm, 10), map[string]string{})
	equal(f, "batch of the other realm", f.batch(other, 10), map[string]string{place(foreign, 1): "foreign"})
}

// batches saves what small batches hold, and others of its own choice, until
// nothing is left.
func batches(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	want := map[string]string{}
	var others []protocol.ReencryptionItem
	for i := range 20 {
		vlob := f.createVlob(realm, aliceOne, i, fmt.Sprint("blob ", i))
		want[place(vlob, 1)] = fmt.Sprint("blob ", i)
		if i%3 == 0 {
			others = append(others, item(vlob, 1, "others"))
		}
	}
	f.start(realm)
	equal(f, "batch of none", f.batch(realm, 0), map[string]string{})
	got := map[string]string{}
	var saved uint64
	for round := 0; saved < 20 && round < 20; round++ {
		_, items, _, err := f.store.ReencryptionBatch(f.Context(), f.organization, alice, itemsOf(realm, 3))
		f.no(err)
		equal(f, "size of the batch", uint64(len(items)), min(3, 20-saved))
		for _, item := range items {
			got[place(item.VlobID, item.Version)] = string(item.Blob)
		}
		if round < len(others) {
			other := others[len(others)-1-round]
			got[place(other.VlobID, 1)] = want[place(other.VlobID, 1)]
			items = append(items, other)
		}
		f.update(onRealm(realm), func(tx rules.Tx) error {
			_, saved, err = tx.SaveReencrypted(f.Context(), items)
			return err
		})
	}
	equal(f, "saved", saved, 20)
	equal(f, "texts of the batches", got, want)
	equal(f, "last batch", f.batch(realm, 1000), map[string]string{})
}

// batchBytes bounds batches by the sizes of their items, in the order in which
// they were written.
func batchBytes(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	var sizes []uint64
	for i, length := range []int{10, 5000, 200_000, 0, 10, 1} { // some in the row, others beside it
		written := item(f.createVlob(realm, aliceOne, i, strings.Repeat("x", length)), 1, strings.Repeat("x", length))
		sizes = append(sizes, written.Size())
	}
	f.start(realm)
	all := uint64(0)
	for i, size := range sizes {
		all += size
		for bytes, want := range map[uint64]int{all: i + 1, all - 1: max(i, 1), all + 1: i + 1} {
			selection := itemsOf(realm, 1000)
			selection.Bytes = bytes
			_, items, _, err := f.store.ReencryptionBatch(f.Context(), f.organization, alice, selection)
			f.no(err)
			equal(f, fmt.Sprint("items in ", bytes, " bytes"), len(items), want)
		}
	}
	selection := itemsOf(realm, 1)
	for _, selection.Bytes = range []uint64{0, all} {
		_, items, _, err := f.store.ReencryptionBatch(f.Context(), f.organization, alice, selection)
		f.no(err)
		equal(f, "items of one", len(items), 1)
	}
	selection = rules.BatchSelection{Realm: realm, Role: parsec.RoleOwner}
	_, items, _, err := f.store.ReencryptionBatch(f.Context(), f.organization, alice, selection)
	f.no(err)
	equal(f, "items of none", len(items), 0)
}

func refusedSave(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	vlob := f.createVlob(realm, aliceOne, 1, "one")
	f.updateVlob(vlob, aliceOne, 2, "two")
	f.start(realm)
	f.save(realm, 2, 1, item(vlob, 2, "TWO"))
	refusal := errors.New("refused")
	err := f.try(onRealm(realm), func(tx rules.Tx) error {
		total, done, err := tx.SaveReencrypted(f.Context(), []protocol.ReencryptionItem{item(vlob, 1, "refused"), item(vlob, 2, "refused")})
		if err != nil {
			return err
		}
		equal(f, "progress in the rule", [2]uint64{total, done}, [2]uint64{2, 2})
		total, done, err = tx.ReencryptionProgress(f.Context())
		if err != nil {
			return err
		}
		equal(f, "progress in the rule", [2]uint64{total, done}, [2]uint64{2, 2})
		return refusal
	})
	if !errors.Is(err, refusal) {
		f.Errorf("error %v, want that of the rule", err)
	}
	f.wantProgress(realm, 2, 1)
	f.wantBlob(vlob, 1, 2, "")
	f.wantBlob(vlob, 2, 2, "TWO")
	equal(f, "batch", f.batch(realm, 10), map[string]string{place(vlob, 1): "one"})
	f.save(realm, 2, 2, item(vlob, 1, "ONE"))
	f.wantBlob(vlob, 1, 2, "ONE")
}

func reencryptNothing(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	f.start(realm)
	f.wantProgress(realm, 0, 0)
	equal(f, "batch", f.batch(realm, 10), map[string]string{})
	f.finish(realm)
	vlob := f.createVlob(realm, aliceOne, 1, "one")
	f.wantBlob(vlob, 1, 2, "one")
	f.wantBlob(vlob, 1, 1, "")
}

func savedCopies(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	vlob := f.createVlob(realm, aliceOne, 1, "one")
	f.start(realm)
	saved := item(vlob, 1, strings.Repeat("x", 100))
	f.save(realm, 1, 1, saved)
	clear(saved.Blob)
	f.wantBlob(vlob, 1, 2, strings.Repeat("x", 100))
}
