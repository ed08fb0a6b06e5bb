package storetest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var vlobChecks = []check{
	{"write", writeVlob},
	{"latest versions", latestVersions},
	{"versions at a date", versionsAt},
	{"versions", readVersions},
	{"limit of a reading", readingLimit},
	{"changes", changes},
	{"id of another realm", vlobOfAnotherRealm},
	{"nothing for users without role", nothingForStrangers},
	{"bytes are copies", vlobCopies},
	{"many", manyVlobs},
}

// told is the versions of a reading, each as its number and its blob.
func told(versions []rules.VlobVersion) []string {
	list := make([]string, len(versions))
	for i, version := range versions {
		list[i] = fmt.Sprintf("%d %s", version.Version, version.Blob)
	}
	return list
}

// wantVlobs reads vlobs, for alice.
func (f *fixture) wantVlobs(realm parsec.RealmID, at *parsec.DateTime, vlobs []parsec.VlobID, want ...string) {
	f.Helper()
	reading, err := f.store.ReadVlobs(f.Context(), f.organization, aliceOne, realm, vlobs, at, math.MaxInt64)
	f.no(err)
	equal(f, "too long", reading.TooLong, false)
	equalList(f, "vlobs", told(reading.Versions), want)
}

// wantChanges reads those after a checkpoint, for alice.
func (f *fixture) wantChanges(realm parsec.RealmID, checkpoint uint64, want ...rules.VlobChange) {
	f.Helper()
	_, _, got, err := f.store.Changes(f.Context(), f.organization, aliceOne, realm, checkpoint)
	f.no(err)
	inOrder := func(a, b rules.VlobChange) int { return slices.Compare(a.Vlob[:], b.Vlob[:]) }
	slices.SortFunc(got, inOrder)
	slices.SortFunc(want, inOrder)
	equalList(f, "changes", got, want)
}

func writeVlob(f *fixture) {
	f.bootstrap()
	f.addDevice(alice, aliceTwo)
	realm, vlob := f.createRealm(), newVlobID()
	f.rotate(realm, 1, nil)
	version := rules.VlobVersion{Vlob: vlob, Version: 1, KeyIndex: 1, Author: aliceTwo, Timestamp: at(50), Blob: []byte("one")}
	f.wantVlobs(realm, nil, []parsec.VlobID{vlob})
	f.update(onVlob(realm, vlob), func(tx rules.Tx) error {
		equal(f, "version before", tx.Vlob(), 0)
		tx.WriteVlob(version)
		equal(f, "version before the end of its rule", tx.Vlob(), 0)
		return nil
	})
	reading, err := f.store.ReadVlobs(f.Context(), f.organization, aliceOne, realm, []parsec.VlobID{vlob}, nil, math.MaxInt64)
	f.no(err)
	equalList(f, "versions", reading.Versions, []rules.VlobVersion{version})
	f.rotate(realm, 2, nil)
	second := rules.VlobVersion{Vlob: vlob, Version: 2, KeyIndex: 2, Author: aliceOne, Timestamp: at(40), Blob: []byte{}}
	f.update(onVlob(realm, vlob), func(tx rules.Tx) error {
		equal(f, "version", tx.Vlob(), 1)
		tx.WriteVlob(second)
		return nil
	})
	reading, err = f.store.ReadVersions(f.Context(), f.organization, aliceOne, realm, []rules.VlobNumber{{Vlob: vlob, Version: 1}, {Vlob: vlob, Version: 2}}, math.MaxInt64)
	f.no(err)
	equalList(f, "versions", reading.Versions, []rules.VlobVersion{version, second})
	f.update(onVlob(realm, newVlobID()), func(tx rules.Tx) error {
		equal(f, "version of an unknown vlob", tx.Vlob(), 0)
		return nil
	})
}

// latestVersions has ids in another order, repeated and unknown.
func latestVersions(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	first, second, third := f.createVlob(realm, "a"), f.createVlob(realm, "b"), f.createVlob(realm, "c")
	f.write(realm, second, aliceOne, at(0), "bb")
	f.wantVlobs(realm, nil, nil)
	f.wantVlobs(realm, nil, []parsec.VlobID{newVlobID()})
	f.wantVlobs(realm, nil, []parsec.VlobID{third, first, second}, "1 c", "1 a", "2 bb")
	f.wantVlobs(realm, nil, []parsec.VlobID{second, newVlobID(), first, second, second, newVlobID(), first},
		"2 bb", "1 a", "2 bb", "2 bb", "1 a")
	f.wantVlobs(newRealmID(), nil, []parsec.VlobID{first})
}

