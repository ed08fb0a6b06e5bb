package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var statisticsChecks = []check{
	{"past", pastStatistics},
	{"several organizations", severalStatistics},
}

// statistics returns the statistics at a date, or now if at is nil.
func (f *fixture) statistics(at *parsec.DateTime) rules.Statistics {
	f.Helper()
	all, err := f.store.OrganizationStatistics(f.Context(), []parsec.OrganizationID{f.organization}, at)
	f.no(err)
	return all[0]
}

func pastStatistics(f *fixture) {
	f.bootstrap() // alice, an ADMIN at 0
	late := newUser(carol, parsec.ProfileOutsider, aliceOne)
	late.CreatedOn = at(30)
	f.enrol(parsec.ProfileStandard, bob) // at 0
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateUser(late) })
	f.revoke(bob, rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(40)})
	realm, second := f.createRealm(), newRealmID() // at 0
	f.queue(onRealm(second), func(tx rules.Tx) {
		tx.CreateRealm(at(20))
		tx.AddRole(newRole(second, alice, parsec.RoleOwner, 20))
	})
	vlob := f.createVlob(realm, aliceOne, 10, "1")
	f.updateVlob(vlob, aliceOne, 20, "22")
	f.createVlob(second, aliceOne, 30, "333")
	for i, size := range []uint64{1000, 2000} {
		block := newBlockID()
		f.queue(onBlock(realm, block), func(tx rules.Tx) {
			tx.CreateBlock(rules.Block{ID: block, Realm: realm, Author: aliceOne, Size: size, CreatedOn: at(10 + 20*i)})
		})
	}
	pending := rules.BlockUpload{ID: newBlockID(), Token: parsec.NewUUID(), Until: at(1000)}
	_, err := f.store.ReserveBlock(f.Context(), f.organization, alice, realm, pending, at(0))
	f.no(err)
	f.start(realm)
	f.save(realm, 2, 1, item(vlob, 1, "another copy of the version"))

	type profiles = map[parsec.UserProfile]uint64
	people := func(statistics rules.Statistics) [2]profiles {
		told := [2]profiles{{}, {}}
		for i, counts := range []profiles{statistics.Active, statistics.Revoked} {
			for profile, count := range counts {
				if count > 0 {
					told[i][profile] = count
				}
			}
		}
		return told
	}
	both := profiles{parsec.ProfileAdmin: 1, parsec.ProfileStandard: 1}
	three := profiles{parsec.ProfileAdmin: 1, parsec.ProfileStandard: 1, parsec.ProfileOutsider: 1}
	others := profiles{parsec.ProfileAdmin: 1, parsec.ProfileOutsider: 1}
	for _, item := range []struct {
		name                           string
		at                             *parsec.DateTime
		realms, dataSize, metadataSize uint64
		active, revoked                profiles
	}{
		{"before all", new(at(0) - 1), 0, 0, 0, profiles{}, profiles{}},
		{"begin", new(at(0)), 1, 0, 0, both, profiles{}},
		{"just before", new(at(10) - 1), 1, 0, 0, both, profiles{}},
		{"10", new(at(10)), 1, 1000, 1, both, profiles{}},
		{"20", new(at(20)), 2, 1000, 3, both, profiles{}},
		{"30", new(at(30)), 2, 3000, 6, three, profiles{}},
		{"just before the revocation", new(at(40) - 1), 2, 3000, 6, three, profiles{}},
		{"40", new(at(40)), 2, 3000, 6, others, profiles{parsec.ProfileStandard: 1}},
		{"now", nil, 2, 3000, 6, others, profiles{parsec.ProfileStandard: 1}},
	} {
		got := f.statistics(item.at)
		equal(f, item.name+": sizes", [3]uint64{got.Realms, got.DataSize, got.MetadataSize}, [3]uint64{item.realms, item.dataSize, item.metadataSize})
		equal(f, item.name+": users", people(got), [2]profiles{item.active, item.revoked})
	}
}

// severalStatistics asks for those of several organizations at once.
func severalStatistics(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	f.createVlob(f.createRealm(), aliceOne, 0, "333")
	other := f.another()
	other.bootstrap()
	for _, instant := range []*parsec.DateTime{nil, new(at(0))} {
		ids := []parsec.OrganizationID{other.organization, newOrganizationID(), f.organization}
		all, err := f.store.OrganizationStatistics(f.Context(), ids, instant)
		f.no(err)
		for i, want := range []struct{ users, metadataSize uint64 }{{users: 1}, {}, {2, 3}} {
			active, revoked := all[i].Users()
			equal(f, "users", [2]uint64{active, revoked}, [2]uint64{want.users, 0})
			equal(f, "metadata size", all[i].MetadataSize, want.metadataSize)
		}
	}
	none, err := f.store.OrganizationStatistics(f.Context(), nil, nil)
	f.no(err)
	equal(f, "of no organization", len(none), 0)
}