// versionsAt has versions that are out of the order of their dates.
func versionsAt(f *fixture) {
	f.bootstrap()
	realm, vlob, late := f.createRealm(), newVlobID(), newVlobID()
	for i, date := range []int{100, 300, 200, 200} {
		f.write(realm, vlob, aliceOne, at(date), fmt.Sprint("v", i+1))
	}
	f.write(realm, late, aliceOne, at(250), "late")
	for _, test := range []struct {
		at   parsec.DateTime
		want []string
	}{
		{at(100) - 1, nil},
		{at(100), []string{"1 v1"}},
		{at(200) - 1, []string{"1 v1"}},
		{at(200), []string{"4 v4"}},
		{at(250) - 1, []string{"4 v4"}},
		{at(250), []string{"4 v4", "1 late"}},
		{at(300), []string{"4 v4", "1 late"}}, // the highest one, not the last dated
	} {
		f.wantVlobs(realm, &test.at, []parsec.VlobID{vlob, late}, test.want...)
	}
	f.wantVlobs(realm, new(at(260)), []parsec.VlobID{late, vlob, newVlobID(), late}, "1 late", "4 v4", "1 late")
}

func readVersions(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	first, second := f.createVlob(realm, "a1"), f.createVlob(realm, "b1")
	f.write(realm, first, aliceOne, f.next(), "a2")
	f.write(realm, first, aliceOne, f.next(), "a3")
	want := func(items []rules.VlobNumber, want ...string) {
		f.Helper()
		reading, err := f.store.ReadVersions(f.Context(), f.organization, aliceOne, realm, items, math.MaxInt64)
		f.no(err)
		equalList(f, "versions", told(reading.Versions), want)
	}
	want(nil)
	want([]rules.VlobNumber{{Vlob: first, Version: 2}}, "2 a2")
	want([]rules.VlobNumber{{Vlob: second, Version: 1}, {Vlob: first, Version: 3}, {Vlob: first, Version: 1}}, "1 b1", "3 a3", "1 a1")
	want([]rules.VlobNumber{{Vlob: first, Version: 1}, {Vlob: second, Version: 2}, {Vlob: first, Version: 1}, {Vlob: newVlobID(), Version: 1}},
		"1 a1", "1 a1")
	want([]rules.VlobNumber{{Vlob: first}, {Vlob: first, Version: 4}, {Vlob: first, Version: math.MaxUint32}})
}

// readingLimit counts a blob as often as it is asked for.
func readingLimit(f *fixture) {
	f.bootstrap()
	realm := f.createRealm()
	vlob, small := f.createVlob(realm, "old"), f.createVlob(realm, "s")
	f.write(realm, vlob, aliceOne, f.next(), strings.Repeat("x", 1000))
	for _, test := range []struct {
		name    string
		vlobs   []parsec.VlobID
		limit   uint64
		tooLong bool
	}{
		{"all that is allowed", []parsec.VlobID{vlob, small}, 1001, false},
		{"one byte too many", []parsec.VlobID{vlob, small}, 1000, true},
		{"repeated", []parsec.VlobID{vlob, vlob, vlob}, 2999, true},
		{"repeated, allowed", []parsec.VlobID{vlob, vlob, vlob}, 3000, false},
		{"nothing", nil, 0, false},
	} {
		reading, err := f.store.ReadVlobs(f.Context(), f.organization, aliceOne, realm, test.vlobs, nil, test.limit)
		f.no(err)
		f.wantLength(test.name, reading, test.tooLong, len(test.vlobs))
		items := make([]rules.VlobNumber, len(test.vlobs))
		for i, id := range test.vlobs {
			items[i] = rules.VlobNumber{Vlob: id, Version: 1}
			if id == vlob {
				items[i].Version = 2
			}
		}
		reading, err = f.store.ReadVersions(f.Context(), f.organization, aliceOne, realm, items, test.limit)
		f.no(err)
		f.wantLength(test.name+", by version", reading, test.tooLong, len(test.vlobs))
	}
}

func (f *fixture) wantLength(name string, reading rules.VlobReading, tooLong bool, length int) {
	f.Helper()
	if tooLong {
		length = 0
	}
	equal(f, name+": too long", reading.TooLong, tooLong)
	equal(f, name+": number of versions", len(reading.Versions), length)
	equal(f, name+": realm found", reading.Realm != nil, true)
	equal(f, name+": user found", reading.Standing.User != nil, true)
}

func changes(f *fixture) {
	f.bootstrap()
	realm, other := f.createRealm(), f.createRealm()
	f.wantChanges(realm, 0)
	first := f.createVlob(realm, "a")          // 1
	second := f.createVlob(realm, "b")         // 2
	f.createVlob(other, "of the other realm")  // in another log
	f.write(realm, first, aliceOne, at(0), "") // 3
	third := f.createVlob(realm, "c")          // 4
	f.write(realm, first, aliceOne, at(0), "") // 5
	a, b, c := rules.VlobChange{Vlob: first, Version: 3}, rules.VlobChange{Vlob: second, Version: 1}, rules.VlobChange{Vlob: third, Version: 1}
	for _, test := range []struct {
		checkpoint uint64
		want       []rules.VlobChange
	}{
		{0, []rules.VlobChange{a, b, c}},
		{1, []rules.VlobChange{a, b, c}},
		{2, []rules.VlobChange{a, c}},
		{3, []rules.VlobChange{a, c}},
		{4, []rules.VlobChange{a}},
		{5, nil},
		{6, nil},
		{math.MaxInt64, nil},
	} {
		f.wantChanges(realm, test.checkpoint, test.want...)
	}
	equal(f, "checkpoint", f.realm(realm, alice).Checkpoint, 5)
	equal(f, "checkpoint of the other realm", f.realm(other, alice).Checkpoint, 1)
	f.wantChanges(newRealmID(), 0)
}

// vlobOfAnotherRealm has one id in two realms, and in two organizations.
func vlobOfAnotherRealm(f *fixture) {
	apart := f.another()
	apart.bootstrap()
	f.bootstrap()
	realm, other := f.createRealm(), f.createRealm()
	apart.createRealmAs(realm, alice)
	vlob := f.createVlob(realm, "a")
	for i, at := range []*fixture{f, apart} {
		in := []parsec.RealmID{other, realm}[i]
		at.wantVlobs(in, nil, []parsec.VlobID{vlob})
		at.update(onVlob(in, vlob), func(tx rules.Tx) error {
			equal(f, "version elsewhere", tx.Vlob(), 0)
			return nil
		})
	}
	f.write(other, vlob, aliceOne, f.next(), "b")
	f.write(other, vlob, aliceOne, f.next(), "bb")
	apart.write(realm, vlob, aliceOne, f.next(), "c")
	f.wantVlobs(realm, nil, []parsec.VlobID{vlob}, "1 a")
	f.wantVlobs(other, nil, []parsec.VlobID{vlob}, "2 bb")
	apart.wantVlobs(realm, nil, []parsec.VlobID{vlob}, "1 c")
	f.wantChanges(realm, 0, rules.VlobChange{Vlob: vlob, Version: 1})
	apart.wantChanges(realm, 0, rules.VlobChange{Vlob: vlob, Version: 1})
}

func nothingForStrangers(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	realm := f.createRealm()
	vlob := f.createVlob(realm, "secret")
	f.grant(realm, bob, parsec.RoleReader)
	read := func(device parsec3.DeviceID) [3]int {
		f.Helper()
		reading, err := f.store.ReadVlobs(f.Context(), f.organization, device, realm, []parsec.VlobID{vlob}, nil, math.MaxInt64)
		f.no(err)
		versions, err := f.store.ReadVersions(f.Context(), f.organization, device, realm, []rules.VlobNumber{{Vlob: vlob, Version: 1}}, math.MaxInt64)
		f.no(err)
		_, _, list, err := f.store.Changes(f.Context(), f.organization, device, realm, 0)
		f.no(err)
		return [3]int{len(reading.Versions), len(versions.Versions), len(list)}
	}
	equal(f, "of a member", read(bobOne), [3]int{1, 1, 1})
	equal(f, "of a stranger", read(carolOne), [3]int{})
	equal(f, "of an unknown device", read(newDeviceID()), [3]int{})
	f.grant(realm, bob, parsec.RoleNone)
	equal(f, "of who has left", read(bobOne), [3]int{})
}

func vlobCopies(f *fixture) {
	f.bootstrap()
	realm, vlob := f.createRealm(), newVlobID()
	blob := []byte("blob")
	f.queue(onVlob(realm, vlob), func(tx rules.Tx) {
		writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: aliceOne, Timestamp: at(1), Blob: blob})
	})
	clear(blob)
	f.wantVlobs(realm, nil, []parsec.VlobID{vlob}, "1 blob")
	reading, err := f.store.ReadVlobs(f.Context(), f.organization, aliceOne, realm, []parsec.VlobID{vlob}, nil, math.MaxInt64)
	f.no(err)
	reading.Versions[0].Version = 9
	f.wantVlobs(realm, nil, []parsec.VlobID{vlob}, "1 blob")
}

// manyVlobs reads as many vlobs as a command may name.
func manyVlobs(f *fixture) {
	const many = 1000
	f.bootstrap()
	realm := f.createRealm()
	first, second := f.createVlob(realm, "a"), f.createVlob(realm, "b")
	vlobs, items := make([]parsec.VlobID, many), make([]rules.VlobNumber, many)
	var want []string
	for i := range vlobs {
		vlobs[i] = []parsec.VlobID{first, second, newVlobID()}[i%3]
		items[i] = rules.VlobNumber{Vlob: vlobs[i], Version: 1}
		if i%3 < 2 {
			want = append(want, []string{"1 a", "1 b"}[i%3])
		}
	}
	f.wantVlobs(realm, nil, vlobs, want...)
	f.wantVlobs(realm, new(at(1000)), vlobs, want...)
	reading, err := f.store.ReadVersions(f.Context(), f.organization, aliceOne, realm, items, math.MaxInt64)
	f.no(err)
	equalList(f, "versions", told(reading.Versions), want)
	equal(f, "realm", cmp.Or(reading.Realm, &rules.Realm{}).ID, realm)
}
